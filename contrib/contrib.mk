# Scripts, samples and programs that are not installed as part of the gate.
noinst_PROGRAMS += aegis-sandbox
aegis_sandbox_SOURCES = \
	contrib/sandbox/answer.c contrib/sandbox/answer.h \
	contrib/sandbox/book.c contrib/sandbox/book.h \
	contrib/sandbox/facilitator.c contrib/sandbox/facilitator.h \
	contrib/sandbox/main.c \
	contrib/sandbox/routes.c contrib/sandbox/routes.h \
	contrib/sandbox/shop.c contrib/sandbox/shop.h
aegis_sandbox_LDADD = libaegis_x402.a libaegis_base.a $(AEGIS_LIBS)
EXTRA_DIST += contrib/README.md contrib/lib.sh contrib/check contrib/quickstart contrib/sandbox/README.md \
	contrib/bench/README.md contrib/bench/run contrib/bench/bench.py contrib/bench/client.mjs contrib/bench/load.lua
