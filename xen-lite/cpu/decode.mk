# SPDX-License-Identifier: MIT
# Tests of the instruction decoder and the emulator.
check_PROGRAMS += tests/unit/test_emulate
tests_unit_test_emulate_SOURCES = tests/unit/test_emulate.c xen-lite/cpu/decode.c \
	xen-lite/cpu/emulate.c
tests_unit_test_emulate_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_emulate_LDADD = $(UNIT_LIBS)

if HAVE_ZYDIS
check_PROGRAMS += tests/unit/test_decode_zydis
tests_unit_test_decode_zydis_SOURCES = tests/unit/test_decode_zydis.c xen-lite/cpu/decode.c
tests_unit_test_decode_zydis_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_decode_zydis_LDADD = $(UNIT_LIBS) -lZydis
endif
