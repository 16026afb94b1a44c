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
