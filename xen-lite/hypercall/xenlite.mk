# SPDX-License-Identifier: MIT
# xenlite_op's subjects trace and audit, and the image whose isolation a test may break.
xenlite_trace_sources = xen-lite/hypercall/xenlite_trace.c xen-lite/hypercall/xenlite_list.c \
	xen-lite/hypercall/xenlite_list.h
xenlite_audit_sources = xen-lite/hypercall/xenlite_audit.c xen-lite/domain/audit.c xen-lite/domain/audit.h
hv_sources += $(xenlite_trace_sources) $(xenlite_audit_sources)

# The hypervisor's objects and one more: `make xen-lite/xen-lite-break`, for tests/machine/audit.t. Not installed.
EXTRA_PROGRAMS = xen-lite/xen-lite-break-syms
xen_lite_xen_lite_break_syms_SOURCES = xen-lite/hypercall/xenlite_break.c
xen_lite_xen_lite_break_syms_CPPFLAGS = -I$(srcdir)/xen-lite -D__XEN_TOOLS__
xen_lite_xen_lite_break_syms_CFLAGS = $(HV_CFLAGS) $(WARN_CFLAGS)
xen_lite_xen_lite_break_syms_LINK = $(xen_lite_xen_lite_syms_LINK)
xen_lite_xen_lite_break_syms_LDADD = $(xen_lite_xen_lite_syms_OBJECTS)
EXTRA_xen_lite_xen_lite_break_syms_DEPENDENCIES = $(EXTRA_xen_lite_xen_lite_syms_DEPENDENCIES) \
	$(xen_lite_xen_lite_syms_OBJECTS)
CLEANFILES += xen-lite/xen-lite-break xen-lite/xen-lite-break-syms
xen-lite/xen-lite-break: xen-lite/xen-lite-break-syms
	$(AM_V_GEN)$(OBJCOPY) --strip-all $< $@

check_PROGRAMS += tests/unit/test_audit
tests_unit_test_audit_SOURCES = tests/unit/test_audit.c $(vtd_rig) $(iommu_logic) $(p2m_sources) \
	$(frame_sources) $(xenlite_audit_sources) xen-lite/hypercall/xenlite_list.c \
	xen-lite/hypercall/xenlite_list.h xen-lite/hypercall/xenlite_break.c
tests_unit_test_audit_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_trace
tests_unit_test_trace_SOURCES = tests/unit/test_trace.c $(vpci_test_sources) $(xenlite_trace_sources)
tests_unit_test_trace_LDADD = $(UNIT_LIBS)
