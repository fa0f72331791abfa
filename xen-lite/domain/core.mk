# SPDX-License-Identifier: MIT
hv_sources += xen-lite/domain/domain.c xen-lite/domain/destroy.c xen-lite/domain/absent.c \
	xen-lite/domain/glue.c xen-lite/domain/passthrough.c \
	xen-lite/domain/pt_check.c xen-lite/domain/pt_move.c xen-lite/domain/pt_info.c \
	xen-lite/domain/control.c xen-lite/domain/control_map.c
