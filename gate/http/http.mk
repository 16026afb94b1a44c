# The sources and unit tests of gate/http.
noinst_LIBRARIES += libaegis_http.a
libaegis_http_a_SOURCES = \
	gate/http/body.c \
	gate/http/chars.c gate/http/chars.h \
	gate/http/connection.c gate/http/connection.h gate/http/inside.h \
	gate/http/deadline.c \
	gate/http/dial.c gate/http/dial.h \
	gate/http/fetch.c gate/http/fetch.h \
	gate/http/fields.c \
	gate/http/framing.c \
	gate/http/head.c gate/http/head.h gate/http/parse.h \
	gate/http/message.c \
	gate/http/network.c gate/http/network.h \
	gate/http/reading.c \
	gate/http/refusal.c \
	gate/http/text.c \
	gate/http/tls.c gate/http/tls.h \
	gate/http/url.c \
	gate/http/writing.c
EXTRA_DIST += gate/http/README.md tests/data/http/requests.txt tests/data/http/responses.txt

check_PROGRAMS += tests/unit/test_http_head
TESTS += tests/unit/test_http_head
tests_unit_test_http_head_SOURCES = tests/unit/test_http_head.c tests/unit/http_cases.c tests/unit/http_cases.h
tests_unit_test_http_head_LDADD = libaegis_http.a libaegis_base.a $(AEGIS_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_http_body
TESTS += tests/unit/test_http_body
tests_unit_test_http_body_SOURCES = tests/unit/test_http_body.c
tests_unit_test_http_body_LDADD = libaegis_http.a libaegis_base.a $(AEGIS_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_http_connection
TESTS += tests/unit/test_http_connection
tests_unit_test_http_connection_SOURCES = tests/unit/test_http_connection.c \
	tests/unit/http_cases.c tests/unit/http_cases.h tests/unit/http_wire.c tests/unit/http_wire.h
tests_unit_test_http_connection_LDADD = libaegis_http.a libaegis_base.a $(AEGIS_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_http_client
TESTS += tests/unit/test_http_client
tests_unit_test_http_client_SOURCES = tests/unit/test_http_client.c \
	tests/unit/http_cases.c tests/unit/http_cases.h tests/unit/http_wire.c tests/unit/http_wire.h
tests_unit_test_http_client_LDADD = libaegis_http.a libaegis_base.a $(AEGIS_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_dial
TESTS += tests/unit/test_dial
tests_unit_test_dial_SOURCES = tests/unit/test_dial.c tests/unit/certificates.c tests/unit/certificates.h
tests_unit_test_dial_LDADD = libaegis_http.a libaegis_base.a $(AEGIS_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_fetch
TESTS += tests/unit/test_fetch
tests_unit_test_fetch_SOURCES = tests/unit/test_fetch.c tests/unit/certificates.c tests/unit/certificates.h
tests_unit_test_fetch_LDADD = libaegis_http.a libaegis_base.a $(AEGIS_LIBS) $(CMOCKA_LIBS)

# The fuzzers, and the same programs with a small driver in the engine's place for the ordinary check.
http_stream = tests/fuzz/http_stream.c tests/fuzz/http_stream.h
check_PROGRAMS += tests/fuzz/try_http_request tests/fuzz/try_http_response
TESTS += tests/fuzz/try_http_request tests/fuzz/try_http_response
tests_fuzz_try_http_request_SOURCES = tests/fuzz/driver.c tests/fuzz/fuzz_http_request.c $(http_stream)
tests_fuzz_try_http_request_LDADD = libaegis_http.a libaegis_base.a $(AEGIS_LIBS)
tests_fuzz_try_http_response_SOURCES = tests/fuzz/driver.c tests/fuzz/fuzz_http_response.c $(http_stream)
tests_fuzz_try_http_response_LDADD = libaegis_http.a libaegis_base.a $(AEGIS_LIBS)

if FUZZERS
noinst_PROGRAMS += tests/fuzz/fuzz_http_request tests/fuzz/fuzz_http_response
tests_fuzz_fuzz_http_request_SOURCES = \
	tests/fuzz/fuzz_http_request.c $(http_stream) $(libaegis_http_a_SOURCES) $(libaegis_base_a_SOURCES)
tests_fuzz_fuzz_http_request_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_http_request_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_http_request_LDADD = $(AEGIS_LIBS)
tests_fuzz_fuzz_http_response_SOURCES = \
	tests/fuzz/fuzz_http_response.c $(http_stream) $(libaegis_http_a_SOURCES) $(libaegis_base_a_SOURCES)
tests_fuzz_fuzz_http_response_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_http_response_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_http_response_LDADD = $(AEGIS_LIBS)
endif

EXTRA_DIST += \
	tests/fuzz/corpus/http_request/absolute-without-host \
	tests/fuzz/corpus/http_request/chunk-and-next \
	tests/fuzz/corpus/http_request/chunk-lines-outweigh-data \
	tests/fuzz/corpus/http_request/chunks \
	tests/fuzz/corpus/http_request/connect \
	tests/fuzz/corpus/http_request/connection-close-in-list \
	tests/fuzz/corpus/http_request/connection-names-x-payment \
	tests/fuzz/corpus/http_request/expect \
	tests/fuzz/corpus/http_request/extension-quoted \
	tests/fuzz/corpus/http_request/field-fold-tab \
	tests/fuzz/corpus/http_request/field-obs-text \
	tests/fuzz/corpus/http_request/host-ipv4-short \
	tests/fuzz/corpus/http_request/host-ipv6 \
	tests/fuzz/corpus/http_request/http-1.0-keep-alive \
	tests/fuzz/corpus/http_request/length-and-next \
	tests/fuzz/corpus/http_request/one-empty-line-in-front \
	tests/fuzz/corpus/http_request/pipelined \
	tests/fuzz/corpus/http_request/target-absolute \
	tests/fuzz/corpus/http_request/target-star-options \
	tests/fuzz/corpus/http_request/trailer-payment \
	tests/fuzz/corpus/http_request/upgrade \
	tests/fuzz/corpus/http_response/101 \
	tests/fuzz/corpus/http_response/103 \
	tests/fuzz/corpus/http_response/204-length-zero \
	tests/fuzz/corpus/http_response/304-length \
	tests/fuzz/corpus/http_response/chunk-data-too-long \
	tests/fuzz/corpus/http_response/chunked \
	tests/fuzz/corpus/http_response/connection-names-coding \
	tests/fuzz/corpus/http_response/keep-alive-1.0 \
	tests/fuzz/corpus/http_response/length-list \
	tests/fuzz/corpus/http_response/payment-required \
	tests/fuzz/corpus/http_response/plain \
	tests/fuzz/corpus/http_response/reason-and-space-missing \
	tests/fuzz/corpus/http_response/second-answer-behind \
	tests/fuzz/corpus/http_response/trailer-settlement \
	tests/fuzz/corpus/http_response/until-close

# Other projects' cases; see tests/suites/replay.c.
EXTRA_PROGRAMS += tests/suites/replay
tests_suites_replay_SOURCES = tests/suites/replay.c $(http_stream)
tests_suites_replay_LDADD = libaegis_http.a libaegis_base.a $(AEGIS_LIBS)
