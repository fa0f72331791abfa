/* SPDX-License-Identifier: MIT */
/*
 * Translations that a CPU caches for guests (SDM 29.4) and how little of them is dropped:
 *
 * - When the p2m changes, its generation grows. Each CPU drops what is derived from that p2m (INVEPT of one EPT pointer)
 *   before it enters a vCPU of the domain with a newer generation than the one it dropped for last, so once a change,
 *   however many of the domain's vCPUs it runs; the list of generations by CPU is the domain's.
 * - When a vCPU comes to another CPU, that CPU may remember an earlier stay and has not seen what the guest invalidated
 *   since: the vCPU's VPID is dropped there (INVVPID of one VPID). The same after INIT and when paging is switched.
 *
 * A VPID belongs to one vCPU from its creation to its end. Its first entry on any CPU drops what a former owner left.
 */
#include "cpu/vmx/vmx.h"

#include "cpu/vmx/hw.h"
#include "lib/leave_out.h"
#include "lib/spinlock.h"

#define NR_VPIDS 4096u
#define INVEPT_SINGLE 1ULL
#define INVEPT_ALL 2ULL
#define INVVPID_SINGLE 1ULL
#define INVVPID_ALL 2ULL

static spinlock_t lock = SPINLOCK_INIT;
static uint64_t used[NR_VPIDS / 64] = { 1 }; /* 0 is the hypervisor's */

uint16_t vmx_vpid_alloc(void)
{
    uint16_t vpid = 0;

    if (!(vmx_caps.ctl.proc2 & PROC2_VPID))
        return 0;
    spin_lock(&lock);
    for (unsigned i = 0; i < ARRAY_SIZE(used); i++) {
        unsigned bit;

        if (!~used[i])
            continue;
        bit = (unsigned)__builtin_ctzll(~used[i]);
        used[i] |= BIT(bit);
        vpid = (uint16_t)(64 * i + bit);
        break;
    }
    spin_unlock(&lock);
    return vpid;
}

void vmx_vpid_free(uint16_t vpid)
{
    if (!vpid)
        return;
    spin_lock(&lock);
    used[vpid / 64] &= ~BIT(vpid % 64);
    spin_unlock(&lock);
}

static void drop_ept(uint64_t eptp)
{
    if (vmx_caps.ept_vpid & EPT_CAP_INVEPT_SINGLE)
        hw_invept(INVEPT_SINGLE, eptp);
    else
        hw_invept(INVEPT_ALL, 0);
}

static void drop_vpid(uint64_t vpid)
{
    if (vmx_caps.ept_vpid & VPID_CAP_SINGLE)
        hw_invvpid(INVVPID_SINGLE, vpid);
    else
        hw_invvpid(INVVPID_ALL, 0);
}

/* VMXON does not do it (SDM 29.4.3.1). Where there is only the kind for one EPT pointer, first entries do the rest. */
void vmx_tlb_init_cpu(void)
{
    if (flush_due(FLUSH_P2M_START) && (vmx_caps.ept_vpid & EPT_CAP_INVEPT_ALL))
        hw_invept(INVEPT_ALL, 0);
    if (flush_due(FLUSH_VCPU_START) && (vmx_caps.ept_vpid & VPID_CAP_ALL))
        hw_invvpid(INVVPID_ALL, 0);
}

void vmx_flush_tlb(struct cpu_vcpu *c)
{
    struct vmx_vcpu *s = vmx_of(c);

    /* No new generation: something else makes the caller doubt. */
    if (s->tlb_gen == c->tlb_gen && s->loaded)
        s->dom->ept_gen[cpu_id()] = 0;
    s->tlb_gen = c->tlb_gen;
    s->flush_ept = true;
    s->attention = true;
}

void vmx_tlb_sync(struct vmx_vcpu *s, unsigned cpu)
{
    uint64_t *gen = &s->dom->ept_gen[cpu];

    if (s->flush_ept && *gen != s->c->tlb_gen) {
        if (*gen ? flush_due(FLUSH_P2M_CHANGE) : flush_due(FLUSH_P2M_FIRST))
            drop_ept(s->addr.eptp);
        *gen = s->c->tlb_gen;
    }
    if (s->flush_vpid && s->addr.vpid)
        drop_vpid(s->addr.vpid);
    s->flush_ept = s->flush_vpid = false;
}
