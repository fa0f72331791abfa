# SPDX-License-Identifier: MIT
p2m_sources = xen-lite/p2m/p2m.c xen-lite/p2m/p2m.h xen-lite/p2m/table.c xen-lite/p2m/flush.c \
	xen-lite/p2m/lookup.c xen-lite/p2m/audit.c xen-lite/p2m/format.h xen-lite/p2m/internal.h
hv_sources += $(p2m_sources)

p2m_test_sources = tests/unit/p2m_rig.c tests/unit/p2m_rig.h tests/unit/walk_ept.c \
	tests/unit/walk_vtd.c tests/unit/walk_npt.c tests/unit/walk.h $(p2m_sources) \
	$(frame_sources)
check_PROGRAMS += tests/unit/test_p2m tests/unit/test_p2m_random
tests_unit_test_p2m_SOURCES = tests/unit/test_p2m.c $(p2m_test_sources)
tests_unit_test_p2m_LDADD = $(UNIT_LIBS)
# A test changes the table in the middle of a look-up.
tests_unit_test_p2m_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=phys_to_virt
tests_unit_test_p2m_random_SOURCES = tests/unit/test_p2m_random.c $(p2m_test_sources)
tests_unit_test_p2m_random_LDADD = $(UNIT_LIBS)
