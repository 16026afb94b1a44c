# gate/keeper: the trusted process.
noinst_LIBRARIES += libaegis_keeper.a
libaegis_keeper_a_SOURCES = \
	gate/keeper/keeper.c gate/keeper/keeper.h gate/keeper/room.h \
	gate/keeper/settings.c \
	gate/keeper/peers.c gate/keeper/peers.h \
	gate/keeper/clock.c gate/keeper/clock.h \
	gate/keeper/table.c gate/keeper/table.h \
	gate/keeper/commit.c gate/keeper/commit.h \
	gate/keeper/identity.c gate/keeper/identity.h \
	gate/keeper/policies.c gate/keeper/policies.h \
	gate/keeper/counters.c gate/keeper/counters.h \
	gate/keeper/rolling.c gate/keeper/rolling.h \
	gate/keeper/facts.c gate/keeper/facts.h \
	gate/keeper/question.c gate/keeper/question.h \
	gate/keeper/decision.c gate/keeper/decision.h \
	gate/keeper/repeat.c gate/keeper/repeat.h \
	gate/keeper/authorize.c gate/keeper/grant.c gate/keeper/ask.h \
	gate/keeper/payments.c gate/keeper/payments.h \
	gate/keeper/outcome.c \
	gate/keeper/chain.c \
	gate/keeper/ticks.c \
	gate/keeper/commands.c gate/keeper/external.c
EXTRA_DIST += gate/keeper/README.md

keeper_test_libraries = libaegis_keeper.a libaegis_ledger.a libaegis_vault.a libaegis_x402.a libaegis_ipc.a \
	libaegis_base.a $(AEGIS_LIBS) -lcmocka
keeper_tests = tests/unit/test_keeper_buy tests/unit/test_keeper_commands tests/unit/test_keeper_counters \
	tests/unit/test_keeper_failure tests/unit/test_keeper_races tests/unit/test_keeper_repeat
check_PROGRAMS += $(keeper_tests)
TESTS += $(keeper_tests)
tests_unit_test_keeper_buy_SOURCES = tests/unit/test_keeper_buy.c tests/unit/keeper_fixture.h
tests_unit_test_keeper_buy_LDADD = $(keeper_test_libraries)
tests_unit_test_keeper_commands_SOURCES = tests/unit/test_keeper_commands.c tests/unit/keeper_fixture.h
tests_unit_test_keeper_commands_LDADD = $(keeper_test_libraries)
tests_unit_test_keeper_counters_SOURCES = tests/unit/test_keeper_counters.c tests/unit/ledger_maker.h
tests_unit_test_keeper_counters_LDADD = $(keeper_test_libraries)
tests_unit_test_keeper_failure_SOURCES = tests/unit/test_keeper_failure.c tests/unit/keeper_fixture.h \
	tests/unit/failing_vfs.h
tests_unit_test_keeper_failure_LDADD = $(keeper_test_libraries)
tests_unit_test_keeper_races_SOURCES = tests/unit/test_keeper_races.c tests/unit/keeper_fixture.h
tests_unit_test_keeper_races_LDADD = $(keeper_test_libraries)
tests_unit_test_keeper_repeat_SOURCES = tests/unit/test_keeper_repeat.c tests/unit/keeper_fixture.h
tests_unit_test_keeper_repeat_LDADD = $(keeper_test_libraries)
