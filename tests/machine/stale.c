/* SPDX-License-Identifier: MIT */
/*
 * Whether guests ever run on translations that a processor should have forgotten: a guest of a few instructions
 * (stale-guest.S) reads memory while its p2m, its own page tables, its physical CPU and the domain itself change.
 * Processors keep as much as they may only in the emulator's strict mode; elsewhere this passes without proving much.
 * Each check prints a line "ok NAME" or "not ok NAME: why".
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <xen/hvm/save.h>
#include <xenctrl.h>
#include <xenforeignmemory.h>

enum {
    PAGE = 4096,
    CODE_GFN = 1,
    WORDS_GFN = 2,
    DIRECTORY_GFN = 3,
    TABLE_GFN = 4,
    LINEAR = 0x3ff000, /* what the tests' page table entry maps */
    TEST_GFN = 0x800,  /* test pages from here on */
    ROUNDS = 8,
    CHANGES = 40, /* more than twice the tags for guests that the emulated SVM has */
};

enum command { READ = 1, SET_CR3, PAGING_ON, PAGING_OFF, INVLPG };

extern const uint8_t guest_code[], guest_code_end[];

static xc_interface *xch;
static xenforeignmemory_handle *memory;

struct guest {
    uint32_t domid;
    volatile uint32_t *words, *table;
};

static void check(bool good, const char *name, uint32_t got)
{
    if (good)
        printf("ok %s\n", name);
    else
        printf("not ok %s: read %#x\n", name, got);
    fflush(stdout);
}

static void must(bool good, const char *what)
{
    if (good)
        return;
    printf("not ok %s: %s\n", what, strerror(errno));
    exit(1);
}

static void pause_us(long us)
{
    struct timespec t = { 0, us * 1000 };

    nanosleep(&t, NULL);
}

static void *map(const struct guest *g, xen_pfn_t gfn)
{
    int err = 0;
    void *page = xenforeignmemory_map(memory, g->domid, PROT_READ | PROT_WRITE, 1, &gfn, &err);

    must(page && !err, "map a page of the guest");
    return page;
}

static void unmap(volatile void *page)
{
    xenforeignmemory_unmap(memory, (void *)page, 1);
}

static void populate(const struct guest *g, xen_pfn_t gfn, uint32_t value)
{
    uint32_t *page;

    must(!xc_domain_populate_physmap_exact(xch, g->domid, 1, 0, 0, &gfn), "populate");
    page = map(g, gfn);
    *page = value;
    unmap(page);
}

struct context {
    struct hvm_save_descriptor header_d;
    struct hvm_save_header header;
    struct hvm_save_descriptor cpu_d;
    struct hvm_hw_cpu cpu;
    struct hvm_save_descriptor end_d;
}; /* all parts are multiples of 8 bytes: no gaps */

/* 32-bit code at the guest's beginning; with paging, through DIRECTORY_GFN. */
static void set_context(const struct guest *g, bool paging)
{
    struct context c;

    memset(&c, 0, sizeof(c));
    c.header_d = (struct hvm_save_descriptor){ 1, 0, sizeof(c.header) };
    c.header.magic = HVM_FILE_MAGIC;
    c.header.version = HVM_FILE_VERSION;
    c.cpu_d = (struct hvm_save_descriptor){ 2, 0, sizeof(c.cpu) };
    c.cpu.cr0 = paging ? 0x80000011 : 0x11;
    c.cpu.cr3 = DIRECTORY_GFN * PAGE;
    c.cpu.rip = CODE_GFN * PAGE;
    c.cpu.cs_limit = c.cpu.ds_limit = c.cpu.es_limit = c.cpu.ss_limit = c.cpu.fs_limit = c.cpu.gs_limit = ~0u;
    c.cpu.cs_arbytes = 0xc9b;
    c.cpu.ds_arbytes = c.cpu.es_arbytes = c.cpu.ss_arbytes = c.cpu.fs_arbytes = c.cpu.gs_arbytes = 0xc93;
    c.cpu.tr_limit = 0x67;
    c.cpu.tr_arbytes = 0x8b;
    must(!xc_domain_hvm_setcontext(xch, g->domid, (uint8_t *)&c, sizeof(c)), "set the registers");
}

/* Waits until the vCPU runs on a physical CPU. */
static void run_on(const struct guest *g, unsigned cpu)
{
    xc_cpumap_t hard = xc_cpumap_alloc(xch), soft = xc_cpumap_alloc(xch);
    xc_vcpuinfo_t info;

    must(hard && soft, "CPU maps");
    hard[0] = (uint8_t)(1u << cpu);
    soft[0] = 0xff;
    must(!xc_vcpu_setaffinity(xch, g->domid, 0, hard, soft, XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT), "pin");
    free(hard);
    free(soft);
    for (unsigned i = 0; i < 5000; i++) {
        must(!xc_vcpu_getinfo(xch, g->domid, 0, &info), "vCPU's state");
        if (info.cpu == cpu)
            return;
        pause_us(1000);
    }
    must(false, "the vCPU moves");
}

static uint32_t command(struct guest *g, enum command what, uint32_t argument)
{
    uint32_t seq = g->words[0] + 1;

    g->words[2] = what;
    g->words[3] = argument;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    g->words[0] = seq;
    for (unsigned i = 0; i < 20000; i++) {
        if (g->words[1] == seq)
            return g->words[4];
        pause_us(500);
    }
    must(false, "the guest answers");
    return 0;
}

/* Page tables of 4 KiB pages; LINEAR leads to gfn. */
static void make_tables(struct guest *g, xen_pfn_t gfn)
{
    uint32_t *directory = map(g, DIRECTORY_GFN);

    directory[0] = TABLE_GFN * PAGE | 7;
    unmap(directory);
    g->table = map(g, TABLE_GFN);
    for (uint32_t i = 0; i < 1024; i++)
        g->table[i] = i * PAGE | 7;
    g->table[LINEAR / PAGE] = (uint32_t)gfn * PAGE | 7;
}

/* A guest of 2 MiB in one large page, paused; `extra` frames are taken first. */
static void make(struct guest *g, unsigned extra)
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
    xen_pfn_t first = 0;
    uint8_t *code;

    g->domid = 0;
    must(!xc_domain_create(xch, &g->domid, &cfg), "create");
    must(!xc_domain_setmaxmem(xch, g->domid, 16384), "max_mem");
    must(!xc_domain_populate_physmap_exact(xch, g->domid, 1, 9, 0, &first), "memory");
    for (unsigned i = 0; i < extra; i++)
        populate(g, TEST_GFN + 64 + i, 0);
    code = map(g, CODE_GFN);
    memcpy(code, guest_code, (size_t)(guest_code_end - guest_code));
    unmap(code);
    g->words = map(g, WORDS_GFN);
}

static void start(const struct guest *g, bool paging, unsigned cpu)
{
    set_context(g, paging);
    must(!xc_domain_unpause(xch, g->domid), "unpause");
    run_on(g, cpu);
}

static void end(struct guest *g)
{
    xc_domaininfo_t info;

    unmap(g->words);
    if (g->table)
        unmap(g->table);
    g->table = NULL;
    must(!xc_domain_destroy(xch, g->domid), "destroy");
    for (unsigned i = 0; i < 5000; i++) {
        if (xc_domain_getinfolist(xch, g->domid, 1, &info) != 1 || info.domain != g->domid)
            return;
        pause_us(1000);
    }
    must(false, "the guest goes");
}

/* Another frame at the same place; the old one is held, so it keeps what is in it. */
static void p2m_change(bool elsewhere)
{
    struct guest g = { 0 };
    xen_pfn_t gfn = TEST_GFN;
    uint32_t seen, *old;

    make(&g, 0);
    populate(&g, gfn, 0xa);
    start(&g, false, 1);
    seen = command(&g, READ, TEST_GFN * PAGE);
    check(seen == 0xa, "a guest reads its memory", seen);
    if (elsewhere)
        run_on(&g, 0);
    old = map(&g, gfn);
    must(!xc_domain_decrease_reservation_exact(xch, g.domid, 1, 0, &gfn), "take a page away");
    if (elsewhere) {
        command(&g, READ, 0);
    } else {
        seen = command(&g, READ, TEST_GFN * PAGE);
        check(seen == ~0u, "a page that was taken away is not there any more", seen);
    }
    populate(&g, gfn, 0xb);
    if (elsewhere)
        run_on(&g, 1);
    seen = command(&g, READ, TEST_GFN * PAGE);
    check(seen == 0xb, elsewhere ? "another frame in its place is seen by a CPU that comes back" :
                                   "another frame in its place is seen", seen);
    unmap(old);
    end(&g);
}

/* So many changes that a CPU which tags what it knows of a guest has to use tags again. */
static void p2m_many(void)
{
    struct guest g = { 0 };
    xen_pfn_t gfn = TEST_GFN;
    uint32_t seen, *old[CHANGES], wrong = 0;

    make(&g, 0);
    populate(&g, gfn, 0);
    start(&g, false, 1);
    for (unsigned i = 0; i < CHANGES; i++) {
        seen = command(&g, READ, TEST_GFN * PAGE);
        if (seen != i)
            wrong = seen;
        old[i] = map(&g, gfn); /* so that its frame is not used again */
        must(!xc_domain_decrease_reservation_exact(xch, g.domid, 1, 0, &gfn), "take a page away");
        populate(&g, gfn, i + 1);
    }
    check(!wrong, "each of many frames in one place is seen", wrong);
    for (unsigned i = 0; i < CHANGES; i++)
        unmap(old[i]);
    end(&g);
}

/* Domains in each other's tables, one after the other. */
static void p2m_reuse(void)
{
    struct guest g = { 0 };
    uint32_t seen = 0, wrong = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        make(&g, i * 5 % ROUNDS);
        populate(&g, TEST_GFN, 0x100 + i);
        start(&g, false, 1);
        seen = command(&g, READ, TEST_GFN * PAGE);
        if (seen != 0x100 + i)
            wrong = seen;
        end(&g);
    }
    check(!wrong, "a domain does not see a former one's memory", wrong);
}

static void two_pages(struct guest *g)
{
    make(g, 0);
    populate(g, TEST_GFN, 0xa);
    populate(g, TEST_GFN + 1, 0xb);
    make_tables(g, TEST_GFN);
}

/* The guest invalidates on one CPU what another remembers. */
static void move(void)
{
    struct guest g = { 0 };
    uint32_t seen;

    two_pages(&g);
    start(&g, true, 0);
    seen = command(&g, READ, LINEAR);
    check(seen == 0xa, "a guest reads through its page tables", seen);
    run_on(&g, 1);
    g.table[LINEAR / PAGE] = (TEST_GFN + 1) * PAGE | 7;
    command(&g, INVLPG, LINEAR);
    seen = command(&g, READ, LINEAR);
    check(seen == 0xb, "INVLPG makes it see a changed entry", seen);
    run_on(&g, 0);
    seen = command(&g, READ, LINEAR);
    check(seen == 0xb, "on a CPU to which the vCPU comes back, too", seen);
    end(&g);
}

static void paging_off(void)
{
    struct guest g = { 0 };
    uint32_t seen;

    two_pages(&g);
    start(&g, false, 1);
    command(&g, SET_CR3, DIRECTORY_GFN * PAGE);
    command(&g, PAGING_ON, 0);
    seen = command(&g, READ, LINEAR);
    check(seen == 0xa, "a guest turns paging on", seen);
    command(&g, PAGING_OFF, 0);
    g.table[LINEAR / PAGE] = (TEST_GFN + 1) * PAGE | 7;
    command(&g, PAGING_ON, 0);
    seen = command(&g, READ, LINEAR);
    check(seen == 0xb, "turning it off and on makes it see a changed entry", seen);
    end(&g);
}

static void new_registers(void)
{
    struct guest g = { 0 };
    uint32_t seen;

    two_pages(&g);
    start(&g, true, 1);
    command(&g, READ, LINEAR);
    must(!xc_domain_pause(xch, g.domid), "pause");
    g.table[LINEAR / PAGE] = (TEST_GFN + 1) * PAGE | 7;
    start(&g, true, 1);
    seen = command(&g, READ, LINEAR);
    check(seen == 0xb, "registers that a tool sets make a guest see a changed entry", seen);
    end(&g);
}

int main(void)
{
    xch = xc_interface_open(NULL, NULL, 0);
    memory = xenforeignmemory_open(NULL, 0);
    must(xch && memory, "open");
    p2m_change(false);
    p2m_change(true);
    p2m_many();
    p2m_reuse();
    move();
    paging_off();
    new_registers();
    xc_interface_close(xch);
    return 0;
}
