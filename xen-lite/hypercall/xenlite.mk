# SPDX-License-Identifier: MIT
# xenlite_op's subjects trace and audit.
xenlite_trace_sources = xen-lite/hypercall/xenlite_trace.c xen-lite/hypercall/xenlite_list.c \
	xen-lite/hypercall/xenlite_list.h
hv_sources += $(xenlite_trace_sources)
