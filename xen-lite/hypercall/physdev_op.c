/* SPDX-License-Identifier: MIT */
/*
 * physdev_op: what the control domain tells about PCI devices and ECAM windows, and its numbers for guests' messages.
 */
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "hypercall/pt_irq.h"
#include "lib/errno.h"
#include "lib/time.h"
#include "vdev/vpci.h"

#include <xen/physdev.h>

static uint32_t sbdf_of(uint16_t seg, uint8_t bus, uint8_t devfn)
{
    return (uint32_t)seg << 16 | (uint32_t)bus << 8 | devfn;
}

/* A window that the MCFG table named already is known: repeating it is no error. */
static long mmcfg_reserved(struct vcpu *v, uint64_t argp)
{
    struct physdev_pci_mmcfg_reserved arg;
    int rc;

    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    if (arg.start_bus > arg.end_bus || (arg.address & (BIT(20) - 1)))
        return -EINVAL;
    /*
     * "Not reserved" takes the window back; it stays trapped: what the firmware decodes there does
     * not change.
     */
    if (!(arg.flags & XEN_PCI_MMCFG_RESERVED))
        return 0;
    rc = vpci_add_ecam(&v->domain->vpci, arg.address, arg.segment, arg.start_bus, arg.end_bus);
    return rc == -EEXIST ? 0 : rc;
}

static long device_add(struct vcpu *v, uint64_t argp)
{
    struct physdev_pci_device_add arg;

    /* The optional array behind it holds the proximity domain, which has no use here. */
    if (copy_from_guest(v, &arg, argp, offsetof(struct physdev_pci_device_add, optarr)))
        return -EFAULT;
    return vpci_physdev_add(v->domain, sbdf_of(arg.seg, arg.bus, arg.devfn), arg.flags,
                            sbdf_of(arg.seg, arg.physfn.bus, arg.physfn.devfn));
}

/* Not while somebody looks at all functions, or is handing this one over. */
static long remove_function(struct vcpu *v, uint32_t sbdf)
{
    struct pci_dev *pdev;
    long rc;

    vtime_end_nap(v);
    if (!pt_enter()) {
        vtime_nap(v, now_ns() + NS_PER_MS);
        return HYPERCALL_RESTART;
    }
    pdev = pci_find(sbdf);
    if (pdev && pt_moving(pdev))
        rc = -EBUSY;
    else
        rc = vpci_physdev_remove(v->domain, sbdf);
    pt_leave();
    return rc;
}

static long device_remove(struct vcpu *v, uint64_t argp)
{
    struct physdev_pci_device arg;

    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    return remove_function(v, sbdf_of(arg.seg, arg.bus, arg.devfn));
}

/* The older forms of the two: segment 0 only. */
static long manage_pci(struct vcpu *v, uint64_t argp, bool add)
{
    struct physdev_manage_pci arg;

    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    return add ? vpci_physdev_add(v->domain, sbdf_of(0, arg.bus, arg.devfn), 0, 0)
               : remove_function(v, sbdf_of(0, arg.bus, arg.devfn));
}

static long manage_pci_add_ext(struct vcpu *v, uint64_t argp)
{
    struct physdev_manage_pci_ext arg;
    uint32_t flags = 0;

    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    if (arg.is_extfn > 1 || arg.is_virtfn > 1)
        return -EINVAL;
    flags |= arg.is_extfn ? XEN_PCI_DEV_EXTFN : 0;
    flags |= arg.is_virtfn ? XEN_PCI_DEV_VIRTFN : 0;
    return vpci_physdev_add(v->domain, sbdf_of(0, arg.bus, arg.devfn), flags,
                            sbdf_of(0, arg.physfn.bus, arg.physfn.devfn));
}

long do_physdev_op(struct vcpu *v, uint64_t cmd, uint64_t argp, uint64_t a3, uint64_t a4,
                   uint64_t a5)
{
    (void)a3;
    (void)a4;
    (void)a5;
    switch ((uint32_t)cmd) {
    case PHYSDEVOP_manage_pci_add:
    case PHYSDEVOP_manage_pci_remove:
    case PHYSDEVOP_manage_pci_add_ext:
    case PHYSDEVOP_pci_mmcfg_reserved:
    case PHYSDEVOP_pci_device_add:
    case PHYSDEVOP_pci_device_remove:
    case PHYSDEVOP_map_pirq:
    case PHYSDEVOP_unmap_pirq:
        if (!v->domain->control)
            return -EPERM;
        break;
    default:
        /* Physical interrupts are not event channels here: none of the other calls about them exists. */
        return -ENOSYS;
    }
    switch ((uint32_t)cmd) {
    case PHYSDEVOP_manage_pci_add:
        return manage_pci(v, argp, true);
    case PHYSDEVOP_manage_pci_remove:
        return manage_pci(v, argp, false);
    case PHYSDEVOP_manage_pci_add_ext:
        return manage_pci_add_ext(v, argp);
    case PHYSDEVOP_pci_mmcfg_reserved:
        return mmcfg_reserved(v, argp);
    case PHYSDEVOP_pci_device_add:
        return device_add(v, argp);
    case PHYSDEVOP_map_pirq:
        return physdev_map_pirq(v, argp);
    case PHYSDEVOP_unmap_pirq:
        return physdev_unmap_pirq(v, argp);
    default:
        return device_remove(v, argp);
    }
}
