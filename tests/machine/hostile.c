/* SPDX-License-Identifier: MIT */
/*
 * A control domain that makes hypercalls of no sense, and of much: random numbers and arguments, and well-formed
 * structures with fields that are right, nearly right and wrong, among them guests that are created, filled, run and
 * destroyed. Afterwards it clears up, and the machine's free memory, the domain's own and its event channels must be
 * what they were.
 *
 * hostile CALLS SEED [trace|pages]   (trace: each call is told before it is made; pages: those that cost memory)
 *
 * The kernel has to be started with memmap=32M$0x30000000 iomem=relaxed: pages of that range are what calls may give
 * away, remap and fill, so that the kernel itself survives.
 */
#include "hostile.h"

#include <sched.h>
#include <time.h>

#include <xen/xen.h>

#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/vcpu.h>
#include <xen/version.h>

enum {
    ARENA_PHYS = 0x30000000,
    ARENA_SIZE = 32 << 20,
    ARG_BYTES = 2 << 20,           /* the arena's beginning holds arguments and stays what it is */
    CALL_BYTES = 64 << 10,         /* of which each call takes a piece */
    GFN_VICTIM = (ARENA_PHYS + ARG_BYTES) / PAGE,
    NR_VICTIMS = (ARENA_SIZE - ARG_BYTES) / PAGE,
    P2M_LAST_GFN = 0xfffffff,      /* no p2m of this machine reaches further */
    AROUND = 1024,                 /* pages at each place that clearing up looks at */
    LOW_SAFE = 0x40,               /* the kernel keeps these pages of the first megabyte to itself, unused */
    NR_HOLES = 64,
    MAX_GUESTS = 4,
    MAX_OWN = 256,
    MAX_LIST = 600,
    MAX_TABLES = 64,               /* of the p2m: what boot makes, and one for each 2 MiB that calls may cut up */
    SOON_NS = 10000000,            /* waits that are longer are not made */
    MEMOP_CMD = 63,                /* a memory call's number; progress lies above it */
    MEMOP_START_SHIFT = 6,
};

/* Where the control domain has no memory: RAM of the machine that is free, and nothing at all. */
static const uint64_t hole_base[] = { 0x60000, 0x200000 };

static uint8_t *arena;
static uint8_t *arg_next;
static volatile uint8_t *mmio_page;
static uint64_t kernel_text;
static uint8_t kernel_port[32768 / 8];
static uint32_t own_port[MAX_OWN], own_handle[MAX_OWN];
static unsigned nr_ports, nr_handles, trace, watch;
static uint16_t guest[MAX_GUESTS];
static unsigned nr_guests;
static int edu;

/* ---- values ---- */

static const uint64_t odd_values[] = {
    0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 33, 63, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000ull, ~0ull, ~1ull,
    0x7fffffffffffffffull, 0x8000000000000000ull, 0xfffffffffffffull, 0x10000000000000ull, 0xffff, 0x7ff0, 0x7ff1,
    0x7ff2, 0x7ff3, 0x7ff4, 0xdeadbeefcafef00dull, 0xfff0000000000000ull, 0xffffffff00000000ull,
};

static uint64_t odd(void)
{
    return one_in(4) ? random64() : odd_values[below(ARRAY_SIZE(odd_values))];
}

/* Mostly below n, now and then not. */
static uint64_t index_near(uint64_t n)
{
    return one_in(8) ? odd() : below(n + 1);
}

static uint16_t any_domid(void)
{
    static const uint16_t special[] = { DOMID_SELF, DOMID_IO, DOMID_XEN, DOMID_COW, DOMID_INVALID, 1, 0x7000 };

    if (nr_guests && !one_in(3))
        return guest[below(nr_guests)];
    if (one_in(3))
        return 0;
    return one_in(8) ? (uint16_t)random64() : special[below(ARRAY_SIZE(special))];
}

static uint64_t own_gfn(void)
{
    if (one_in(3))
        return hole_base[below(2)] + below(NR_HOLES);
    return GFN_VICTIM + (one_in(2) ? below(64) : below(NR_VICTIMS));
}

/* In a guest: its low memory, mostly. */
static uint64_t guest_gfn(void)
{
    return one_in(8) ? odd() : below(2048);
}

/* Devices, the ends of the guest-physical space, and places where nothing is. */
static const uint64_t bad_gfns[] = { 0xfee00, 0xfec00, 0xb0000, 0xe0000, 0xfed90, 0x100000, 0xfffff, 0x140000,
                                     0x7ffffff, 0x8000000, 0xffffffffff, 0x10000000000ull };

/* Never the kernel's RAM: the arena, holes, the hypervisor's and firmware's frames, devices, and nothing. */
static uint64_t any_gfn(void)
{
    switch (below(8)) {
    case 0: return bad_gfns[below(ARRAY_SIZE(bad_gfns))];
    case 1: return below(LOW_SAFE);
    case 2: return 0x8000000000000000ull | odd();
    default: return own_gfn();
    }
}

/* Room for a structure or list inside this call's piece, sometimes at a page's end or misaligned. */
static void *room(size_t n)
{
    uint8_t *p = arg_next;

    if (one_in(16))
        p = (uint8_t *)(((uintptr_t)p + n + PAGE - 1) & ~(PAGE - 1)) - n;
    if (p < arg_next)
        p += PAGE;
    if (one_in(16))
        p += below(16);
    arg_next = (uint8_t *)(((uintptr_t)p + n + 63) & ~63ull);
    return p;
}

static void *bad_pointer(void)
{
    switch (below(10)) {
    case 0: return NULL;
    case 1: return (void *)(uintptr_t)odd();
    case 2: return (void *)0x7ffffffffff8;                                         /* runs into the hole */
    case 3: return (void *)0x800000000000;                                         /* not canonical */
    case 4: return (void *)(uintptr_t)(0xffff800000000000ull + below(1 << 20) * PAGE); /* the hypervisor's map */
    case 5: return (void *)(uintptr_t)(kernel_text + below(4096));                 /* may be read only */
    case 6: return (void *)(mmio_page + below(4090));
    case 7: return arena + ARG_BYTES + below(ARENA_SIZE - ARG_BYTES);              /* may be a hole by now */
    case 8: return arena + ARENA_SIZE - below(64);
    default: return (void *)(~0ull - below(64));
    }
}

/* A structure's address as the argument: mostly right. */
static uint64_t ptr(void *p)
{
    return (uint64_t)(uintptr_t)(one_in(24) ? bad_pointer() : p);
}

/* As many gfns as the list says. */
static xen_pfn_t *gfn_list(unsigned n, uint64_t (*pick)(void), unsigned order)
{
    xen_pfn_t *list = room(MAX_LIST * sizeof(*list));

    for (unsigned i = 0; i < n && i < MAX_LIST; i++)
        list[i] = one_in(8) ? pick() : pick() & ~((1ull << (order & 63)) - 1);
    return list;
}

#include "hostile-left-out.h"

#include "hostile-calls.h"

/* ---- making calls ---- */

static unsigned long made, succeeded, vetoed;

static void remember(const struct call *c, long rc)
{
    uint32_t cmd = (uint32_t)c->arg[0];

    if (rc < 0)
        return;
    if (c->op == __HYPERVISOR_event_channel_op && nr_ports < MAX_OWN) {
        const uint32_t *p = readable(c->arg[1], 12);

        if (p && cmd == EVTCHNOP_alloc_unbound && is_self(*(const uint16_t *)p))
            own_port[nr_ports++] = p[1];
        else if (p && (cmd == EVTCHNOP_bind_interdomain || cmd == EVTCHNOP_bind_virq))
            own_port[nr_ports++] = p[2];
        else if (p && cmd == EVTCHNOP_bind_ipi)
            own_port[nr_ports++] = p[1];
    }
    if (c->op == __HYPERVISOR_grant_table_op && cmd == GNTTABOP_map_grant_ref) {
        const struct gnttab_map_grant_ref *m = readable(c->arg[1], sizeof(*m));

        for (uint32_t i = 0; m && i < (uint32_t)c->arg[2] && in_arena((uintptr_t)(m + i), sizeof(*m)); i++)
            if (m[i].status == 0 && nr_handles < MAX_OWN)
                own_handle[nr_handles++] = m[i].handle;
    }
}

static uint64_t free_pages(uint64_t *own);

/* Pages that are neither free nor anybody's: tells which call made them more. */
static void watch_pages(const struct call *c, long rc)
{
    static uint64_t before;
    static uint8_t saved[65536];
    struct xen_sysctl *s = (void *)arena;
    xen_domctl_getdomaininfo_t *info = (void *)(arena + 1024);
    uint64_t now, own;

    memcpy(saved, arena, sizeof(saved));
    now = free_pages(&own);
    memset(s, 0, sizeof(*s));
    s->cmd = XEN_SYSCTL_getdomaininfolist;
    s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    s->u.getdomaininfolist.max_domains = 32;
    set_xen_guest_handle(s->u.getdomaininfolist.buffer, info);
    if (hypercall(__HYPERVISOR_sysctl, (uint64_t[5]){ (uintptr_t)s }) == 0)
        for (uint32_t i = 0; i < s->u.getdomaininfolist.num_domains; i++)
            now += info[i].tot_pages;
    if (before && now + 40 < before)
        printf("%lu: %" PRIu64 "(%#" PRIx64 ", ...) = %ld: %" PRIu64 " pages fewer\n", made, c->op, c->arg[0], rc,
               before - now);
    before = now;
    memcpy(arena, saved, sizeof(saved));
}

static void make(struct call *c)
{
    long rc;

    if (is_left_out(c)) {
        vetoed++;
        return;
    }
    if (trace) {
        printf("%lu: %" PRIu64 "(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ")\n", made,
               c->op, c->arg[0], c->arg[1], c->arg[2], c->arg[3], c->arg[4]);
        fflush(stdout);
    }
    made++;
    rc = hypercall(c->op, c->arg);
    succeeded += rc >= 0;
    remember(c, rc);
    if (watch)
        watch_pages(c, rc);
    /* The kernel's timer may have been taken or moved far off: let it fire, and the kernel sets it again. */
    if (c->op == __HYPERVISOR_set_timer_op || c->op == __HYPERVISOR_vcpu_op || c->op == __HYPERVISOR_multicall)
        hypercall(__HYPERVISOR_set_timer_op, (uint64_t[5]){ 1 });
}

static void blind(struct call *c)
{
    c->op = one_in(4) ? odd() : below(64);
    for (int i = 0; i < 5; i++)
        c->arg[i] = one_in(2) ? (uint64_t)(uintptr_t)bad_pointer() : one_in(2) ? below(40) : odd();
    /* Argument memory may hold anything that an earlier call left; not a structure that would be right by chance. */
    memset(arg_next, one_in(2) ? 0xff : 0x11, 4096);
}

static void run(unsigned long calls)
{
    for (unsigned long i = 0; i < calls; i++) {
        struct call c = { 0 };

        arg_next = arena + below(ARG_BYTES / CALL_BYTES - 2) * CALL_BYTES;
        if (one_in(4))
            blind(&c);
        else
            build(&c);
        make(&c);
    }
}

/* ---- before and after ---- */

static uint64_t free_pages(uint64_t *own)
{
    struct xen_sysctl *s = (void *)arena;
    uint64_t n;

    memset(s, 0, sizeof(*s));
    s->cmd = XEN_SYSCTL_physinfo;
    s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    if (hypercall(__HYPERVISOR_sysctl, (uint64_t[5]){ (uintptr_t)s }) != 0)
        die("physinfo");
    n = s->u.physinfo.free_pages;
    *(uint16_t *)arena = DOMID_SELF;
    *own = (uint64_t)hypercall(__HYPERVISOR_memory_op,
                               (uint64_t[5]){ XENMEM_current_reservation, (uintptr_t)arena });
    return n;
}

static unsigned scan_ports(int mark)
{
    struct evtchn_status *s = (void *)arena;
    unsigned n = 0;

    for (uint32_t port = 1; port < 4096; port++) { /* the lowest are given first */
        memset(s, 0, sizeof(*s));
        s->dom = DOMID_SELF;
        s->port = port;
        if (hypercall(__HYPERVISOR_event_channel_op, (uint64_t[5]){ EVTCHNOP_status, (uintptr_t)s }) != 0)
            break;
        if (s->status == EVTCHNSTAT_closed)
            continue;
        n++;
        if (mark)
            kernel_port[port / 8] |= (uint8_t)(1 << port % 8);
        else if (!(kernel_port[port / 8] >> port % 8 & 1))
            hypercall(__HYPERVISOR_event_channel_op, (uint64_t[5]){ EVTCHNOP_close, (uintptr_t)&s->port });
    }
    return n;
}

static void destroy_guests(void)
{
    struct xen_domctl *d = (void *)arena;

    for (uint32_t id = 1; id < DOMID_FIRST_RESERVED; id++) {
        long rc;

        memset(d, 0, sizeof(*d));
        d->cmd = XEN_DOMCTL_getdomaininfo;
        d->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
        d->domain = (domid_t)id;
        if (hypercall(__HYPERVISOR_domctl, (uint64_t[5]){ (uintptr_t)d }) != 0)
            break;
        id = d->domain;
        do {
            d->cmd = XEN_DOMCTL_destroydomain;
            d->domain = (domid_t)id;
            rc = hypercall(__HYPERVISOR_domctl, (uint64_t[5]){ (uintptr_t)d });
        } while (rc == -EAGAIN || rc == -EINTR);
        if (rc)
            printf("destroying domain %u: %ld\n", id, rc);
    }
    nr_guests = 0;
}

static long one_extent(unsigned cmd, uint64_t gfn, unsigned order)
{
    struct xen_memory_reservation *r = (void *)arena;
    xen_pfn_t *list = (void *)(arena + 256);

    memset(r, 0, sizeof(*r));
    *list = gfn;
    set_xen_guest_handle(r->extent_start, list);
    r->nr_extents = 1;
    r->extent_order = order;
    r->domid = DOMID_SELF;
    return hypercall(__HYPERVISOR_memory_op, (uint64_t[5]){ cmd, (uintptr_t)r });
}

static void remove_page(uint64_t gfn)
{
    struct xen_remove_from_physmap *r = (void *)arena;

    r->domid = DOMID_SELF;
    r->gpfn = gfn;
    hypercall(__HYPERVISOR_memory_op, (uint64_t[5]){ XENMEM_remove_from_physmap, (uintptr_t)r });
}

static void max_mem(uint64_t kb)
{
    struct xen_domctl *d = (void *)arena;

    memset(d, 0, sizeof(*d));
    d->cmd = XEN_DOMCTL_max_mem;
    d->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    d->u.max_mem.max_memkb = kb;
    hypercall(__HYPERVISOR_domctl, (uint64_t[5]){ (uintptr_t)d });
}

static int is_hole(uint64_t gfn)
{
    struct xen_hvm_get_mem_type *t = (void *)arena;

    memset(t, 0, sizeof(*t));
    t->domid = DOMID_SELF;
    t->pfn = gfn;
    if (hypercall(__HYPERVISOR_hvm_op, (uint64_t[5]){ HVMOP_get_mem_type, (uintptr_t)t }) != 0)
        return 0;
    return t->mem_type == HVMMEM_mmio_dm;
}

static void make_holes(uint64_t gfn, unsigned n)
{
    for (; n > 0; n--, gfn++) {
        if (is_hole(gfn))
            continue;
        remove_page(gfn);
        if (!is_hole(gfn))
            one_extent(XENMEM_decrease_reservation, gfn, 0);
    }
}

static unsigned make_ram(uint64_t gfn, unsigned n)
{
    unsigned missing = 0;

    for (; n > 0; n--, gfn++) {
        remove_page(gfn);
        if (is_hole(gfn) && one_extent(XENMEM_populate_physmap, gfn, 0) != 1)
            missing++;
    }
    return missing;
}

/* Lists and ranges may have run on behind the page that was chosen. */
static unsigned restore_memory(void)
{
    for (unsigned b = 0; b < 2; b++)
        make_holes(hole_base[b], AROUND);
    for (unsigned b = 0; b < ARRAY_SIZE(bad_gfns); b++)
        make_holes(bad_gfns[b] & ~511ull, AROUND);
    return make_ram(GFN_VICTIM, NR_VICTIMS) + make_ram(0, LOW_SAFE);
}

/* Domains that still are though they were destroyed: somebody holds something of theirs. */
static unsigned count_guests(void)
{
    struct xen_sysctl *s = (void *)arena;
    xen_domctl_getdomaininfo_t *info = (void *)(arena + 1024);
    unsigned n;

    memset(s, 0, sizeof(*s));
    s->cmd = XEN_SYSCTL_getdomaininfolist;
    s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    s->u.getdomaininfolist.first_domain = 1;
    s->u.getdomaininfolist.max_domains = 64;
    set_xen_guest_handle(s->u.getdomaininfolist.buffer, info);
    if (hypercall(__HYPERVISOR_sysctl, (uint64_t[5]){ (uintptr_t)s }) != 0)
        die("getdomaininfolist");
    n = s->u.getdomaininfolist.num_domains;
    for (unsigned i = 0; i < n; i++)
        printf("domain %u is left: flags %#x, %" PRIu64 " pages, shared info at %#" PRIx64 "\n", info[i].domain,
               info[i].flags, (uint64_t)info[i].tot_pages, (uint64_t)info[i].shared_info_frame);
    return n;
}

#include "hostile-usage.h"

/* The device that calls may have taken away comes back. */
static void restore_device(void)
{
    struct physdev_pci_device_add *a = (void *)arena;

    memset(a, 0, sizeof(*a));
    a->devfn = (uint8_t)edu;
    if (edu >= 0)
        hypercall(__HYPERVISOR_physdev_op, (uint64_t[5]){ PHYSDEVOP_pci_device_add, (uintptr_t)a });
}

static unsigned clear_up(struct usage *usage, uint64_t *own, unsigned *ports)
{
    unsigned missing;

    unmap_all();
    destroy_guests();
    unmap_all();
    nr_ports = 0;
    scan_ports(0);
    *ports = scan_ports(0);
    max_mem(~0ull >> 1);
    missing = restore_memory();
    if (missing)
        printf("%u pages cannot be had again\n", missing);
    restore_device();
    missing = count_guests();
    free_pages(own);
    *usage = learn_usage();
    return missing;
}

static uint64_t find_kernel_text(void)
{
    FILE *f = fopen("/proc/kallsyms", "r");
    uint64_t a = 0;
    char name[128];

    while (f && fscanf(f, "%" SCNx64 " %*c %127s%*[^\n]", &a, name) == 2)
        if (strcmp(name, "_stext") == 0)
            break;
    if (f)
        fclose(f);
    return a;
}

static void check_reserved(void)
{
    FILE *f = fopen("/proc/iomem", "r");
    uint64_t from, to;
    char line[160];
    int found = 0;

    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) == 2 && from <= ARENA_PHYS &&
            to >= ARENA_PHYS + ARENA_SIZE - 1 && strstr(line, "eserved"))
            found = 1;
    if (f)
        fclose(f);
    if (!found) {
        fprintf(stderr, "hostile: the kernel wants memmap=32M$0x30000000\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    unsigned long calls = argc > 1 ? strtoul(argv[1], NULL, 0) : 10000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    struct usage usage0, usage1;
    uint64_t own0, own1;
    unsigned ports0, ports1, left;
    int64_t lost;

    trace = argc > 3 && strcmp(argv[3], "trace") == 0;
    watch = argc > 3 && strcmp(argv[3], "pages") == 0;
    check_reserved();
    privcmd_open();
    arena = (uint8_t *)map_phys(ARENA_PHYS, ARENA_SIZE, 0);
    mmio_page = map_phys(0xfee00000, PAGE, O_SYNC);
    if (!arena || !mmio_page)
        die("mapping of physical memory");
    memset(arena, 0, ARENA_SIZE);
    kernel_text = find_kernel_text();
    edu = find_edu();
    scan_ports(1);
    random_seed(seed);
    /* A first part, so that the second one begins with what such calls leave. */
    run(calls / 4);
    clear_up(&usage0, &own0, &ports0);
    run(calls - calls / 4);
    left = clear_up(&usage1, &own1, &ports1);
    printf("hypercalls: made %lu, of which %lu succeeded; %lu left out\n", made, succeeded, vetoed);
    printf("event channels %u, then %u\n", ports0, ports1);
    printf("own pages %" PRIu64 ", then %" PRIu64 "\n", own0, own1);
    lost = unexplained(&usage0, &usage1, (int64_t)(own1 - own0) - (int64_t)(usage1.pages - usage0.pages));
    return left || ports0 != ports1 || lost;
}
