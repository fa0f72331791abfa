# SPDX-License-Identifier: MIT
hv_sources += xen-lite/sched/sched.c
