# The sources and unit tests of gate/ipc.
noinst_LIBRARIES += libaegis_ipc.a
libaegis_ipc_a_SOURCES = \
	gate/ipc/channel.c gate/ipc/channel.h \
	gate/ipc/messages.c gate/ipc/messages.h \
	gate/ipc/parking.c gate/ipc/parking.h \
	gate/ipc/process.c gate/ipc/process.h
EXTRA_DIST += gate/ipc/README.md

check_PROGRAMS += tests/unit/test_channel tests/unit/test_parking
TESTS += tests/unit/test_channel tests/unit/test_parking
tests_unit_test_channel_SOURCES = tests/unit/test_channel.c
tests_unit_test_channel_LDADD = libaegis_ipc.a libaegis_base.a $(AEGIS_LIBS) $(CMOCKA_LIBS)
tests_unit_test_parking_SOURCES = tests/unit/test_parking.c
tests_unit_test_parking_LDADD = libaegis_ipc.a libaegis_base.a $(AEGIS_LIBS) $(CMOCKA_LIBS)
