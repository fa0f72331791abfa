# SPDX-License-Identifier: MIT
memory_op_sources = xen-lite/hypercall/memory.c xen-lite/hypercall/physmap.c \
	xen-lite/hypercall/physmap.h xen-lite/hypercall/grant.c xen-lite/hypercall/grant_op.c \
	xen-lite/hypercall/grant.h
hv_sources += $(memory_op_sources)

check_PROGRAMS += tests/unit/test_memory_op tests/unit/test_grant
tests_unit_test_memory_op_SOURCES = tests/unit/test_memory_op.c tests/unit/fake_domain.c \
	tests/unit/fake_domain.h $(memory_op_sources) xen-lite/hypercall/target.c $(p2m_sources) \
	$(frame_sources) xen-lite/vdev/ioreq_server.c
tests_unit_test_memory_op_LDADD = $(UNIT_LIBS)
tests_unit_test_grant_SOURCES = tests/unit/test_grant.c tests/unit/fake_domain.c \
	tests/unit/fake_domain.h $(memory_op_sources) xen-lite/hypercall/target.c $(p2m_sources) \
	$(frame_sources) xen-lite/vdev/ioreq_server.c
tests_unit_test_grant_LDADD = $(UNIT_LIBS)
