# SPDX-License-Identifier: MIT
# The instruction decoder and the emulator (decode.c and emulate.c are listed in local.mk), and their tests.
hv_sources += xen-lite/cpu/decode_group.c xen-lite/cpu/emulate_string.c
insn_decode_sources = xen-lite/cpu/decode.c xen-lite/cpu/decode_group.c
insn_emulate_sources = $(insn_decode_sources) xen-lite/cpu/emulate.c xen-lite/cpu/emulate_string.c

check_PROGRAMS += tests/unit/test_emulate
tests_unit_test_emulate_SOURCES = tests/unit/test_emulate.c $(insn_emulate_sources)
tests_unit_test_emulate_LDADD = $(UNIT_LIBS)

if HAVE_ZYDIS
check_PROGRAMS += tests/unit/test_decode_zydis
tests_unit_test_decode_zydis_SOURCES = tests/unit/test_decode_zydis.c $(insn_decode_sources)
tests_unit_test_decode_zydis_LDADD = $(UNIT_LIBS) -lZydis
endif
