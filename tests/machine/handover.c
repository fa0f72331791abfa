/* SPDX-License-Identifier: MIT */
/*
 * Hands functions of the machine to domains that never run, and back, through libxenlite.
 *
 * handover list                     one line a function: address, owner, group, ways to reset, interrupts
 * handover try BDF [FLAGS]          creates a paused domain with a PCI root, gives it the function, takes it back
 * handover cycles BDF N             the same N times; owners and memory must be as before
 * handover destroy BDF              destroys the domain while it has the function
 * handover refused BDF              what must be refused, and changes nothing
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xen/hvm/hvm_op.h>
#include <xenctrl.h>

#include "libs/xenlite.h"

static xc_interface *xch;

static void check(bool good, const char *name)
{
    printf("%s %s\n", good ? "ok" : "not ok", name);
    fflush(stdout);
}

static void give_up(const char *what)
{
    printf("not ok %s: errno %d (%s)\n", what, errno, strerror(errno));
    exit(1);
}

static uint32_t parse(const char *bdf)
{
    unsigned seg, bus, dev, fn;

    if (sscanf(bdf, "%x:%x:%x.%x", &seg, &bus, &dev, &fn) != 4) {
        fprintf(stderr, "handover: %s: not a device\n", bdf);
        exit(2);
    }
    return seg << 16 | bus << 8 | dev << 3 | fn;
}

static unsigned owner(uint32_t sbdf)
{
    struct xenlite_pci_info info;

    if (xenlite_pci_info(xch, sbdf, &info))
        give_up("info");
    return info.owner;
}

/* ---- list ---- */

static void list(void)
{
    struct xenlite_pci_entry *e = NULL;
    unsigned nr;

    if (xenlite_pci_list(xch, &e, &nr))
        give_up("list");
    for (unsigned i = 0; i < nr; i++) {
        struct xenlite_pci_info info;

        if (xenlite_pci_info(xch, e[i].sbdf, &info))
            give_up("info");
        printf("%04x:%02x:%02x.%x %04x:%04x owner %u group %04x of %u reset %x msi %u msix %u "
               "flags %x rid %04x trapped %u\n",
               e[i].sbdf >> 16, e[i].sbdf >> 8 & 0xff, e[i].sbdf >> 3 & 0x1f, e[i].sbdf & 7,
               info.vendor, info.device, info.owner, info.group, info.nr_group, info.reset,
               info.msi_vectors, info.msix_vectors, info.flags, info.requester & 0xffff,
               info.nr_trapped);
    }
    free(e);
}

/* ---- domains and moves ---- */

static uint32_t create(bool root)
{
    struct xen_domctl_createdomain cfg = {
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
        .max_vcpus = 1,
        .max_evtchn_port = 1023,
        .max_grant_frames = -1,
        .max_maptrack_frames = -1,
        .grant_opts = XEN_DOMCTL_GRANT_version(1),
        .arch.emulation_flags = XEN_X86_EMU_LAPIC,
    };
    xen_pfn_t gfn[256];
    uint32_t domid = 0;

    if (xc_domain_create(xch, &domid, &cfg))
        give_up("create");
    if (root && xenlite_pci_root(xch, domid))
        give_up("root");
    for (unsigned i = 0; i < 256; i++)
        gfn[i] = i;
    if (xc_domain_setmaxmem(xch, domid, 4096) ||
        xc_domain_populate_physmap_exact(xch, domid, 256, 0, 0, gfn))
        give_up("memory");
    return domid;
}

static int attach(uint32_t domid, uint32_t sbdf, uint32_t flags, struct xenlite_pci_move *m,
                  char *text, size_t len)
{
    *m = (struct xenlite_pci_move){ .sbdf = sbdf, .flags = flags };
    return xenlite_pci_attach(xch, domid, m, text, len);
}

static int detach(uint32_t domid, uint32_t sbdf, uint32_t flags)
{
    struct xenlite_pci_move m = { .sbdf = sbdf, .flags = flags };
    char text[512];
    int rc = xenlite_pci_detach(xch, domid, &m, text, sizeof(text));

    if (rc)
        printf("# detach: %s: %s\n", xenlite_pci_stage_name(m.stage), text);
    return rc;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void try_one(uint32_t sbdf, uint32_t flags)
{
    uint32_t domid = create(true);
    struct xenlite_pci_move m;
    char text[512];
    double begin = now();
    int rc = attach(domid, sbdf, flags | XENLITE_PCI_DRY_RUN, &m, text, sizeof(text));

    check(rc == 0 && m.stage == XENLITE_PCI_STAGE_done && owner(sbdf) == 0, "a dry run changes nothing");
    rc = attach(domid, sbdf, flags, &m, text, sizeof(text));
    if (rc)
        printf("# %s: %s\n", xenlite_pci_stage_name(m.stage), text);
    printf("# attached in %.0f ms, slot %u\n", (now() - begin) * 1000, m.slot);
    check(rc == 0 && owner(sbdf) == domid, "attached");
    check(rc == 0 && detach(domid, sbdf, 0) == 0 && owner(sbdf) == 0, "detached");
    if (xc_domain_destroy(xch, domid))
        give_up("destroy");
}

static unsigned long long free_kb(void)
{
    xc_physinfo_t info;

    if (xc_physinfo(xch, &info))
        give_up("physinfo");
    return info.free_pages * 4ULL;
}

static void cycles(uint32_t sbdf, unsigned n)
{
    unsigned long long before = 0;
    unsigned good = 0;

    for (unsigned i = 0; i < n; i++) {
        uint32_t domid = create(true);
        struct xenlite_pci_move m;

        if (i == 2)
            before = free_kb();
        if (attach(domid, sbdf, XENLITE_PCI_NO_RESET, &m, NULL, 0) || owner(sbdf) != domid)
            break;
        if (i % 2 && detach(domid, sbdf, 0))
            break;
        if (xc_domain_destroy(xch, domid) || owner(sbdf) != 0)
            break;
        good++;
        if (i == 2)
            before = free_kb();
    }
    printf("# free memory %llu KiB after 3 cycles, %llu KiB after %u\n", before, free_kb(), n);
    check(good == n, "every cycle ends with the control domain as owner");
    check(free_kb() == before, "no memory is lost");
}

static void destroy(uint32_t sbdf)
{
    uint32_t domid = create(true);
    struct xenlite_pci_move m;
    double begin;
    int rc = attach(domid, sbdf, XENLITE_PCI_NO_RESET, &m, NULL, 0);

    check(rc == 0 && owner(sbdf) == domid, "attached");
    begin = now();
    check(xc_domain_destroy(xch, domid) == 0, "destroyed with the function");
    printf("# destroyed in %.0f ms\n", (now() - begin) * 1000);
    check(owner(sbdf) == 0, "the function is the control domain's");
    check(attach(0, sbdf, 0, &m, NULL, 0) == -1 && errno == EEXIST, "which has it already");
}

/* ---- refusals ---- */

static void refuse(const char *name, uint32_t domid, uint32_t sbdf, uint32_t flags, int stage, int error)
{
    struct xenlite_pci_move m;
    char text[512];
    int rc = attach(domid, sbdf, flags, &m, text, sizeof(text));

    printf("# %s\n", text);
    check(rc == -1 && errno == error && (int)m.stage == stage && strlen(text) > 20, name);
}

static void refused(uint32_t sbdf)
{
    uint32_t with = create(true), without = create(false), third = create(true);
    struct xenlite_pci_move m;

    refuse("a domain that does not exist", 4711, sbdf, 0, XENLITE_PCI_STAGE_domain, ESRCH);
    refuse("a domain without a root", without, sbdf, 0, XENLITE_PCI_STAGE_domain, EOPNOTSUPP);
    refuse("a function that does not exist", with, 0xffff, 0, XENLITE_PCI_STAGE_exists, ENODEV);
    refuse("unknown flags", with, sbdf, 1u << 31, XENLITE_PCI_STAGE_arguments, EINVAL);
    refuse("the host bridge", with, 0, 0, XENLITE_PCI_STAGE_kind, EPERM);
    check(owner(sbdf) == 0, "the function stays where it was");
    check(attach(with, sbdf, XENLITE_PCI_NO_RESET, &m, NULL, 0) == 0, "attached");
    refuse("somebody else's function", third, sbdf, 0, XENLITE_PCI_STAGE_owner, EBUSY);
    refuse("its own function", with, sbdf, 0, XENLITE_PCI_STAGE_owner, EEXIST);
    check(detach(third, sbdf, 0) == -1 && errno == ENODEV, "who has it not cannot lose it");
    check(detach(with, sbdf, XENLITE_PCI_TO_NOBODY) == 0 && owner(sbdf) == XENLITE_PCI_NOBODY,
          "detached to nobody");
    check(attach(third, sbdf, XENLITE_PCI_NO_RESET, &m, NULL, 0) == 0 && detach(third, sbdf, 0) == 0 &&
              owner(sbdf) == XENLITE_PCI_NOBODY,
          "it goes back to where it came from");
    check(attach(0, sbdf, 0, &m, NULL, 0) == 0 && owner(sbdf) == 0, "and to the control domain");
    xc_domain_destroy(xch, with);
    xc_domain_destroy(xch, without);
    xc_domain_destroy(xch, third);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    uint32_t sbdf = argc > 2 ? parse(argv[2]) : 0;

    xch = xc_interface_open(NULL, NULL, 0);
    if (!xch)
        give_up("xc_interface_open");
    if (!strcmp(what, "list"))
        list();
    else if (argc > 2 && !strcmp(what, "try"))
        try_one(sbdf, argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 0) : 0);
    else if (argc > 3 && !strcmp(what, "cycles"))
        cycles(sbdf, (unsigned)atoi(argv[3]));
    else if (argc > 2 && !strcmp(what, "destroy"))
        destroy(sbdf);
    else if (argc > 2 && !strcmp(what, "refused"))
        refused(sbdf);
    else
        return 2;
    xc_interface_close(xch);
    return 0;
}
