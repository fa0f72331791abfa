/* SPDX-License-Identifier: MIT */
/*
 * See cpu_fake.h.
 */
#include "cpu_fake.h"

#include "lib/errno.h"
#include "lib/string.h"

struct fake_cpu fake;

static int fake_vcpu_init(struct cpu_vcpu *c)
{
    c->backend = &fake;
    return 0;
}

static void fake_vcpu_destroy(struct cpu_vcpu *c)
{
    c->backend = NULL;
}

static void fake_reset(struct cpu_vcpu *c)
{
    (void)c;
    memset(&fake, 0, sizeof(fake));
    fake.cr[0] = 0x10;
}

static void fake_get_segment(const struct cpu_vcpu *c, enum cpu_seg_id id, struct cpu_segment *out)
{
    (void)c;
    *out = fake.seg[id];
}

static void fake_set_segment(struct cpu_vcpu *c, enum cpu_seg_id id, const struct cpu_segment *in)
{
    (void)c;
    fake.seg[id] = *in;
}

static uint64_t fake_get_cr(const struct cpu_vcpu *c, unsigned n)
{
    (void)c;
    return fake.cr[n];
}

static void fake_set_cr(struct cpu_vcpu *c, unsigned n, uint64_t val)
{
    (void)c;
    fake.cr[n] = val;
}

static uint64_t fake_get_dr(const struct cpu_vcpu *c, unsigned n)
{
    (void)c;
    return fake.dr[n];
}

static void fake_set_dr(struct cpu_vcpu *c, unsigned n, uint64_t val)
{
    (void)c;
    fake.dr[n] = val;
}

static uint64_t fake_get_efer(const struct cpu_vcpu *c)
{
    (void)c;
    return fake.efer;
}

static void fake_set_efer(struct cpu_vcpu *c, uint64_t efer)
{
    (void)c;
    fake.efer = efer;
}

static int fake_get_msr(const struct cpu_vcpu *c, uint32_t msr, uint64_t *val)
{
    (void)c;
    for (unsigned i = 0; i < fake.nr_msrs; i++) {
        if (fake.msr_number[i] == msr) {
            *val = fake.msr[i];
            return 0;
        }
    }
    *val = 0;
    return 0;
}

static int fake_set_msr(struct cpu_vcpu *c, uint32_t msr, uint64_t val)
{
    unsigned i;

    (void)c;
    for (i = 0; i < fake.nr_msrs && fake.msr_number[i] != msr; i++)
        ;
    if (i == 16)
        return -EINVAL;
    fake.msr_number[i] = msr;
    fake.msr[i] = val;
    if (i == fake.nr_msrs)
        fake.nr_msrs++;
    return 0;
}

static unsigned fake_get_cpl(const struct cpu_vcpu *c)
{
    (void)c;
    return fake.cpl;
}

static void fake_get_control(const struct cpu_vcpu *c, struct cpu_control *out)
{
    (void)c;
    *out = (struct cpu_control){ .cr0 = fake.cr[0],
                                 .cr3 = fake.cr[3],
                                 .cr4 = fake.cr[4],
                                 .efer = fake.efer,
                                 .cs_base = fake.seg[CPU_SEG_CS].base,
                                 .cs_attr = fake.seg[CPU_SEG_CS].attr };
}

static void fake_inject(struct cpu_vcpu *c, const struct cpu_event *ev)
{
    (void)c;
    fake.injected = *ev;
}

static bool fake_can_inject_irq(const struct cpu_vcpu *c)
{
    return (c->regs.rflags & RFLAGS_IF) && !c->shadow && fake.injected.type == CPU_EVENT_NONE;
}

static bool fake_can_inject_nmi(const struct cpu_vcpu *c)
{
    return !c->shadow && fake.injected.type == CPU_EVENT_NONE;
}

static void fake_request_irq_window(struct cpu_vcpu *c)
{
    (void)c;
    fake.irq_window = true;
}

static void fake_request_nmi_window(struct cpu_vcpu *c)
{
    (void)c;
    fake.nmi_window = true;
}

static void fake_flush_tlb(struct cpu_vcpu *c)
{
    (void)c;
    fake.tlb_flushes++;
}

static void fake_set_tsc_offset(struct cpu_vcpu *c, uint64_t offset)
{
    (void)c;
    fake.tsc_offset = offset;
}

static void fake_dump(const struct cpu_vcpu *c)
{
    (void)c;
}

const struct cpu_backend fake_backend = {
    .name = "fake",
    .hypercall_insn = { 0x0f, 0x01, 0xd9 },
    .vcpu_init = fake_vcpu_init,
    .vcpu_destroy = fake_vcpu_destroy,
    .vcpu_reset = fake_reset,
    .get_segment = fake_get_segment,
    .set_segment = fake_set_segment,
    .get_cr = fake_get_cr,
    .set_cr = fake_set_cr,
    .get_dr = fake_get_dr,
    .set_dr = fake_set_dr,
    .get_efer = fake_get_efer,
    .set_efer = fake_set_efer,
    .get_msr = fake_get_msr,
    .set_msr = fake_set_msr,
    .get_cpl = fake_get_cpl,
    .get_control = fake_get_control,
    .inject = fake_inject,
    .can_inject_irq = fake_can_inject_irq,
    .can_inject_nmi = fake_can_inject_nmi,
    .request_irq_window = fake_request_irq_window,
    .request_nmi_window = fake_request_nmi_window,
    .flush_tlb = fake_flush_tlb,
    .set_tsc_offset = fake_set_tsc_offset,
    .dump = fake_dump,
};
