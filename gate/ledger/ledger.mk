# gate/ledger: the entries, the books, the writer and the readers.
noinst_LIBRARIES += libaegis_ledger.a
libaegis_ledger_a_SOURCES = \
	gate/ledger/entry.c gate/ledger/entry.h \
	gate/ledger/state.c \
	gate/ledger/store.c gate/ledger/store.h \
	gate/ledger/booking.c gate/ledger/booking.h \
	gate/ledger/ledger.c gate/ledger/ledger.h \
	gate/ledger/books.c gate/ledger/books.h \
	gate/ledger/sums.c \
	gate/ledger/reader.c gate/ledger/reader.h gate/ledger/private.h \
	gate/ledger/verify.c \
	gate/ledger/export.c
EXTRA_DIST += gate/ledger/README.md

check_PROGRAMS += tests/unit/test_ledger
tests_unit_test_ledger_SOURCES = tests/unit/test_ledger.c tests/unit/ledger_maker.h tests/unit/failing_vfs.h
tests_unit_test_ledger_LDADD = libaegis_ledger.a libaegis_base.a $(AEGIS_LIBS) -lcmocka
TESTS += tests/unit/test_ledger
