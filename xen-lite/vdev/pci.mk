# SPDX-License-Identifier: MIT
vpci_logic = xen-lite/vdev/pci.c xen-lite/vdev/pci_probe.c xen-lite/vdev/vpci.c \
	xen-lite/vdev/vpci_engine.c xen-lite/vdev/vpci_access.c xen-lite/vdev/vpci_header.c \
	xen-lite/vdev/vpci_bars.c xen-lite/vdev/vpci_cap.c xen-lite/vdev/vmsi.c \
	xen-lite/vdev/vmsix.c xen-lite/vdev/vmsix_page.c xen-lite/vdev/ioreq.c \
	xen-lite/vdev/ioreq_server.c xen-lite/vdev/ioreq_finish.c xen-lite/vdev/msi_bind.c
# A guest's root and functions.
vpci_logic += xen-lite/vdev/vroot.c xen-lite/vdev/vroot_port.c xen-lite/vdev/vpci_guest.c \
	xen-lite/vdev/vpci_guest_header.c xen-lite/vdev/vpci_guest_bars.c \
	xen-lite/vdev/vpci_guest_caps.c
# Bridges of the control domain.
vpci_logic += xen-lite/vdev/vpci_bridge.c
# Virtual functions.
vpci_logic += xen-lite/vdev/pci_sriov.c xen-lite/vdev/vpci_sriov.c
pci_move_logic = xen-lite/vdev/pci_topo.c xen-lite/vdev/pci_reset.c
hv_sources += xen-lite/vdev/vintx.c
hv_sources += $(vpci_logic) $(pci_move_logic) xen-lite/vdev/pci_hw.c

vpci_test_sources = tests/unit/sim_pci.c tests/unit/sim_pci.h tests/unit/sim_ioreq.c \
	tests/unit/sim_ioreq.h tests/unit/sim_guest.c tests/unit/sim_guest.h $(vpci_logic) xen-lite/trap/trap.c \
	xen-lite/trap/reclaim.c xen-lite/trap/record.c xen-lite/trap/rules.c

check_PROGRAMS += tests/unit/test_vpci tests/unit/test_vmsi tests/unit/test_vmsix
tests_unit_test_vpci_SOURCES = tests/unit/test_vpci.c $(vpci_test_sources)
tests_unit_test_vpci_LDADD = $(UNIT_LIBS)
tests_unit_test_vmsi_SOURCES = tests/unit/test_vmsi.c $(vpci_test_sources)
tests_unit_test_vmsi_LDADD = $(UNIT_LIBS)
tests_unit_test_vmsix_SOURCES = tests/unit/test_vmsix.c $(vpci_test_sources)
tests_unit_test_vmsix_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_bridge
tests_unit_test_bridge_SOURCES = tests/unit/test_bridge.c xen-lite/vdev/pci_topo.c xen-lite/vdev/pci_reset.c \
	$(vpci_test_sources)
tests_unit_test_bridge_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_sriov
tests_unit_test_sriov_SOURCES = tests/unit/test_sriov.c $(vpci_test_sources)
tests_unit_test_sriov_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_ioreq tests/unit/test_ioreq_msi
ioreq_rig = tests/unit/ioreq_rig.c tests/unit/ioreq_rig.h
tests_unit_test_ioreq_SOURCES = tests/unit/test_ioreq.c $(ioreq_rig) $(vpci_test_sources)
tests_unit_test_ioreq_LDADD = $(UNIT_LIBS)
tests_unit_test_ioreq_msi_SOURCES = tests/unit/test_ioreq_msi.c $(ioreq_rig) $(vpci_test_sources)
tests_unit_test_ioreq_msi_LDADD = $(UNIT_LIBS)
