/* SPDX-License-Identifier: MIT */
/*
 * The MSI capability (PCI 3.0, 6.8.1): the domain's address and data are kept here, the device gets
 * the host's message.  Mask and pending bits are the device's own.  One message a function: several
 * would need consecutive remapping entries, so the function is shown as one that can send a single
 * one.
 *
 * All handlers run with vpci->lock held.
 */
#include "vdev/vmsi.h"

#include "irq/girq.h"
#include "lib/errno.h"
#include "vdev/ioreq.h"
#include "vdev/vpci_engine.h"

static unsigned data_reg(const struct vmsi *m)
{
    return m->cap + (m->is_64bit ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32);
}

static unsigned mask_reg(const struct vmsi *m)
{
    return m->cap + (m->is_64bit ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32);
}

static uint32_t hw_control(const struct vpci_dev *vd)
{
    return vpci_hw_read(vd, vd->msi->cap + PCI_MSI_CONTROL, 2);
}

static void hw_enable(struct vpci_dev *vd, bool on)
{
    uint32_t val = hw_control(vd) & ~(uint32_t)(PCI_MSI_ENABLE | PCI_MSI_MME_MASK);

    vpci_hw_write(vd, vd->msi->cap + PCI_MSI_CONTROL, 2, val | (on ? PCI_MSI_ENABLE : 0));
}

static void hw_message(struct vpci_dev *vd)
{
    const struct vmsi *m = vd->msi;

    vpci_hw_write(vd, m->cap + PCI_MSI_ADDR_LO, 4, (uint32_t)m->hw_address);
    if (m->is_64bit)
        vpci_hw_write(vd, m->cap + PCI_MSI_ADDR_HI, 4, (uint32_t)(m->hw_address >> 32));
    vpci_hw_write(vd, data_reg(m), 2, m->hw_data & 0xffff);
}

/*
 * A new message for a device that may be sending: it must not send a mixture of two.  Silenced by
 * its mask bit where it has one, otherwise by turning MSI off for a moment.
 */
static void hw_change_message(struct vpci_dev *vd)
{
    const struct vmsi *m = vd->msi;
    uint32_t mask = 0;

    if (m->maskable) {
        mask = vpci_hw_read(vd, mask_reg(m), 4);
        vpci_hw_write(vd, mask_reg(m), 4, mask | 1);
    } else {
        hw_enable(vd, false);
    }
    hw_message(vd);
    if (m->maskable)
        vpci_hw_write(vd, mask_reg(m), 4, mask);
    else
        hw_enable(vd, true);
}

static int bind(struct vpci_dev *vd)
{
    struct vmsi *m = vd->msi;
    int rc = 0;

    if (m->bound)
        return 0;
    if (!m->girq)
        rc = girq_msi_create(vd->vpci->domain, vd->hw_sbdf, &m->girq);
    if (!rc)
        rc = girq_msi_bind(m->girq, m->address, m->data);
    if (!rc) {
        m->binds++;
        m->bound = true;
        return 0;
    }
    m->failed++;
    vpci_deny(vd, DENY_MSI_BIND, m->address, m->data);
    return rc;
}

/* The message is bound: the device sends the host's. */
static void activate(struct vpci_dev *vd)
{
    struct vmsi *m = vd->msi;
    uint64_t addr;
    uint32_t data;

    girq_message(m->girq, &addr, &data);
    if (m->active && addr == m->hw_address && data == m->hw_data)
        return;
    m->hw_address = addr;
    m->hw_data = data;
    if (m->active) {
        hw_change_message(vd);
        return;
    }
    hw_message(vd);
    hw_enable(vd, true);
    m->active = true;
}

/*
 * Makes the device follow what the domain wrote.  A message that cannot be bound changes nothing:
 * the domain may be half way through writing a new one.  A guest's is the device model's to decide,
 * which answers with vmsi_bind().
 */
static void update(struct vpci_dev *vd)
{
    struct vmsi *m = vd->msi;

    if (!m->bound && vd->vpci->policy->asks) {
        vd->forwarded = ioreq_msi(vd, m->cap + PCI_MSI_CONTROL, m->address, m->data) == TRAP_FORWARD;
        return;
    }
    if (!bind(vd))
        activate(vd);
}

int vmsi_bind(struct vpci_dev *vd, uint64_t address, uint32_t data)
{
    struct vmsi *m = vd->msi;
    int rc;

    if (m->address != address || m->data != data)
        return -ESTALE;
    rc = bind(vd);
    if (!rc && m->enabled)
        activate(vd);
    return rc;
}

void vmsi_settle(struct vpci_dev *vd)
{
    if (vd->msi->enabled && vd->msi->bound)
        activate(vd);
}

void vmsi_unbind(struct vpci_dev *vd)
{
    struct vmsi *m = vd->msi;

    m->bound = false;
    if (m->active)
        hw_enable(vd, false);
    m->active = false;
    if (m->girq)
        girq_msi_unbind(m->girq);
}

static uint32_t control_read(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    const struct vmsi *m = vd->msi;
    uint32_t val = vpci_hw_read(vd, reg->offset, 2);

    val &= ~(uint32_t)(PCI_MSI_ENABLE | PCI_MSI_MMC_MASK | PCI_MSI_MME_MASK);
    return val | (m->enabled ? PCI_MSI_ENABLE : 0);
}

static void control_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    struct vmsi *m = vd->msi;

    (void)reg;
    m->enabled = val & PCI_MSI_ENABLE;
    /* A reset of the function turned it off behind our back: it needs everything again. */
    if (m->active && !(hw_control(vd) & PCI_MSI_ENABLE))
        m->active = false;
    if (m->enabled && !m->active)
        update(vd);
    if (!m->enabled) {
        hw_enable(vd, false);
        vmsi_unbind(vd);
    }
}

static uint32_t addr_read(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    return (uint32_t)(reg->index ? vd->msi->address >> 32 : vd->msi->address);
}

static void addr_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    struct vmsi *m = vd->msi;
    uint64_t old = m->address;

    if (reg->index)
        m->address = (m->address & 0xffffffff) | (uint64_t)val << 32;
    else
        m->address = (m->address & ~0xffffffffULL) | val;
    if (m->address == old)
        return;
    m->bound = false;
    if (m->enabled)
        update(vd);
}

static uint32_t data_read(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    (void)reg;
    return vd->msi->data;
}

static void data_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    struct vmsi *m = vd->msi;
    uint16_t old = m->data;

    (void)reg;
    m->data = (uint16_t)val;
    if (m->data == old)
        return;
    m->bound = false;
    if (m->enabled)
        update(vd);
}

static int add_regs(struct vpci_dev *vd)
{
    const struct vmsi *m = vd->msi;
    struct vpci_reg control = { .offset = (uint16_t)(m->cap + PCI_MSI_CONTROL),
                                .size = 2,
                                .ro = 0xffff & ~(uint32_t)(PCI_MSI_ENABLE | PCI_MSI_MME_MASK),
                                .read = control_read,
                                .write = control_write,
                                .name = "msi-control" };
    /* Address bits 1:0 read as 0. */
    struct vpci_reg addr = { .offset = (uint16_t)(m->cap + PCI_MSI_ADDR_LO),
                             .size = 4,
                             .ro = 3,
                             .read = addr_read,
                             .write = addr_write,
                             .name = "msi-address" };
    struct vpci_reg high = { .offset = (uint16_t)(m->cap + PCI_MSI_ADDR_HI),
                             .size = 4,
                             .index = 1,
                             .read = addr_read,
                             .write = addr_write,
                             .name = "msi-address-high" };
    struct vpci_reg data = { .offset = (uint16_t)data_reg(m),
                             .size = 2,
                             .read = data_read,
                             .write = data_write,
                             .name = "msi-data" };
    int rc = vpci_add_reg(vd, &control);

    if (!rc)
        rc = vpci_add_reg(vd, &addr);
    if (!rc && m->is_64bit)
        rc = vpci_add_reg(vd, &high);
    if (!rc)
        rc = vpci_add_reg(vd, &data);
    return rc;
}

int vmsi_init(struct vpci_dev *vd)
{
    struct vmsi *m;
    uint32_t control;

    if (!vd->pdev->cap_msi)
        return 0;
    m = trap_zalloc(sizeof(*m));
    if (!m)
        return -ENOMEM;
    vd->msi = m;
    m->cap = vd->pdev->cap_msi;
    control = hw_control(vd);
    m->is_64bit = control & PCI_MSI_64BIT;
    m->maskable = control & PCI_MSI_MASKABLE;
    /* What firmware may have left on would go to a vector of ours. */
    if (control & PCI_MSI_ENABLE)
        hw_enable(vd, false);
    return add_regs(vd);
}

void vmsi_cleanup(struct vpci_dev *vd)
{
    struct vmsi *m = vd->msi;

    if (!m)
        return;
    if (m->active)
        hw_enable(vd, false);
    if (m->girq)
        girq_destroy(m->girq);
    vd->msi = NULL;
    trap_defer_free(m);
}
