# SPDX-License-Identifier: MIT
# What the control domain's programs share: guests' state files, and ACPI tables for guests.
EXTRA_DIST += libs
if HAVE_TOOLS
noinst_LIBRARIES += libs/libxenlite.a
libs_libxenlite_a_SOURCES = libs/guest_state.c libs/guest_state.h libs/acpi_build.c libs/acpi_build.h \
	libs/xenlite_sched.c libs/xenlite_sched.h xen-lite/include/xenlite/xenlite.h xen-lite/include/xenlite/sched.h
libs_libxenlite_a_CFLAGS = $(TOOLS_BUILD_CFLAGS)

# The DSDT as the bytes of a C array.
libs/guest_dsdt.inc: $(srcdir)/libs/guest_dsdt.asl
	$(AM_V_GEN)mkdir -p libs && $(IASL) -vs -vr -p libs/guest_dsdt $(srcdir)/libs/guest_dsdt.asl >libs/guest_dsdt.log 2>&1 || \
		{ cat libs/guest_dsdt.log; rm -f libs/guest_dsdt.aml; exit 1; }
	$(AM_V_at)od -A n -v -t x1 libs/guest_dsdt.aml | sed 's/ *\([0-9a-f][0-9a-f]\)/0x\1,/g' >$@.tmp && mv $@.tmp $@
libs/libxenlite_a-acpi_build.$(OBJEXT): libs/guest_dsdt.inc
CLEANFILES += libs/guest_dsdt.inc libs/guest_dsdt.aml libs/guest_dsdt.log
endif
