# The sources and unit tests of gate/daemon.
bin_PROGRAMS += aegis-gate
noinst_LIBRARIES += libaegis_daemon.a
libaegis_daemon_a_SOURCES = \
	gate/daemon/check.c gate/daemon/check.h \
	gate/daemon/checkup.c gate/daemon/checkup.h \
	gate/daemon/child.c gate/daemon/child.h \
	gate/daemon/config.c gate/daemon/config.h \
	gate/daemon/documents.c gate/daemon/documents.h \
	gate/daemon/home.c gate/daemon/home.h \
	gate/daemon/kind.c gate/daemon/kind.h \
	gate/daemon/listeners.c gate/daemon/listeners.h \
	gate/daemon/lock.c gate/daemon/lock.h \
	gate/daemon/members.c gate/daemon/state.h \
	gate/daemon/notify.c gate/daemon/notify.h \
	gate/daemon/options.c gate/daemon/options.h \
	gate/daemon/passphrase.c gate/daemon/passphrase.h \
	gate/daemon/probe.c gate/daemon/probe.h \
	gate/daemon/quarantine.c gate/daemon/quarantine.h \
	gate/daemon/reload.c \
	gate/daemon/sections.c gate/daemon/sections.h \
	gate/daemon/stop.c \
	gate/daemon/supervisor.c gate/daemon/supervisor.h \
	gate/daemon/validate.c gate/daemon/validate.h \
	gate/daemon/values.c gate/daemon/values.h

aegis_gate_SOURCES = gate/daemon/main.c
aegis_gate_LDADD = libaegis_daemon.a \
	libaegis_keeper.a libaegis_judge.a libaegis_runner.a libaegis_proxy.a libaegis_courier.a libaegis_witness.a \
	libaegis_ledger.a libaegis_vault.a libaegis_x402.a libaegis_http.a libaegis_ipc.a libaegis_base.a $(AEGIS_LIBS)

check_PROGRAMS += tests/unit/test_config tests/unit/test_supervisor
TESTS += tests/unit/test_config tests/unit/test_supervisor
tests_unit_test_config_SOURCES = tests/unit/test_config.c
tests_unit_test_config_LDADD = libaegis_daemon.a libaegis_x402.a libaegis_base.a $(AEGIS_LIBS) $(CMOCKA_LIBS)
tests_unit_test_supervisor_SOURCES = tests/unit/test_supervisor.c
tests_unit_test_supervisor_LDADD = libaegis_daemon.a libaegis_judge.a libaegis_runner.a libaegis_vault.a libaegis_x402.a libaegis_ipc.a \
	libaegis_base.a $(AEGIS_LIBS) $(CMOCKA_LIBS)

# The commented sample, and the unit for systemd.
pkgdata_DATA = contrib/aegis.yaml
systemdunitdir = $(prefix)/lib/systemd/system
systemdunit_DATA = contrib/aegis.service
# In brackets, because `config.status` replaces such names in this very file.
contrib/aegis.service: $(srcdir)/contrib/aegis.service.in Makefile
	@$(MKDIR_P) contrib
	$(AM_V_GEN)sed -e 's|[@]bindir[@]|$(bindir)|' -e 's|[@]docdir[@]|$(docdir)|' $(srcdir)/contrib/aegis.service.in >$@
CLEANFILES += contrib/aegis.service
EXTRA_DIST += gate/README.md gate/daemon/README.md contrib/aegis.yaml contrib/aegis.service.in
nobase_dist_doc_DATA = README.md plugins/README.md plugins/sample.c policies/README.md
