/* SPDX-License-Identifier: MIT */
/*
 * The few lines that tie subsystems together: what a layer below needs to know of domains and vCPUs, as the functions
 * that its header declares.
 */
#include <stdarg.h>

#include "lib/types.h"

#include <xen/sched.h>

#include "boot/panic.h"
#include "cpu/exit.h"
#include "domain/domain.h"
#include "irq/girq.h"
#include "lib/printf.h"
#include "lib/time.h"
#include "vdev/pci.h"
#include "vdev/pci_topo.h"
#include "vdev/vroot.h"

/* ---- boot/ ---- */

/* What the guest asked for is half of what a panic wants to know. */
void panic_dump_guest(void)
{
    struct vcpu *v = this_cpu()->current;

    if (v)
        cpu_dump(v);
}

/* ---- trap/, vdev/ ---- */

const struct trap_vcpu *vcpu_trap(const struct vcpu *v)
{
    return &v->trap;
}

struct p2m *domain_p2m(struct domain *d)
{
    return &d->p2m;
}

struct trap_table *domain_traps(struct domain *d)
{
    return &d->traps;
}

uint16_t domain_id(const struct domain *d)
{
    return d->domid;
}

bool domain_has_started(const struct domain *d)
{
    return READ_ONCE(d->started);
}

struct vapic_bus *domain_vapic(struct domain *d)
{
    return &d->vapic;
}

struct vlapic *vcpu_vlapic(struct vcpu *v)
{
    return &v->vlapic;
}

void vcpu_lapic_enabled(struct vcpu *v)
{
    evtchn_lapic_enabled(v);
}

struct vpci *domain_vpci(struct domain *d)
{
    return &d->vpci;
}

struct ioreq_domain *domain_ioreq(struct domain *d)
{
    return &d->ioreq;
}

struct ioreq_vcpu *vcpu_ioreq(struct vcpu *v)
{
    return &v->ioreq;
}

void vcpu_ioreq_wait(struct vcpu *v)
{
    vcpu_wait(v);
}

void vcpu_ioreq_resume(struct vcpu *v)
{
    vcpu_wait_end(v);
}

int ioreq_port_alloc(struct vcpu *v)
{
    return evtchn_alloc_hv(v, CONTROL_DOMID, ioreq_port_event);
}

void ioreq_port_free(struct domain *d, uint32_t port)
{
    evtchn_free_hv(d, port);
}

void ioreq_port_notify(struct domain *d, uint32_t port)
{
    evtchn_notify_hv(d, port);
}

bool ioreq_port_bound(struct domain *d, uint32_t port)
{
    return evtchn_bound_hv(d, port);
}

/* A function that came after the start: its DMA goes through the domain's table before the domain can use it. */
int domain_pci_found(struct domain *d, struct pci_dev *pdev)
{
    if (!iommu_present())
        return 0;
    pci_enable_acs(pdev);
    return pci_dma_attach(&d->iommu, pdev);
}

void domain_pci_gone(struct domain *d, struct pci_dev *pdev)
{
    (void)d;
    if (iommu_present())
        iommu_detach(pdev->sbdf);
}

/* ---- sched/ ---- */

/* Moving an interrupt costs more than the kick that it saves: not for a vCPU that is only passing through. */
#define FOLLOW_INTERVAL_NS (100 * NS_PER_MS)

bool vcpu_moved(struct vcpu *v)
{
    struct domain *d = v->domain;
    uint64_t now = now_ns(), last = READ_ONCE(d->irqs_followed_ns);

    if (now - last < FOLLOW_INTERVAL_NS)
        return false;
    WRITE_ONCE(d->irqs_followed_ns, now);
    girq_follow(d);
    return true;
}

/* ---- cpu/ ---- */

void vcpu_halt(struct vcpu *v, bool interrupts)
{
    if (interrupts) {
        vcpu_block(v);
        return;
    }
    /* Nothing but NMI, INIT or the toolstack ends this: the way a paravirtual guest takes a CPU offline. */
    vcpu_set_down(v);
    domain_vcpu_went_down(v->domain);
}

bool vcpu_is_waiting(const struct vcpu *v)
{
    return ioreq_pending(&v->ioreq);
}

void vcpu_spin_hint(struct vcpu *v)
{
    vcpu_yield(v);
}

void vcpu_crash(struct vcpu *v, const char *fmt, ...)
{
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    pr_err("domain %u vCPU %u crashed: %s", v->domain->domid, v->id, text);
    cpu_dump(v);
    domain_shutdown(v->domain, SHUTDOWN_crash);
}

void vcpu_triple_fault(struct vcpu *v)
{
    uint64_t reason = v->domain->hvm_params.value[HVM_PARAM_TRIPLE_FAULT_REASON];

    pr_err("domain %u vCPU %u: triple fault", v->domain->domid, v->id);
    cpu_dump(v);
    domain_shutdown(v->domain, reason <= SHUTDOWN_MAX ? (unsigned)reason : SHUTDOWN_reboot);
}
