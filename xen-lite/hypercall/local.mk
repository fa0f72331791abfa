# SPDX-License-Identifier: MIT
hv_sources += xen-lite/hypercall/hypercall.c \
	xen-lite/hypercall/guest_page.c \
	xen-lite/hypercall/target.c \
	xen-lite/hypercall/evtchn.c \
	xen-lite/hypercall/evtchn_op.c \
	xen-lite/hypercall/evtchn_fifo.c \
	xen-lite/hypercall/vtime.c \
	xen-lite/hypercall/vcpu_op.c \
	xen-lite/hypercall/sched_op.c \
	xen-lite/hypercall/hvm_op.c \
	xen-lite/hypercall/xen_version.c \
	xen-lite/hypercall/console_io.c \
	xen-lite/hypercall/multicall.c \
	xen-lite/hypercall/physdev_op.c \
	xen-lite/hypercall/platform_op.c \
	xen-lite/hypercall/dominfo.c \
	xen-lite/hypercall/sysctl.c \
	xen-lite/hypercall/debug_keys.c \
	xen-lite/hypercall/xenlite_op.c \
	xen-lite/hypercall/xenlite_sched.c \
	xen-lite/hypercall/pci_op.c \
	xen-lite/hypercall/dm_op.c \
	xen-lite/hypercall/ioreq_op.c \
	xen-lite/hypercall/pt_irq.c \
	xen-lite/hypercall/domctl.c

# What the tests of hypercalls share: the handlers and the model of what surrounds them.
check_LIBRARIES += tests/unit/libhc.a
tests_unit_libhc_a_SOURCES = tests/unit/hc_sim.c tests/unit/hc_sim.h \
	tests/unit/evtchn_guest.c tests/unit/evtchn_guest.h \
	xen-lite/hypercall/guest_page.c \
	xen-lite/hypercall/target.c \
	xen-lite/hypercall/evtchn.c \
	xen-lite/hypercall/evtchn_op.c \
	xen-lite/hypercall/evtchn_fifo.c \
	xen-lite/hypercall/vtime.c \
	xen-lite/hypercall/vcpu_op.c \
	xen-lite/hypercall/sched_op.c \
	xen-lite/hypercall/hvm_op.c \
	xen-lite/hypercall/xen_version.c \
	xen-lite/hypercall/console_io.c \
	xen-lite/hypercall/multicall.c \
	xen-lite/hypercall/physdev_op.c \
	xen-lite/hypercall/platform_op.c \
	xen-lite/hypercall/dominfo.c \
	xen-lite/hypercall/sysctl.c \
	xen-lite/hypercall/debug_keys.c \
	xen-lite/hypercall/xenlite_op.c \
	xen-lite/hypercall/xenlite_sched.c \
	xen-lite/hypercall/dm_op.c \
	xen-lite/hypercall/pt_irq.c \
	xen-lite/hypercall/domctl.c

check_PROGRAMS += tests/unit/test_evtchn tests/unit/test_vtime tests/unit/test_hypercalls \
	tests/unit/test_compatibility tests/unit/test_evtchn_stress tests/unit/test_toolstack
tests_unit_test_evtchn_SOURCES = tests/unit/test_evtchn.c
tests_unit_test_evtchn_LDADD = tests/unit/libhc.a $(UNIT_LIBS)
tests_unit_test_evtchn_stress_SOURCES = tests/unit/test_evtchn_stress.c
tests_unit_test_evtchn_stress_LDADD = tests/unit/libhc.a $(UNIT_LIBS) -lpthread
tests_unit_test_vtime_SOURCES = tests/unit/test_vtime.c
tests_unit_test_vtime_LDADD = tests/unit/libhc.a $(UNIT_LIBS)
tests_unit_test_hypercalls_SOURCES = tests/unit/test_hypercalls.c
tests_unit_test_hypercalls_LDADD = tests/unit/libhc.a $(UNIT_LIBS)
tests_unit_test_toolstack_SOURCES = tests/unit/test_toolstack.c xen-lite/hypercall/xenlite_sched.c
tests_unit_test_toolstack_LDADD = tests/unit/libhc.a $(UNIT_LIBS)
tests_unit_test_compatibility_SOURCES = tests/unit/test_compatibility.c
tests_unit_test_compatibility_LDADD = tests/unit/libhc.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_dm_op
tests_unit_test_dm_op_SOURCES = tests/unit/test_dm_op.c xen-lite/hypercall/ioreq_op.c xen-lite/vdev/ioreq.c \
	xen-lite/vdev/ioreq_server.c xen-lite/vdev/ioreq_finish.c xen-lite/vdev/msi_bind.c xen-lite/trap/rules.c \
	xen-lite/trap/record.c
tests_unit_test_dm_op_LDADD = tests/unit/libhc.a $(UNIT_LIBS)
