# The plugins: modules of their own, in a folder of their own.
plugindir = $(libdir)/aegis/plugins
plugin_PROGRAMS = plugins/budget.so plugins/guard.so plugins/deadswitch.so plugins/exec.so
aegisincludedir = $(includedir)/aegis
aegisinclude_HEADERS = plugins/aegis/plugin.h
pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = plugins/aegis-plugin.pc

PLUGIN_COMPILE = $(AM_CFLAGS) -fPIC
PLUGIN_LINK = -shared -Wl,-z,relro -Wl,-z,now
PLUGIN_LIBS = -ljansson

plugins_budget_so_SOURCES = plugins/budget.c
plugins_budget_so_CFLAGS = $(PLUGIN_COMPILE)
plugins_budget_so_LDFLAGS = $(PLUGIN_LINK)
plugins_budget_so_LDADD = $(PLUGIN_LIBS)
plugins_guard_so_SOURCES = plugins/guard.c
plugins_guard_so_CFLAGS = $(PLUGIN_COMPILE)
plugins_guard_so_LDFLAGS = $(PLUGIN_LINK)
plugins_guard_so_LDADD = $(PLUGIN_LIBS)
plugins_deadswitch_so_SOURCES = plugins/deadswitch.c
plugins_deadswitch_so_CFLAGS = $(PLUGIN_COMPILE)
plugins_deadswitch_so_LDFLAGS = $(PLUGIN_LINK)
plugins_deadswitch_so_LDADD = $(PLUGIN_LIBS)
plugins_exec_so_SOURCES = plugins/exec.c
plugins_exec_so_CFLAGS = $(PLUGIN_COMPILE)
plugins_exec_so_LDFLAGS = $(PLUGIN_LINK)
plugins_exec_so_LDADD = $(PLUGIN_LIBS)

# For the tests: the sample, the plugin that misbehaves, and those that cannot be loaded.
TEST_PLUGINS = \
	tests/plugins/sample.so tests/plugins/misbehave.so tests/plugins/wrong_abi.so tests/plugins/wrong_size.so \
	tests/plugins/wrong_name.so tests/plugins/lying_size.so tests/plugins/no_symbol.so
check_PROGRAMS += $(TEST_PLUGINS)
tests_plugins_sample_so_SOURCES = plugins/sample.c
tests_plugins_sample_so_CFLAGS = $(PLUGIN_COMPILE)
tests_plugins_sample_so_LDFLAGS = $(PLUGIN_LINK)
tests_plugins_sample_so_LDADD = $(PLUGIN_LIBS)
tests_plugins_misbehave_so_SOURCES = plugins/misbehave.c
tests_plugins_misbehave_so_CFLAGS = $(PLUGIN_COMPILE)
tests_plugins_misbehave_so_LDFLAGS = $(PLUGIN_LINK)
tests_plugins_misbehave_so_LDADD = $(PLUGIN_LIBS)
tests_plugins_wrong_abi_so_SOURCES = plugins/misbehave.c
tests_plugins_wrong_abi_so_CFLAGS = $(PLUGIN_COMPILE) -DMISBEHAVE_ABI=77
tests_plugins_wrong_abi_so_LDFLAGS = $(PLUGIN_LINK)
tests_plugins_wrong_abi_so_LDADD = $(PLUGIN_LIBS)
tests_plugins_wrong_size_so_SOURCES = plugins/misbehave.c
tests_plugins_wrong_size_so_CFLAGS = $(PLUGIN_COMPILE) -DMISBEHAVE_SIZE=16
tests_plugins_wrong_size_so_LDFLAGS = $(PLUGIN_LINK)
tests_plugins_wrong_size_so_LDADD = $(PLUGIN_LIBS)
tests_plugins_lying_size_so_SOURCES = plugins/misbehave.c
tests_plugins_lying_size_so_CFLAGS = $(PLUGIN_COMPILE) -DMISBEHAVE_SIZE=4096
tests_plugins_lying_size_so_LDFLAGS = $(PLUGIN_LINK)
tests_plugins_lying_size_so_LDADD = $(PLUGIN_LIBS)
tests_plugins_wrong_name_so_SOURCES = plugins/misbehave.c
tests_plugins_wrong_name_so_CFLAGS = $(PLUGIN_COMPILE)
tests_plugins_wrong_name_so_LDFLAGS = $(PLUGIN_LINK)
tests_plugins_wrong_name_so_LDADD = $(PLUGIN_LIBS)
tests_plugins_no_symbol_so_SOURCES = plugins/misbehave.c
tests_plugins_no_symbol_so_CFLAGS = $(PLUGIN_COMPILE) -DMISBEHAVE_SYMBOL=no_aegis_policy
tests_plugins_no_symbol_so_LDFLAGS = $(PLUGIN_LINK)
tests_plugins_no_symbol_so_LDADD = $(PLUGIN_LIBS)

JUDGE_TEST_LIBS = libaegis_judge.a libaegis_x402.a libaegis_ipc.a libaegis_base.a $(AEGIS_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += \
	tests/unit/test_budget tests/unit/test_guard tests/unit/test_deadswitch tests/unit/test_exec tests/unit/test_sample \
	tests/unit/test_documents_shipped
TESTS += \
	tests/unit/test_budget tests/unit/test_guard tests/unit/test_deadswitch tests/unit/test_exec tests/unit/test_sample \
	tests/unit/test_documents_shipped tests/plugins/build-sample
tests_unit_test_sample_SOURCES = tests/unit/test_sample.c tests/unit/judging.h
tests_unit_test_sample_LDADD = $(JUDGE_TEST_LIBS)
tests_unit_test_documents_shipped_SOURCES = tests/unit/test_documents_shipped.c tests/unit/judging.h
tests_unit_test_documents_shipped_LDADD = $(JUDGE_TEST_LIBS)
tests_unit_test_budget_SOURCES = tests/unit/test_budget.c tests/unit/judging.h
tests_unit_test_budget_LDADD = $(JUDGE_TEST_LIBS)
tests_unit_test_guard_SOURCES = tests/unit/test_guard.c tests/unit/judging.h
tests_unit_test_guard_LDADD = $(JUDGE_TEST_LIBS)
tests_unit_test_deadswitch_SOURCES = tests/unit/test_deadswitch.c tests/unit/judging.h
tests_unit_test_deadswitch_LDADD = $(JUDGE_TEST_LIBS)
tests_unit_test_exec_SOURCES = tests/unit/test_exec.c tests/unit/judging.h
tests_unit_test_exec_LDADD = $(JUDGE_TEST_LIBS)

# The command that is about policies.
libaegis_cli_a_SOURCES += gate/cli/policy.c

# Policy documents ready to use.
policydir = $(pkgdatadir)/policies
dist_policy_DATA = \
	policies/ask-program.json policies/blocked-payees.json policies/deadswitch.json policies/default-budget.json \
	policies/default-guard.json policies/fleet-budget.json policies/known-sellers.json policies/trial-month.json
EXTRA_DIST += tests/plugins/build-sample
