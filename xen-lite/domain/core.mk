# SPDX-License-Identifier: MIT
hv_sources += xen-lite/domain/domain.c xen-lite/domain/destroy.c xen-lite/domain/absent.c \
	xen-lite/domain/glue.c xen-lite/domain/control.c xen-lite/domain/control_map.c
