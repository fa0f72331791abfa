# SPDX-License-Identifier: MIT
# What the host unit tests share: the simulated machine, flags and libraries.
UNIT_CFLAGS = -std=gnu11 -O1 -g $(WARN_CFLAGS) $(SAN_CFLAGS) -fno-strict-aliasing -DXL_HOST \
	-D__XEN_TOOLS__ -I$(srcdir)/xen-lite -I$(srcdir)/tests/unit $(CMOCKA_CFLAGS)
# The flags of programs that say no others: so each source is compiled once for all unit tests, not once for each.
AM_CFLAGS = $(UNIT_CFLAGS)
UNIT_LIBS = tests/unit/libsim.a $(CMOCKA_LIBS)
AM_LDFLAGS = $(SAN_CFLAGS)
check_LIBRARIES += tests/unit/libsim.a
tests_unit_libsim_a_SOURCES = tests/unit/sim.c
