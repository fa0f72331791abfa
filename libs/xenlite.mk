# SPDX-License-Identifier: MIT
# libxenlite's functions over the extension hypercall, its installed headers and its tests. After tools/local.mk.
if HAVE_TOOLS
TOOLS_WARN_CFLAGS += -I$(srcdir)/xen-lite/include
libs_libxenlite_a_SOURCES += libs/xenlite.c libs/xenlite.h libs/xenlite_priv.h libs/xenlite_pci.c libs/xenlite_names.c
include_HEADERS = libs/xenlite.h
xenliteincludedir = $(includedir)/xenlite
xenliteinclude_HEADERS = xen-lite/include/xenlite/audit.h xen-lite/include/xenlite/ioreq.h \
	xen-lite/include/xenlite/pci.h xen-lite/include/xenlite/trace.h xen-lite/include/xenlite/xenlite.h
endif
