# The sources and unit tests of gate/base.
noinst_LIBRARIES += libaegis_base.a
libaegis_base_a_SOURCES = \
	gate/base/amount.c gate/base/amount.h \
	gate/base/base64.c \
	gate/base/clock.c gate/base/clock.h \
	gate/base/confine.c gate/base/confine.h \
	gate/base/error.c gate/base/error.h \
	gate/base/file.c gate/base/file.h \
	gate/base/hash.c gate/base/hash.h \
	gate/base/json.c gate/base/json_write.c gate/base/json.h \
	gate/base/log.c gate/base/log.h \
	gate/base/text.c gate/base/text.h \
	gate/base/yaml.c gate/base/yaml.h

check_PROGRAMS += \
	tests/unit/test_amount tests/unit/test_clock tests/unit/test_confine tests/unit/test_file \
	tests/unit/test_json tests/unit/test_text tests/unit/test_yaml
TESTS += \
	tests/unit/test_amount tests/unit/test_clock tests/unit/test_confine tests/unit/test_file \
	tests/unit/test_json tests/unit/test_text tests/unit/test_yaml
tests_unit_test_amount_SOURCES = tests/unit/test_amount.c
tests_unit_test_amount_LDADD = libaegis_base.a $(AEGIS_LIBS) -lcmocka
tests_unit_test_clock_SOURCES = tests/unit/test_clock.c
tests_unit_test_clock_LDADD = libaegis_base.a $(AEGIS_LIBS) -lcmocka
tests_unit_test_confine_SOURCES = tests/unit/test_confine.c
tests_unit_test_confine_LDADD = libaegis_base.a $(AEGIS_LIBS) -lcmocka
tests_unit_test_file_SOURCES = tests/unit/test_file.c
tests_unit_test_file_LDADD = libaegis_base.a $(AEGIS_LIBS) -lcmocka
tests_unit_test_json_SOURCES = tests/unit/test_json.c tests/unit/vectors.h
tests_unit_test_json_LDADD = libaegis_base.a $(AEGIS_LIBS) -lcmocka
tests_unit_test_text_SOURCES = tests/unit/test_text.c tests/unit/vectors.h
tests_unit_test_text_LDADD = libaegis_base.a $(AEGIS_LIBS) -lcmocka
tests_unit_test_yaml_SOURCES = tests/unit/test_yaml.c
tests_unit_test_yaml_LDADD = libaegis_base.a $(AEGIS_LIBS) -lcmocka

if FUZZERS
noinst_PROGRAMS += tests/fuzz/fuzz_base
tests_fuzz_fuzz_base_SOURCES = tests/fuzz/fuzz_base.c $(libaegis_base_a_SOURCES)
tests_fuzz_fuzz_base_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_base_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_base_LDADD = $(AEGIS_LIBS)
endif

EXTRA_DIST += \
	gate/base/README.md \
	tests/data/base/base58.json tests/data/base/base64.json tests/data/base/jcs.json \
	tests/data/base/keccak256.json
