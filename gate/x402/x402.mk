# The sources and unit tests of gate/x402.
noinst_LIBRARIES += libaegis_x402.a
libaegis_x402_a_SOURCES = \
	gate/x402/address.c gate/x402/address.h \
	gate/x402/answer.c \
	gate/x402/asset.c gate/x402/asset.h \
	gate/x402/authorization.c \
	gate/x402/eip712.c gate/x402/eip712.h gate/x402/challenge.c gate/x402/challenge.h gate/x402/challenge_internal.h \
	gate/x402/ranking.c \
	gate/x402/requirement.c \
	gate/x402/settlement.c \
	gate/x402/signature.c gate/x402/signature.h

check_PROGRAMS += tests/unit/test_challenge tests/unit/test_payment tests/unit/test_settlement tests/unit/test_signature
TESTS += tests/unit/test_challenge tests/unit/test_payment tests/unit/test_settlement tests/unit/test_signature
tests_unit_test_challenge_SOURCES = tests/unit/test_challenge.c
tests_unit_test_challenge_LDADD = libaegis_x402.a libaegis_base.a $(AEGIS_LIBS) -lcmocka
tests_unit_test_payment_SOURCES = tests/unit/test_payment.c tests/unit/vectors.h
tests_unit_test_payment_LDADD = libaegis_x402.a libaegis_base.a $(AEGIS_LIBS) -lcmocka
tests_unit_test_settlement_SOURCES = tests/unit/test_settlement.c
tests_unit_test_settlement_LDADD = libaegis_x402.a libaegis_base.a $(AEGIS_LIBS) -lcmocka
tests_unit_test_signature_SOURCES = tests/unit/test_signature.c tests/unit/vectors.h
tests_unit_test_signature_LDADD = libaegis_x402.a libaegis_base.a $(AEGIS_LIBS) -lcmocka

if FUZZERS
noinst_PROGRAMS += tests/fuzz/fuzz_challenge
tests_fuzz_fuzz_challenge_SOURCES = \
	tests/fuzz/fuzz_challenge.c $(libaegis_x402_a_SOURCES) $(libaegis_base_a_SOURCES)
tests_fuzz_fuzz_challenge_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_challenge_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_challenge_LDADD = $(AEGIS_LIBS)
endif

EXTRA_DIST += \
	gate/x402/README.md \
	tests/data/x402/echo-v2.json tests/data/x402/eip55.json tests/data/x402/evm-exact-eip3009-v1.json \
	tests/data/x402/evm-exact-eip3009-v2.json tests/data/x402/secp256k1.json
EXTRA_DIST += tests/fuzz/corpus/challenge/settlement \
	tests/fuzz/corpus/challenge/v1-0 \
	tests/fuzz/corpus/challenge/v1-1 \
	tests/fuzz/corpus/challenge/v1-2 \
	tests/fuzz/corpus/challenge/v2-0 \
	tests/fuzz/corpus/challenge/v2-1 \
	tests/fuzz/corpus/challenge/v2-2 \
	tests/fuzz/corpus/challenge/v2-3 \
	tests/fuzz/corpus/challenge/v2-4 \
	tests/fuzz/corpus/challenge/v2-5
