# SPDX-License-Identifier: MIT
hv_sources += xen-lite/domain/domain.c xen-lite/domain/destroy.c xen-lite/domain/absent.c \
	xen-lite/domain/debugport.c \
	xen-lite/domain/glue.c xen-lite/domain/passthrough.c \
	xen-lite/domain/pt_check.c xen-lite/domain/pt_move.c xen-lite/domain/pt_info.c \
	xen-lite/domain/control.c xen-lite/domain/control_map.c

# Groups, resets and hand-overs, on simulated buses.
pt_test_sources = tests/unit/pt_rig.c tests/unit/pt_rig.h $(pci_move_logic) \
	xen-lite/vdev/pci.c xen-lite/vdev/pci_probe.c xen-lite/vdev/pci_sriov.c xen-lite/domain/passthrough.c \
	xen-lite/domain/pt_check.c xen-lite/domain/pt_move.c xen-lite/domain/pt_info.c \
	xen-lite/trap/trap.c xen-lite/trap/reclaim.c xen-lite/trap/record.c xen-lite/trap/rules.c

pt_card = tests/unit/pt_card.c tests/unit/pt_card.h

check_PROGRAMS += tests/unit/test_pci_topo tests/unit/test_passthrough
tests_unit_test_pci_topo_SOURCES = tests/unit/test_pci_topo.c $(pt_test_sources)
tests_unit_test_pci_topo_LDADD = $(UNIT_LIBS)
tests_unit_test_passthrough_SOURCES = tests/unit/test_passthrough.c $(pt_card) $(pt_test_sources)
tests_unit_test_passthrough_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_vf_move
tests_unit_test_vf_move_SOURCES = tests/unit/test_vf_move.c $(pt_card) $(pt_test_sources)
tests_unit_test_vf_move_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_vintx
tests_unit_test_vintx_SOURCES = tests/unit/test_vintx.c xen-lite/vdev/vintx.c $(pt_test_sources)
tests_unit_test_vintx_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_debugport
tests_unit_test_debugport_SOURCES = tests/unit/test_debugport.c xen-lite/domain/debugport.c
tests_unit_test_debugport_LDADD = $(CMOCKA_LIBS)
