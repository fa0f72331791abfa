# SPDX-License-Identifier: MIT
# The hypervisor: xen-lite/xen-lite is what a boot loader takes, xen-lite-syms the same with symbols for a debugger.
hv_sources =
include $(srcdir)/xen-lite/lib/local.mk
include $(srcdir)/xen-lite/boot/local.mk
include $(srcdir)/xen-lite/mm/local.mk
include $(srcdir)/xen-lite/acpi/local.mk
include $(srcdir)/xen-lite/p2m/local.mk
include $(srcdir)/xen-lite/iommu/local.mk
include $(srcdir)/xen-lite/cpu/local.mk
include $(srcdir)/xen-lite/irq/local.mk
include $(srcdir)/xen-lite/trap/local.mk
include $(srcdir)/xen-lite/vdev/lapic.mk
include $(srcdir)/xen-lite/vdev/pci.mk
include $(srcdir)/xen-lite/vdev/guest.mk
include $(srcdir)/xen-lite/hypercall/local.mk
include $(srcdir)/xen-lite/hypercall/domctl.mk
include $(srcdir)/xen-lite/hypercall/memory.mk
include $(srcdir)/xen-lite/hypercall/xenlite.mk
include $(srcdir)/xen-lite/sched/local.mk
include $(srcdir)/xen-lite/domain/local.mk
include $(srcdir)/xen-lite/domain/core.mk

noinst_PROGRAMS += xen-lite/xen-lite-syms
xen_lite_xen_lite_syms_SOURCES = $(hv_sources)
xen_lite_xen_lite_syms_CPPFLAGS = -I$(srcdir)/xen-lite -D__XEN_TOOLS__
xen_lite_xen_lite_syms_CFLAGS = $(HV_CFLAGS) $(WARN_CFLAGS)
xen_lite_xen_lite_syms_CCASFLAGS = $(HV_CFLAGS)
xen_lite_xen_lite_syms_LINK = LD='$(LD)' NM='$(NM)' CC='$(CC)' \
	$(SHELL) $(srcdir)/xen-lite/boot/link.sh $(srcdir)/xen-lite/boot/xen-lite.lds -o $@
EXTRA_xen_lite_xen_lite_syms_DEPENDENCIES = xen-lite/boot/link.sh xen-lite/boot/xen-lite.lds
EXTRA_DIST += xen-lite/boot/link.sh xen-lite/boot/xen-lite.lds

bootdir = /boot
boot_DATA = xen-lite/xen-lite
CLEANFILES += xen-lite/xen-lite
xen-lite/xen-lite: xen-lite/xen-lite-syms
	$(AM_V_GEN)$(OBJCOPY) --strip-all $< $@
