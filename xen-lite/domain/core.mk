# SPDX-License-Identifier: MIT
hv_sources += xen-lite/domain/domain.c xen-lite/domain/destroy.c xen-lite/domain/absent.c xen-lite/domain/debugport.c \
	xen-lite/domain/glue.c xen-lite/domain/control.c xen-lite/domain/control_map.c

check_PROGRAMS += tests/unit/test_debugport
tests_unit_test_debugport_SOURCES = tests/unit/test_debugport.c xen-lite/domain/debugport.c
tests_unit_test_debugport_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_debugport_LDADD = $(CMOCKA_LIBS)
