/* SPDX-License-Identifier: MIT */
/*
 * What a guest finds of a function's capabilities: the ones that are safe and that the hypervisor
 * understands, in lists that lead past the others. Lists come from hardware, which may be broken:
 * every walk is bounded, and what does not fit is left out.
 */
#include "lib/errno.h"
#include "vdev/vmsi.h"
#include "vdev/vmsix.h"
#include "vdev/vpci_engine.h"
#include "vdev/vpci_guest.h"

/* PCI Code and ID Assignment 1.11, chapters 2 and 3. */
#define CAP_VPD    0x03
#define CAP_VENDOR 0x09

#define MAX_CAPS     48 /* more do not fit into the registers that lists use */
#define MAX_EXT_CAPS 64

struct cap {
    uint16_t pos, id;
    uint16_t len; /* how much of it is hidden with it; 0: up to the next one */
    bool visible;
};

struct cap_list {
    unsigned nr;
    struct cap cap[MAX_EXT_CAPS]; /* in the order of the hardware's list */
};

/* ---- which ones ---- */

/*
 * Extended capabilities that a guest may see; it reads them, writes are the device model's to
 * decide.
 */
static bool ext_visible(uint16_t id)
{
    switch (id) {
    case 0x01: /* advanced error reporting */
    case 0x02: /* virtual channels */
    case 0x03: /* serial number */
    case 0x04: /* power budgeting */
    case 0x0b: /* vendor specific */
    case 0x18: /* latency tolerance reporting */
    case 0x19: /* secondary PCI Express */
    case 0x25: /* data link feature */
    case 0x26: /* 16 GT/s */
        return true;
    default: /* ACS, ARI, ATS, SR-IOV, PRI, PASID, resizable BARs, TPH...: hidden */
        return false;
    }
}

/* Only the one of its kind that the hypervisor found itself, where that matters. */
static bool cap_visible(const struct vpci_dev *vd, const struct cap *c)
{
    const struct pci_dev *pdev = vd->pdev;

    switch (c->id) {
    case PCI_CAP_PM:
        return c->pos == pdev->cap_pm;
    case PCI_CAP_MSI:
        return vd->msi && c->pos == vd->msi->cap;
    case PCI_CAP_MSIX:
        return vd->msix && c->pos == vd->msix->cap;
    case PCI_CAP_PCIE:
        return c->pos == pdev->cap_pcie && c->pos + 0x3c <= PCI_CFG_SIZE;
    case CAP_VPD:
        return c->pos + 8 <= PCI_CFG_SIZE;
    case CAP_VENDOR:
        return true;
    default:
        return false;
    }
}

/* ---- finding them ---- */

static void find_caps(struct vpci_dev *vd, struct cap_list *list)
{
    uint64_t seen = 0; /* one bit a dword */
    unsigned pos = 0;

    list->nr = 0;
    if (vpci_hw_read(vd, PCI_REG_STATUS, 2) & PCI_STATUS_CAP_LIST)
        pos = vpci_hw_read(vd, PCI_REG_CAP_POINTER, 1) & 0xfc;
    while (pos >= 0x40 && list->nr < MAX_CAPS && !(seen >> (pos / 4) & 1)) {
        struct cap *c = &list->cap[list->nr++];

        seen |= 1ULL << (pos / 4);
        *c = (struct cap){ .pos = (uint16_t)pos, .id = (uint8_t)vpci_hw_read(vd, pos, 1) };
        c->len = c->id == PCI_CAP_AF ? 8 : 0;
        c->visible = cap_visible(vd, c);
        pos = vpci_hw_read(vd, pos + 1, 1) & 0xfc;
    }
}

static bool listed(const struct cap_list *list, unsigned pos)
{
    for (unsigned i = 0; i < list->nr; i++)
        if (list->cap[i].pos == pos)
            return true;
    return false;
}

static void find_ext_caps(struct vpci_dev *vd, struct cap_list *list)
{
    unsigned pos = PCI_CFG_SIZE;

    list->nr = 0;
    while (pos >= PCI_CFG_SIZE && list->nr < MAX_EXT_CAPS && !listed(list, pos)) {
        uint32_t head = vpci_hw_read(vd, pos, 4);
        struct cap *c = &list->cap[list->nr];

        if (!head || head == ~0u)
            break;
        *c = (struct cap){ .pos = (uint16_t)pos, .id = (uint16_t)head };
        c->visible = ext_visible(c->id);
        list->nr++;
        pos = head >> 20 & 0xffc;
    }
}

/* ---- hiding and linking ---- */

static void hide(struct vpci_guest *g, unsigned first, unsigned end)
{
    for (unsigned dword = first / 4; dword < end / 4; dword++)
        g->hidden[dword / 64] |= 1ULL << (dword % 64);
}

/* Where the next capability begins behind `pos`, or `end`. */
static unsigned next_start(const struct cap_list *list, unsigned pos, unsigned end)
{
    for (unsigned i = 0; i < list->nr; i++)
        if (list->cap[i].pos > pos && list->cap[i].pos < end)
            end = list->cap[i].pos;
    return end;
}

static void hide_invisible(struct vpci_guest *g, const struct cap_list *list, unsigned end)
{
    for (unsigned i = 0; i < list->nr; i++) {
        const struct cap *c = &list->cap[i];
        unsigned stop = next_start(list, c->pos, end);

        if (c->visible)
            continue;
        hide(g, c->pos, c->len ? MIN(stop, c->pos + (unsigned)c->len) : stop);
    }
}

/* Position of the first visible one from number `i` on, or 0. */
static unsigned next_visible(const struct cap_list *list, unsigned i)
{
    for (; i < list->nr; i++)
        if (list->cap[i].visible)
            return list->cap[i].pos;
    return 0;
}

static int add_constant(struct vpci_dev *vd, unsigned offset, unsigned size, uint32_t value,
                        const char *name)
{
    const struct vpci_reg reg = { .offset = (uint16_t)offset,
                                  .size = (uint8_t)size,
                                  .value = value,
                                  .read = vpci_read_value,
                                  .write = vpci_write_ignored,
                                  .name = name };

    return vpci_add_reg(vd, &reg);
}

/* ---- registers inside of capabilities that are not the device model's to decide ---- */

static void hw_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    vpci_hw_write(vd, reg->offset, reg->size, val);
}

/* Mask and pending bits are the device's own. */
static int add_msi(struct vpci_dev *vd)
{
    unsigned mask = vd->msi->cap + (vd->msi->is_64bit ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32);
    struct vpci_reg reg = {
        .offset = (uint16_t)mask, .size = 4, .write = hw_write, .name = "msi-mask"
    };
    int rc;

    if (!vd->msi->maskable)
        return 0;
    rc = vpci_add_reg(vd, &reg);
    reg.offset = (uint16_t)(mask + 4);
    reg.write = vpci_write_ignored;
    reg.name = "msi-pending";
    return rc ? rc : vpci_add_reg(vd, &reg);
}

/* Where table and pending bits are. */
static int add_msix(struct vpci_dev *vd)
{
    struct vpci_reg reg = { .size = 4, .write = vpci_write_ignored, .name = "msix-place" };
    int rc;

    reg.offset = (uint16_t)(vd->msix->cap + PCI_MSIX_TABLE);
    rc = vpci_add_reg(vd, &reg);
    reg.offset = (uint16_t)(vd->msix->cap + PCI_MSIX_PBA);
    return rc ? rc : vpci_add_reg(vd, &reg);
}

/* Behind a root port there are endpoints, whatever the hardware says of its place. */
static int add_pcie(struct vpci_dev *vd, unsigned pos)
{
    uint32_t flags = vpci_hw_read(vd, pos + PCI_EXP_FLAGS, 2) & ~0x01f0u;

    if (vd->pdev->pcie_type == PCIE_LEGACY_ENDPOINT)
        flags |= PCIE_LEGACY_ENDPOINT << 4;
    return add_constant(vd, pos + PCI_EXP_FLAGS, 2, flags, "pcie-flags");
}

static int add_inside(struct vpci_dev *vd, const struct cap *c)
{
    switch (c->id) {
    case PCI_CAP_MSI:
        return add_msi(vd);
    case PCI_CAP_MSIX:
        return add_msix(vd);
    case PCI_CAP_PCIE:
        return add_pcie(vd, c->pos);
    default:
        return 0;
    }
}

/* ---- the two lists ---- */

static int caps_init(struct vpci_dev *vd, struct cap_list *list)
{
    int rc;

    find_caps(vd, list);
    hide_invisible(vd->guest, list, PCI_CFG_SIZE);
    rc = add_constant(vd, PCI_REG_CAP_POINTER, 4, next_visible(list, 0), "capabilities");
    for (unsigned i = 0; i < list->nr && !rc; i++) {
        const struct cap *c = &list->cap[i];

        if (!c->visible)
            continue;
        rc = add_constant(vd, c->pos, 2, c->id | next_visible(list, i + 1) << 8, "capability");
        if (!rc)
            rc = add_inside(vd, c);
    }
    return rc;
}

static int ext_caps_init(struct vpci_dev *vd, struct cap_list *list)
{
    int rc = 0;

    if (!vd->pdev->cap_pcie || !pci_has_ext_config(vd->hw_sbdf)) {
        hide(vd->guest, PCI_CFG_SIZE, PCI_CFG_EXT_SIZE);
        return 0;
    }
    find_ext_caps(vd, list);
    if (!list->nr)
        hide(vd->guest, PCI_CFG_SIZE, PCI_CFG_EXT_SIZE);
    hide_invisible(vd->guest, list, PCI_CFG_EXT_SIZE);
    for (unsigned i = 0; i < list->nr && !rc; i++) {
        const struct cap *c = &list->cap[i];
        uint32_t next = next_visible(list, i + 1) << 20;

        if (c->visible)
            rc = add_constant(vd, c->pos, 4, next | (vpci_hw_read(vd, c->pos, 4) & 0xfffff),
                              "capability");
        else if (c->pos ==
                 PCI_CFG_SIZE) /* the list begins there, if only with nothing (PCIe 5.0, 7.9.28) */
            rc = add_constant(vd, c->pos, 4, next, "capability");
    }
    return rc;
}

int vpci_guest_caps_init(struct vpci_dev *vd)
{
    struct cap_list list;
    int rc = caps_init(vd, &list);

    return rc ? rc : ext_caps_init(vd, &list);
}
