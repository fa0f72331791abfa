/* SPDX-License-Identifier: MIT */
/* What the files of libxenlite share: memory that the hypervisor may write, and lists of any length. */
#ifndef LIBS_XENLITE_PRIV_H
#define LIBS_XENLITE_PRIV_H

#include "xenlite.h"

/* NULL with errno when there is none. Freeing leaves errno as it is; NULL is allowed. */
void *xenlite_buffer(xc_interface *xch, size_t size);
void xenlite_buffer_free(xc_interface *xch, void *buffer);

/* A command with struct xenlite_list, with as much room as it takes: *out is the caller's to free. 0 or -1 with errno. */
int xenlite_list_all(xc_interface *xch, uint32_t cmd, uint32_t domid, uint32_t arg, size_t entry,
                     void **out, unsigned *nr);

#endif
