/* SPDX-License-Identifier: MIT */
/*
 * xen_version: what the interface is (4.17's), who implements it, and what guests may use of it.
 */
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "lib/string.h"

#include <xen/features.h>
#include <xen/version.h>

#define INTERFACE_VERSION ((4 << 16) | 17)

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

/* Tools look for the words: types of guests that can be created. */
static const char capabilities[] = "hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ";

static char commandline[sizeof(xen_commandline_t)];

void xen_version_set_cmdline(const char *text)
{
    strlcpy(commandline, text, sizeof(commandline));
}

/* Copies a fixed-size field, padded with zeroes, so that nothing else leaks. */
static long put_text(struct vcpu *v, uint64_t argp, const char *text, size_t size)
{
    char buf[1024] = { 0 };

    strlcpy(buf, text, MIN(size, sizeof(buf)));
    return copy_to_guest(v, argp, buf, MIN(size, sizeof(buf))) ? -EFAULT : 0;
}

static long compile_info(struct vcpu *v, uint64_t argp)
{
    struct xen_compile_info info;

    memset(&info, 0, sizeof(info));
#ifdef __clang__
    strlcpy(info.compiler, "clang " __clang_version__, sizeof(info.compiler));
#else
    strlcpy(info.compiler, "gcc " __VERSION__, sizeof(info.compiler));
#endif
    /* By whom, where and when is left out: the same source gives the same binary. */
    return copy_to_guest(v, argp, &info, sizeof(info)) ? -EFAULT : 0;
}

static long platform_parameters(struct vcpu *v, uint64_t argp)
{
    /*
     * Start of the range that paravirtual 64-bit guests leave to the hypervisor; no meaning for
     * others.
     */
    struct xen_platform_parameters par = { .virt_start = 0xffff800000000000ULL };

    return copy_to_guest(v, argp, &par, sizeof(par)) ? -EFAULT : 0;
}

static long get_features(struct vcpu *v, uint64_t argp)
{
    struct xen_feature_info fi;

    if (copy_from_guest(v, &fi, argp, sizeof(fi)))
        return -EFAULT;
    if (fi.submap_idx != 0)
        return -EINVAL;
    /* XENFEAT_hvm_pirqs stays clear: guests keep to their IO-APIC and to MSI as on hardware. */
    fi.submap = (1u << XENFEAT_writable_page_tables) | (1u << XENFEAT_auto_translated_physmap) |
                (1u << XENFEAT_hvm_callback_vector) | (1u << XENFEAT_hvm_safe_pvclock) |
                (1u << XENFEAT_memory_op_vnode_supported) | (1u << XENFEAT_not_direct_mapped);
    if (v->domain->control)
        fi.submap |= 1u << XENFEAT_dom0;
    return copy_to_guest(v, argp, &fi, sizeof(fi)) ? -EFAULT : 0;
}

long do_xen_version(struct vcpu *v, uint64_t cmd, uint64_t argp, uint64_t a3, uint64_t a4,
                    uint64_t a5)
{
    (void)a3;
    (void)a4;
    (void)a5;
    switch ((uint32_t)cmd) {
    case XENVER_version:
        return INTERFACE_VERSION;
    case XENVER_extraversion:
        return put_text(v, argp, ".0-xen-lite", sizeof(xen_extraversion_t));
    case XENVER_compile_info:
        return compile_info(v, argp);
    case XENVER_capabilities:
        return put_text(v, argp, capabilities, sizeof(xen_capabilities_info_t));
    case XENVER_changeset:
        return put_text(v, argp, "xen-lite " PACKAGE_VERSION, sizeof(xen_changeset_info_t));
    case XENVER_platform_parameters:
        return platform_parameters(v, argp);
    case XENVER_get_features:
        return get_features(v, argp);
    case XENVER_pagesize:
        return argp ? -EINVAL : (long)PAGE_SIZE;
    case XENVER_guest_handle:
        return copy_to_guest(v, argp, v->domain->handle, sizeof(v->domain->handle)) ? -EFAULT : 0;
    case XENVER_commandline:
        if (!v->domain->control)
            return -EPERM;
        return put_text(v, argp, commandline, sizeof(xen_commandline_t));
    case XENVER_build_id:
        return -ENODATA;
    default:
        return -ENOSYS;
    }
}
