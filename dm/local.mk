# SPDX-License-Identifier: MIT
# xl-dmd, the daemon of the control domain, and its tests.
EXTRA_DIST += dm/schema.json
dm_core = dm/ring.c dm/ring.h dm/hv.h dm/logfile.c dm/logfile.h dm/sock.c dm/sock.h \
	dm/console.c dm/console.h dm/console_log.c dm/console_log.h dm/console_mark.c dm/console_mark.h dm/console_pty.c dm/console_pty.h \
	dm/console_sock.c dm/console_sock.h dm/domains.c dm/domains.h \
	dm/qmp_frame.c dm/qmp_frame.h dm/qmp.c dm/qmp.h dm/commands.c dm/control.c dm/control.h \
	dm/dmd.c dm/dmd.h libs/guest_state.c libs/guest_state.h \
	dm/policy.c dm/policy.h dm/policy_file.c dm/policy_priv.h dm/hv_server.h dm/devices.c dm/devices.h \
	dm/bdf.c dm/bdf.h dm/worker.c dm/worker.h dm/ask.c dm/ask.h dm/moves.c dm/moves.h \
	dm/eject.c dm/eject.h dm/intx.c dm/intx.h dm/tracing.c dm/tracing.h dm/json.c dm/json.h \
	dm/commands_pci.c dm/commands_trace.c dm/commands_audit.c libs/xenlite.h libs/xenlite_names.c

if HAVE_DM
DM_WARN_CFLAGS = -std=gnu11 -g $(WARN_CFLAGS) -D_GNU_SOURCE -D__XEN_TOOLS__ -I$(srcdir) \
	-I$(srcdir)/xen-lite/include $(DM_CFLAGS)
sbin_PROGRAMS += dm/xl-dmd
dist_man_MANS += docs/man/xl-dmd.8
dm_xl_dmd_SOURCES = $(dm_core) dm/hv.c dm/hv_priv.h dm/hv_server.c libs/xenlite.c libs/xenlite_priv.h libs/xenlite_pci.c \
	dm/main.c dm/options.c dm/options.h dm/process.c dm/process.h
dm_xl_dmd_CFLAGS = -O2 -fstack-protector-strong -fPIE -D_FORTIFY_SOURCE=2 $(DM_WARN_CFLAGS) \
	-DINSTALLED_POLICY='"$(sysconfdir)/xen-lite/policy.json"'
policydir = $(sysconfdir)/xen-lite
dist_policy_DATA = configs/policy.json
dm_xl_dmd_LDFLAGS = -pie -Wl,-z,relro,-z,now
dm_xl_dmd_LDADD = $(DM_LIBS)

if HAVE_CMOCKA
DM_TEST_CFLAGS = -O1 $(DM_WARN_CFLAGS) $(SAN_CFLAGS) $(CMOCKA_CFLAGS) -I$(srcdir)/tests/unit \
	-DSOURCE_DIR='"$(abs_top_srcdir)"'
check_PROGRAMS += tests/unit/test_console_ring tests/unit/test_qmp tests/unit/test_policy tests/unit/test_dmd
tests_unit_test_policy_SOURCES = tests/unit/test_policy.c dm/policy.c dm/policy_file.c
tests_unit_test_policy_CFLAGS = $(DM_TEST_CFLAGS)
tests_unit_test_policy_LDADD = $(DM_LIBS) $(CMOCKA_LIBS)
tests_unit_test_console_ring_SOURCES = tests/unit/test_console_ring.c dm/ring.c
tests_unit_test_console_ring_CFLAGS = $(DM_TEST_CFLAGS)
tests_unit_test_console_ring_LDADD = $(CMOCKA_LIBS)
tests_unit_test_qmp_SOURCES = tests/unit/test_qmp.c dm/qmp_frame.c dm/qmp.c
tests_unit_test_qmp_CFLAGS = $(DM_TEST_CFLAGS)
tests_unit_test_qmp_LDADD = $(DM_LIBS) $(CMOCKA_LIBS)
tests_unit_test_dmd_SOURCES = tests/unit/test_dmd.c tests/unit/test_dmd_control.c tests/unit/test_dmd_pci.c tests/unit/test_dmd_ask.c \
	tests/unit/dm_fake_pci.c tests/unit/dm_rig.c \
	tests/unit/dm_rig.h tests/unit/dm_schema.c tests/unit/dm_schema.h tests/unit/dm_fake_hv.c \
	tests/unit/dm_fake_hv.h $(dm_core)
tests_unit_test_dmd_CFLAGS = $(DM_TEST_CFLAGS)
tests_unit_test_dmd_LDADD = $(DM_LIBS) $(CMOCKA_LIBS)
endif
endif
