# SPDX-License-Identifier: MIT
# Reading the control domain's kernel, and what it finds when it starts.
kernel_image_sources = xen-lite/domain/bzimage.c xen-lite/domain/pvh_elf.c xen-lite/domain/unxz.c \
	xen-lite/domain/lzma2.c xen-lite/domain/bcj_x86.c xen-lite/domain/unzstd.c \
	xen-lite/domain/zstd_entropy.c
start_info_sources = xen-lite/domain/start_info.c xen-lite/domain/ctl_memmap.c \
	xen-lite/domain/ctl_acpi.c
hv_sources += $(kernel_image_sources) $(start_info_sources)

check_PROGRAMS += tests/unit/test_kernel_image tests/unit/test_start_info
tests_unit_test_kernel_image_SOURCES = tests/unit/test_kernel_image.c $(kernel_image_sources)
tests_unit_test_kernel_image_LDADD = $(UNIT_LIBS)
tests_unit_test_start_info_SOURCES = tests/unit/test_start_info.c $(start_info_sources) \
	xen-lite/acpi/acpi.c xen-lite/acpi/tables.c xen-lite/boot/memmap.c
tests_unit_test_start_info_LDADD = $(UNIT_LIBS)
