# SPDX-License-Identifier: MIT
hv_sources += xen-lite/cpu/backend.c xen-lite/cpu/cpuid.c xen-lite/cpu/cpuid_edit.c xen-lite/cpu/context.c xen-lite/cpu/exit.c xen-lite/cpu/guest_mem.c \
	xen-lite/cpu/iobitmap.c xen-lite/cpu/mmio.c xen-lite/cpu/msr.c xen-lite/cpu/mtrr.c xen-lite/cpu/run.c \
	xen-lite/cpu/state.c xen-lite/cpu/vcpu.c xen-lite/cpu/decode.c xen-lite/cpu/emulate.c \
	xen-lite/cpu/svm/svm.c xen-lite/cpu/svm/vmcb.c xen-lite/cpu/svm/inject.c xen-lite/cpu/svm/exits.c \
	xen-lite/cpu/vmx/vmx.c xen-lite/cpu/vmx/caps.c xen-lite/cpu/vmx/vmcs.c xen-lite/cpu/vmx/guest.c \
	xen-lite/cpu/vmx/inject.c xen-lite/cpu/vmx/tlb.c xen-lite/cpu/vmx/exits.c xen-lite/cpu/vmx/check.c \
	xen-lite/cpu/vmx/apic.c xen-lite/cpu/vmx/dump.c xen-lite/cpu/vmx/entry.S

check_PROGRAMS += tests/unit/test_cpuid
tests_unit_test_cpuid_SOURCES = tests/unit/test_cpuid.c xen-lite/cpu/cpuid.c xen-lite/cpu/cpuid.h
tests_unit_test_cpuid_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_guest_mem
tests_unit_test_guest_mem_SOURCES = tests/unit/test_guest_mem.c tests/unit/cpu_fake.c tests/unit/cpu_fake.h \
	xen-lite/cpu/guest_mem.c $(p2m_sources) $(frame_sources)
tests_unit_test_guest_mem_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_msr
tests_unit_test_msr_SOURCES = tests/unit/test_msr.c tests/unit/cpu_fake.c tests/unit/cpu_fake.h \
	xen-lite/cpu/msr.c xen-lite/cpu/mtrr.c
tests_unit_test_msr_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_vcpu
tests_unit_test_vcpu_SOURCES = tests/unit/test_vcpu.c tests/unit/cpu_fake.c tests/unit/cpu_fake.h \
	xen-lite/cpu/vcpu.c xen-lite/cpu/iobitmap.c
tests_unit_test_vcpu_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_exit
tests_unit_test_exit_SOURCES = tests/unit/test_exit.c tests/unit/cpu_fake.c tests/unit/cpu_fake.h \
	xen-lite/cpu/exit.c xen-lite/cpu/vcpu.c $(insn_emulate_sources)
tests_unit_test_exit_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_svm
tests_unit_test_svm_SOURCES = tests/unit/test_svm.c xen-lite/cpu/svm/vmcb.c xen-lite/cpu/svm/inject.c \
	xen-lite/cpu/svm/svm.h
tests_unit_test_svm_LDADD = $(UNIT_LIBS)
include $(srcdir)/xen-lite/cpu/decode.mk

check_PROGRAMS += tests/unit/test_run
tests_unit_test_run_SOURCES = tests/unit/test_run.c tests/unit/cpu_fake.c tests/unit/cpu_fake.h xen-lite/cpu/run.c
tests_unit_test_run_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_mmio
tests_unit_test_mmio_SOURCES = tests/unit/test_mmio.c tests/unit/cpu_fake.c tests/unit/cpu_fake.h xen-lite/cpu/mmio.c \
	xen-lite/cpu/guest_mem.c $(insn_emulate_sources) $(p2m_sources) $(frame_sources)
tests_unit_test_mmio_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=p2m_begin -Wl,--wrap=p2m_end
tests_unit_test_mmio_LDADD = $(UNIT_LIBS)

vmx_rig_sources = tests/unit/vmx_rig.c tests/unit/vmx_rig.h xen-lite/cpu/vmx/caps.c xen-lite/cpu/vmx/vmcs.c \
	xen-lite/cpu/vmx/guest.c xen-lite/cpu/vmx/inject.c

check_PROGRAMS += tests/unit/test_vmx
tests_unit_test_vmx_SOURCES = tests/unit/test_vmx.c $(vmx_rig_sources) xen-lite/cpu/vmx/tlb.c xen-lite/cpu/vmx/check.c
tests_unit_test_vmx_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_vmx_exits
tests_unit_test_vmx_exits_SOURCES = tests/unit/test_vmx_exits.c $(vmx_rig_sources) xen-lite/cpu/vmx/exits.c
tests_unit_test_vmx_exits_LDADD = $(UNIT_LIBS)

# The run loop and the virtual local APIC on a model of a CPU that keeps its registers.
check_PROGRAMS += tests/unit/test_vmx_apic
tests_unit_test_vmx_apic_SOURCES = tests/unit/test_vmx_apic.c tests/unit/vmx_apic_model.c \
	tests/unit/vmx_apic_model.h $(vmx_rig_sources) xen-lite/cpu/vmx/apic.c \
	xen-lite/cpu/vmx/check.c xen-lite/cpu/run.c $(vlapic_sources)
tests_unit_test_vmx_apic_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_vmx_caps
tests_unit_test_vmx_caps_SOURCES = tests/unit/test_vmx_caps.c $(vmx_rig_sources) xen-lite/cpu/vmx/check.c
tests_unit_test_vmx_caps_LDADD = $(UNIT_LIBS)
