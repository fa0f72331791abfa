/* SPDX-License-Identifier: MIT */
/*
 * MSI-X (PCI 3.0, 6.8.2): the capability's control register and the table's entries.
 *
 * An entry of the device holds a host message and is unmasked only while the domain wants that and
 * its own message is bound.  Enable bit and function mask are passed to the device; entries are
 * brought up to date before the enable bit is set.
 */
#include "vdev/vmsix.h"

#include "irq/girq.h"
#include "lib/errno.h"
#include "lib/mmio.h"
#include "vdev/ioreq.h"
#include "vdev/pci_sriov.h"
#include "vdev/vpci_engine.h"

static volatile uint8_t *hw_entry(const struct vmsix *m, unsigned i)
{
    return m->hw_table + i * PCI_MSIX_ENTRY_SIZE;
}

static void hw_mask(struct vmsix *m, unsigned i)
{
    mmio_write32(hw_entry(m, i) + PCI_MSIX_ENTRY_CTRL, PCI_MSIX_CTRL_MASKED);
    /* Reads push writes: when the domain goes on, the device has seen it (PCI 3.0, 3.2.5). */
    (void)mmio_read32(hw_entry(m, i) + PCI_MSIX_ENTRY_CTRL);
    m->entry[i].live = false;
}

static void hw_unmask(struct vmsix *m, unsigned i)
{
    mmio_write32(hw_entry(m, i) + PCI_MSIX_ENTRY_CTRL, 0);
    m->entry[i].live = true;
}

static void hw_message(struct vmsix *m, unsigned i, uint64_t addr, uint32_t data)
{
    mmio_write32(hw_entry(m, i) + PCI_MSIX_ENTRY_ADDR_LO, (uint32_t)addr);
    mmio_write32(hw_entry(m, i) + PCI_MSIX_ENTRY_ADDR_HI, (uint32_t)(addr >> 32));
    mmio_write32(hw_entry(m, i) + PCI_MSIX_ENTRY_DATA, data);
}

static bool wanted(const struct vmsix *m, unsigned i)
{
    return m->enabled && m->reachable && !(m->entry[i].ctrl & PCI_MSIX_CTRL_MASKED);
}

static int bind_here(struct vpci_dev *vd, struct vmsix_entry *e)
{
    int rc = 0;

    if (!e->girq)
        rc = girq_msi_create(vd->vpci->domain, vd->hw_sbdf, &e->girq);
    if (!rc)
        rc = girq_msi_bind(e->girq, e->address, e->data);
    return rc;
}

/* Binds the entry's message and gives it to the device, whose entry is masked.  0: bound. */
static int bind_entry(struct vpci_dev *vd, unsigned i)
{
    struct vmsix *m = vd->msix;
    struct vmsix_entry *e = &m->entry[i];
    uint64_t addr;
    uint32_t data;
    int rc = bind_here(vd, e);

    if (rc) {
        m->failed++;
        vpci_deny(vd, DENY_MSI_BIND, e->address, e->data);
        return rc;
    }
    m->binds++;
    girq_message(e->girq, &addr, &data);
    hw_message(m, i, addr, data);
    e->bound = true;
    return 0;
}

/*
 * Makes the device's entry what the domain's entry asks for, as far as its message is bound; false
 * if it is not and would have to be.
 */
static bool follow(struct vpci_dev *vd, unsigned i)
{
    struct vmsix *m = vd->msix;
    struct vmsix_entry *e = &m->entry[i];

    if (!m->reachable)
        return true;
    /* Without remapping binding changes the host's message: never under an unmasked entry. */
    if (e->live && !(wanted(m, i) && e->bound))
        hw_mask(m, i);
    if (!wanted(m, i))
        return true;
    if (!e->bound)
        return false;
    if (!e->live)
        hw_unmask(m, i);
    return true;
}

/*
 * Who may decide on a new message: the control domain's is checked and bound here; for a guest the
 * device model is asked, and answers with vmsix_bind().
 */
static enum trap_result decide_message(struct vpci_dev *vd, unsigned i, bool sweep)
{
    if (vd->vpci->policy->asks)
        return ioreq_msix(vd, i, sweep);
    if (!bind_entry(vd, i))
        follow(vd, i);
    return TRAP_DONE;
}

static enum trap_result update_entry(struct vpci_dev *vd, unsigned i)
{
    return follow(vd, i) ? TRAP_DONE : decide_message(vd, i, false);
}

bool vmsix_next_unbound(const struct vpci_dev *vd, unsigned from, unsigned *i)
{
    const struct vmsix *m = vd->msix;

    for (*i = from; *i < m->nr; ++*i)
        if (wanted(m, *i) && !m->entry[*i].bound)
            return true;
    return false;
}

/*
 * One write of the domain's put all of them to use.  A device model is asked about the first; when
 * it has answered, about the next (vdev/ioreq_finish.c).
 */
static void update_all(struct vpci_dev *vd)
{
    bool asked = false;

    for (unsigned i = 0; i < vd->msix->nr; i++) {
        if (follow(vd, i) || asked)
            continue;
        asked = decide_message(vd, i, true) == TRAP_FORWARD;
    }
    vd->forwarded |= asked;
}

int vmsix_bind(struct vpci_dev *vd, unsigned i, uint64_t address, uint32_t data)
{
    const struct vmsix_entry *e = &vd->msix->entry[i];
    int rc = 0;

    if (e->address != address || e->data != data)
        return -ESTALE;
    if (!vd->msix->reachable)
        return -ENODEV;
    if (!e->bound) {
        if (e->live)
            hw_mask(vd->msix, i);
        rc = bind_entry(vd, i);
    }
    if (!rc)
        follow(vd, i);
    return rc;
}

void vmsix_settle(struct vpci_dev *vd, unsigned i)
{
    follow(vd, i);
}

void vmsix_unbind(struct vpci_dev *vd, unsigned i)
{
    struct vmsix_entry *e = &vd->msix->entry[i];

    e->bound = false;
    if (e->live)
        hw_mask(vd->msix, i);
    if (e->girq)
        girq_msi_unbind(e->girq);
}

/*
 * The function was reset, or was never ours: nothing that we know about its table holds.  Masks
 * everything, now or as soon as it can be reached.
 */
static void forget_hardware(struct vmsix *m)
{
    for (unsigned i = 0; i < m->nr; i++) {
        m->entry[i].bound = false;
        m->entry[i].live = false;
        if (m->reachable)
            hw_mask(m, i);
    }
    m->known = m->reachable;
}

/* ---- the table ---- */

static uint32_t entry_dword(const struct vmsix_entry *e, unsigned off)
{
    switch (off) {
    case PCI_MSIX_ENTRY_ADDR_LO:
        return (uint32_t)e->address;
    case PCI_MSIX_ENTRY_ADDR_HI:
        return (uint32_t)(e->address >> 32);
    case PCI_MSIX_ENTRY_DATA:
        return e->data;
    default:
        return e->ctrl;
    }
}

static uint32_t table_dword(const struct vmsix *m, uint32_t off)
{
    return entry_dword(&m->entry[off / PCI_MSIX_ENTRY_SIZE], off % PCI_MSIX_ENTRY_SIZE & ~3u);
}

int vmsix_table_read(struct vpci_dev *vd, uint32_t off, unsigned size, uint64_t *val)
{
    struct vmsix *m = vd->msix;

    m->entry[off / PCI_MSIX_ENTRY_SIZE].reads[off / 4 % 4]++;
    if (size == 8 && !(off & 7)) {
        *val = (uint64_t)table_dword(m, off + 4) << 32 | table_dword(m, off);
        return TRAP_DONE;
    }
    if ((off & 3) + size > 4)
        return vpci_deny(vd, DENY_MSIX_ALIGN, m->table + off, size);
    *val = table_dword(m, off) >> (off & 3) * 8 & trap_all_ones(size);
    return TRAP_DONE;
}

static void set_dword(struct vmsix *m, struct vmsix_entry *e, unsigned off, uint32_t val)
{
    struct vmsix_entry old = *e;

    switch (off) {
    case PCI_MSIX_ENTRY_ADDR_LO:
        e->address = (e->address & ~0xffffffffULL) | (val & ~3u);
        break;
    case PCI_MSIX_ENTRY_ADDR_HI:
        e->address = (e->address & 0xffffffff) | (uint64_t)val << 32;
        break;
    case PCI_MSIX_ENTRY_DATA:
        e->data = val;
        break;
    default:
        e->ctrl = val & PCI_MSIX_CTRL_MASKED; /* the others are reserved, and read as 0 here */
        m->mask_writes++;
        break;
    }
    if (e->address != old.address || e->data != old.data)
        e->bound = false;
}

int vmsix_table_write(struct vpci_dev *vd, uint32_t off, unsigned size, uint64_t val)
{
    struct vmsix *m = vd->msix;
    unsigned i = off / PCI_MSIX_ENTRY_SIZE;
    struct vmsix_entry *e = &m->entry[i];

    e->writes[off / 4 % 4]++;
    if ((size != 4 && size != 8) || off & (size - 1))
        return vpci_deny(vd, DENY_MSIX_ALIGN, m->table + off, size);
    set_dword(m, e, off % PCI_MSIX_ENTRY_SIZE, (uint32_t)val);
    if (size == 8)
        set_dword(m, e, off % PCI_MSIX_ENTRY_SIZE + 4, (uint32_t)(val >> 32));
    /*
     * A new message for an unmasked entry is undefined by the specification; as in hardware it
     * takes effect at once.
     */
    return update_entry(vd, i);
}

/* ---- the capability; vpci->lock held ---- */

static uint32_t control_read(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    uint32_t val = vpci_hw_read(vd, reg->offset, 2) & ~(uint32_t)PCI_MSIX_ENABLE;

    return val | (vd->msix->enabled ? PCI_MSIX_ENABLE : 0);
}

static void control_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    struct vmsix *m = vd->msix;
    bool hw_on = vpci_hw_read(vd, reg->offset, 2) & PCI_MSIX_ENABLE;

    spin_lock(&vd->lock);
    /* A reset turned decoding off: the table is out of reach until the command register is written.
     */
    if (!pci_decodes(vd->pdev))
        m->reachable = false;
    if (m->enabled && !hw_on)
        forget_hardware(m); /* a reset turned it off */
    if ((val & PCI_MSIX_ENABLE) && !(m->enabled && hw_on)) {
        m->enabled = true;
        update_all(vd);
    }
    m->enabled = val & PCI_MSIX_ENABLE;
    vpci_hw_write(vd, reg->offset, 2, val);
    spin_unlock(&vd->lock);
}

int vmsix_map(struct vpci_dev *vd)
{
    const struct pci_msix_info *info = &vd->pdev->msix;
    uint64_t hw_table = vd->pdev->bar[info->table_bar].addr + info->table_offset;
    uint64_t hw_pba = vd->pdev->bar[info->pba_bar].addr + info->pba_offset;
    struct vmsix *m = vd->msix;
    int rc;

    if (!pci_msix_in_bars(vd->pdev))
        return 0; /* its BAR was made smaller */
    m->table = vpci_bar_gpa(vd, info->table_bar) + info->table_offset;
    m->pba = vpci_bar_gpa(vd, info->pba_bar) + info->pba_offset;
    if (pci_reserved(hw_table, hw_table + m->table_len - 1) ||
        pci_reserved(hw_pba, hw_pba + m->pba_len - 1))
        return 0;
    m->hw_table = pci_window(hw_table, m->table_len);
    rc = m->hw_table ? vmsix_pages_get(vd, info->table_bar, m->table, m->table_len) : -ENOSPC;
    if (!rc)
        rc = vmsix_pages_get(vd, info->pba_bar, m->pba, m->pba_len);
    m->trapped = !rc;
    if (!rc)
        return 0;
    vmsix_pages_put(vd);
    return vpci_deny(vd, DENY_BAR_TRAP, m->table, m->table_len);
}

void vmsix_online(struct vpci_dev *vd)
{
    struct vmsix *m = vd->msix;

    if (!m->trapped)
        return;
    spin_lock(&vd->lock);
    m->reachable = true;
    if (!m->known || !(vpci_hw_read(vd, m->cap + PCI_MSIX_CONTROL, 2) & PCI_MSIX_ENABLE))
        forget_hardware(m);
    update_all(vd);
    spin_unlock(&vd->lock);
}

void vmsix_unmap(struct vpci_dev *vd)
{
    spin_lock(&vd->lock);
    vd->msix->reachable = false;
    spin_unlock(&vd->lock);
    vmsix_pages_put(vd);
    vd->msix->trapped = false;
}

/* The enable bit must not reach a device whose table cannot be trapped. */
static void ignore_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    (void)vd;
    (void)reg;
    (void)val;
}

static int keep_off(struct vpci_dev *vd, const struct vpci_reg *control)
{
    struct vpci_reg reg = *control;

    reg.read = NULL;
    reg.write = ignore_write;
    return vpci_add_reg(vd, &reg);
}

int vmsix_init(struct vpci_dev *vd)
{
    const struct pci_msix_info *info = &vd->pdev->msix;
    struct vpci_reg control = { .offset = (uint16_t)(info->cap + PCI_MSIX_CONTROL),
                                .size = 2,
                                .ro = 0xffff & ~(uint32_t)(PCI_MSIX_ENABLE | PCI_MSIX_FMASK),
                                .read = control_read,
                                .write = control_write,
                                .name = "msix-control" };
    struct vmsix *m;
    uint32_t val;

    if (!info->cap)
        return 0;
    val = vpci_hw_read(vd, control.offset, 2);
    if (val & PCI_MSIX_ENABLE)
        vpci_hw_write(vd, control.offset, 2, val & ~(uint32_t)PCI_MSIX_ENABLE);
    if (!info->nr)
        return keep_off(vd, &control);
    m = trap_zalloc(sizeof(*m) + info->nr * sizeof(m->entry[0]));
    if (!m)
        return -ENOMEM;
    vd->msix = m;
    m->cap = info->cap;
    m->nr = info->nr;
    m->table_len = pci_msix_table_len(info);
    m->pba_len = pci_msix_pba_len(info);
    for (unsigned i = 0; i < m->nr; i++)
        m->entry[i].ctrl = PCI_MSIX_CTRL_MASKED; /* the state after reset */
    return vpci_add_reg(vd, &control);
}

void vmsix_cleanup(struct vpci_dev *vd)
{
    struct vmsix *m = vd->msix;
    unsigned control;
    uint32_t val;

    if (!m)
        return;
    control = m->cap + PCI_MSIX_CONTROL;
    val = vpci_hw_read(vd, control, 2);
    if (val & PCI_MSIX_ENABLE)
        vpci_hw_write(vd, control, 2, val & ~(uint32_t)PCI_MSIX_ENABLE);
    for (unsigned i = 0; i < m->nr; i++)
        if (m->entry[i].girq)
            girq_destroy(m->entry[i].girq);
    vd->msix = NULL;
    trap_defer_free(m);
}
