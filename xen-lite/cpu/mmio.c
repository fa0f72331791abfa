/* SPDX-License-Identifier: MIT */
/*
 * Second-level faults, and executing the guest's instruction in its stead: memory operands that are RAM are accessed as
 * the guest would, with its rights, and those that are not go to the trap registry.
 */
#include "cpu/exit.h"

#include "cpu/decode.h"
#include "cpu/emulate.h"
#include "cpu/guest_mem.h"
#include "cpu/state.h"
#include "domain/domain.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/map.h"
#include "p2m/p2m.h"
#include "trap/trap.h"

#define GPA_UNKNOWN         (~0ULL)
#define MAX_REFUSALS_LOGGED 8
/* Looks at a page that changes while it is accessed; each one lost means that somebody else has changed it. */
#define MAX_LOOKS 8

struct emulation {
    struct cpu_vcpu *c;
    uint64_t gpa;             /* of the faulting operand, GPA_UNKNOWN if any may be it */
    bool nothing_there;       /* gpa is known, and its page is not mapped */
    unsigned rights;          /* GUEST_USER, GUEST_SMAP */
    bool rep;                 /* a repeated string instruction */
    bool posted;              /* something was written that a device model has to decide on */
    bool begun;               /* a part of the access has been made: it is not begun again */
    struct guest_fault fault; /* to inject, when a callback returned -EFAULT */
};

/* Guest-physical address of a linear one. The CPU has translated the faulting operand already. */
static int operand_gpa(struct emulation *e, uint64_t addr, bool write, uint64_t *gpa)
{
    if (e->gpa != GPA_UNKNOWN && ((addr ^ e->gpa) & ~PAGE_MASK) == 0) {
        *gpa = e->gpa;
        return 0;
    }
    return guest_gva_to_gpa(e->c, addr, e->rights | (write ? GUEST_WRITE : 0), gpa, &e->fault);
}

/* The largest power of two, at most `left` and 8, to which `addr` is aligned. */
static unsigned piece(uint64_t addr, unsigned left)
{
    unsigned n = 8;

    while (n > left || (addr & (n - 1)))
        n /= 2;
    return n;
}

/* Outside of 64-bit mode linear addresses wrap around at 4 GiB. */
static uint64_t next_page(const struct emulation *e, uint64_t addr)
{
    uint64_t next = (addr & PAGE_MASK) + PAGE_SIZE;

    return cpu_mode_bytes(e->c) == 8 ? next : (uint32_t)next;
}

/*
 * A device's registers that are mapped for the guest, so that only an instruction which also touches something trapped brings an
 * access here. The p2m's lock keeps them the guest's until it is done. Results as for look().
 */
static int direct_access(struct p2m *p2m, uint64_t gpa, unsigned size, bool write, uint64_t *val)
{
    enum p2m_type type;
    uint64_t mfn, all = *val;
    int rc = 1;

    p2m_begin(p2m);
    mfn = p2m_lookup(p2m, gpa >> PAGE_SHIFT, &type, NULL);
    if (mfn == INVALID_MFN || type != P2M_MMIO_DIRECT)
        rc = -EAGAIN; /* it changed just now: look again */
    if (!write)
        *val = 0;
    for (unsigned i = 0, n; i < size && rc > 0; i += n) {
        uint64_t part = all >> 8 * i;

        n = piece(gpa + i, size - i);
        if (!mmio_touch((mfn << PAGE_SHIFT) + ((gpa + i) & ~PAGE_MASK), n, write, &part))
            rc = -EOPNOTSUPP;
        else if (!write)
            *val |= part << 8 * i;
    }
    p2m_end(p2m);
    return rc;
}

/* mapped_access(), as things are now; -EAGAIN if they changed meanwhile, and then nothing was touched but memory. */
static int look(struct p2m *p2m, uint64_t gpa, unsigned size, bool write, uint64_t *val)
{
    enum p2m_type type;

    if (p2m_lookup(p2m, gpa >> PAGE_SHIFT, &type, NULL) == INVALID_MFN)
        return 0;
    if (type == P2M_MMIO_DIRECT)
        return direct_access(p2m, gpa, size, write, val);
    if (type == P2M_FIRMWARE)
        return -EOPNOTSUPP;
    if (write && !p2m_type_writable(type))
        return type == P2M_RAM_RO ? 1 : -EOPNOTSUPP; /* a ROM: dropped */
    if (!write)
        *val = 0;
    if (write ? copy_to_gpa(p2m, gpa, val, size) : copy_from_gpa(p2m, val, gpa, size))
        return -EAGAIN; /* it changed just now: look again */
    return 1;
}

/*
 * What is mapped for the guest: memory that an instruction has as its other operand, or on the other side of a page's end, or that
 * the guest may not write. 1 if that settles it, 0 if nothing is mapped there.
 *
 * A page that changes is looked at again on the spot, as registers that the instruction has touched already must not be touched
 * twice. One that does not come to rest is, in the middle of an access, as good as unmapped, which it was at some moment.
 */
static __attribute__((noinline)) int mapped_access(struct emulation *e, uint64_t gpa, unsigned size,
                                                   bool write, uint64_t *val)
{
    int rc = -EAGAIN;

    for (unsigned i = 0; i < MAX_LOOKS && rc == -EAGAIN; i++)
        rc = look(e->c->p2m, gpa, size, write, val);
    return rc == -EAGAIN && e->begun ? 0 : rc;
}

/* Inside one page; a part of both who call it, as this is most traps' way. */
static inline __attribute__((always_inline)) int
access_gpa(struct emulation *e, uint64_t gpa, unsigned size, bool write, uint64_t *val)
{
    if (!e->nothing_there || gpa != e->gpa) {
        int err = mapped_access(e, gpa, size, write, val);

        if (err)
            return err < 0 ? err : 0;
    }
    switch (trap_mmio_access(e->c->v, gpa, size, write, val)) {
    case TRAP_FORWARD:
        /* A write is on its way: the instruction ends, and the vCPU goes no further until it has arrived. */
        e->posted = write;
        return write ? 0 : -EAGAIN;
    case TRAP_RETRY:
        return -EAGAIN;
    case TRAP_NONE:
        /* Nobody lives there, as on a bus: ones are read, and what is written is lost. */
        if (!write)
            *val = trap_all_ones(size);
        return 0;
    default:
        return 0;
    }
}

/* False: what is mapped there cannot be accessed in the guest's stead. */
static bool allowed(const struct emulation *e, uint64_t gpa, bool write)
{
    enum p2m_type type;

    if (p2m_lookup(e->c->p2m, gpa >> PAGE_SHIFT, &type, NULL) == INVALID_MFN)
        return true;
    return type != P2M_FIRMWARE && (!write || p2m_type_writable(type) || type == P2M_RAM_RO);
}

/*
 * Either side of a page's end may belong to another world: memory, registers that are mapped, registers that trap, nobody. As
 * hardware does, both sides are translated before the first is touched, and each gets its own bytes, in the largest pieces of
 * natural alignment, the lower address first (Intel SDM vol. 3, 9.1.1: such an access is not one access on the bus). From the first
 * piece on it goes on to its end, whatever happens to the pages meanwhile.
 */
static __attribute__((noinline)) int access_across(struct emulation *e, uint64_t addr,
                                                   unsigned size, bool write, uint64_t *val)
{
    const unsigned first = PAGE_SIZE - (addr & ~PAGE_MASK);
    uint64_t all = *val, gpa[2];
    int err;

    e->gpa = GPA_UNKNOWN;
    err = operand_gpa(e, addr, write, &gpa[0]);
    if (!err)
        err = operand_gpa(e, next_page(e, addr), write, &gpa[1]);
    if (!err && (!allowed(e, gpa[0], write) || !allowed(e, gpa[1], write)))
        err = -EOPNOTSUPP;
    if (!write)
        *val = 0;
    for (unsigned i = 0, n; i < size && !err; i += n) {
        uint64_t at = i < first ? gpa[0] + i : gpa[1] + (i - first), part;

        n = piece(at, i < first ? first - i : size - i);
        part = all >> 8 * i & trap_all_ones(n);
        err = access_gpa(e, at, n, write, &part);
        e->begun = true;
        if (!write)
            *val |= part << 8 * i;
    }
    e->begun = false;
    return err;
}

static int access(struct emulation *e, uint64_t addr, unsigned size, bool write, uint64_t *val)
{
    uint64_t gpa;
    int err;

    if (unlikely((addr & ~PAGE_MASK) + size > PAGE_SIZE))
        return access_across(e, addr, size, write, val);
    err = operand_gpa(e, addr, write, &gpa);
    return err ? err : access_gpa(e, gpa, size, write, val);
}

/* The next element has to wait until what this one wrote has arrived: the rest of the instruction is done then. */
static bool element_waits(const struct emulation *e)
{
    return unlikely(e->posted) && e->rep;
}

static int emul_read(void *ctx, uint64_t addr, unsigned size, uint64_t *val)
{
    if (element_waits(ctx))
        return -EAGAIN;
    return access(ctx, addr, size, false, val);
}

static int emul_write(void *ctx, uint64_t addr, unsigned size, uint64_t val)
{
    if (element_waits(ctx))
        return -EAGAIN;
    return access(ctx, addr, size, true, &val);
}

static uint64_t emul_seg_base(void *ctx, unsigned seg)
{
    struct emulation *e = ctx;
    struct cpu_segment s;

    cpu_backend->get_segment(e->c, (enum cpu_seg_id)seg, &s);
    return s.base;
}

static void emul_get_xmm(void *ctx, unsigned reg, uint64_t val[2])
{
    cpu_get_xmm(((struct emulation *)ctx)->c, reg, val);
}

static void emul_set_xmm(void *ctx, unsigned reg, const uint64_t val[2])
{
    cpu_set_xmm(((struct emulation *)ctx)->c, reg, val);
}

static int emul_port_in(void *ctx, uint16_t port, unsigned size, uint64_t *val)
{
    const struct emulation *e = ctx;

    if (element_waits(e))
        return -EAGAIN;
    return cpu_port_access(e->c, port, size, false, val) ? -EAGAIN : 0;
}

static int emul_port_out(void *ctx, uint16_t port, unsigned size, uint64_t val)
{
    struct emulation *e = ctx;

    if (cpu_port_access(e->c, port, size, true, &val))
        return -EAGAIN;
    e->posted = vcpu_is_waiting(e->c->v);
    return 0;
}

static const struct emul_ops emul_ops = {
    .read = emul_read,
    .write = emul_write,
    .seg_base = emul_seg_base,
    .get_xmm = emul_get_xmm,
    .set_xmm = emul_set_xmm,
    .port_in = emul_port_in,
    .port_out = emul_port_out,
};

static inline enum cpu_mode code_mode(const struct cpu_vcpu *c, const struct cpu_control *control)
{
    unsigned bytes = cpu_control_bytes(control, c->regs.rflags);

    return bytes == 8 ? CPU_MODE_64 : bytes == 4 ? CPU_MODE_32 : CPU_MODE_16;
}

/* String instructions may have two operands in memory; which one faulted is not said. */
static bool one_operand(const struct insn *insn)
{
    return insn->op != INSN_MOVS && insn->op != INSN_CMPS && insn->op != INSN_INS &&
           insn->op != INSN_OUTS && insn->op != INSN_PUSH && insn->op != INSN_POP && !insn->rep;
}

/* Said a few times a domain, counted always; the guest gets #GP, as from a bus that cannot do what was asked. */
static void refuse(struct cpu_vcpu *c, const char *what, uint64_t gpa)
{
    uint64_t n = __atomic_fetch_add(&c->cd->nr_not_emulated, 1, __ATOMIC_RELAXED);

    if (n < MAX_REFUSALS_LOGGED)
        pr_warn("d%uv%u: %s at rip %#lx, operand at %#lx", c->v->domain->domid, c->id, what,
                c->regs.rip, gpa);
    cpu_inject_exception_error(c, X86_GP, 0);
}

static void execute(struct emulation *e, const struct insn *insn, enum cpu_mode mode)
{
    struct cpu_vcpu *c = e->c;
    int ret = insn_emulate(insn, mode, &c->regs, &emul_ops, e);

    switch (ret) {
    case EMUL_DONE:
        cpu_insn_done(c);
        break;
    case EMUL_AGAIN:
    case -EAGAIN:
        break;
    case -EFAULT:
        guest_inject_fault(c, &e->fault);
        break;
    default:
        refuse(c, "instruction that is not emulated", e->gpa);
        break;
    }
}

static void emulate(struct cpu_vcpu *c, uint64_t gpa, bool nothing_there)
{
    struct emulation e = {
        .c = c,
        .gpa = gpa,
        .nothing_there = nothing_there,
        .rights = cpu_backend->get_cpl(c) == 3 ? GUEST_USER : GUEST_SMAP,
    };
    uint8_t bytes[INSN_MAX_LEN];
    struct cpu_control control;
    enum cpu_mode mode;
    struct insn insn;
    size_t n;

    cpu_backend->get_control(c, &control);
    mode = code_mode(c, &control);
    n = guest_fetch_insn(c, &control, bytes);
    if (insn_decode(bytes, n, mode, &insn) || insn.op == INSN_UD) {
        /* Another CPU may have unmapped the code or changed it: then the guest's own attempt shows what is true. */
        if (n)
            cpu_inject_exception(c, X86_UD);
        return;
    }
    e.rep = insn.rep;
    if (!one_operand(&insn))
        e.gpa = GPA_UNKNOWN;
    execute(&e, &insn, mode);
}

void cpu_emulate(struct cpu_vcpu *c, uint64_t gpa)
{
    emulate(c, gpa, false);
}

/* Somebody mapped it in the meantime, or the CPU used an old translation: the access succeeds when it is repeated. */
static bool now_allowed(const struct cpu_npf *npf, uint64_t mfn, enum p2m_type type)
{
    if (mfn == INVALID_MFN)
        return false;
    return !npf->write || p2m_type_writable(type);
}

void exit_npf(struct cpu_vcpu *c, const struct cpu_npf *npf)
{
    enum p2m_type type;
    uint64_t mfn = p2m_lookup(c->p2m, npf->gpa >> PAGE_SHIFT, &type, NULL);

    c->exits[CPU_EXIT_memory]++;
    if (now_allowed(npf, mfn, type) && !(npf->present && npf->fetch)) {
        if (npf->present)
            cpu_backend->flush_tlb(c);
        return;
    }
    if (c->pending.type != CPU_EVENT_NONE) {
        vcpu_crash(c->v, "event %u delivered through %#lx, which is no memory", c->pending.vector,
                   npf->gpa);
    } else if (npf->table_walk) {
        refuse(c, "page tables outside of memory", npf->gpa);
    } else if (npf->fetch) {
        /* Nobody answers there: ones are fetched, and FF FF is no instruction. */
        cpu_inject_exception(c, X86_UD);
    } else if (type == P2M_GRANT_RO) {
        cpu_inject_exception_error(c, X86_GP, 0);
    } else {
        emulate(c, npf->gpa, mfn == INVALID_MFN);
    }
}
