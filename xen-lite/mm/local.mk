# SPDX-License-Identifier: MIT
frame_sources = xen-lite/mm/frame.c xen-lite/mm/page.c xen-lite/mm/scrub.c xen-lite/mm/frame_priv.h
hv_sources += $(frame_sources) xen-lite/mm/frame.h xen-lite/mm/heap.c xen-lite/mm/heap.h \
	xen-lite/mm/map.c xen-lite/mm/map.h xen-lite/mm/phys.h

check_PROGRAMS += tests/unit/test_frame
tests_unit_test_frame_SOURCES = tests/unit/test_frame.c $(frame_sources) xen-lite/mm/heap.c
tests_unit_test_frame_LDADD = $(UNIT_LIBS)
