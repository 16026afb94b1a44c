# The sources and unit tests of gate/witness.
noinst_LIBRARIES += libaegis_witness.a
libaegis_witness_a_SOURCES = \
	gate/witness/book.c gate/witness/book.h \
	gate/witness/chain.c gate/witness/chain.h \
	gate/witness/proof.c gate/witness/proof.h \
	gate/witness/rpc.c gate/witness/rpc.h \
	gate/witness/witness.c gate/witness/witness.h

check_PROGRAMS += tests/unit/test_proof tests/unit/test_witness
TESTS += tests/unit/test_proof tests/unit/test_witness
tests_unit_test_proof_SOURCES = tests/unit/test_proof.c
tests_unit_test_proof_LDADD = libaegis_witness.a libaegis_x402.a libaegis_base.a $(AEGIS_LIBS) -lcmocka
tests_unit_test_witness_SOURCES = tests/unit/test_witness.c
tests_unit_test_witness_LDADD = libaegis_witness.a libaegis_x402.a libaegis_base.a $(AEGIS_LIBS) -lcmocka

EXTRA_DIST += gate/witness/README.md
