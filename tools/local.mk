# SPDX-License-Identifier: MIT
# xl-lite, the guests' tool of the control domain, and its tests.
EXTRA_DIST += tools
if HAVE_TOOLS
TOOLS_WARN_CFLAGS = -std=gnu11 -g $(WARN_CFLAGS) -D_GNU_SOURCE -D__XEN_TOOLS__ -I$(srcdir) $(TOOLS_CFLAGS)
TOOLS_BUILD_CFLAGS = -O2 -fstack-protector-strong -fPIE -D_FORTIFY_SOURCE=2 $(TOOLS_WARN_CFLAGS)
bin_PROGRAMS += tools/xl-lite
dist_man_MANS += docs/man/xl-lite.1 docs/man/guest.cfg.5
# Debian runs these when a kernel was installed.
kernelhookdir = $(sysconfdir)/kernel/postinst.d
dist_kernelhook_SCRIPTS = configs/kernel-postinst/xen-lite
bashcompdir = $(datarootdir)/bash-completion/completions
dist_bashcomp_DATA = tools/xl-lite.bash-completion
tools_xl_lite_SOURCES = tools/main.c tools/xl.c tools/xl.h tools/domains.c tools/store.c \
	tools/cmd_create.c tools/cmd_list.c tools/cmd_life.c tools/cmd_adjust.c tools/cmd_info.c tools/cmd_top.c \
	tools/cmd_console.c tools/cmd_load.c tools/cmd_kernel.c \
	tools/guest_cfg.c tools/guest_cfg_file.c tools/guest_cfg.h tools/cfg_lines.c tools/cfg_lines.h tools/cpus.c tools/cpus.h \
	tools/pci_spec.c tools/pci_spec.h tools/pci_dev.c tools/pci_dev.h tools/dmd_client.c tools/dmd_client.h \
	tools/cmd_pci.c tools/cmd_pci_info.c \
	tools/uuid.c tools/uuid.h tools/build.c tools/build.h tools/start.c tools/guard.c tools/monitor.c \
	tools/create.h tools/kernel_cache.c tools/kernel_cache.h tools/kernel_trim.c tools/kernel_trim.h
tools_xl_lite_CFLAGS = $(TOOLS_BUILD_CFLAGS) -DXL_VERSION='"$(PACKAGE_VERSION)"'
tools_xl_lite_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed
tools_xl_lite_LDADD = libs/libxenlite.a $(TOOLS_LIBS)

if HAVE_CMOCKA
TOOLS_TEST_CFLAGS = -O1 $(TOOLS_WARN_CFLAGS) $(SAN_CFLAGS) $(CMOCKA_CFLAGS)
check_PROGRAMS += tests/unit/test_guest_cfg tests/unit/test_acpi_build tests/unit/test_guest_state \
	tests/unit/test_kernel_cache tests/unit/test_xl_args
tests_unit_test_guest_cfg_SOURCES = tests/unit/test_guest_cfg.c tools/guest_cfg.c \
	tools/guest_cfg_file.c tools/cfg_lines.c tools/cpus.c tools/pci_spec.c tools/uuid.c
tests_unit_test_guest_cfg_CFLAGS = $(TOOLS_TEST_CFLAGS)
tests_unit_test_guest_cfg_LDADD = $(TOOLS_LIBS) $(CMOCKA_LIBS)
tests_unit_test_acpi_build_SOURCES = tests/unit/test_acpi_build.c libs/acpi_build.c
tests_unit_test_acpi_build_CFLAGS = $(TOOLS_TEST_CFLAGS)
tests_unit_test_acpi_build_LDADD = $(CMOCKA_LIBS)
libs/tests_unit_test_acpi_build-acpi_build.$(OBJEXT): libs/guest_dsdt.inc
tests_unit_test_guest_state_SOURCES = tests/unit/test_guest_state.c libs/guest_state.c
tests_unit_test_guest_state_CFLAGS = $(TOOLS_TEST_CFLAGS)
tests_unit_test_guest_state_LDADD = $(TOOLS_LIBS) $(CMOCKA_LIBS)
tests_unit_test_kernel_cache_SOURCES = tests/unit/test_kernel_cache.c tools/kernel_cache.c tools/kernel_trim.c libs/guest_state.c
tests_unit_test_kernel_cache_CFLAGS = $(TOOLS_TEST_CFLAGS)
tests_unit_test_kernel_cache_LDADD = $(TOOLS_LIBS) $(CMOCKA_LIBS)
tests_unit_test_xl_args_SOURCES = tests/unit/test_xl_args.c tools/xl.c tools/cpus.c tools/uuid.c
tests_unit_test_xl_args_CFLAGS = $(TOOLS_TEST_CFLAGS)
tests_unit_test_xl_args_LDADD = $(TOOLS_LIBS) $(CMOCKA_LIBS)
endif
endif
