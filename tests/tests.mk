# What belongs to no single room.
EXTRA_DIST += tests/README.md

# The end-to-end and crash tests go into the tarball as they stand, without what npm and Python leave behind.
dist-hook:
	cd $(srcdir) && tar -cf - --exclude=node_modules --exclude=__pycache__ tests/e2e tests/crash | \
	  (cd $(abs_builddir)/$(distdir) && tar -xf -)

# For contrib/check: the fuzzers that this configuration builds.
print-fuzzers:
	@echo $(filter tests/fuzz/%,$(noinst_PROGRAMS))

.PHONY: print-fuzzers

# The unit tests under valgrind, in a build without sanitizers; some minutes. Left out are scripts and those that valgrind
# itself would run into: filters and limits that a process puts on itself, an execve that fails, /proc/self/exe, and children
# of a fork, to which what only their parent can free is lost.
VALGRIND = valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite
not_under_valgrind = tests/unit/test_cli tests/unit/test_confine tests/unit/test_misbehave tests/unit/test_proxy_worker \
	tests/unit/test_runner tests/unit/test_supervisor tests/plugins/build-sample
check-valgrind:
	@! grep -q 'define AEGIS_SANITIZED' config.h || { echo "valgrind and sanitizers exclude each other" >&2; exit 1; }
	$(MAKE) check TESTS='$(filter-out $(not_under_valgrind),$(TESTS))' LOG_COMPILER='$(VALGRIND)'

.PHONY: check-valgrind
