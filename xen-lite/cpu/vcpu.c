/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's life outside of guest mode: creation, start states, exceptions that wait for the next entry, the end of an
 * emulated instruction, and the dump for people.
 */
#include "cpu/vcpu.h"

#include "cpu/cpuid.h"
#include "cpu/exit.h"
#include "cpu/guest_mem.h"
#include "cpu/msr.h"
#include "cpu/state.h"
#include "domain/domain.h"
#include "lib/errno.h"
#include "lib/percpu.h"
#include "lib/printf.h"
#include "lib/string.h"

#define V_CR0_ET BIT(4)
#define DR6_BS BIT(14)

const struct cpu_backend *cpu_backend;

int cpu_vcpu_init(struct cpu_vcpu *c, struct vcpu *v, struct cpu_domain *cd, struct p2m *p2m,
                  unsigned id)
{
    int err;

    c->v = v;
    c->cd = cd;
    c->p2m = p2m;
    c->id = id;
    c->apic_id = 2 * id;
    err = cpu_state_init(c);
    if (err)
        return err;
    err = cpu_backend->vcpu_init(c);
    if (err) {
        cpu_state_destroy(c);
        return err;
    }
    msr_vcpu_init(c);
    cpu_vcpu_reset(c);
    return 0;
}

void cpu_vcpu_destroy(struct cpu_vcpu *c)
{
    cpu_backend->vcpu_destroy(c);
    cpu_state_destroy(c);
}

void cpu_vcpu_reset(struct cpu_vcpu *c)
{
    memset(&c->regs, 0, sizeof(c->regs));
    c->regs.rip = 0xfff0;
    c->regs.rflags = RFLAGS_FIXED;
    /* The processor's signature is in EDX (SDM vol. 3, table 9-1). */
    c->regs.gpr[CPU_RDX] = cpuid_signature(c->cd->cpuid);
    c->pending.type = CPU_EVENT_NONE;
    c->nmi_pending = false;
    c->cr8 = 0;
    c->shadow = 0;
    memset(c->dr, 0, sizeof(c->dr));
    memset(c->walk, 0, sizeof(c->walk));
    c->tlb_gen = 0; /* older than any p2m's: flush at the next entry */
    cpu_backend->vcpu_reset(c);
    cpu_backend->set_tsc_offset(c, c->tsc_offset);
    /* The caller may be another CPU than the one that is about to save its state. */
    if (c->loaded && current_vcpu() == c->v)
        cpu_load_debug(c);
}

void cpu_vcpu_start_sipi(struct cpu_vcpu *c, uint8_t vector)
{
    struct cpu_segment cs;

    cpu_backend->get_segment(c, CPU_SEG_CS, &cs);
    cs.sel = (uint16_t)(vector << 8);
    cs.base = (uint64_t)vector << 12;
    cpu_backend->set_segment(c, CPU_SEG_CS, &cs);
    c->regs.rip = 0;
}

void cpu_vcpu_start_pvh(struct cpu_vcpu *c, uint32_t eip, uint32_t ebx)
{
    /* The public header's description of the PVH entry point: flat segments, no paging. */
    static const struct cpu_segment code = { .attr = 0xc9b, .limit = ~0u };
    static const struct cpu_segment data = { .attr = 0xc93, .limit = ~0u };
    static const struct cpu_segment tss = { .attr = 0x8b, .limit = 0x67 };

    cpu_vcpu_reset(c);
    cpu_backend->set_segment(c, CPU_SEG_CS, &code);
    for (unsigned id = CPU_SEG_ES; id <= CPU_SEG_GS; id++) {
        if (id != CPU_SEG_CS)
            cpu_backend->set_segment(c, (enum cpu_seg_id)id, &data);
    }
    cpu_backend->set_segment(c, CPU_SEG_TR, &tss);
    cpu_backend->set_cr(c, 0, CPU_CR0_PE | V_CR0_ET);
    memset(c->regs.gpr, 0, sizeof(c->regs.gpr));
    c->regs.rip = eip;
    c->regs.gpr[CPU_RBX] = ebx;
}

/* Classes of exceptions for table 6-5 of the SDM, volume 3. */
enum exc_class { EXC_BENIGN, EXC_CONTRIBUTORY, EXC_PAGE_FAULT, EXC_DOUBLE };

static enum exc_class exc_class(uint8_t vector)
{
    switch (vector) {
    case X86_DE: case X86_TS: case X86_NP: case X86_SS: case X86_GP:
        return EXC_CONTRIBUTORY;
    case X86_PF:
        return EXC_PAGE_FAULT;
    case X86_DF:
        return EXC_DOUBLE;
    default:
        return EXC_BENIGN;
    }
}

static void queue_exception(struct cpu_vcpu *c, const struct cpu_event *ev)
{
    enum exc_class first, second = exc_class(ev->vector);

    if (c->pending.type == CPU_EVENT_INTR || c->pending.type == CPU_EVENT_NMI)
        return; /* its delivery goes on first; then the instruction runs again and faults again */
    if (c->pending.type == CPU_EVENT_NONE) {
        c->pending = *ev;
        return;
    }
    first = exc_class(c->pending.vector);
    if (first == EXC_DOUBLE && second != EXC_BENIGN) {
        vcpu_triple_fault(c->v);
        return;
    }
    if ((first == EXC_CONTRIBUTORY && second == EXC_CONTRIBUTORY) ||
        (first == EXC_PAGE_FAULT && second != EXC_BENIGN))
        c->pending = (struct cpu_event){ .type = CPU_EVENT_EXCEPTION, .vector = X86_DF,
                                         .has_error = true };
    else
        c->pending = *ev;
}

void cpu_inject_exception(struct cpu_vcpu *c, uint8_t vector)
{
    struct cpu_event ev = { .type = CPU_EVENT_EXCEPTION, .vector = vector };

    queue_exception(c, &ev);
}

void cpu_inject_exception_error(struct cpu_vcpu *c, uint8_t vector, uint32_t error)
{
    struct cpu_event ev = { .type = CPU_EVENT_EXCEPTION, .vector = vector, .has_error = true,
                            .error = error };

    queue_exception(c, &ev);
}

void cpu_inject_page_fault(struct cpu_vcpu *c, uint64_t gva, uint32_t error)
{
    cpu_backend->set_cr(c, 2, gva);
    cpu_inject_exception_error(c, X86_PF, error);
}

void cpu_inject_nmi(struct cpu_vcpu *c)
{
    __atomic_store_n(&c->nmi_pending, true, __ATOMIC_SEQ_CST);
}

void cpu_insn_done_flags(struct cpu_vcpu *c)
{
    c->regs.rflags &= ~RFLAGS_RF;
    if (unlikely(c->regs.rflags & RFLAGS_TF)) {
        cpu_backend->set_dr(c, 6, cpu_backend->get_dr(c, 6) | DR6_BS);
        cpu_inject_exception(c, X86_DB);
    }
}

void cpu_skip(struct cpu_vcpu *c, unsigned len)
{
    uint64_t rip = c->regs.rip + len;

    /* Outside of 64-bit code the instruction pointer has 32 bits; a carry shows only at the very top. */
    if (unlikely(rip >> 32 != c->regs.rip >> 32) && cpu_mode_bytes(c) != 8)
        rip = (uint32_t)rip;
    c->regs.rip = rip;
    cpu_insn_done(c);
}

unsigned cpu_mode_bytes(const struct cpu_vcpu *c)
{
    struct cpu_control r;

    cpu_backend->get_control(c, &r);
    return cpu_control_bytes(&r, c->regs.rflags);
}

static void dump_segments(const struct cpu_vcpu *c)
{
    static const char name[CPU_NR_SEGS][5] = { "es", "cs", "ss", "ds", "fs",
                                               "gs", "ldtr", "tr", "gdtr", "idtr" };

    for (unsigned id = 0; id < CPU_NR_SEGS; id++) {
        struct cpu_segment s;

        cpu_backend->get_segment(c, (enum cpu_seg_id)id, &s);
        pr_info("  %4s %04x attr %03x limit %08x base %016lx", name[id], s.sel, s.attr, s.limit,
                s.base);
    }
}

void cpu_dump(struct vcpu *v)
{
    static const char name[16][4] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                      "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
    struct cpu_vcpu *c = &v->cpu;
    uint8_t code[INSN_MAX_LEN];
    char text[3 * INSN_MAX_LEN + 1] = "";
    size_t n = guest_fetch(c, code, sizeof(code));

    pr_info("d%uv%u: rip %016lx rflags %08lx cpl %u, %u-byte code, %lu exits", v->domain->domid,
            v->id, c->regs.rip, c->regs.rflags, cpu_backend->get_cpl(c), cpu_mode_bytes(c),
            c->nr_exits);
    for (unsigned i = 0; i < 16; i += 4)
        pr_info("  %3s %016lx %3s %016lx %3s %016lx %3s %016lx", name[i], c->regs.gpr[i],
                name[i + 1], c->regs.gpr[i + 1], name[i + 2], c->regs.gpr[i + 2], name[i + 3],
                c->regs.gpr[i + 3]);
    pr_info("  cr0 %lx cr2 %lx cr3 %lx cr4 %lx efer %lx xcr0 %lx", cpu_backend->get_cr(c, 0),
            cpu_backend->get_cr(c, 2), cpu_backend->get_cr(c, 3), cpu_backend->get_cr(c, 4),
            cpu_backend->get_efer(c), cpu_get_xcr0(c));
    dump_segments(c);
    for (size_t i = 0; i < n; i++)
        snprintf(text + 3 * i, 4, "%02x ", code[i]);
    pr_info("  code: %s", n ? text : "not readable");
    cpu_backend->dump(c);
}
