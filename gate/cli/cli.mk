# The sources and unit tests of gate/cli.
bin_PROGRAMS += aegis
noinst_LIBRARIES += libaegis_cli.a
libaegis_cli_a_SOURCES = \
	gate/cli/agents.c gate/cli/agents.h \
	gate/cli/budget.c \
	gate/cli/cli.h \
	gate/cli/common.c gate/cli/common.h \
	gate/cli/defaults.c gate/cli/defaults.h \
	gate/cli/guard.c \
	gate/cli/init.c \
	gate/cli/install.c \
	gate/cli/key.c \
	gate/cli/ledger.c \
	gate/cli/live.c \
	gate/cli/name.c gate/cli/name.h \
	gate/cli/receipts.c \
	gate/cli/replay.c gate/cli/replay.h \
	gate/cli/secrets.c gate/cli/secrets.h \
	gate/cli/status.c \
	gate/cli/wallet.c

# The policies of a new setup, as texts for the compiler.
default_policies = $(srcdir)/policies/default-budget.json $(srcdir)/policies/default-guard.json
gate/cli/default_policies.h: $(default_policies)
	@$(MKDIR_P) gate/cli
	$(AM_V_GEN)awk 'FNR == 1 && NR > 1 { print "," } { gsub(/[\\"]/, "\\\\&"); print "\"" $$0 "\\n\"" }' \
		$(default_policies) >$@
gate/cli/defaults.$(OBJEXT): gate/cli/default_policies.h
CLEANFILES += gate/cli/default_policies.h

aegis_SOURCES = gate/cli/main.c
aegis_LDADD = libaegis_cli.a libaegis_daemon.a libaegis_judge.a libaegis_ledger.a libaegis_vault.a libaegis_x402.a \
	libaegis_ipc.a libaegis_base.a $(AEGIS_LIBS)
EXTRA_DIST += gate/cli/README.md

check_PROGRAMS += tests/unit/test_cli
TESTS += tests/unit/test_cli
tests_unit_test_cli_SOURCES = tests/unit/test_cli.c tests/unit/ledger_maker.h
tests_unit_test_cli_LDADD = libaegis_cli.a libaegis_daemon.a libaegis_judge.a libaegis_ledger.a libaegis_vault.a \
	libaegis_x402.a libaegis_ipc.a libaegis_base.a $(AEGIS_LIBS) $(CMOCKA_LIBS)
