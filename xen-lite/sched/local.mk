# SPDX-License-Identifier: MIT
hv_sources += xen-lite/sched/sched.c xen-lite/sched/placing.c xen-lite/sched/fair.c \
	xen-lite/sched/post.c

check_PROGRAMS += tests/unit/test_fair
tests_unit_test_fair_SOURCES = tests/unit/test_fair.c xen-lite/sched/fair.c
tests_unit_test_fair_LDADD = $(UNIT_LIBS)

# The real scheduler on threads, with a software unit that posts interrupts.
check_PROGRAMS += tests/unit/test_posted
tests_unit_test_posted_SOURCES = tests/unit/test_posted.c tests/unit/post_rig.c tests/unit/post_rig.h \
	tests/unit/post_stubs.c $(vtd_rig) \
	$(iommu_logic) xen-lite/sched/sched.c xen-lite/sched/placing.c xen-lite/sched/fair.c xen-lite/sched/post.c \
	xen-lite/vdev/vlapic.c xen-lite/vdev/vlapic_regs.c xen-lite/vdev/vlapic_timer.c xen-lite/vdev/vlapic_page.c xen-lite/vdev/vapic_bus.c
tests_unit_test_posted_LDADD = $(UNIT_LIBS) -lpthread
