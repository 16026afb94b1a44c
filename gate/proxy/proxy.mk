# The sources and unit tests of gate/proxy.
noinst_LIBRARIES += libaegis_proxy.a
libaegis_proxy_a_SOURCES = \
	gate/proxy/agent.c gate/proxy/agent.h \
	gate/proxy/body.c gate/proxy/body.h \
	gate/proxy/cache.c gate/proxy/cache.h \
	gate/proxy/credential.c gate/proxy/credential.h \
	gate/proxy/exchange.c gate/proxy/exchange.h \
	gate/proxy/exchange_answer.c \
	gate/proxy/exchange_request.c \
	gate/proxy/exchange_upstream.c \
	gate/proxy/free_paths.c gate/proxy/free_paths.h \
	gate/proxy/identity.c gate/proxy/identity.h \
	gate/proxy/inflate.c gate/proxy/inflate.h \
	gate/proxy/listener.c gate/proxy/listener.h \
	gate/proxy/outcome.c gate/proxy/outcome.h \
	gate/proxy/pay.c gate/proxy/pay.h \
	gate/proxy/peers.c gate/proxy/peers.h \
	gate/proxy/pool.c gate/proxy/pool.h \
	gate/proxy/problem.c gate/proxy/problem.h \
	gate/proxy/proxy.c gate/proxy/proxy.h \
	gate/proxy/route.c gate/proxy/route.h \
	gate/proxy/settings.c gate/proxy/settings.h \
	gate/proxy/verdict.c gate/proxy/verdict.h \
	gate/proxy/worker.c gate/proxy/worker.h

proxy_test_libraries = libaegis_proxy.a libaegis_x402.a libaegis_http.a libaegis_ipc.a libaegis_base.a $(AEGIS_LIBS) \
	-lcmocka

check_PROGRAMS += tests/unit/test_proxy_route
tests_unit_test_proxy_route_SOURCES = tests/unit/test_proxy_route.c
tests_unit_test_proxy_route_LDADD = $(proxy_test_libraries)
TESTS += tests/unit/test_proxy_route

check_PROGRAMS += tests/unit/test_proxy_parts
tests_unit_test_proxy_parts_SOURCES = tests/unit/test_proxy_parts.c
tests_unit_test_proxy_parts_LDADD = $(proxy_test_libraries)
TESTS += tests/unit/test_proxy_parts

check_PROGRAMS += tests/unit/test_proxy_outcome
tests_unit_test_proxy_outcome_SOURCES = tests/unit/test_proxy_outcome.c
tests_unit_test_proxy_outcome_LDADD = $(proxy_test_libraries)
TESTS += tests/unit/test_proxy_outcome

check_PROGRAMS += tests/unit/test_proxy_exchange
tests_unit_test_proxy_exchange_SOURCES = tests/unit/test_proxy_exchange.c tests/unit/proxy_street.c \
	tests/unit/proxy_street.h
tests_unit_test_proxy_exchange_LDADD = $(proxy_test_libraries)
TESTS += tests/unit/test_proxy_exchange

check_PROGRAMS += tests/unit/test_proxy_inflate
tests_unit_test_proxy_inflate_SOURCES = tests/unit/test_proxy_inflate.c
tests_unit_test_proxy_inflate_LDADD = $(proxy_test_libraries)
TESTS += tests/unit/test_proxy_inflate

check_PROGRAMS += tests/unit/test_proxy_pay
tests_unit_test_proxy_pay_SOURCES = tests/unit/test_proxy_pay.c tests/unit/proxy_street.c tests/unit/proxy_street.h
tests_unit_test_proxy_pay_LDADD = $(proxy_test_libraries)
TESTS += tests/unit/test_proxy_pay

check_PROGRAMS += tests/unit/test_proxy_chaos
tests_unit_test_proxy_chaos_SOURCES = tests/unit/test_proxy_chaos.c tests/unit/proxy_street.c \
	tests/unit/proxy_street.h
tests_unit_test_proxy_chaos_LDADD = $(proxy_test_libraries)
TESTS += tests/unit/test_proxy_chaos

check_PROGRAMS += tests/unit/test_proxy_worker
tests_unit_test_proxy_worker_SOURCES = tests/unit/test_proxy_worker.c tests/unit/proxy_street.c \
	tests/unit/proxy_street.h
tests_unit_test_proxy_worker_LDADD = $(proxy_test_libraries)
TESTS += tests/unit/test_proxy_worker

check_PROGRAMS += tests/unit/test_proxy_faults
tests_unit_test_proxy_faults_SOURCES = tests/unit/test_proxy_faults.c tests/unit/proxy_street.c \
	tests/unit/proxy_street.h
tests_unit_test_proxy_faults_LDADD = $(proxy_test_libraries)
TESTS += tests/unit/test_proxy_faults

check_PROGRAMS += tests/unit/test_proxy_unpaid
tests_unit_test_proxy_unpaid_SOURCES = tests/unit/test_proxy_unpaid.c tests/unit/proxy_street.c \
	tests/unit/proxy_street.h
tests_unit_test_proxy_unpaid_LDADD = $(proxy_test_libraries)
TESTS += tests/unit/test_proxy_unpaid

EXTRA_DIST += gate/proxy/README.md
