# The sources and unit tests of gate/runner.
noinst_LIBRARIES += libaegis_runner.a
libaegis_runner_a_SOURCES = \
	gate/runner/executable.c gate/runner/executable.h \
	gate/runner/runner.c gate/runner/runner.h

check_PROGRAMS += tests/unit/test_runner
TESTS += tests/unit/test_runner
tests_unit_test_runner_SOURCES = tests/unit/test_runner.c tests/unit/judging.h tests/unit/vectors.h
tests_unit_test_runner_LDADD = libaegis_runner.a $(JUDGE_TEST_LIBS)

EXTRA_DIST += gate/runner/README.md
