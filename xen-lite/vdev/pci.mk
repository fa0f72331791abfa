# SPDX-License-Identifier: MIT
vpci_logic = xen-lite/vdev/pci.c xen-lite/vdev/pci_probe.c xen-lite/vdev/vpci.c \
	xen-lite/vdev/vpci_engine.c xen-lite/vdev/vpci_access.c xen-lite/vdev/vpci_header.c \
	xen-lite/vdev/vpci_bars.c xen-lite/vdev/vpci_cap.c xen-lite/vdev/vmsi.c \
	xen-lite/vdev/vmsix.c xen-lite/vdev/vmsix_page.c
hv_sources += $(vpci_logic) xen-lite/vdev/pci_hw.c
