# SPDX-License-Identifier: MIT
hv_sources += xen-lite/lib/string.c xen-lite/lib/printf.c
