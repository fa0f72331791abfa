# SPDX-License-Identifier: MIT
hv_sources += xen-lite/trap/trap.c xen-lite/trap/reclaim.c xen-lite/trap/record.c xen-lite/trap/rules.c

check_PROGRAMS += tests/unit/test_trap
tests_unit_test_trap_SOURCES = tests/unit/test_trap.c xen-lite/trap/trap.c xen-lite/trap/reclaim.c \
	xen-lite/trap/record.c xen-lite/trap/rules.c
tests_unit_test_trap_LDADD = $(UNIT_LIBS)
