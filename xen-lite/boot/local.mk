# SPDX-License-Identifier: MIT
hv_sources += xen-lite/boot/head.S xen-lite/boot/trampoline.S xen-lite/boot/entry.S \
	xen-lite/boot/main.c xen-lite/boot/exception.c xen-lite/boot/panic.c xen-lite/boot/console.c \
	xen-lite/boot/bootmem.c xen-lite/boot/smp.c xen-lite/boot/power.c
include $(srcdir)/xen-lite/boot/loader.mk
