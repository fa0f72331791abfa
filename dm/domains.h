/* SPDX-License-Identifier: MIT */
/* What dmd.c and the commands need of the list of domains besides dmd.h. */
#ifndef DM_DOMAINS_H
#define DM_DOMAINS_H

#include <stdint.h>

struct dmd;

/* At the daemon's end: closes every console and tells nobody. */
void domains_forget(struct dmd *dmd);

void format_uuid(char out[37], const uint8_t handle[16]);

#endif
