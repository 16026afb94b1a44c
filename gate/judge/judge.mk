# The sources and unit tests of gate/judge.
noinst_LIBRARIES += libaegis_judge.a
libaegis_judge_a_SOURCES = \
	gate/judge/context.c gate/judge/context.h \
	gate/judge/document.c gate/judge/document.h \
	gate/judge/evaluate.c gate/judge/evaluate.h \
	gate/judge/host.c gate/judge/host.h \
	gate/judge/judge.c gate/judge/judge.h \
	gate/judge/notepad.h \
	gate/judge/policies.c gate/judge/policies.h \
	gate/judge/rules.c gate/judge/rules.h \
	gate/judge/services.c gate/judge/services.h \
	gate/judge/subject.c gate/judge/subject.h

# The executable that our policy documents name for stock OWS.
bin_PROGRAMS += aegis-policy
aegis_policy_SOURCES = gate/cli/policy_executable.c
aegis_policy_LDADD = libaegis_judge.a libaegis_daemon.a libaegis_x402.a libaegis_ipc.a libaegis_base.a $(AEGIS_LIBS)

check_PROGRAMS += \
	tests/unit/test_context tests/unit/test_document tests/unit/test_evaluate tests/unit/test_host tests/unit/test_judge \
	tests/unit/test_misbehave
TESTS += \
	tests/unit/test_context tests/unit/test_document tests/unit/test_evaluate tests/unit/test_host tests/unit/test_judge \
	tests/unit/test_misbehave
tests_unit_test_context_SOURCES = tests/unit/test_context.c
tests_unit_test_context_LDADD = $(JUDGE_TEST_LIBS)
tests_unit_test_document_SOURCES = tests/unit/test_document.c tests/unit/vectors.h
tests_unit_test_document_LDADD = $(JUDGE_TEST_LIBS)
tests_unit_test_evaluate_SOURCES = tests/unit/test_evaluate.c tests/unit/judging.h
tests_unit_test_evaluate_LDADD = $(JUDGE_TEST_LIBS)
tests_unit_test_host_SOURCES = tests/unit/test_host.c
tests_unit_test_host_LDADD = $(JUDGE_TEST_LIBS)
tests_unit_test_judge_SOURCES = tests/unit/test_judge.c tests/unit/judging.h
tests_unit_test_judge_LDADD = $(JUDGE_TEST_LIBS)
tests_unit_test_misbehave_SOURCES = tests/unit/test_misbehave.c tests/unit/judging.h
tests_unit_test_misbehave_LDADD = $(JUDGE_TEST_LIBS)

EXTRA_DIST += gate/judge/README.md tests/data/judge/policy-files.json tests/data/judge/policy-eval.json
