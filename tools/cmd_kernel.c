/* SPDX-License-Identifier: MIT */
/*
 * xl-lite kernel-prepare: unpacks kernels before a guest wants them. A packed kernel is unpacked once in its life; done
 * when it is installed, no guest's start waits for it.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include <xenctrl.h>
#include <xenguest.h>

#include "build.h"
#include "kernel_cache.h"
#include "xl.h"

/* Has the library read and unpack the file. Returns 1 if that made it longer, 0 if not, -1 after a complaint. */
static int unpack(struct xc_dom_image *dom, const char *path)
{
    size_t packed;

    dom->container_type = XC_DOM_HVM_CONTAINER;
    if (xc_dom_kernel_max_size(dom, BUILD_KERNEL_MAX) != 0 || xc_dom_kernel_file(dom, path) != 0) {
        return xl_error("%s: cannot be read", path);
    }
    packed = dom->kernel_size;
    if (xc_dom_boot_xen_init(dom, xl.xch, 0) != 0) {
        return xl_hv_error("the hypervisor does not say what guests it runs");
    }
    if (xc_dom_parse_image(dom) != 0) {
        return xl_error("%s: this kernel cannot be a pvh guest's", path);
    }
    return dom->kernel_size > packed;
}

static int prepare_new(const char *path, const char *key)
{
    struct xc_dom_image *dom = xc_dom_allocate(xl.xch, NULL, NULL);
    int rc;

    if (dom == NULL) {
        return xl_error("out of memory");
    }
    rc = unpack(dom, path);
    if (rc == 0) {
        printf("%s: is not packed\n", path);
    } else if (rc > 0) {
        rc = kernel_cache_keep(KERNEL_CACHE_DIR, key, dom->kernel_blob, dom->kernel_size);
        if (rc != 0) {
            rc = xl_error("%s: cannot be kept in %s: %s", path, KERNEL_CACHE_DIR, strerror(-rc));
        } else {
            printf("%s: unpacked, %zu MiB\n", path, dom->kernel_size >> 20);
        }
    }
    xc_dom_release(dom);
    return rc;
}

static int prepare(const char *path)
{
    struct kernel_cached found;
    char key[KERNEL_CACHE_KEY];
    int rc = kernel_cache_key(path, key);

    if (rc != 0) {
        return xl_error("%s: %s", path, strerror(-rc));
    }
    if (kernel_cache_find(KERNEL_CACHE_DIR, key, &found) == 0) {
        kernel_cache_release(&found);
        printf("%s: was unpacked before\n", path);
        return 0;
    }
    return prepare_new(path, key);
}

int cmd_kernel_prepare(int argc, char **argv)
{
    int status = XL_USAGE, rc = 0;

    if (xl_getopt(argc, argv, "", NULL, &status) != -1) {
        return status;
    }
    if (xl_arguments(argc, 1, KERNEL_CACHE_FILES) != 0) {
        return XL_USAGE;
    }
    if (xl_open() != 0) {
        return XL_FAILED;
    }
    for (; optind < argc; optind++) {
        rc |= prepare(argv[optind]);
    }
    return rc == 0 ? XL_OK : XL_FAILED;
}
