/* SPDX-License-Identifier: MIT */
/*
 * Error numbers: Linux's, as the public interface defines them. In the hypervisor they come from the public
 * header; host builds use the system's own, which are the same numbers.
 */
#ifndef XL_LIB_ERRNO_H
#define XL_LIB_ERRNO_H

#ifdef XL_HOST
#include <errno.h>
#else
#define XEN_ERRNO(name, value) name = value,
enum errno_value {
#include <xen/errno.h>
    ESTALE = 116,  /* Linux's number, which the public header lacks: for xen-lite's own calls */
    ERESTART = 85, /* between the hypervisor's parts only: "call me again", never shown to a guest */
};
#endif

#endif
