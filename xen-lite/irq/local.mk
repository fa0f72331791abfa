# SPDX-License-Identifier: MIT
# Physical interrupts and time.
hv_sources += xen-lite/irq/lapic.c xen-lite/irq/time.c xen-lite/irq/timescale.c \
	xen-lite/irq/timer.c xen-lite/irq/irq.c xen-lite/irq/pic.c xen-lite/irq/ioapic.c \
	xen-lite/irq/ioapic_hw.c xen-lite/irq/girq.c

check_PROGRAMS += tests/unit/test_timer tests/unit/test_irq
tests_unit_test_timer_SOURCES = tests/unit/test_timer.c xen-lite/irq/timer.c \
	xen-lite/irq/timescale.c
tests_unit_test_timer_LDADD = $(UNIT_LIBS)

tests_unit_test_irq_SOURCES = tests/unit/test_irq.c tests/unit/irq_model.h xen-lite/irq/irq.c \
	xen-lite/irq/ioapic.c \
	xen-lite/irq/girq.c
tests_unit_test_irq_LDADD = $(UNIT_LIBS)
