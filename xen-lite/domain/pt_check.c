/* SPDX-License-Identifier: MIT */
/*
 * What has to be true before a function changes hands: one check a stage, in the order of enum xenlite_pci_stage. None of
 * them changes anything but the transaction's own notes.
 */
#include "domain/domain.h"
#include "domain/passthrough.h"
#include "lib/errno.h"
#include "mm/heap.h"
#include "vdev/pci_sriov.h"
#include "vdev/vroot.h"

#define KNOWN_FLAGS                                                                                \
    (XENLITE_PCI_DRY_RUN | XENLITE_PCI_GROUP | XENLITE_PCI_PERMISSIVE | XENLITE_PCI_NO_RESET |     \
     XENLITE_PCI_TO_NOBODY)

/* Base classes and, for bridges and system peripherals, what may be given away (PCI Code and ID Assignment 1.11, 1.7, 1.9). */
#define CLASS_BRIDGE 0x06
#define CLASS_SYSTEM 0x08

typedef int (*check_fn)(struct pt_job *j, const struct pci_topology *t);

int pt_refuse(struct pt_job *j, enum xenlite_pci_stage stage, enum deny_rule rule, uint32_t at,
              uint64_t a, uint64_t b)
{
    j->res.stage = stage;
    j->res.rule = rule;
    j->res.at = at;
    j->res.a = a;
    j->res.b = b;
    return -1;
}

#define REFUSE(j, stage, rule, at, a, b)                                                           \
    pt_refuse(j, XENLITE_PCI_STAGE_##stage, DENY_PT_##rule, at, a, b)

bool pt_is_endpoint(const struct pci_dev *pdev)
{
    return pdev->header == PCI_HEADER_NORMAL;
}

static bool is_platform(const struct pci_dev *pdev)
{
    uint8_t base = (uint8_t)(pdev->class_rev >> 24);

    return base == CLASS_BRIDGE || base == CLASS_SYSTEM;
}

static struct pci_dev *first(const struct pt_job *j)
{
    return j->item[0].pdev;
}

static bool to_guest(const struct pt_job *j)
{
    return j->req.kind == PT_ATTACH && j->d && !j->d->control;
}

/* ---- the request and its object ---- */

static int check_arguments(struct pt_job *j, const struct pci_topology *t)
{
    const struct pt_request *r = &j->req;

    (void)t;
    if ((r->flags & ~KNOWN_FLAGS) || r->slot > XENLITE_PCI_NR_SLOTS)
        return REFUSE(j, arguments, ARGUMENTS, r->sbdf, r->flags, r->slot);
    return 0;
}

static int check_domain(struct pt_job *j, const struct pci_topology *t)
{
    (void)t;
    if (!j->d || (READ_ONCE(j->d->dying) && j->req.kind != PT_RELEASE))
        return REFUSE(j, domain, NO_DOMAIN, j->req.sbdf, j->req.domid, 0);
    if (to_guest(j) && vroot_slot_state(j->d, 1) < 0)
        return REFUSE(j, domain, NO_ROOT, j->req.sbdf, j->req.domid, 0);
    return 0;
}

static int check_exists(struct pt_job *j, const struct pci_topology *t)
{
    struct pci_dev *pdev = pci_find(j->req.sbdf);

    (void)t;
    if (!pdev || pci_identity(pdev) == ~0u)
        return REFUSE(j, exists, ABSENT, j->req.sbdf, 0, 0);
    j->item[0].pdev = pdev;
    j->nr = 1;
    return 0;
}

static int check_known(struct pt_job *j, const struct pci_topology *t)
{
    struct pci_dev *pdev = pci_find(j->req.sbdf);

    (void)t;
    if (!pdev)
        return REFUSE(j, exists, ABSENT, j->req.sbdf, 0, 0);
    j->item[0].pdev = pdev;
    j->nr = 1;
    return 0;
}

static int check_kind(struct pt_job *j, const struct pci_topology *t)
{
    const struct pci_dev *pdev = first(j);

    (void)t;
    if (pdev->hidden)
        return REFUSE(j, kind, HIDDEN, pdev->sbdf, 0, 0);
    if (!pt_is_endpoint(pdev))
        return REFUSE(j, kind, BRIDGE, pdev->sbdf, pdev->header, 0);
    if (is_platform(pdev))
        return REFUSE(j, kind, PLATFORM, pdev->sbdf, pdev->class_rev >> 8, 0);
    return 0;
}

/* Free is what nobody has, or the control domain unless it is the one who is to get it. */
static int check_owner(struct pt_job *j, const struct pci_topology *t)
{
    const struct pci_dev *pdev = first(j);

    (void)t;
    if (j->d && pdev->owner == j->d)
        return REFUSE(j, owner, HAS_IT, pdev->sbdf, j->d->domid, 0);
    if (pdev->owner && !pdev->owner->control)
        return REFUSE(j, owner, OWNED, pdev->sbdf, pdev->owner->domid, 0);
    return 0;
}

static int check_has(struct pt_job *j, const struct pci_topology *t)
{
    const struct pci_dev *pdev = first(j);

    (void)t;
    if (pdev->owner != j->d)
        return REFUSE(j, owner, HAS_NOT, pdev->sbdf, j->d->domid, 0);
    return 0;
}

/* ---- who moves along ---- */

static int add_item(struct pt_job *j, struct pci_dev *pdev)
{
    if (j->nr < PT_MAX_ITEMS)
        j->item[j->nr].pdev = pdev;
    j->nr++;
    return 0;
}

/* Ascending addresses, which become ascending function numbers. */
static void sort_items(struct pt_job *j)
{
    for (unsigned i = 1; i < j->nr; i++)
        for (unsigned k = i; k && j->item[k - 1].pdev->sbdf > j->item[k].pdev->sbdf; k--) {
            struct pci_dev *pdev = j->item[k].pdev;

            j->item[k].pdev = j->item[k - 1].pdev;
            j->item[k - 1].pdev = pdev;
        }
}

/* A member beside the function that was asked for. Bridges stay where they are, whoever uses them. */
static int check_member(struct pt_job *j, struct pci_dev *pdev)
{
    if (!pt_is_endpoint(pdev) && !pdev->hidden)
        return 0;
    if (pdev->hidden || is_platform(pdev))
        return REFUSE(j, group, GROUP_FIXED, j->req.sbdf, pdev->sbdf, pdev->class_rev >> 8);
    if (pdev->owner && !pdev->owner->control)
        return REFUSE(j, group, GROUP_OWNED, j->req.sbdf, pdev->sbdf, pdev->owner->domid);
    return add_item(j, pdev);
}

static int check_group(struct pt_job *j, const struct pci_topology *t)
{
    unsigned self = pci_node_of(t, j->req.sbdf);
    unsigned other = PCI_NO_NODE;

    if (self == PCI_NO_NODE)
        return REFUSE(j, exists, ABSENT, j->req.sbdf, 0, 0);
    for (unsigned i = 0; i < t->nr; i++) {
        unsigned before = j->nr;

        if (i == self || !pci_same_group(t, self, i))
            continue;
        if (check_member(j, t->node[i].dev))
            return -1;
        if (j->nr > before && other == PCI_NO_NODE)
            other = i;
    }
    if (j->nr > 1 && !(j->req.flags & XENLITE_PCI_GROUP))
        return REFUSE(j, group, GROUP_PARTS, j->req.sbdf, t->node[other].dev->sbdf, j->nr);
    if (j->nr > PT_MAX_ITEMS)
        return REFUSE(j, group, GROUP_LARGE, j->req.sbdf, j->nr, PT_MAX_ITEMS);
    sort_items(j);
    return 0;
}

/*
 * Virtual functions last as long as their physical one keeps them enabled, and only the control domain's is kept from ending
 * them behind a guest's back.
 */
static int check_virtual(struct pt_job *j, const struct pci_topology *t)
{
    (void)t;
    for (unsigned i = 0; i < j->nr; i++) {
        const struct pci_dev *pdev = j->item[i].pdev, *pf = pdev->physfn;
        struct pci_dev *vf;
        unsigned nr = pci_vfs_known(pdev, &vf);

        if (nr)
            return REFUSE(j, group, PF_HAS_VFS, pdev->sbdf, nr, vf->sbdf);
        if (pf && (!pf->owner || !pf->owner->control || !pci_decodes(pdev)))
            return REFUSE(j, group, VF_OFF, pdev->sbdf, pf->sbdf, 0);
    }
    return 0;
}

/* Between the control domain and nobody a group may be divided: nobody's functions do nothing. */
static int collect_own(struct pt_job *j, const struct pci_topology *t)
{
    unsigned self = pci_node_of(t, j->req.sbdf);
    const struct domain *owner = first(j)->owner;

    if (!(j->req.flags & XENLITE_PCI_GROUP) || self == PCI_NO_NODE)
        return 0;
    for (unsigned i = 0; i < t->nr && j->nr < PT_MAX_ITEMS; i++) {
        struct pci_dev *pdev = t->node[i].dev;

        if (i == self || !pci_same_group(t, self, i) || !pt_is_endpoint(pdev) || pdev->hidden ||
            is_platform(pdev) || pdev->owner != owner)
            continue;
        add_item(j, pdev);
    }
    sort_items(j);
    return 0;
}

/* What moved together goes back together: the slot. */
static int collect_slot(struct pt_job *j, const struct pci_topology *t)
{
    struct pt_function *self = pt_function_of(j->d, first(j)), *f;

    (void)t;
    if (!self)
        return REFUSE(j, owner, HAS_NOT, j->req.sbdf, j->d->domid, 0);
    j->nr = 0;
    list_for_each_entry (f, &j->d->pt.functions, link)
        if (f->slot == self->slot)
            add_item(j, f->pdev);
    sort_items(j);
    return 0;
}

/* ---- memory and interrupts ---- */

static int check_reserved(struct pt_job *j, const struct pci_topology *t)
{
    uint16_t rid[IOMMU_MAX_ALIASES];
    uint64_t start, end;

    (void)t;
    for (unsigned i = 0; i < j->nr; i++) {
        uint32_t sbdf = j->item[i].pdev->sbdf;
        unsigned nr = pci_aliases(j->item[i].pdev, rid);

        if (iommu_rmrr_for(sbdf, 0, &start, &end))
            return REFUSE(j, reserved, RMRR, sbdf, start, end);
        for (unsigned k = 0; k < nr; k++)
            if (iommu_rmrr_for((sbdf & ~0xffffu) | rid[k], 0, &start, &end))
                return REFUSE(j, reserved, RMRR, sbdf, start, end);
    }
    return 0;
}

static int check_unit(struct pt_job *j, uint32_t at, struct iommu_unit_info *info)
{
    int unit = iommu_unit_for(at);

    if (unit < 0 || !iommu_unit_info((unsigned)unit, info))
        return REFUSE(j, iommu, NO_UNIT, at, 0, 0);
    if (info->failed)
        return REFUSE(j, iommu, UNIT_FAILED, at, (unsigned)unit, 0);
    return 0;
}

static int check_iommu(struct pt_job *j, const struct pci_topology *t)
{
    struct iommu_unit_info info;

    (void)t;
    if (!iommu_enabled())
        return REFUSE(j, iommu, NO_IOMMU, j->req.sbdf, 0, 0);
    if (!iommu_intremap())
        return REFUSE(j, iommu, NO_INTREMAP, j->req.sbdf, 0, 0);
    for (unsigned i = 0; i < j->nr; i++)
        if (check_unit(j, j->item[i].pdev->sbdf, &info))
            return -1;
    return 0;
}

static int check_width(struct pt_job *j, const struct pci_topology *t)
{
    uint64_t top = READ_ONCE(j->d->p2m.top_gfn);
    struct iommu_unit_info info;

    (void)t;
    for (unsigned i = 0; i < j->nr; i++) {
        if (check_unit(j, j->item[i].pdev->sbdf, &info))
            return -1;
        if (top >> (info.address_bits - PAGE_SHIFT))
            return REFUSE(j, width, WIDTH, j->item[i].pdev->sbdf, top, info.address_bits);
    }
    return 0;
}

static bool moves(const struct pt_job *j, const struct pci_dev *pdev)
{
    for (unsigned i = 0; i < j->nr; i++)
        if (j->item[i].pdev == pdev)
            return true;
    return false;
}

/* A function that stays, decodes memory, and overlaps [first, last]. */
static const struct pci_dev *overlaps_other(const struct pt_job *j, const struct pci_topology *t,
                                            uint64_t begin, uint64_t last)
{
    for (unsigned n = 0; n < t->nr; n++) {
        const struct pci_dev *pdev = t->node[n].dev;

        if (!pt_is_endpoint(pdev) || moves(j, pdev) || !pdev->decode)
            continue;
        for (unsigned i = 0; i < pdev->nr_bars; i++)
            if (pci_bar_is_memory(&pdev->bar[i]) && pdev->bar[i].addr <= last &&
                pdev->bar[i].addr + pdev->bar[i].size - 1 >= begin)
                return pdev;
    }
    return NULL;
}

static int check_bar(struct pt_job *j, const struct pci_topology *t, const struct pci_dev *pdev,
                     unsigned i)
{
    const struct pci_bar *bar = &pdev->bar[i];
    const struct pci_dev *other;
    uint64_t addr;

    if (!pci_bar_is_memory(bar))
        return 0;
    addr = pci_bar_address(pdev, i);
    if (!addr || addr + bar->size - 1 < addr)
        return REFUSE(j, bars, BAR_UNPLACED, pdev->sbdf, i, bar->size);
    if (pci_reserved(addr & PAGE_MASK, (addr + bar->size - 1) | (PAGE_SIZE - 1)))
        return REFUSE(j, bars, BAR_RESERVED, pdev->sbdf, i, addr);
    other = overlaps_other(j, t, addr, addr + bar->size - 1);
    if (other)
        return REFUSE(j, bars, BAR_OVERLAP, pdev->sbdf, i, other->sbdf);
    return 0;
}

static int check_bars(struct pt_job *j, const struct pci_topology *t)
{
    for (unsigned n = 0; n < j->nr; n++)
        for (unsigned i = 0; i < j->item[n].pdev->nr_bars; i++)
            if (check_bar(j, t, j->item[n].pdev, i))
                return -1;
    return 0;
}

static int check_interrupts(struct pt_job *j, const struct pci_topology *t)
{
    (void)t;
    for (unsigned i = 0; i < j->nr; i++) {
        const struct pci_dev *pdev = j->item[i].pdev;
        const struct pci_msix_info *m = &pdev->msix;

        if (!m->cap)
            continue;
        if (!m->nr || !pci_msix_in_bars(pdev))
            return REFUSE(j, interrupts, MSIX_TABLE, pdev->sbdf, m->table_offset, m->pba_offset);
        if (m->table_bar == m->pba_bar && m->table_offset < m->pba_offset + pci_msix_pba_len(m) &&
            m->pba_offset < m->table_offset + pci_msix_table_len(m))
            return REFUSE(j, interrupts, MSIX_OVERLAP, pdev->sbdf, m->pba_offset, 0);
    }
    return 0;
}

/* ---- reset and place ---- */

static int check_reset(struct pt_job *j, const struct pci_topology *t)
{
    for (unsigned i = 0; i < j->nr; i++) {
        unsigned methods = pci_reset_methods(j->item[i].pdev, t);

        j->item[i].method = methods & -methods;
        if (!methods && !(j->req.flags & XENLITE_PCI_NO_RESET))
            return REFUSE(j, reset, NO_RESET, j->item[i].pdev->sbdf, 0, 0);
    }
    return 0;
}

static int check_slot(struct pt_job *j, const struct pci_topology *t)
{
    int slot = (int)j->req.slot;

    (void)t;
    if (slot && vroot_slot_state(j->d, (unsigned)slot) != XENLITE_PCI_SLOT_empty)
        return REFUSE(j, slot, SLOT_TAKEN, j->req.sbdf, (unsigned)slot, 0);
    if (!slot)
        slot = vroot_free_slot(j->d);
    if (slot < 0)
        return REFUSE(j, slot, NO_SLOT, j->req.sbdf, XENLITE_PCI_NR_SLOTS, 0);
    j->res.slot = (unsigned)slot;
    return 0;
}

/* ---- all of them ---- */

static const check_fn guest_attach[] = {
    check_arguments, check_domain, check_exists, check_kind,       check_owner, check_group, check_virtual,
    check_reserved,  check_iommu,  check_width,  check_bars,       check_interrupts, check_reset, check_slot,
};

static const check_fn anybody[] = {
    check_arguments, check_exists, check_kind, check_owner,      check_group, check_virtual,
    check_reserved,  check_iommu,  check_bars, check_interrupts, check_reset,
};

/* Back from nobody to the control domain: it was reset when it became nobody's. */
static const check_fn control_attach[] = {
    check_arguments, check_domain, check_exists, check_kind, check_owner, collect_own,
};

static const check_fn detach[] = {
    check_arguments, check_domain, check_known, check_has, collect_slot,
};

static const check_fn control_detach[] = {
    check_arguments, check_domain, check_exists, check_kind, check_has, collect_own, check_virtual,
};

/* What the checks found becomes what the moves need. */
static void fill_items(struct pt_job *j)
{
    for (unsigned i = 0; i < j->nr; i++) {
        struct pt_item *it = &j->item[i];
        struct pt_function *f = it->pdev->owner ? pt_function_of(it->pdev->owner, it->pdev) : NULL;

        it->from = it->pdev->owner;
        it->was_held = f ? f->was_held : !it->from;
        it->permissive = j->req.flags & XENLITE_PCI_PERMISSIVE;
        it->slot = (uint8_t)(f ? f->slot : j->res.slot);
        it->fn = (uint8_t)(f ? f->fn : i);
        if (f) {
            it->method = f->method;
            it->saved = f->saved;
        }
        if (j->req.kind == PT_ATTACH)
            it->to = j->d;
        else if ((j->req.flags & XENLITE_PCI_TO_NOBODY) || it->from->control || it->was_held)
            it->to = NULL;
        else
            it->to = control_domain;
    }
    /* A guest is at one end of it. */
    j->reset = to_guest(j) || (j->req.kind != PT_ATTACH && !j->d->control);
    j->res.nr = j->nr;
    j->res.slot = j->item[0].slot;
}

static const check_fn *checks_of(const struct pt_job *j, unsigned *nr)
{
    bool control = j->d && j->d->control;

    if (j->req.domid == PT_ANYBODY && (j->req.flags & XENLITE_PCI_DRY_RUN)) {
        *nr = ARRAY_SIZE(anybody);
        return anybody;
    }
    if (j->req.kind == PT_ATTACH) {
        *nr = control ? ARRAY_SIZE(control_attach) : ARRAY_SIZE(guest_attach);
        return control ? control_attach : guest_attach;
    }
    *nr = control ? ARRAY_SIZE(control_detach) : ARRAY_SIZE(detach);
    return control ? control_detach : detach;
}

int pt_check(struct pt_job *j)
{
    bool slot = j->req.kind != PT_ATTACH && !(j->d && j->d->control);
    /* What takes a function from a guest must not fail for want of memory. */
    struct pci_topology *t = slot ? NULL : pci_topology();
    unsigned nr;
    const check_fn *fn = checks_of(j, &nr);
    int rc = 0;

    if (!t && !slot)
        return REFUSE(j, arguments, MEMORY, j->req.sbdf, 0, 0);
    for (unsigned i = 0; i < nr && !rc; i++)
        rc = fn[i](j, t);
    xfree(t);
    if (!rc && j->d)
        fill_items(j);
    return rc;
}
