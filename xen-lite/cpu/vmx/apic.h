/* SPDX-License-Identifier: MIT */
/*
 * Local APICs of guests that the CPU keeps, and the part of it that every entry and exit goes through.
 */
#ifndef XL_CPU_VMX_APIC_H
#define XL_CPU_VMX_APIC_H

#include "cpu/vmx/vmx.h"
#include "domain/domain.h"
#include "vdev/vlapic.h"

/* In words for the log: what is used. */
const char *vmx_apic_summary(const struct vmx_caps *caps);
/* Opens the bitmap for the registers that the CPU serves. */
void vmx_apic_open_msrs(uint8_t *map);
/* See struct cpu_backend. */
bool vmx_serve_apic(struct cpu_vcpu *c);
/* The CPU leaves the local APIC alone from the next entry on. */
void vmx_apic_off(struct vmx_vcpu *s);
void vmx_exit_eoi(struct cpu_vcpu *c);
void vmx_exit_apic_write(struct cpu_vcpu *c);

/*
 * CR8 is the virtual-APIC page's TPR. While something waits that the priority may hold back, any lowering of CR8 exits
 * (SDM 27.7.7: the threshold must not be above the priority).
 */
void vmx_set_tpr_threshold(struct vmx_vcpu *s, uint32_t threshold);

static inline void vmx_set_task_priority(struct cpu_vcpu *c, struct vmx_vcpu *s)
{
    const struct vlapic *l = &c->v->vlapic;
    uint32_t waits = READ_ONCE(l->pending) | l->blocked;

    s->vapic[VAPIC_TPR] = (uint8_t)(c->cr8 << 4);
    if (unlikely(waits | s->tpr_threshold))
        vmx_set_tpr_threshold(s, waits ? c->cr8 : 0);
}

/* Before an entry. The CPU keeps the local APIC, unless its registers came back for a change. */
static inline void vmx_apic_enter(struct cpu_vcpu *c, struct vmx_vcpu *s)
{
    /* Unlikely only so that who has the longer way to go, as nothing is kept, gets the straight one. */
    if (unlikely(s->keeps_apic)) {
        if (likely(c->v->vlapic.page))
            return;
        vmx_apic_off(s);
    }
    vmx_set_task_priority(c, s);
}

/* After an exit. */
static inline void vmx_apic_leave(struct cpu_vcpu *c, struct vmx_vcpu *s)
{
    c->cr8 = s->vapic[VAPIC_TPR] >> 4;
    if (s->keeps_apic)
        WRITE_ONCE(c->v->vlapic.tpr, s->vapic[VAPIC_TPR]);
}

#endif
