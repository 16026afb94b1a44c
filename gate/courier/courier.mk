# The sources and unit tests of gate/courier.
noinst_LIBRARIES += libaegis_courier.a
libaegis_courier_a_SOURCES = \
	gate/courier/bus.c gate/courier/bus.h \
	gate/courier/courier.c gate/courier/courier.h \
	gate/courier/follower.c gate/courier/follower.h \
	gate/courier/identity.c gate/courier/identity.h \
	gate/courier/mirror.c gate/courier/mirror.h \
	gate/courier/mirror_scan.c gate/courier/mirror_scan.h \
	gate/courier/notification.c gate/courier/notification.h

courier_test_libraries = libaegis_courier.a libaegis_ledger.a libaegis_ipc.a libaegis_base.a $(AEGIS_LIBS) -lcmocka
check_PROGRAMS += tests/unit/test_courier tests/unit/test_mirror tests/unit/test_notification
TESTS += tests/unit/test_courier tests/unit/test_mirror tests/unit/test_notification
tests_unit_test_courier_SOURCES = tests/unit/test_courier.c tests/unit/folder_fixture.h
tests_unit_test_courier_LDADD = $(courier_test_libraries)
tests_unit_test_mirror_SOURCES = tests/unit/test_mirror.c tests/unit/folder_fixture.h
tests_unit_test_mirror_LDADD = $(courier_test_libraries)
tests_unit_test_notification_SOURCES = tests/unit/test_notification.c
tests_unit_test_notification_LDADD = $(courier_test_libraries)

EXTRA_DIST += gate/courier/README.md
