# SPDX-License-Identifier: MIT
# domctl's larger parts; the tests of hypercalls share them too.
domctl_sources = xen-lite/hypercall/domctl_life.c xen-lite/hypercall/domctl_context.c \
	xen-lite/hypercall/domctl_policy.c xen-lite/hypercall/domctl_pci.c xen-lite/hypercall/domctl_ops.h
hv_sources += $(domctl_sources)
tests_unit_libhc_a_SOURCES += $(domctl_sources) tests/unit/hc_life.c xen-lite/cpu/context.c \
	xen-lite/cpu/cpuid.c xen-lite/cpu/cpuid_edit.c

check_PROGRAMS += tests/unit/test_domctl
tests_unit_test_domctl_SOURCES = tests/unit/test_domctl.c
tests_unit_test_domctl_LDADD = tests/unit/libhc.a $(UNIT_LIBS)
