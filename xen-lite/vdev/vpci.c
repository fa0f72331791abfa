/* SPDX-License-Identifier: MIT */
/*
 * Virtual PCI: giving functions to a domain and taking them away, and finding them.
 *
 * Look-up takes no lock: the tables of buses only grow, a slot is one pointer, and what it pointed
 * to is freed after the registry's grace period.  Everything that changes something takes
 * vpci->lock.
 */
#include "vdev/vpci.h"

#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "trap/record.h"
#include "vdev/pci_sriov.h"
#include "vdev/vpci_engine.h"
#include "vdev/vpci_sriov.h"

/* flags of physdev_op pci_device_add */
#define PHYSDEV_VIRTFN 2u

#define FUNCTIONS_A_BUS 256

int vpci_deny(struct vpci_dev *vd, enum deny_rule rule, uint64_t a, uint64_t b)
{
    __atomic_fetch_add(&vd->denied, 1, __ATOMIC_RELAXED);
    return deny(rule, vd->vpci->domid, vd->sbdf, a, b);
}

bool vpci_deny_for(struct vpci_dev *vd, const struct pci_dev *other, enum deny_rule rule,
                   const struct vpci_reg *reg, uint32_t val, const char *what)
{
    if (!other) {
        vd->warned = 0;
        return false;
    }
    vpci_deny(vd, rule, reg->offset, val);
    if (vd->warned != other->sbdf)
        pr_warn("pci " PCI_FMT ": %s as they are, because " PCI_FMT
                " is not the control domain's: detach it first",
                PCI_ARG(vd->sbdf), what, PCI_ARG(other->sbdf));
    vd->warned = other->sbdf;
    return true;
}

void vpci_prepare(struct vpci *vpci)
{
    memset(vpci, 0, sizeof(*vpci));
    spin_lock_init(&vpci->lock);
    list_init(&vpci->devices);
    list_init(&vpci->ecam);
    list_init(&vpci->pages);
}

int vpci_init(struct vpci *vpci, struct domain *d, uint16_t domid, struct trap_table *traps,
              struct p2m *p2m, const struct vpci_policy *policy)
{
    vpci->domain = d;
    vpci->domid = domid;
    vpci->traps = traps;
    vpci->p2m = p2m;
    vpci->policy = policy;
    return vpci_access_init(vpci);
}

/* The slot of `sbdf`, made if it is not there; NULL: no memory, or too many segments. */
static struct vpci_dev **make_slot(struct vpci *vpci, uint32_t sbdf)
{
    struct vpci_segment *seg = vpci_segment_of(vpci, sbdf);
    struct vpci_dev **bus;

    if (!seg) {
        seg = vpci->nr_segments < VPCI_MAX_SEGMENTS ? trap_zalloc(sizeof(*seg)) : NULL;
        if (!seg)
            return NULL;
        seg->segment = (uint16_t)PCI_SEG(sbdf);
        vpci->segment[vpci->nr_segments] = seg;
        __atomic_store_n(&vpci->nr_segments, vpci->nr_segments + 1, __ATOMIC_RELEASE);
    }
    bus = seg->bus[PCI_BUS(sbdf)];
    if (!bus) {
        bus = trap_zalloc(FUNCTIONS_A_BUS * sizeof(*bus));
        if (!bus)
            return NULL;
        __atomic_store_n(&seg->bus[PCI_BUS(sbdf)], bus, __ATOMIC_RELEASE);
    }
    return &bus[PCI_DEVFN(sbdf)];
}

static bool reg_valid(const struct vpci_reg *reg)
{
    if (reg->size != 1 && reg->size != 2 && reg->size != 4)
        return false;
    return !(reg->offset % reg->size) && reg->offset + reg->size <= PCI_CFG_EXT_SIZE && reg->name;
}

int vpci_add_reg(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    unsigned at = 0;

    if (!reg_valid(reg))
        return -EINVAL;
    if (vd->nr_regs == VPCI_MAX_REGS)
        return -ENOSPC;
    while (at < vd->nr_regs && vd->reg[at].offset < reg->offset)
        at++;
    if (at && vd->reg[at - 1].offset + vd->reg[at - 1].size > reg->offset)
        return -EEXIST;
    if (at < vd->nr_regs && reg->offset + reg->size > vd->reg[at].offset)
        return -EEXIST;
    memmove(&vd->reg[at + 1], &vd->reg[at], (vd->nr_regs - at) * sizeof(*reg));
    vd->reg[at] = *reg;
    vd->reg[at].handler = trap_handler_id(reg->name);
    vd->nr_regs++;
    for (unsigned i = vd->nr_regs; i-- > 0;)
        vd->map[vd->reg[i].offset / 4] = (uint8_t)(i + 1);
    if (reg->read)
        vd->read_here[reg->offset / 4 / 64] |= 1ULL << (reg->offset / 4 % 64);
    return 0;
}

uint32_t vpci_read_value(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    (void)vd;
    return reg->value;
}

void vpci_write_ignored(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    (void)vd;
    (void)reg;
    (void)val;
}

int vpci_set_slot(struct vpci *vpci, uint32_t sbdf, struct vpci_dev *vd)
{
    struct vpci_dev **slot = make_slot(vpci, sbdf);

    if (!slot)
        return -ENOMEM;
    __atomic_store_n(slot, vd, __ATOMIC_RELEASE);
    return 0;
}

static void free_device(struct vpci_dev *vd)
{
    vpci_cap_cleanup(vd);
    trap_defer_free(vd);
}

void vpci_bury(struct vpci_dev *vd)
{
    spin_lock(&vd->lock);
    vd->dead = true;
    spin_unlock(&vd->lock);
    vd->pdev->owner = NULL;
    free_device(vd);
}

static int make_device(struct vpci *vpci, struct pci_dev *pdev, struct vpci_dev **out)
{
    struct vpci_dev *vd = trap_zalloc(sizeof(*vd));
    int rc;

    if (!vd)
        return -ENOMEM;
    list_init(&vd->link);
    spin_lock_init(&vd->lock);
    vd->vpci = vpci;
    vd->pdev = pdev;
    vd->sbdf = vd->hw_sbdf = pdev->sbdf;
    vd->config = pci_conf_window(pdev->sbdf);
    rc = pdev->physfn ? vpci_vf_init(vd) : vpci_header_init(vd);
    if (!rc)
        rc = vpci_cap_init(vd);
    if (!rc)
        rc = vpci_sriov_init(vd);
    if (!rc)
        rc = vpci_bridge_init(vd);
    if (rc)
        free_device(vd);
    else
        *out = vd;
    return rc;
}

/* The function decodes memory already. */
static void map_decoded(struct vpci_dev *vd)
{
    uint32_t cmd;

    pci_read_bars(vd->pdev);
    if (!vpci_map_bars(vd)) {
        vpci_bars_online(vd);
        return;
    }
    cmd = vpci_hw_read(vd, PCI_REG_COMMAND, 2);
    vpci_hw_write(vd, PCI_REG_COMMAND, 2, cmd & ~(uint32_t)PCI_COMMAND_MEMORY);
    vd->pdev->decode = false;
}

static int add_locked(struct vpci *vpci, struct pci_dev *pdev)
{
    struct vpci_dev **slot, *vd;
    int rc;

    if (pdev->hidden)
        return -EPERM;
    if (pdev->owner)
        return pdev->owner == vpci->domain ? 0 : -EBUSY;
    slot = make_slot(vpci, pdev->sbdf);
    rc = slot ? make_device(vpci, pdev, &vd) : -ENOMEM;
    if (rc)
        return rc;
    pdev->owner = vpci->domain;
    list_add_tail(&vd->link, &vpci->devices);
    vpci->nr_devices++;
    pdev->decode = pci_decodes(pdev);
    if (pdev->physfn)
        vpci_vf_update(vd);
    else if (pdev->decode && vpci->policy->maps_bars)
        map_decoded(vd);
    __atomic_store_n(slot, vd, __ATOMIC_RELEASE);
    return 0;
}

int vpci_add_device(struct domain *d, uint32_t sbdf)
{
    struct vpci *vpci = domain_vpci(d);
    struct pci_dev *pdev = pci_find(sbdf);
    int rc;

    if (!pdev)
        return -ENODEV;
    spin_lock(&vpci->lock);
    rc = add_locked(vpci, pdev);
    spin_unlock(&vpci->lock);
    return rc;
}

static int remove_locked(struct vpci *vpci, uint32_t sbdf)
{
    struct vpci_dev *vd = vpci_find(vpci, sbdf);

    if (!vd)
        return -ENODEV;
    vpci_set_slot(vpci, sbdf, NULL);
    list_del(&vd->link);
    vpci->nr_devices--;
    vpci_unmap_bars(vd);
    vpci_bury(vd);
    return 0;
}

int vpci_remove_device(struct domain *d, uint32_t sbdf)
{
    struct vpci *vpci = domain_vpci(d);
    int rc;

    spin_lock(&vpci->lock);
    rc = remove_locked(vpci, sbdf);
    spin_unlock(&vpci->lock);
    return rc;
}

void vpci_destroy(struct vpci *vpci)
{
    spin_lock(&vpci->lock);
    while (!list_empty(&vpci->devices)) {
        struct vpci_dev *vd = list_first_entry(&vpci->devices, struct vpci_dev, link);

        remove_locked(vpci, vd->sbdf);
    }
    vpci_access_cleanup(vpci);
    for (unsigned i = 0; i < vpci->nr_segments; i++) {
        for (unsigned bus = 0; bus < ARRAY_SIZE(vpci->segment[i]->bus); bus++)
            trap_defer_free(vpci->segment[i]->bus[bus]);
        trap_defer_free(vpci->segment[i]);
    }
    vpci->nr_segments = 0;
    spin_unlock(&vpci->lock);
}

/*
 * A function that the domain has not got: probes it, has its DMA attached, then lets the domain at
 * it. -ENODEV if nothing is there.
 */
static int discover_locked(struct vpci *vpci, uint32_t sbdf)
{
    struct pci_dev *pdev;
    int rc = pci_add(sbdf, &pdev);

    if (rc)
        return rc;
    if (pdev->hidden)
        return -EPERM;
    if (pdev->owner || pdev->held)
        return pdev->owner == vpci->domain ? 0 : -EBUSY;
    rc = domain_pci_found(vpci->domain, pdev);
    if (rc)
        return rc;
    rc = add_locked(vpci, pdev);
    if (rc)
        domain_pci_gone(vpci->domain, pdev);
    return rc;
}

int vpci_discover(struct vpci *vpci, uint32_t sbdf)
{
    int rc;

    spin_lock(&vpci->lock);
    rc = discover_locked(vpci, sbdf);
    spin_unlock(&vpci->lock);
    return rc;
}

/*
 * What a function is hardware tells: a virtual one that is announced as something else, or found by a write to it, is one all
 * the same. A claim is checked so that a wrong one is told from a function that is not there.
 */
static int add_announced(struct vpci *vpci, uint32_t sbdf, uint32_t flags, uint32_t physfn)
{
    struct vpci_dev *vd;
    int rc = 0;

    if (flags & PHYSDEV_VIRTFN)
        rc = pci_vf_claim(vpci->domain, vpci->domid, sbdf, physfn);
    if (rc)
        return rc;
    vd = vpci_find(vpci, sbdf);
    if (!vd)
        return discover_locked(vpci, sbdf);
    /* Known from before its physical function was reset, perhaps. */
    if (vd->pdev->physfn)
        vpci_vf_update(vd);
    return 0;
}

int vpci_physdev_add(struct domain *d, uint32_t sbdf, uint32_t flags, uint32_t physfn)
{
    struct vpci *vpci = domain_vpci(d);
    int rc;

    spin_lock(&vpci->lock);
    rc = add_announced(vpci, sbdf, flags, physfn);
    spin_unlock(&vpci->lock);
    return rc;
}

/* Nobody's virtual function: the control domain disables it, and takes it out of the list of assignable ones by that. */
static bool is_spare_vf(const struct pci_dev *pdev)
{
    return pdev && pdev->physfn && !pdev->owner;
}

static int forget_locked(struct vpci *vpci, uint32_t sbdf)
{
    struct pci_dev *pdev = pci_find(sbdf), *vf = NULL;
    struct pci_dev *behind = pdev ? vpci_behind_not_of(pdev, vpci->domain) : NULL;
    unsigned nr = pdev ? pci_vfs_known(pdev, &vf) : 0;
    int rc = 0;

    if (nr)
        return deny(DENY_PF_HAS_VFS, vpci->domid, sbdf, nr, vf->sbdf);
    if (behind)
        return deny(DENY_BRIDGE_KEPT, vpci->domid, sbdf, behind->sbdf, 0);
    if (pdev && pdev->physfn && pdev->owner && pdev->owner != vpci->domain)
        return deny(DENY_VF_OWNED, vpci->domid, sbdf, pdev->physfn->sbdf, 0);
    if (!is_spare_vf(pdev))
        rc = remove_locked(vpci, sbdf);
    if (rc)
        return rc;
    domain_pci_gone(vpci->domain, pdev);
    return pci_remove(sbdf);
}

int vpci_physdev_remove(struct domain *d, uint32_t sbdf)
{
    struct vpci *vpci = domain_vpci(d);
    int rc;

    spin_lock(&vpci->lock);
    rc = forget_locked(vpci, sbdf);
    spin_unlock(&vpci->lock);
    return rc;
}
