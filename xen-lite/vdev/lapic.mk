# SPDX-License-Identifier: MIT
# Virtual local APICs and IO-APICs.
hv_sources += xen-lite/vdev/vlapic.c xen-lite/vdev/vlapic_regs.c xen-lite/vdev/vlapic_timer.c xen-lite/vdev/vlapic_page.c xen-lite/vdev/vlapic_save.c \
	xen-lite/vdev/vapic_bus.c xen-lite/vdev/vioapic.c

vlapic_sources = xen-lite/vdev/vlapic.c xen-lite/vdev/vlapic_regs.c xen-lite/vdev/vlapic_timer.c xen-lite/vdev/vlapic_page.c xen-lite/vdev/vlapic_save.c \
	xen-lite/vdev/vapic_bus.c xen-lite/irq/timer.c
check_PROGRAMS += tests/unit/test_vlapic tests/unit/test_vioapic
tests_unit_test_vlapic_SOURCES = tests/unit/test_vlapic.c tests/unit/vapic_sim.h $(vlapic_sources)
tests_unit_test_vlapic_LDADD = $(UNIT_LIBS)

tests_unit_test_vioapic_SOURCES = tests/unit/test_vioapic.c tests/unit/vapic_sim.h \
	$(vlapic_sources) xen-lite/vdev/vioapic.c
tests_unit_test_vioapic_LDADD = $(UNIT_LIBS)
