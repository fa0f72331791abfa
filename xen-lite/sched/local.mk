# SPDX-License-Identifier: MIT
hv_sources += xen-lite/sched/sched.c xen-lite/sched/placing.c xen-lite/sched/fair.c

check_PROGRAMS += tests/unit/test_fair
tests_unit_test_fair_SOURCES = tests/unit/test_fair.c xen-lite/sched/fair.c
tests_unit_test_fair_LDADD = $(UNIT_LIBS)
