/* SPDX-License-Identifier: MIT */
/*
 * Registers of the virtual root's functions, and what a root port does: hot-plug events and the
 * message that tells of them (PCIe 5.0, 6.7.3.4), the link's state, bus numbers.
 *
 * A slot has no power controller: what is inserted is on at once, and no kernel waits for anybody
 * to press a button. When a guest is asked to let a device go (attention button), it says that it
 * has by switching the power indicator off.
 */
#include "irq/girq.h"
#include "vdev/vpci_engine.h"
#include "vdev/vpci_guest.h"
#include "vdev/vroot.h"

#define CAP_MSI  0x40
#define CAP_PCIE 0x50

#define BRIDGE_CONTROL   0x3e
#define BRIDGE_BUS_RESET 0x0040

#define MSI_CONTROL (CAP_MSI + PCI_MSI_CONTROL)
#define MSI_ADDR    (CAP_MSI + PCI_MSI_ADDR_LO)
#define MSI_DATA    (CAP_MSI + PCI_MSI_DATA_64)

/* PCIe 5.0, 7.5.3. Bits are indented under their register. */
/* clang-format off */
#define DEVCTL   (CAP_PCIE + 0x08)
#define   DEVCTL_MPS     0x00e0
#define LNKCAP   (CAP_PCIE + 0x0c)
#define   LNKCAP_PORT(n) ((uint32_t)(n) << 24)
#define LNKCTL   (CAP_PCIE + 0x10)
#define   LNKCTL_DISABLE 0x0010
#define LNKSTA   (CAP_PCIE + 0x12)
#define   LNKSTA_UP      (0x2000 | LINK) /* data link layer active; speed and width in use */
#define SLTCAP   (CAP_PCIE + 0x14)
#define   SLTCAP_SLOT(n) ((uint32_t)(n) << 19)
#define SLTCTL   (CAP_PCIE + 0x18)
#define   SLTCTL_INTERRUPT 0x0020
#define   SLTCTL_POWER     0x0300 /* power indicator: 1 on, 2 blinks, 3 off */
#define   SLTCTL_POWER_ON  0x0100
#define   SLTCTL_POWER_OFF 0x0300
#define SLTSTA   (CAP_PCIE + 0x1a)
#define   SLT_BUTTON   0x0001
#define   SLT_PRESENCE 0x0008
#define   SLT_COMMAND  0x0010
#define   SLT_LINK     0x0100
#define   SLT_OCCUPIED 0x0040
#define   SLT_EVENTS   (0x0002 | 0x0004 | SLT_BUTTON | SLT_PRESENCE | SLT_COMMAND | SLT_LINK)
/* 16 GT/s, 16 lanes: never what slows a device down in the eyes of its driver. */
#define   LINK 0x0104

/* clang-format on */

static void bus_numbers_written(struct vroot_fn *port, uint32_t old)
{
    (void)old;
    vroot_route(port->root);
}

static void link_control_written(struct vroot_fn *port, uint32_t old)
{
    if ((old ^ vroot_get(port, LNKCTL, 2)) & LNKCTL_DISABLE)
        vroot_port_changed(port);
}

/*
 * A reset of the bus is one of each function behind the port, if they can: the wires that it would
 * go over are not the guest's. Who asked for it waits longer than the functions take (PCIe 5.0,
 * 6.6.1 and 6.6.2).
 */
static void bridge_control_written(struct vroot_fn *port, uint32_t old)
{
    if (!(vroot_get(port, BRIDGE_CONTROL, 2) & ~old & BRIDGE_BUS_RESET))
        return;
    for (unsigned i = 0; i < XENLITE_PCI_SLOT_FUNCTIONS; i++) {
        const struct vpci_dev *vd = port->behind[i];
        unsigned cap = vd ? vd->pdev->cap_pcie : 0;

        if (cap && (vpci_hw_read(vd, cap + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR))
            vpci_hw_write(vd, cap + PCI_EXP_DEVCTL, 2,
                          vpci_hw_read(vd, cap + PCI_EXP_DEVCTL, 2) | PCI_EXP_DEVCTL_FLR);
    }
}

/* A message when the first enabled event becomes pending, not before all were cleared again. */
static void notify(struct vroot_fn *port)
{
    uint32_t control = vroot_get(port, SLTCTL, 2), enabled = control & 0x001f;
    uint64_t addr;
    bool raised;

    /* Enable bits are where the status bits are, but for the link's: bit 12 for bit 8. */
    enabled |= control >> 4 & SLT_LINK;
    raised = (control & SLTCTL_INTERRUPT) && (vroot_get(port, SLTSTA, 2) & enabled & SLT_EVENTS);
    if (raised && !port->raised && (vroot_get(port, MSI_CONTROL, 2) & PCI_MSI_ENABLE)) {
        addr = vroot_get(port, MSI_ADDR, 4) | (uint64_t)vroot_get(port, MSI_ADDR + 4, 4) << 32;
        /* Elsewhere it would be an ordinary write to memory, which nobody needs of a port. */
        if (addr >> 20 == 0xfee) {
            vapic_deliver_msi(port->root->vpci->domain, addr, vroot_get(port, MSI_DATA, 2));
            port->messages++;
        }
    }
    port->raised = raised;
}

static void event(struct vroot_fn *port, uint32_t bits)
{
    /* In what the guest finds at its start nothing is new. */
    if (!bits || !domain_has_started(port->root->vpci->domain))
        return;
    port->events++;
    vroot_set(port, SLTSTA, 2, vroot_get(port, SLTSTA, 2) | bits);
    notify(port);
}

static void slot_control_written(struct vroot_fn *port, uint32_t old)
{
    uint32_t now = vroot_get(port, SLTCTL, 2);

    if ((now & SLTCTL_POWER) != SLTCTL_POWER_OFF)
        port->let_go = false;
    else if ((old & SLTCTL_POWER) != SLTCTL_POWER_OFF && port->behind[0])
        port->let_go = true;
    if (port->let_go)
        port->ejecting = false;
    /* Every write is a command, and carried out at once (6.7.3.2). */
    vroot_set(port, SLTSTA, 2, vroot_get(port, SLTSTA, 2) | SLT_COMMAND);
    notify(port);
}

static void slot_status_written(struct vroot_fn *port, uint32_t old)
{
    (void)old;
    notify(port);
}

/* Command register bits that a bridge may keep: decoding, bus master, parity, SERR#, INTx. */
#define COMMAND_BITS 0x0547
#define STATUS_RW1C  0xf900

/* One register a line. */
/* clang-format off */

const struct vroot_row vroot_bridge_rows[] = {
    { PCI_REG_VENDOR, 2, VROOT_VENDOR, 0, 0, NULL },
    { PCI_REG_DEVICE, 2, VROOT_HOST_BRIDGE, 0, 0, NULL },
    { PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, COMMAND_BITS, 0, NULL },
    { PCI_REG_STATUS, 2, 0, 0, STATUS_RW1C, NULL },
    { PCI_REG_CLASS_REV, 4, 0x06000001, 0, 0, NULL },
    { 0x0c, 1, 0, 0xff, 0, NULL }, /* cache line size */
    { 0x3c, 1, 0, 0xff, 0, NULL }, /* interrupt line */
};
const unsigned vroot_nr_bridge_rows = ARRAY_SIZE(vroot_bridge_rows);

const struct vroot_row vroot_port_rows[] = {
    { PCI_REG_VENDOR, 2, VROOT_VENDOR, 0, 0, NULL },
    { PCI_REG_DEVICE, 2, VROOT_PORT, 0, 0, NULL },
    { PCI_REG_COMMAND, 2, 0, COMMAND_BITS, 0, NULL },
    { PCI_REG_STATUS, 2, PCI_STATUS_CAP_LIST, 0, STATUS_RW1C, NULL },
    { PCI_REG_CLASS_REV, 4, 0x06040001, 0, 0, NULL },
    { 0x0c, 1, 0, 0xff, 0, NULL }, /* cache line size */
    { PCI_REG_HEADER_TYPE, 1, PCI_HEADER_BRIDGE, 0, 0, NULL },
    { PCI_REG_PRIMARY_BUS, 1, 0, 0xff, 0, NULL },
    { PCI_REG_SECONDARY_BUS, 1, 0, 0xff, 0, bus_numbers_written },
    { PCI_REG_SUBORD_BUS, 1, 0, 0xff, 0, bus_numbers_written },
    /* Windows, all closed: base above limit. What they let through is not looked at. */
    { 0x1c, 1, 0xf0, 0xf0, 0, NULL },      /* I/O base */
    { 0x1d, 1, 0x00, 0xf0, 0, NULL },      /* I/O limit */
    { 0x1e, 2, 0, 0, STATUS_RW1C, NULL },  /* secondary status */
    { 0x20, 2, 0xfff0, 0xfff0, 0, NULL },  /* memory base */
    { 0x22, 2, 0x0000, 0xfff0, 0, NULL },  /* memory limit */
    { 0x24, 2, 0xfff1, 0xfff0, 0, NULL },  /* prefetchable base, 64 bit */
    { 0x26, 2, 0x0001, 0xfff0, 0, NULL },  /* prefetchable limit */
    { 0x28, 4, 0xffffffff, ~0u, 0, NULL }, /* upper halves of the two */
    { 0x2c, 4, 0, ~0u, 0, NULL },
    { PCI_REG_CAP_POINTER, 1, CAP_MSI, 0, 0, NULL },
    { 0x3c, 1, 0, 0xff, 0, NULL },   /* interrupt line */
    { BRIDGE_CONTROL, 2, 0, 0x0003 | BRIDGE_BUS_RESET, 0, bridge_control_written },

    { CAP_MSI, 2, PCI_CAP_MSI | CAP_PCIE << 8, 0, 0, NULL },
    { MSI_CONTROL, 2, PCI_MSI_64BIT, PCI_MSI_ENABLE, 0, NULL },
    { MSI_ADDR, 4, 0, ~3u, 0, NULL },
    { MSI_ADDR + 4, 4, 0, ~0u, 0, NULL },
    { MSI_DATA, 2, 0, 0xffff, 0, NULL },

    { CAP_PCIE, 2, PCI_CAP_PCIE, 0, 0, NULL },
    { CAP_PCIE + PCI_EXP_FLAGS, 2, 2 | PCIE_ROOT_PORT << 4 | 0x0100, 0, 0, NULL }, /* slot */
    { CAP_PCIE + PCI_EXP_DEVCAP, 4, 0x8005, 0, 0, NULL }, /* payload up to 4096 */
    { DEVCTL, 2, 0, 0x78ff, 0, NULL },
    { CAP_PCIE + 0x0a, 2, 0, 0, 0x000f, NULL }, /* device status */
    { LNKCAP, 4, 0x00500000 | LINK, 0, 0, NULL }, /* reports link active; ASPM optional */
    { LNKCTL, 2, 0, 0x0cd3, 0, link_control_written },
    { LNKSTA, 2, 0, 0, 0xc000, NULL },
    { SLTCAP, 4, 0x0079, 0, 0, NULL }, /* button, two indicators, surprise, hot-plug */
    { SLTCTL, 2, 0x03c0, 0x13fb, 0, slot_control_written },
    { SLTSTA, 2, 0, 0, SLT_EVENTS, slot_status_written },
    { CAP_PCIE + 0x1c, 2, 0, 0x000f, 0, NULL },     /* root control */
    { CAP_PCIE + 0x20, 4, 0, 0, 0x00010000, NULL }, /* root status */
    { CAP_PCIE + 0x2c, 4, 0x001e, 0, 0, NULL },     /* link capabilities 2: speeds up to 16 GT/s */
    { CAP_PCIE + 0x30, 2, 0x0004, 0x000f, 0, NULL }, /* link control 2: target speed */
};
const unsigned vroot_nr_port_rows = ARRAY_SIZE(vroot_port_rows);

/* clang-format on */

void vroot_port_init(struct vroot_fn *port)
{
    vroot_set(port, SLTCAP, 4, vroot_get(port, SLTCAP, 4) | SLTCAP_SLOT(port->slot));
    vroot_set(port, LNKCAP, 4, vroot_get(port, LNKCAP, 4) | LNKCAP_PORT(port->slot));
}

static bool link_up(const struct vroot_fn *port)
{
    return port->behind[0] && !(vroot_get(port, LNKCTL, 2) & LNKCTL_DISABLE);
}

/* Both ends of a link must agree on the payload: the port takes what the device has been told. */
static void take_payload_size(struct vroot_fn *port)
{
    const struct vpci_dev *vd = port->behind[0];
    unsigned cap = vd->pdev->cap_pcie;
    uint32_t control = vroot_get(port, DEVCTL, 2) & ~(uint32_t)DEVCTL_MPS;

    if (cap)
        control |= vpci_hw_read(vd, cap + PCI_EXP_DEVCTL, 2) & DEVCTL_MPS;
    vroot_set(port, DEVCTL, 2, control);
}

static void inserted(struct vroot_fn *port)
{
    uint32_t control = vroot_get(port, SLTCTL, 2) & ~(uint32_t)SLTCTL_POWER;

    vroot_set(port, SLTCTL, 2, control | (port->behind[0] ? SLTCTL_POWER_ON : SLTCTL_POWER_OFF));
    port->ejecting = port->let_go = false;
    if (port->behind[0])
        take_payload_size(port);
}

void vroot_port_changed(struct vroot_fn *port)
{
    uint32_t slot = vroot_get(port, SLTSTA, 2), link = vroot_get(port, LNKSTA, 2), bits = 0;
    bool was_up = link & 0x2000;

    if (!!(slot & SLT_OCCUPIED) != (port->behind[0] != NULL)) {
        vroot_set(port, SLTSTA, 2, slot ^ SLT_OCCUPIED);
        inserted(port);
        bits |= SLT_PRESENCE;
    }
    if (was_up != link_up(port)) {
        link &= ~(uint32_t)(LNKSTA_UP);
        vroot_set(port, LNKSTA, 2, link | (was_up ? 0 : LNKSTA_UP));
        bits |= SLT_LINK;
    }
    vroot_route(port->root);
    event(port, bits);
}

bool vroot_port_routes(const struct vroot_fn *port, uint8_t *bus)
{
    unsigned secondary = vroot_get(port, PCI_REG_SECONDARY_BUS, 1);

    *bus = (uint8_t)secondary;
    return secondary && secondary < XENLITE_PCI_NR_BUSES && link_up(port) &&
           secondary <= vroot_get(port, PCI_REG_SUBORD_BUS, 1);
}

void vroot_port_button(struct vroot_fn *port)
{
    event(port, SLT_BUTTON);
}
