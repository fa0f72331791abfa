# SPDX-License-Identifier: MIT
# Tests of a guest's PCI root and functions.
check_PROGRAMS += tests/unit/test_vroot
tests_unit_test_vroot_SOURCES = tests/unit/test_vroot.c $(vpci_test_sources)
tests_unit_test_vroot_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_vpci_guest
tests_unit_test_vpci_guest_SOURCES = tests/unit/test_vpci_guest.c $(vpci_test_sources)
tests_unit_test_vpci_guest_LDADD = $(UNIT_LIBS)
