/* SPDX-License-Identifier: MIT */
/*
 * The common handlers of exits. Each is called with the guest's registers current and leaves them as the guest is to
 * find them; a handler that moves rip on does it itself, with the length that the backend gives.
 */
#include "cpu/exit.h"

#include "cpu/cpuid.h"
#include "cpu/guest_mem.h"
#include "cpu/msr.h"
#include "cpu/state.h"
#include "cpu/x86.h"
#include "domain/domain.h"
#include "lib/printf.h"
#include "trap/trap.h"

static void put_leaf(struct cpu_vcpu *c, const struct cpuid_leaf *l)
{
    c->regs.gpr[CPU_RAX] = l->a;
    c->regs.gpr[CPU_RBX] = l->b;
    c->regs.gpr[CPU_RCX] = l->c;
    c->regs.gpr[CPU_RDX] = l->d;
}

void exit_cpuid(struct cpu_vcpu *c, unsigned len)
{
    uint32_t leaf = (uint32_t)c->regs.gpr[CPU_RAX];
    const struct cpuid_leaf *fixed = cpuid_static(c->cd->cpuid, leaf);

    c->exits[CPU_EXIT_cpuid]++;
    if (likely(fixed)) {
        put_leaf(c, fixed);
    } else {
        struct cpuid_vcpu cv = { .id = c->id,
                                 .apic_id = c->apic_id,
                                 .cr4 = cpu_backend->get_cr(c, 4) };
        struct cpuid_leaf l;

        if (leaf == CPUID_XSTATE)
            cv.xcr0 = cpu_get_xcr0(c);
        cpuid_lookup(c->cd->cpuid, &cv, leaf, (uint32_t)c->regs.gpr[CPU_RCX], &l);
        put_leaf(c, &l);
    }
    cpu_skip(c, len);
}

void exit_rdmsr(struct cpu_vcpu *c, unsigned len)
{
    uint64_t val = 0;

    c->exits[CPU_EXIT_rdmsr]++;
    if (msr_read(c, (uint32_t)c->regs.gpr[CPU_RCX], &val)) {
        cpu_inject_exception_error(c, X86_GP, 0);
        return;
    }
    c->regs.gpr[CPU_RAX] = (uint32_t)val;
    c->regs.gpr[CPU_RDX] = val >> 32;
    cpu_skip(c, len);
}

void exit_wrmsr(struct cpu_vcpu *c, unsigned len)
{
    uint64_t val = (uint32_t)c->regs.gpr[CPU_RAX] | c->regs.gpr[CPU_RDX] << 32;

    c->exits[CPU_EXIT_wrmsr]++;
    if (msr_write(c, (uint32_t)c->regs.gpr[CPU_RCX], val)) {
        cpu_inject_exception_error(c, X86_GP, 0);
        return;
    }
    cpu_skip(c, len);
}

void exit_hlt(struct cpu_vcpu *c, unsigned len)
{
    c->exits[CPU_EXIT_hlt]++;
    cpu_skip(c, len);
    /* An exception or interrupt that waits already would end it at once. */
    if (c->pending.type == CPU_EVENT_NONE && !READ_ONCE(c->nmi_pending))
        vcpu_halt(c->v, c->regs.rflags & RFLAGS_IF);
}

void exit_hypercall(struct cpu_vcpu *c, unsigned len)
{
    c->exits[CPU_EXIT_hypercall]++;
    if (hypercall_dispatch(c->v))
        cpu_skip(c, len);
}

/* The task priority is the local APIC's (SDM vol. 3, 11.8.6). Outside of 64-bit code a register operand has 32 bits. */
void exit_set_cr8(struct cpu_vcpu *c, unsigned gpr, unsigned len)
{
    uint64_t val = c->regs.gpr[gpr];

    if (cpu_mode_bytes(c) != 8)
        val = (uint32_t)val;
    if (val >> 4) {
        cpu_inject_exception_error(c, X86_GP, 0);
        return;
    }
    vlapic_set_cr8(&c->v->vlapic, (uint8_t)val);
    cpu_skip(c, len);
}

/* Rights are checked before the exit on some CPUs and after it on others: check again. */
void exit_xsetbv(struct cpu_vcpu *c, unsigned len)
{
    uint64_t val = (uint32_t)c->regs.gpr[CPU_RAX] | c->regs.gpr[CPU_RDX] << 32;

    if (!cpuid_has_xsave(c->cd->cpuid) || !(cpu_backend->get_cr(c, 4) & CR4_OSXSAVE)) {
        cpu_inject_exception(c, X86_UD);
        return;
    }
    if (cpu_backend->get_cpl(c) != 0 || (uint32_t)c->regs.gpr[CPU_RCX] != 0 ||
        cpu_set_xcr0(c, val)) {
        cpu_inject_exception_error(c, X86_GP, 0);
        return;
    }
    cpu_skip(c, len);
}

/*
 * WBINVD and INVD. A guest without devices sees coherent memory whatever it does; one with devices may rely on the write
 * back. INVD must never throw away other people's data, so it writes back as well.
 */
void exit_cache_flush(struct cpu_vcpu *c, unsigned len)
{
    if (c->cd->owns_devices)
        __asm__ __volatile__("wbinvd" ::: "memory");
    cpu_skip(c, len);
}

void exit_pause(struct cpu_vcpu *c, unsigned len)
{
    c->exits[CPU_EXIT_pause]++;
    cpu_skip(c, len);
    vcpu_spin_hint(c->v);
}

/* There are no performance counters (CPUID says so). */
void exit_rdpmc(struct cpu_vcpu *c)
{
    cpu_inject_exception_error(c, X86_GP, 0);
}

void exit_undefined(struct cpu_vcpu *c)
{
    cpu_inject_exception(c, X86_UD);
}

void exit_shutdown(struct cpu_vcpu *c)
{
    vcpu_triple_fault(c->v);
}

void exit_task_switch(struct cpu_vcpu *c)
{
    vcpu_crash(c->v, "hardware task switches are not supported");
}

void exit_internal(struct cpu_vcpu *c, const char *what, uint64_t code)
{
    vcpu_crash(c->v, "unexpected %s %#lx", what, code);
}

static uint32_t port_in(uint16_t port, unsigned size)
{
    return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

static void port_out(uint16_t port, unsigned size, uint32_t val)
{
    if (size == 1)
        outb((uint8_t)val, port);
    else if (size == 2)
        outw((uint16_t)val, port);
    else
        outl(val, port);
}

/*
 * What the registry leaves to us: ports that exit and have no region belong to nobody the guest knows (ones are read);
 * a region whose handler says that this is an ordinary access, like a byte at CF9, is the machine's for the control domain.
 */
static void port_default(struct cpu_vcpu *c, uint16_t port, unsigned size, bool write,
                         uint64_t *val)
{
    if (!c->cd->control || !trap_find(&c->v->domain->traps, TRAP_PIO, port)) {
        if (!write)
            *val = trap_all_ones(size);
    } else if (write) {
        port_out(port, size, (uint32_t)*val);
    } else {
        *val = port_in(port, size);
    }
}

static __attribute__((noinline)) int port_undecided(struct cpu_vcpu *c, uint16_t port,
                                                    unsigned size, bool write, uint64_t *val,
                                                    enum trap_result res)
{
    /* A forwarded write is on its way: the vCPU goes no further until it has arrived. */
    if (res == TRAP_FORWARD)
        return write ? 0 : -1;
    if (res == TRAP_RETRY)
        return -1;
    port_default(c, port, size, write, val);
    return 0;
}

int cpu_port_access(struct cpu_vcpu *c, uint16_t port, unsigned size, bool write, uint64_t *val)
{
    enum trap_result res = trap_pio_access(c->v, port, size, write, val);

    if (likely(res == TRAP_DONE || res == TRAP_DENIED || res == TRAP_DROPPED))
        return 0;
    return port_undecided(c, port, size, write, val, res);
}

static void port_done(struct cpu_vcpu *c)
{
    c->regs.rip = c->next_rip;
    cpu_insn_done(c);
}

/* When the access is not decided, the same instruction is executed again later: rip stays. */
static void port_write(struct cpu_vcpu *c, uint32_t access)
{
    uint64_t val = trap_all_ones(CPU_PIO_SIZE(access)) & c->regs.gpr[CPU_RAX];

    if (likely(!cpu_port_access(c, CPU_PIO_PORT(access), CPU_PIO_SIZE(access), true, &val)))
        port_done(c);
}

static void port_read(struct cpu_vcpu *c, uint32_t access)
{
    unsigned size = CPU_PIO_SIZE(access);
    uint64_t val = 0;

    if (unlikely(cpu_port_access(c, CPU_PIO_PORT(access), size, false, &val)))
        return;
    if (likely(size == 4)) /* a 32-bit result clears the upper half (SDM vol. 1, 3.4.1.1) */
        c->regs.gpr[CPU_RAX] = (uint32_t)val;
    else
        emul_set_reg(&c->regs, CPU_RAX, false, size, val);
    port_done(c);
}

void exit_pio(struct cpu_vcpu *c, uint32_t access, uint64_t next_rip)
{
    c->exits[CPU_EXIT_port]++;
    c->next_rip = next_rip;
    if (unlikely(access & CPU_PIO_STRING))
        cpu_emulate(c, ~0ULL);
    else if (access & CPU_PIO_IN)
        port_read(c, access);
    else
        port_write(c, access);
}
