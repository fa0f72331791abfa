# SPDX-License-Identifier: MIT
# xl-lite's commands over libxenlite: traps, audit, iommu, p2m. After libs/xenlite.mk.
if HAVE_TOOLS
tools_xl_lite_SOURCES += tools/traps.c tools/traps.h tools/cmd_traps.c tools/cmd_audit.c tools/cmd_iommu.c
endif
