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
EXTRA_DIST += tests/data/http/requests.txt tests/data/http/responses.txt

check_PROGRAMS += tests/unit/test_http_head
TESTS += tests/unit/test_http_head
tests_unit_test_http_head_SOURCES = tests/unit/test_http_head.c tests/unit/http_cases.c tests/unit/http_cases.h
tests_unit_test_http_head_LDADD = libaegis_http.a libaegis_base.a $(AEGIS_LIBS) $(CMOCKA_LIBS)

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
