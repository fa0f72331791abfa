# SPDX-License-Identifier: MIT
# xl-lite's commands over libxenlite: traps, audit, iommu, p2m. After libs/xenlite.mk.
if HAVE_TOOLS
tools_xl_lite_SOURCES += tools/traps.c tools/traps.h tools/cmd_traps.c tools/cmd_audit.c tools/cmd_iommu.c
endif

if HAVE_TOOLS
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_traps_tool
tests_unit_test_traps_tool_SOURCES = tests/unit/test_traps_tool.c tools/traps.c tools/traps.h libs/xenlite.c \
	libs/xenlite_pci.c libs/xenlite_names.c libs/xenlite.h libs/xenlite_priv.h
tests_unit_test_traps_tool_CFLAGS = $(TOOLS_TEST_CFLAGS)
tests_unit_test_traps_tool_LDADD = -ljson-c $(CMOCKA_LIBS)
endif
endif
