/* SPDX-License-Identifier: MIT */
/*
 * A guest that makes hypercalls: random numbers, sub-operations, arguments, pointers, structures. What it leaves out is
 * what would end it before it has made them all. It says on its console how many it made, and what some answered.
 *
 * Command line: calls=N seed=N
 */
#define __XEN_TOOLS__ 1
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/xen.h>

#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define PAGE       4096ull
#define ARENA      0x4000000ull /* 64 MiB: where structures and lists are made */
#define ARENA_SIZE 0x400000ull
#define HOLE       0xd0000ull   /* guest frames without memory, below 4 GiB */
#define RAM_END    0x8000ull    /* frames: 128 MiB */
#define OWN        0x1000ull    /* frames from here on hold this program, its page tables and the arena */
#define SAFE       0x5000ull    /* frames from here to RAM_END are nobody's */

void guest_main(void);
void on_exception(void);
extern uint8_t unexpected[];
extern uint32_t start_info;

static struct {
    uint16_t off0, sel;
    uint8_t ist, type;
    uint16_t off1;
    uint32_t off2, zero;
} idt[256];

static uint64_t state = 88172645463325252ull;

static uint64_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t below(uint64_t n)
{
    return rnd() % n;
}

static bool one_in(unsigned n)
{
    return below(n) == 0;
}

static bool amd;

static long call(uint64_t nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    register uint64_t r10 __asm__("r10") = a4;
    register uint64_t r8 __asm__("r8") = a5;
    long rc;

    if (amd)
        __asm__ volatile("vmmcall" : "=a"(rc), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10), "+r"(r8)
                         : "a"(nr) : "rbx", "rcx", "r9", "r11", "memory");
    else
        __asm__ volatile("vmcall" : "=a"(rc), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10), "+r"(r8)
                         : "a"(nr) : "rbx", "rcx", "r9", "r11", "memory");
    return rc;
}

/* ---- the console ---- */

static struct xencons_interface *console;
static uint32_t console_port;

static uint64_t param(uint32_t index)
{
    struct xen_hvm_param p = { .domid = DOMID_SELF, .index = index };

    return call(__HYPERVISOR_hvm_op, HVMOP_get_param, (uint64_t)&p, 0, 0, 0) ? 0 : p.value;
}

static void say(const char *s)
{
    struct evtchn_send send = { .port = console_port };

    for (; *s; s++) {
        while (console->out_prod - console->out_cons >= sizeof(console->out))
            call(__HYPERVISOR_sched_op, SCHEDOP_yield, 0, 0, 0, 0);
        console->out[console->out_prod % sizeof(console->out)] = *s;
        __atomic_store_n(&console->out_prod, console->out_prod + 1, __ATOMIC_SEQ_CST);
    }
    call(__HYPERVISOR_event_channel_op, EVTCHNOP_send, (uint64_t)&send, 0, 0, 0);
}

static void say_number(uint64_t n)
{
    char text[24], *p = text + 23;

    *p = 0;
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    say(p);
}

void on_exception(void)
{
    say("FUZZ-EXCEPTION\r\n");
}

/* ---- arguments ---- */

/* Numbers that programs stumble over. */
static uint64_t odd(void)
{
    static const uint64_t list[] = { 0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7ff0, 0x7ff1, 0xffff,
                                     ~0ull, ~0ull >> 1, 1ull << 63, 0xfff, 0xfee00, 0x100000 };

    return one_in(3) ? rnd() : one_in(2) ? below(64) : list[below(sizeof(list) / sizeof(list[0]))];
}

static uint64_t any_pointer(void)
{
    switch (below(8)) {
    case 0: return odd();
    case 1: return ARENA + ARENA_SIZE - below(300);
    case 2: return HOLE * PAGE + below(8192);
    case 3: return 0xfee00000 + below(4096);
    case 4: return 1ull << 47 | rnd();
    default: return ARENA + (below(ARENA_SIZE - PAGE) & ~7ull);
    }
}

static uint64_t any_gfn(void)
{
    uint64_t gfn = odd();

    switch (below(6)) {
    case 0: return gfn >= OWN - 8 && gfn < SAFE ? gfn + SAFE : gfn;
    case 1: return HOLE + below(512);
    case 2: return 0xfee00 + below(2);
    case 3: return RAM_END - 4 + below(8);
    default: return SAFE + below(RAM_END - SAFE);
    }
}

static uint16_t any_domid(void)
{
    static const uint16_t list[] = { DOMID_SELF, DOMID_SELF, DOMID_SELF, 0, 1, 2, 3, DOMID_IO, DOMID_XEN, DOMID_INVALID };

    return one_in(8) ? (uint16_t)rnd() : list[below(sizeof(list) / sizeof(list[0]))];
}

static uint8_t *room(size_t n)
{
    uint8_t *p = (uint8_t *)(ARENA + (below(ARENA_SIZE - n - PAGE) & ~7ull));

    for (size_t i = 0; i < n; i++)
        p[i] = 0;
    return p;
}

/* Words of noise, of which many are small, or name a domain, a frame, or memory. */
static uint64_t noise(size_t words)
{
    uint64_t *p = (uint64_t *)room(words * 8);

    for (size_t i = 0; i < words; i++)
        p[i] = one_in(4) ? any_pointer() : one_in(3) ? any_gfn() : one_in(3) ? any_domid() : odd();
    return (uint64_t)p;
}

static uint64_t gfn_list(unsigned n)
{
    uint64_t *p = (uint64_t *)room(n * 8);

    for (unsigned i = 0; i < n; i++)
        p[i] = any_gfn();
    return (uint64_t)p;
}

/*
 * Where a list without end may begin: behind it memory ends soon. What such a list does elsewhere, the guest would not live to
 * tell: it names its own frames, and results are written behind each element.
 */
static uint64_t end_of_memory(size_t element)
{
    return RAM_END * PAGE - element * (1 + below(100));
}

/* ---- calls of the right shape ---- */

static long memory(void)
{
    struct xen_memory_reservation *r = (void *)room(sizeof(*r));
    struct xen_add_to_physmap *a = (void *)room(sizeof(*a));
    struct xen_remove_from_physmap *m = (void *)room(sizeof(*m));
    struct xen_add_to_physmap_batch *b = (void *)room(sizeof(*b));
    unsigned n = (unsigned)below(64), cmd = (unsigned)below(29);

    switch (below(5)) {
    case 0:
        r->nr_extents = n;
        r->extent_order = one_in(4) ? (unsigned)odd() : one_in(3) ? 9 : (unsigned)below(3);
        r->domid = any_domid();
        r->mem_flags = one_in(4) ? (unsigned)odd() : 0;
        set_xen_guest_handle(r->extent_start, (xen_pfn_t *)gfn_list(n));
        /* Large extents at any frame would hold this program as well. */
        for (unsigned i = 0; r->extent_order > 2 && i < n; i++)
            r->extent_start.p[i] = one_in(2) ? HOLE + below(1024) : RAM_END + rnd();
        if (one_in(8)) {
            r->nr_extents = odd();
            set_xen_guest_handle(r->extent_start, (xen_pfn_t *)end_of_memory(sizeof(xen_pfn_t)));
        }
        return call(__HYPERVISOR_memory_op, (one_in(2) ? 1 : 6) | (one_in(8) ? below(64) << 6 : 0), (uint64_t)r, 0, 0, 0);
    case 1:
        a->domid = any_domid();
        a->space = (unsigned)below(6);
        a->size = (uint16_t)below(8);
        a->idx = one_in(2) ? below(4) : any_gfn();
        a->gpfn = any_gfn();
        return call(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, (uint64_t)a, 0, 0, 0);
    case 2:
        m->domid = any_domid();
        m->gpfn = any_gfn();
        return call(__HYPERVISOR_memory_op, XENMEM_remove_from_physmap, (uint64_t)m, 0, 0, 0);
    case 3:
        b->domid = any_domid();
        b->space = (uint16_t)below(6);
        b->size = (uint16_t)n;
        b->u.foreign_domid = any_domid();
        set_xen_guest_handle(b->idxs, (xen_ulong_t *)gfn_list(n));
        set_xen_guest_handle(b->gpfns, (xen_pfn_t *)gfn_list(n));
        set_xen_guest_handle(b->errs, (int *)gfn_list(n));
        return call(__HYPERVISOR_memory_op, XENMEM_add_to_physmap_batch, (uint64_t)b, 0, 0, 0);
    default:
        return call(__HYPERVISOR_memory_op, cmd, noise(8), 0, 0, 0);
    }
}

static long events(void)
{
    uint32_t *e = (uint32_t *)room(64);
    unsigned cmd = (unsigned)below(15);

    for (unsigned i = 0; i < 6; i++)
        e[i] = one_in(3) ? (uint32_t)odd() : (uint32_t)below(64);
    if (one_in(2) || cmd == EVTCHNOP_reset)
        *(uint16_t *)e = any_domid();
    /* The console stays: what would be said of the end. */
    if ((cmd == EVTCHNOP_close && e[0] == console_port) || cmd == EVTCHNOP_reset)
        cmd = EVTCHNOP_status;
    return call(__HYPERVISOR_event_channel_op, cmd, (uint64_t)e, 0, 0, 0);
}

static long grants(void)
{
    static const uint8_t size[] = { 40, 24, 32, 8, 24, 64, 24, 32, 8, 24, 8, 8, 24 };
    unsigned cmd = (unsigned)below(13);
    uint64_t p = noise(8 * 8);

    for (unsigned i = 0; i < 8 && one_in(2); i++)
        *(uint16_t *)(p + i * size[cmd] + size[cmd] / 2) = any_domid();
    if (one_in(8))
        return call(__HYPERVISOR_grant_table_op, cmd, end_of_memory(size[cmd]), odd(), 0, 0);
    return call(__HYPERVISOR_grant_table_op, cmd, p, below(8), 0, 0);
}

static long vcpus(void)
{
    unsigned cmd = (unsigned)below(15);
    uint64_t p = noise(16);

    /* It would not come back from being down, and has no use for an NMI. */
    if (cmd == VCPUOP_down || cmd == VCPUOP_send_nmi)
        cmd = VCPUOP_is_up;
    return call(__HYPERVISOR_vcpu_op, cmd, one_in(2) ? 0 : odd(), p, 0, 0);
}

static long scheduling(void)
{
    unsigned cmd = (unsigned)below(9);

    if (cmd == SCHEDOP_block || cmd == SCHEDOP_shutdown || cmd == SCHEDOP_poll || cmd == SCHEDOP_watchdog)
        cmd = SCHEDOP_yield;
    return call(__HYPERVISOR_sched_op, cmd, noise(8), 0, 0, 0);
}

static long parameters(void)
{
    struct xen_hvm_param *p = (void *)room(sizeof(*p));
    unsigned cmd = one_in(2) ? (unsigned)below(2) : (unsigned)below(27);

    p->domid = any_domid();
    p->index = one_in(8) ? (uint32_t)odd() : (uint32_t)below(HVM_NR_PARAMS + 2);
    p->value = one_in(2) ? any_gfn() : odd();
    /* An interrupt that is asked for would come. */
    if (cmd == HVMOP_set_evtchn_upcall_vector || (cmd == HVMOP_set_param && p->index == HVM_PARAM_CALLBACK_IRQ))
        cmd = HVMOP_get_param;
    return call(__HYPERVISOR_hvm_op, cmd, (uint64_t)p, 0, 0, 0);
}

/* Those of the control domain, with versions that are right: each must be refused. */
static bool privileged(void)
{
    static const struct {
        uint8_t nr;
        uint32_t version;
    } list[] = { { 36, 0x15 }, { 35, 0x15 }, { 7, 0x03000001 }, { 33, 0 }, { 55, 1 }, { 18, 0 }, { 41, 0 } };
    unsigned i = (unsigned)below(sizeof(list) / sizeof(list[0]));
    uint64_t p = noise(20);

    ((uint32_t *)p)[0] = (uint32_t)below(90);
    ((uint32_t *)p)[1] = list[i].version;
    return call(list[i].nr, list[i].version ? p : below(40), list[i].version ? 0 : p, p, 0, 0) < 0;
}

/* Any number at all, with any arguments; not what ends, stops or moves the guest itself. */
static long anything(void)
{
    uint64_t nr = one_in(4) ? odd() : below(64), a[5];

    for (unsigned i = 0; i < 5; i++)
        a[i] = one_in(2) ? any_pointer() : odd();
    if ((uint32_t)nr == __HYPERVISOR_sched_op || (uint32_t)nr == __HYPERVISOR_vcpu_op ||
        (uint32_t)nr == __HYPERVISOR_event_channel_op || (uint32_t)nr == __HYPERVISOR_hvm_op ||
        (uint32_t)nr == __HYPERVISOR_memory_op || (uint32_t)nr == __HYPERVISOR_multicall)
        return 0;
    return call(nr, a[0], a[1], a[2], a[3], a[4]);
}

static long many_at_once(void)
{
    struct multicall_entry *e = (void *)room(8 * sizeof(*e));

    for (unsigned i = 0; i < 8; i++) {
        e[i].op = one_in(4) ? __HYPERVISOR_multicall : one_in(2) ? __HYPERVISOR_xen_version : 40 + below(30);
        e[i].args[0] = one_in(2) ? below(12) : odd();
        e[i].args[1] = any_pointer();
    }
    if (one_in(4))
        return call(__HYPERVISOR_multicall, one_in(2) ? odd() : HOLE * PAGE - below(200), below(9), 0, 0, 0);
    if (one_in(8))
        return call(__HYPERVISOR_multicall, end_of_memory(sizeof(*e)), odd(), 0, 0, 0);
    return call(__HYPERVISOR_multicall, (uint64_t)e, below(9), 0, 0, 0);
}

/* ---- */

static uint64_t number(const char *text, const char *key, uint64_t standard)
{
    uint64_t n = 0;

    for (; *text; text++) {
        unsigned i = 0;

        while (key[i] && text[i] == key[i])
            i++;
        if (key[i])
            continue;
        for (text += i; *text >= '0' && *text <= '9'; text++)
            n = n * 10 + (uint64_t)(*text - '0');
        return n;
    }
    return standard;
}

static void catch_exceptions(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) desc = { sizeof(idt) - 1, (uint64_t)idt };
    uint64_t at = (uint64_t)unexpected;

    for (unsigned i = 0; i < 256; i++) {
        idt[i].off0 = (uint16_t)at;
        idt[i].sel = 8;
        idt[i].type = 0x8e;
        idt[i].off1 = (uint16_t)(at >> 16);
        idt[i].off2 = (uint32_t)(at >> 32);
    }
    __asm__ volatile("lidt %0" ::"m"(desc));
}

static bool is_amd(void)
{
    uint32_t a = 0, b, c, d;

    __asm__("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return c == 0x444d4163; /* the end of "AuthenticAMD" */
}

void guest_main(void)
{
    static long (*const kinds[])(void) = { memory, events, grants, vcpus, scheduling, parameters, anything, many_at_once };
    /* The start info of the PVH boot protocol: the command line's address at offset 24. */
    const char *line = (const char *)*(uint64_t *)((uint64_t)start_info + 24);
    uint64_t calls = number(line, "calls=", 10000), good = 0, let_in = 0;
    struct sched_shutdown off = { .reason = SHUTDOWN_poweroff };

    catch_exceptions();
    amd = is_amd();
    state ^= number(line, "seed=", 1) * 0x9e3779b97f4a7c15ull;
    console = (void *)(param(HVM_PARAM_CONSOLE_PFN) * PAGE);
    console_port = (uint32_t)param(HVM_PARAM_CONSOLE_EVTCHN);
    say("FUZZ-START\r\n");
    for (uint64_t i = 0; i < calls; i++) {
        if (one_in(9))
            let_in += !privileged();
        else
            good += kinds[below(sizeof(kinds) / sizeof(kinds[0]))]() >= 0;
    }
    say("FUZZ-DONE calls=");
    say_number(calls);
    say(" good=");
    say_number(good);
    say(" let-in=");
    say_number(let_in);
    say("\r\n");
    call(__HYPERVISOR_sched_op, SCHEDOP_shutdown, (uint64_t)&off, 0, 0, 0);
}
