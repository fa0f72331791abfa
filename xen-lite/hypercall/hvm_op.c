/* SPDX-License-Identifier: MIT */
/*
 * hvm_op: HVM parameters and the few guest calls of that family that exist without shadow paging.
 */
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "lib/time.h"

#include <xen/hvm/hvm_op.h>
#include <xen/sched.h>

/* Who may do what with a parameter, and which values mean something here. */
enum param_rule {
    PARAM_TOOLS = 0,    /* set and read by the control domain */
    PARAM_GUEST_RW = 1, /* the guest too */
    PARAM_GUEST_RO = 2, /* the guest may read it */
    PARAM_ONCE = 4,     /* a value other than 0 stays */
    PARAM_ZERO = 8,     /* a feature that does not exist here: only 0 can be set */
    PARAM_GONE = 16,    /* not in the interface any more */
};

static const uint8_t param_rules[HVM_NR_PARAMS] = {
    [HVM_PARAM_CALLBACK_IRQ] = PARAM_GUEST_RW,
    [HVM_PARAM_STORE_PFN] = PARAM_GUEST_RO,
    [HVM_PARAM_STORE_EVTCHN] = PARAM_GUEST_RW,
    [HVM_PARAM_PAE_ENABLED] = PARAM_GONE,
    [HVM_PARAM_VIRIDIAN] = PARAM_ZERO,
    [HVM_PARAM_DM_DOMAIN] = PARAM_GONE,
    [HVM_PARAM_VM86_TSS] = PARAM_GUEST_RW,
    [HVM_PARAM_CONSOLE_PFN] = PARAM_GUEST_RO,
    [HVM_PARAM_CONSOLE_EVTCHN] = PARAM_GUEST_RW,
    [HVM_PARAM_ACPI_IOPORTS_LOCATION] = PARAM_GUEST_RW,
    [HVM_PARAM_MEMORY_EVENT_CR0] = PARAM_GONE,
    [HVM_PARAM_MEMORY_EVENT_CR3] = PARAM_GONE,
    [HVM_PARAM_MEMORY_EVENT_CR4] = PARAM_GONE,
    [HVM_PARAM_MEMORY_EVENT_INT3] = PARAM_GONE,
    [HVM_PARAM_NESTEDHVM] = PARAM_GONE,
    [HVM_PARAM_MEMORY_EVENT_SINGLE_STEP] = PARAM_GONE,
    [HVM_PARAM_MEMORY_EVENT_MSR] = PARAM_GONE,
    [HVM_PARAM_IOREQ_SERVER_PFN] = PARAM_ONCE,
    [HVM_PARAM_NR_IOREQ_SERVER_PAGES] = PARAM_ONCE,
    [HVM_PARAM_VM_GENERATION_ID_ADDR] = PARAM_GUEST_RW,
    [HVM_PARAM_ALTP2M] = PARAM_ZERO,
    [HVM_PARAM_X87_FIP_WIDTH] = PARAM_GUEST_RO | PARAM_ZERO,
    [HVM_PARAM_VM86_TSS_SIZED] = PARAM_GUEST_RW,
    [HVM_PARAM_MCA_CAP] = PARAM_ZERO,
};

#define TIMER_MODE_MAX 3 /* HVMPTM_one_missed_tick_pending */

void hvm_params_init(struct domain *d)
{
    memset(&d->hvm_params, 0, sizeof(d->hvm_params));
    d->hvm_params.value[HVM_PARAM_TRIPLE_FAULT_REASON] = SHUTDOWN_reboot;
}

/*
 * Only the vector kind has an effect. Lines (GSI, INTx) are accepted as a marker and never raised.
 */
static int set_callback_irq(struct domain *d, uint64_t value)
{
    uint64_t type = value >> 56;
    uint8_t vector = (uint8_t)value;

    if (type == HVM_PARAM_CALLBACK_TYPE_VECTOR) {
        if (vector < 16)
            return -EINVAL;
        evtchn_set_callback_vector(d, vector);
    } else if (type <= HVM_PARAM_CALLBACK_TYPE_PCI_INTX) {
        evtchn_set_callback_vector(d, 0);
    } else {
        return -EINVAL;
    }
    return 0;
}

static int check_value(uint32_t index, uint64_t value)
{
    switch (index) {
    case HVM_PARAM_TIMER_MODE:
        return value > TIMER_MODE_MAX ? -EINVAL : 0;
    case HVM_PARAM_TRIPLE_FAULT_REASON:
        return value > SHUTDOWN_MAX ? -EINVAL : 0;
    default:
        return (param_rules[index] & PARAM_ZERO) && value ? -EINVAL : 0;
    }
}

static int set_param(struct vcpu *v, struct domain *d, const struct xen_hvm_param *arg)
{
    uint64_t *slot = &d->hvm_params.value[arg->index];
    unsigned rule = param_rules[arg->index];
    int rc;

    if (!v->domain->control && !(rule & PARAM_GUEST_RW))
        return -EPERM;
    if (rule & PARAM_GONE)
        return -EOPNOTSUPP;
    rc = check_value(arg->index, arg->value);
    if (rc == 0 && arg->index == HVM_PARAM_CALLBACK_IRQ)
        rc = set_callback_irq(d, arg->value);
    if (rc < 0)
        return rc;
    spin_lock(&d->lock);
    if ((rule & PARAM_ONCE) && *slot && *slot != arg->value)
        rc = -EEXIST;
    else
        WRITE_ONCE(*slot, arg->value);
    spin_unlock(&d->lock);
    return rc;
}

static int get_param(struct vcpu *v, const struct domain *d, struct xen_hvm_param *arg)
{
    unsigned rule = param_rules[arg->index];

    if (!v->domain->control && !(rule & (PARAM_GUEST_RW | PARAM_GUEST_RO)))
        return -EPERM;
    if (rule & PARAM_GONE)
        return -EOPNOTSUPP;
    arg->value = READ_ONCE(d->hvm_params.value[arg->index]);
    return 0;
}

static long param_op(struct vcpu *v, uint64_t argp, bool set)
{
    struct xen_hvm_param arg;
    struct domain *d;
    int rc;

    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    if (arg.index >= HVM_NR_PARAMS)
        return -EINVAL;
    d = hypercall_target(v, arg.domid, &rc);
    if (!d)
        return rc;
    rc = set ? set_param(v, d, &arg) : get_param(v, d, &arg);
    domain_put(d);
    if (rc == 0 && !set && copy_to_guest(v, argp, &arg, sizeof(arg)))
        return -EFAULT;
    return rc;
}

static long set_upcall_vector(struct vcpu *v, uint64_t argp)
{
    struct xen_hvm_evtchn_upcall_vector arg;

    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    if (arg.vector < 16)
        return -EINVAL;
    if (arg.vcpu >= v->domain->max_vcpus || !v->domain->vcpu[arg.vcpu])
        return -ENOENT;
    return evtchn_set_upcall_vector(v->domain->vcpu[arg.vcpu], arg.vector);
}

static long get_time(struct vcpu *v, uint64_t argp)
{
    struct xen_hvm_get_time arg = { .now = now_ns() };

    return copy_to_guest(v, argp, &arg, sizeof(arg)) ? -EFAULT : 0;
}

static long get_mem_type(struct vcpu *v, uint64_t argp)
{
    struct xen_hvm_get_mem_type arg;
    enum p2m_type type;
    struct domain *d;
    int rc;

    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    d = hypercall_target(v, arg.domid, &rc);
    if (!d)
        return rc;
    p2m_lookup(&d->p2m, arg.pfn, &type, NULL);
    domain_put(d);
    if (type == P2M_NONE || type == P2M_MMIO_DIRECT)
        arg.mem_type = HVMMEM_mmio_dm;
    else
        arg.mem_type = p2m_type_writable(type) ? HVMMEM_ram_rw : HVMMEM_ram_ro;
    return copy_to_guest(v, argp, &arg, sizeof(arg)) ? -EFAULT : 0;
}

long do_hvm_op(struct vcpu *v, uint64_t op, uint64_t argp, uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)a3;
    (void)a4;
    (void)a5;
    switch ((uint32_t)op) {
    case HVMOP_set_param:
        return param_op(v, argp, true);
    case HVMOP_get_param:
        return param_op(v, argp, false);
    case HVMOP_get_time:
        return get_time(v, argp);
    case HVMOP_get_mem_type:
        return get_mem_type(v, argp);
    case HVMOP_set_evtchn_upcall_vector:
        return set_upcall_vector(v, argp);
    case HVMOP_altp2m:
        return -EOPNOTSUPP;
    default:
        /*
         * Among them pagetable_dying, which is a hint to shadow paging: an error turns it off in
         * the guest.
         */
        return -ENOSYS;
    }
}
