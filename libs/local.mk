# SPDX-License-Identifier: MIT
# What the control domain's programs share: guests' state files, and ACPI tables for guests.
EXTRA_DIST += libs
if HAVE_TOOLS
noinst_LIBRARIES += libs/libxenlite.a
libs_libxenlite_a_SOURCES = libs/guest_state.c libs/guest_state.h libs/acpi_build.c libs/acpi_build.h \
	libs/xenlite_sched.c libs/xenlite_sched.h xen-lite/include/xenlite/xenlite.h xen-lite/include/xenlite/sched.h
libs_libxenlite_a_CFLAGS = $(TOOLS_BUILD_CFLAGS)
endif
