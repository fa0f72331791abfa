# SPDX-License-Identifier: MIT
# The static ACPI tables.
hv_sources += xen-lite/acpi/acpi.c xen-lite/acpi/tables.c

check_PROGRAMS += tests/unit/test_acpi
tests_unit_test_acpi_SOURCES = tests/unit/test_acpi.c xen-lite/acpi/acpi.c xen-lite/acpi/tables.c
tests_unit_test_acpi_LDADD = $(UNIT_LIBS)
