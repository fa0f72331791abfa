/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's side of guests as libxenctrl and libxenguest see it, without a kernel in the
 * guest: a few instructions of machine code stand for one. Each check prints a line "ok NAME" or
 * "not ok NAME: why".
 *
 * domcycle guests       what small guests do and how they end
 * domcycle refused      what must be refused, and changes nothing
 * domcycle foreign      a dead domain's memory while somebody still maps it
 * domcycle many         as many domains as there can be
 * domcycle cycles N     N domains made, filled and destroyed; everything must be as before
 * domcycle hostile N    N random domctls on a domain
 */
#include <cpuid.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <xen/hvm/save.h>
#include <xen/memory.h>
#include <xencall.h>
#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xenguest.h>

enum { PAGES = 1024, CODE_GFN = 1, DATA_GFN = 2, MEMORY_KB = 4 * PAGES };

static xc_interface *xch;
static xenforeignmemory_handle *memory;

static void check(bool good, const char *name)
{
    if (good)
        printf("ok %s\n", name);
    else
        printf("not ok %s: errno %d (%s)\n", name, errno, strerror(errno));
    fflush(stdout);
}

static void give_up(const char *what)
{
    check(false, what);
    exit(1);
}

static void pause_ms(unsigned ms)
{
    struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

    nanosleep(&t, NULL);
}

/* ---- a domain ---- */

static struct xen_domctl_createdomain usual_config(unsigned vcpus)
{
    return (struct xen_domctl_createdomain){
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
        .max_vcpus = vcpus,
        .max_evtchn_port = 1023,
        .max_grant_frames = -1,
        .max_maptrack_frames = -1,
        .grant_opts = XEN_DOMCTL_GRANT_version(1),
        .arch.emulation_flags = XEN_X86_EMU_LAPIC,
    };
}

static int create(unsigned vcpus, uint32_t *domid)
{
    struct xen_domctl_createdomain cfg = usual_config(vcpus);

    *domid = 0;
    return xc_domain_create(xch, domid, &cfg);
}

/* 4 MiB in two large pages; the first holds the code. */
static int fill(uint32_t domid)
{
    xen_pfn_t large[PAGES / 512];

    for (unsigned i = 0; i < PAGES / 512; i++)
        large[i] = i * 512;
    if (xc_domain_setmaxmem(xch, domid, MEMORY_KB + 1024))
        return -1;
    return xc_domain_populate_physmap_exact(xch, domid, PAGES / 512, 9, 0, large);
}

static void *map(uint32_t domid, xen_pfn_t gfn)
{
    int err;
    void *page = xenforeignmemory_map(memory, domid, PROT_READ | PROT_WRITE, 1, &gfn, &err);

    return page && !err ? page : NULL;
}

/* 32-bit code without paging, like the entry of a PVH kernel. */
static void entry_state(struct hvm_hw_cpu *c)
{
    memset(c, 0, sizeof(*c));
    c->cr0 = 0x11;
    c->rip = CODE_GFN * 4096;
    c->cs_limit = c->ds_limit = c->es_limit = c->ss_limit = c->fs_limit = c->gs_limit = ~0u;
    c->cs_arbytes = 0xc9b;
    c->ds_arbytes = c->es_arbytes = c->ss_arbytes = c->fs_arbytes = c->gs_arbytes = 0xc93;
    c->tr_limit = 0x67;
    c->tr_arbytes = 0x8b;
}

struct context {
    struct hvm_save_descriptor header_d;
    struct hvm_save_header header;
    struct hvm_save_descriptor cpu_d;
    struct hvm_hw_cpu cpu;
    struct hvm_save_descriptor end_d;
}; /* all parts are multiples of 8 bytes: no gaps */

static void make_context(struct context *c, unsigned vcpu)
{
    memset(c, 0, sizeof(*c));
    c->header_d = (struct hvm_save_descriptor){ 1, 0, sizeof(c->header) };
    c->header.magic = HVM_FILE_MAGIC;
    c->header.version = HVM_FILE_VERSION;
    c->cpu_d = (struct hvm_save_descriptor){ 2, (uint16_t)vcpu, sizeof(c->cpu) };
    entry_state(&c->cpu);
}

static int set_context(uint32_t domid, struct context *c)
{
    return xc_domain_hvm_setcontext(xch, domid, (uint8_t *)c, sizeof(*c));
}

/* What load() changes in the registers. */
static void (*change_state)(struct hvm_hw_cpu *c);

/* Puts code into the guest and makes its first vCPU ready to run it. */
static int load(uint32_t domid, const uint8_t *code, size_t len)
{
    struct context c;
    uint8_t *page = map(domid, CODE_GFN);

    if (!page)
        return -1;
    memcpy(page, code, len);
    xenforeignmemory_unmap(memory, page, 1);
    make_context(&c, 0);
    if (change_state)
        change_state(&c.cpu);
    return set_context(domid, &c);
}

static bool info_of(uint32_t domid, xc_domaininfo_t *info)
{
    return xc_domain_getinfolist(xch, domid, 1, info) == 1 && info->domain == domid;
}

/* Waits until the domain has shut down; its reason, or -1. */
static int wait_shutdown(uint32_t domid)
{
    xc_domaininfo_t info;

    for (unsigned i = 0; i < 200; i++) {
        if (!info_of(domid, &info))
            return -1;
        if (info.flags & XEN_DOMINF_shutdown)
            return (int)(info.flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask);
        pause_ms(10);
    }
    return -1;
}

static bool gone(uint32_t domid)
{
    xc_domaininfo_t info;

    for (unsigned i = 0; i < 100; i++) {
        if (!info_of(domid, &info))
            return true;
        pause_ms(10);
    }
    return false;
}

/* ---- small guests ---- */

/* Runs code in a fresh domain until it shuts down. The first words of its data page go to data[].
 */
static int run_guest(const uint8_t *code, size_t len, uint32_t data[4])
{
    uint32_t domid;
    uint32_t *page;
    int reason;

    if (create(1, &domid))
        return -2;
    if (fill(domid) || load(domid, code, len) || xc_domain_unpause(xch, domid)) {
        xc_domain_destroy(xch, domid);
        return -3;
    }
    reason = wait_shutdown(domid);
    page = map(domid, DATA_GFN);
    if (page && data)
        memcpy(data, page, 4 * sizeof(data[0]));
    if (page)
        xenforeignmemory_unmap(memory, page, 1);
    xc_domain_destroy(xch, domid);
    return gone(domid) ? reason : -4;
}

static const uint8_t code_halt[] = { 0xfa, 0xf4 }; /* cli; hlt */
/* lidt of an empty table, then int3 */
static const uint8_t code_triple[] = { 0x0f, 0x01, 0x1d, 0x00, 0x20, 0x00, 0x00, 0xcc };
/* mov $NR, %eax; xor %ebx, %ebx; vmmcall, or vmcall by call_insn(); mov %eax, 0x2000; cli; hlt */
#define CODE_CALL(nr)                                                                              \
    {                                                                                              \
        0xb8, nr, 0, 0, 0, 0x31, 0xdb, 0xbb, 0x00, 0x20, 0x00, 0x00, 0x0f, 0x01, 0xd9, 0xa3, 0x00, \
            0x20, 0x00, 0x00, 0xfa, 0xf4                                                           \
    }
#define CODE_CALL_INSN 14 /* the instruction's last byte */
static uint8_t code_domctl[] = CODE_CALL(36);
static uint8_t code_sysctl[] = CODE_CALL(35);
static uint8_t code_platform[] = CODE_CALL(7);
static uint8_t code_unknown[] = CODE_CALL(60);
/* in (%dx), %al from port 0x3f8 and in 0x61; mov %eax, 0x2000; movl of unmapped memory; cli; hlt */
static const uint8_t code_ports[] = {
    0x31, 0xc0, 0x66, 0xba, 0xf8, 0x03, 0xec, 0xa3, 0x00, 0x20, 0x00, 0x00, 0xe4,
    0x61, 0xa3, 0x04, 0x20, 0x00, 0x00, 0xee, 0xa1, 0x00, 0x00, 0x00, 0xd0, 0xa3,
    0x08, 0x20, 0x00, 0x00, 0xa3, 0x00, 0x00, 0x00, 0xd0, 0xfa, 0xf4,
};

/*
 * lgdt; mov $8, %ax; ltr %ax; ljmp $16, $0; cli; hlt. The table: null, an available TSS at 0x2100, another at 0x2200, and
 * its pseudo-descriptor.
 */
static const uint8_t code_task[] = {
    0x0f, 0x01, 0x15, 0x30, 0x10, 0x00, 0x00, 0x66, 0xb8, 0x08, 0x00, 0x0f, 0x00, 0xd8, 0xea, 0x00,
    0x00, 0x00, 0x00, 0x10, 0x00, 0xfa, 0xf4, 0x90, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x67, 0x00, 0x00, 0x21, 0x00, 0x89, 0x00, 0x00, 0x67, 0x00, 0x00, 0x22, 0x00, 0x89, 0x00, 0x00,
    0x17, 0x00, 0x18, 0x10, 0x00, 0x00,
};

static void call_insn(void)
{
    unsigned a, b, c, d;

    __cpuid(0, a, b, c, d);
    if (b == signature_INTEL_ebx)
        code_domctl[CODE_CALL_INSN] = code_sysctl[CODE_CALL_INSN] = code_platform[CODE_CALL_INSN] =
            code_unknown[CODE_CALL_INSN] = 0xc1;
}

static void guests(void)
{
    uint32_t data[4];
    int reason;

    call_insn();
    check(run_guest(code_halt, sizeof(code_halt), NULL) == SHUTDOWN_poweroff,
          "HLT with interrupts off on all vCPUs is power-off");
    check(run_guest(code_triple, sizeof(code_triple), NULL) == SHUTDOWN_reboot,
          "a triple fault is a reboot");
    reason = run_guest(code_task, sizeof(code_task), NULL);
    /* QEMU 7.2's SVM lacks the intercept: the new task is empty and ends in a triple fault. */
    check(reason == SHUTDOWN_crash || reason == SHUTDOWN_reboot,
          "a hardware task switch, which is not emulated, ends the guest");
    memset(data, 0, sizeof(data));
    check(run_guest(code_domctl, sizeof(code_domctl), data) == SHUTDOWN_poweroff &&
              ((int32_t)data[0] == -EACCES || (int32_t)data[0] == -EPERM),
          "domctl is refused to a guest");
    check(run_guest(code_sysctl, sizeof(code_sysctl), data) == SHUTDOWN_poweroff &&
              ((int32_t)data[0] == -EACCES || (int32_t)data[0] == -EPERM),
          "sysctl is refused to a guest");
    check(run_guest(code_platform, sizeof(code_platform), data) == SHUTDOWN_poweroff &&
              (int32_t)data[0] < 0,
          "platform_op is refused to a guest");
    check(run_guest(code_unknown, sizeof(code_unknown), data) == SHUTDOWN_poweroff &&
              (int32_t)data[0] == -ENOSYS,
          "an unknown hypercall is -ENOSYS");
    check(run_guest(code_ports, sizeof(code_ports), data) == SHUTDOWN_poweroff &&
              (data[0] & 0xff) == 0xff && (data[1] & 0xff) == 0xff && data[2] == ~0u,
          "ports and unclaimed memory read as ones, writes are dropped");
}

/* ---- registers that no CPU would have ---- */

static void bad_cs(struct hvm_hw_cpu *c)
{
    c->cs_arbytes = 0xc93; /* data */
}

static void bad_cs_limit(struct hvm_hw_cpu *c)
{
    c->cs_limit = 0xfffffffe; /* with granularity */
}

static void bad_tr(struct hvm_hw_cpu *c)
{
    c->tr_arbytes = 0;
}

static void bad_ldtr(struct hvm_hw_cpu *c)
{
    c->ldtr_arbytes = 0x93;
}

static void bad_ss(struct hvm_hw_cpu *c)
{
    c->ss_arbytes = 0xc99;
}

static void bad_mode(struct hvm_hw_cpu *c)
{
    c->rflags = 0x20000u;
}

static void bad_rip(struct hvm_hw_cpu *c)
{
    c->rip = 1ull << 40; /* in 32-bit code */
}

static void bad_dr7(struct hvm_hw_cpu *c)
{
    c->dr7 = 0xffff0000;
}

static void bad_event(struct hvm_hw_cpu *c)
{
    c->pending_vector = 0x80;
    c->pending_type = 0; /* an interrupt, and RFLAGS.IF is clear */
    c->pending_valid = 1;
}

static void bad_soft_event(struct hvm_hw_cpu *c)
{
    c->pending_vector = 0x80;
    c->pending_type = 4;
    c->pending_valid = 1;
}

/*
 * CPUs differ in what they refuse to enter a guest with. Whatever becomes of the domain (its registers are refused, it
 * crashes, or it does what its code says), it ends, and the machine goes on.
 */
static void states(void)
{
    static const struct {
        const char *name;
        void (*change)(struct hvm_hw_cpu *c);
    } bad[] = {
        { "CS is data", bad_cs },         { "CS limit", bad_cs_limit }, { "no TR", bad_tr },
        { "LDTR is data", bad_ldtr },     { "SS is code", bad_ss },     { "virtual-8086", bad_mode },
        { "RIP beyond 4 GiB", bad_rip },  { "DR7", bad_dr7 },           { "interrupt", bad_event },
        { "software interrupt", bad_soft_event },
    };

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[80];
        int reason;

        change_state = bad[i].change;
        reason = run_guest(code_halt, sizeof(code_halt), NULL);
        change_state = NULL;
        snprintf(text, sizeof(text), "a guest with strange registers ends: %s", bad[i].name);
        check(reason == -3 || reason == SHUTDOWN_crash || reason == SHUTDOWN_reboot ||
                  reason == SHUTDOWN_poweroff,
              text);
        printf("# %s: %d\n", bad[i].name, reason);
    }
    check(run_guest(code_halt, sizeof(code_halt), NULL) == SHUTDOWN_poweroff, "a guest as it should be runs");
}

/* ---- refusals ---- */

static int create_with(const struct xen_domctl_createdomain *base, uint32_t domid)
{
    struct xen_domctl_createdomain cfg = *base;
    uint32_t got = domid;
    int rc = xc_domain_create(xch, &got, &cfg);

    if (!rc)
        xc_domain_destroy(xch, got);
    return rc;
}

static void refuse_creations(void)
{
    struct xen_domctl_createdomain c;

    c = usual_config(0);
    check(create_with(&c, 0) && errno == EINVAL, "0 vCPUs");
    c = usual_config(10000);
    check(create_with(&c, 0) && errno == EINVAL, "10,000 vCPUs");
    c = usual_config(1);
    c.flags = 0;
    check(create_with(&c, 0) && errno == EOPNOTSUPP, "a paravirtual domain");
    c = usual_config(1);
    c.flags |= XEN_DOMCTL_CDF_nested_virt;
    check(create_with(&c, 0) && errno == EOPNOTSUPP, "nested virtualisation");
    c = usual_config(1);
    c.arch.emulation_flags = XEN_X86_EMU_ALL;
    check(create_with(&c, 0) && errno == EOPNOTSUPP, "devices that are not emulated");
    c = usual_config(1);
    c.max_grant_frames = 1000000;
    check(create_with(&c, 0) && errno == EINVAL, "too many grant frames");
    c = usual_config(1);
    check(create_with(&c, 0x7ff4) == 0, "an id that no domain can have means any");
}

/* Every change of a good context that a processor or the hypervisor could stumble over. */
static void refuse_contexts(uint32_t domid)
{
    static const struct {
        const char *name;
        size_t offset;
        uint64_t value;
    } bad[] = {
        { "CR0 with bit 40", offsetof(struct hvm_hw_cpu, cr0), 1ULL << 40 },
        { "paging without protection", offsetof(struct hvm_hw_cpu, cr0), 0x80000000 },
        { "unknown CR4 bits", offsetof(struct hvm_hw_cpu, cr4), 1ULL << 30 },
        { "VMXE", offsetof(struct hvm_hw_cpu, cr4), 1ULL << 13 },
        { "SVME", offsetof(struct hvm_hw_cpu, msr_efer), 1ULL << 12 },
        { "LMA without LME", offsetof(struct hvm_hw_cpu, msr_efer), 1ULL << 10 },
        { "CR3 beyond the address width", offsetof(struct hvm_hw_cpu, cr3), 1ULL << 60 },
        { "unknown flags", offsetof(struct hvm_hw_cpu, rflags), 1ULL << 35 },
        { "DR7 with bit 32", offsetof(struct hvm_hw_cpu, dr7), 1ULL << 32 },
        { "LSTAR that is not canonical", offsetof(struct hvm_hw_cpu, msr_lstar), 1ULL << 60 },
        { "rip that is not canonical", offsetof(struct hvm_hw_cpu, rip), 1ULL << 55 },
    };
    struct context c;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        make_context(&c, 0);
        memcpy((char *)&c.cpu + bad[i].offset, &bad[i].value, 8);
        check(set_context(domid, &c) && errno == EINVAL, bad[i].name);
    }
    make_context(&c, 0);
    c.cpu.flags = 1;
    memset(c.cpu.fpu_regs, 0xff, 32);
    check(set_context(domid, &c) && errno == EINVAL, "reserved bits of MXCSR");
    make_context(&c, 5);
    check(set_context(domid, &c) && errno == EINVAL, "a vCPU that is not there");
    make_context(&c, 0);
    c.cpu_d.length--;
    check(set_context(domid, &c) && errno == EINVAL, "a record of another length");
    make_context(&c, 0);
    c.header.magic = 0;
    check(set_context(domid, &c) && errno == EINVAL, "a header of something else");
    make_context(&c, 0);
    check(xc_domain_hvm_setcontext(xch, domid, (uint8_t *)&c, 40) && errno == ENODATA,
          "a stream that is cut off");
    make_context(&c, 0);
    check(set_context(domid, &c) == 0, "and the good one is taken");
}

static void refuse_policies(uint32_t domid)
{
    xen_cpuid_leaf_t leaf = { .leaf = 1, .subleaf = XEN_CPUID_NO_SUBLEAF, .c = 1u << 5 };
    uint32_t err_leaf = 0, err_sub = 0, err_msr = 0;
    xen_msr_entry_t msr = { .idx = 0xc0000080, .val = 1 };

    check(xc_set_domain_cpu_policy(xch, domid, 1, &leaf, 0, NULL, &err_leaf, &err_sub, &err_msr) &&
              errno == EINVAL && err_leaf == 1,
          "a feature that is not virtualised (VMX), and the leaf is named");
    check(xc_set_domain_cpu_policy(xch, domid, 0, NULL, 1, &msr, &err_leaf, &err_sub, &err_msr) &&
              errno == EINVAL && err_msr == 0xc0000080,
          "an MSR that is not a policy's, and it is named");
    check(xc_cpuid_apply_policy(xch, domid, false, NULL, 0, true, false, false, NULL, NULL) == 0,
          "what libxenguest sends is taken");
}

static void refused(void)
{
    xen_pfn_t gfn = 0;
    uint32_t domid;

    refuse_creations();
    if (create(2, &domid))
        give_up("create");
    check(xc_domain_max_vcpus(xch, domid, 3) && errno == EINVAL,
          "max_vcpus other than at creation");
    check(xc_domain_max_vcpus(xch, domid, 2) == 0, "max_vcpus as at creation");
    check(xc_domain_populate_physmap_exact(xch, domid, 1, 0, 0, &gfn) != 0,
          "memory beyond max_mem (0 at first)");
    check(xc_domain_setmaxmem(xch, domid, 1ULL << 40) == 0 &&
              xc_domain_claim_pages(xch, domid, 1UL << 30) && errno == ENOMEM,
          "a claim of more than the machine has");
    refuse_contexts(domid);
    refuse_policies(domid);
    check(xc_domain_destroy(xch, 0) && errno == EINVAL, "destroying the control domain");
    check(xc_domain_pause(xch, 0) && errno == EINVAL, "pausing the control domain");
    check(xc_domain_resume(xch, domid, 1) != 0, "resuming what is not shut down");
    check(xc_domain_destroy(xch, domid) == 0 && gone(domid), "destroyed");
    check(xc_domain_destroy(xch, domid) && errno == ESRCH, "destroying it again");
    check(xc_domain_unpause(xch, domid) && errno == ESRCH, "unpausing a dead domain");
}

/* ---- references ---- */

static void foreign(void)
{
    xc_domaininfo_t info;
    uint32_t domid;
    char *page;

    if (create(1, &domid) || fill(domid))
        give_up("create");
    page = map(domid, DATA_GFN);
    if (!page)
        give_up("map");
    strcpy(page, "still here");
    check(xc_domain_destroy(xch, domid) == 0, "destroyed while a page is mapped");
    check(info_of(domid, &info) && (info.flags & XEN_DOMINF_dying), "it lingers, dying");
    check(strcmp(page, "still here") == 0, "the page is still the same");
    check(xc_domain_unpause(xch, domid) == 0 || errno == EINVAL, "unpausing it does no harm");
    check(!map(domid, DATA_GFN), "nothing of it can be mapped any more");
    xenforeignmemory_unmap(memory, page, 1);
    check(gone(domid), "it goes when the page is unmapped");
}

/* ---- cycles ---- */

static uint64_t free_pages(void)
{
    xc_physinfo_t info;

    memset(&info, 0, sizeof(info));
    return xc_physinfo(xch, &info) ? 0 : info.free_pages;
}

static unsigned open_ports(void)
{
    unsigned n = 0;

    for (uint32_t port = 1; port < 512; port++) {
        xc_evtchn_status_t st = { .dom = DOMID_SELF, .port = port };

        if (!xc_evtchn_status(xch, &st) && st.status != EVTCHNSTAT_closed)
            n++;
    }
    return n;
}

static unsigned domains(void)
{
    static xc_domaininfo_t list[256];

    return (unsigned)xc_domain_getinfolist(xch, 0, 256, list);
}

/* Domains until no more can be made, each with another amount of memory: how many, and the error at
 * the end. */
static unsigned make_many(uint32_t *made, unsigned max, int *why)
{
    unsigned n = 0, failed = 0;

    for (unsigned i = 0; n < max && failed < 100; i++) {
        xen_pfn_t gfn[256];

        if (create(1 + i % 8, &made[n])) {
            *why = errno;
            failed++;
            continue;
        }
        xc_domain_setmaxmem(xch, made[n], 1 << 30);
        for (unsigned k = 0; k < 256; k++)
            gfn[k] = k << 9;
        /* Up to 64 MiB in large pages, then single ones; it may get less. */
        xc_domain_populate_physmap(xch, made[n], 1 + i % 32, 9, 0, gfn);
        for (unsigned k = 0; k < 256; k++)
            gfn[k] = 1000000 + 7 * k;
        xc_domain_populate_physmap(xch, made[n], i % 256, 0, 0, gfn);
        n++;
    }
    return n;
}

/*
 * Allocations fail at ever different places when memory runs out; what a failure leaves behind
 * would show as memory that does not come back. The first round fills what is allocated once and
 * kept.
 */
static void many(void)
{
    static uint32_t made[1024];
    uint64_t before = 0;

    for (unsigned round = 0; round < 3; round++) {
        int why = 0;
        unsigned n = make_many(made, 1024, &why);

        printf("# %u domains, then errno %d; free pages %" PRIu64 "\n", n, why, free_pages());
        if (!round)
            check(n > 20 && n < 1024 && (why == ENOSPC || why == ENOMEM), "there is a bound");
        while (n)
            if (xc_domain_destroy(xch, made[--n]))
                check(false, "destroying one of many");
        if (!round)
            before = free_pages();
    }
    check(domains() == 1, "all of them are gone");
    check(free_pages() == before, "and their memory is back");
}

static int cycle(unsigned n)
{
    uint32_t domid;

    if (create(1 + n % 4, &domid))
        return -1;
    if (xc_cpuid_apply_policy(xch, domid, false, NULL, 0, true, false, false, NULL, NULL) ||
        fill(domid) || xc_evtchn_alloc_unbound(xch, domid, 0) < 0 ||
        xc_evtchn_alloc_unbound(xch, domid, 0) < 0 ||
        xc_hvm_param_set(xch, domid, HVM_PARAM_CONSOLE_PFN, DATA_GFN) ||
        xc_dom_gnttab_seed(xch, domid, true, DATA_GFN, DATA_GFN + 1, 0, 0) ||
        load(domid, code_halt, sizeof(code_halt))) {
        xc_domain_destroy(xch, domid);
        return -1;
    }
    /* Some are killed at every stage of their lives. */
    if (n % 3 && xc_domain_unpause(xch, domid))
        return -1;
    if (n % 3 == 2 && wait_shutdown(domid) != SHUTDOWN_poweroff)
        return -1;
    return xc_domain_destroy(xch, domid) || !gone(domid) ? -1 : 0;
}

static void cycles(unsigned n)
{
    uint64_t before, after;
    unsigned ports, doms, failed = 0;

    for (unsigned i = 0; i < 4; i++) /* what is allocated once and kept */
        cycle(i);
    before = free_pages();
    ports = open_ports();
    doms = domains();
    for (unsigned i = 0; i < n; i++)
        if (cycle(i) && failed++ < 3)
            printf("# cycle %u failed: %s\n", i, strerror(errno));
    after = free_pages();
    printf("# free pages before %" PRIu64 ", after %" PRIu64 "; ports %u, %u; domains %u, %u\n",
           before, after, ports, open_ports(), doms, domains());
    check(!failed, "all cycles work");
    check(after == before, "free memory is as before");
    check(open_ports() == ports, "event channels are as before");
    check(domains() == doms, "domains are as before");
}

/* ---- noise ---- */

static void hostile(unsigned n)
{
    xencall_handle *call = xencall_open(NULL, 0);
    struct xen_domctl *op = call ? xencall_alloc_buffer(call, 4096) : NULL;
    uint64_t before = free_pages();
    uint32_t domid;
    unsigned done = 0;

    if (!op || create(2, &domid) || fill(domid))
        give_up("create");
    srand(n);
    for (unsigned i = 0; i < n; i++) {
        uint8_t *bytes = (uint8_t *)&op->u;

        op->cmd = (uint32_t)(1 + rand() % 90);
        op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
        op->domain = (domid_t)domid;
        for (unsigned b = 0; b < sizeof(op->u); b++)
            bytes[b] = rand() % 3 ? 0 : (uint8_t)rand();
        /* Neither creates domains without end, nor ends this one. */
        if (op->cmd == XEN_DOMCTL_createdomain || op->cmd == XEN_DOMCTL_destroydomain ||
            op->cmd == XEN_DOMCTL_pausedomain)
            continue;
        if (op->cmd == XEN_DOMCTL_sethvmcontext || op->cmd == XEN_DOMCTL_gethvmcontext) {
            op->u.hvmcontext.size = (uint32_t)(rand() % 3000);
            op->u.hvmcontext.buffer.p = (void *)((char *)op + 256);
        }
        xencall1(call, __HYPERVISOR_domctl, (uint64_t)op);
        done++;
    }
    printf("# %u calls\n", done);
    check(xc_domain_destroy(xch, domid) == 0 && gone(domid),
          "the domain can be destroyed afterwards");
    check(free_pages() == before, "nothing is lost");
    xencall_free_buffer(call, op);
    xencall_close(call);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    unsigned n = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 0;

    xch = xc_interface_open(NULL, NULL, 0);
    memory = xenforeignmemory_open(NULL, 0);
    if (!xch || !memory)
        give_up("open");
    if (!strcmp(what, "guests"))
        guests();
    else if (!strcmp(what, "states"))
        states();
    else if (!strcmp(what, "refused"))
        refused();
    else if (!strcmp(what, "foreign"))
        foreign();
    else if (!strcmp(what, "many"))
        many();
    else if (!strcmp(what, "cycles"))
        cycles(n);
    else if (!strcmp(what, "hostile"))
        hostile(n);
    else
        return 2;
    xc_interface_close(xch);
    return 0;
}
