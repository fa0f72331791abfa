# SPDX-License-Identifier: MIT
# What the boot loader hands over: information structures, memory map, command line.
hv_sources += xen-lite/boot/multiboot.c xen-lite/boot/memmap.c xen-lite/boot/cmdline.c

check_PROGRAMS += tests/unit/test_multiboot tests/unit/test_cmdline
tests_unit_test_multiboot_SOURCES = tests/unit/test_multiboot.c xen-lite/boot/multiboot.c \
	xen-lite/boot/memmap.c
tests_unit_test_multiboot_LDADD = $(UNIT_LIBS)
tests_unit_test_cmdline_SOURCES = tests/unit/test_cmdline.c xen-lite/boot/cmdline.c
tests_unit_test_cmdline_LDADD = $(UNIT_LIBS)
