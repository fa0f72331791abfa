/* SPDX-License-Identifier: MIT */
/*
 * The virtual PCI Express root of a guest: a host bridge and sixteen root ports on bus 0, functions
 * without hardware whose registers are memory with write masks. Each port is a slot with native
 * hot-plug (PCIe 5.0, 6.7), so that a kernel notices by its own means what comes and goes. Bus
 * numbers are the guest's to assign: what is behind a port is found on its secondary bus.
 *
 * Everything is protected by vpci->lock; functions that do not take it say so.
 */
#ifndef XL_VDEV_VROOT_H
#define XL_VDEV_VROOT_H

#include "include/xenlite/pci.h"
#include "lib/types.h"
#include "trap/trap.h"
#include "vdev/vpci.h"

/* Its bus has no number that leads to it. */
#define VROOT_NOWHERE DENY_NO_DEVICE

/* Vendor and devices that a guest reads; the vendor is that of Xen's own virtual devices. */
#define VROOT_VENDOR      0x5853
#define VROOT_HOST_BRIDGE 0x4c00
#define VROOT_PORT        0x4c01

struct vroot_fn;

/* One register of a function without hardware. Bits in neither mask keep the value they have. */
struct vroot_row {
    uint16_t reg;
    uint8_t size;
    uint32_t reset; /* value in the beginning */
    uint32_t rw;    /* bits that a write changes */
    uint32_t rw1c;  /* bits that a written 1 clears */
    void (*written)(struct vroot_fn *f,
                    uint32_t old); /* after a write that touched it; NULL: nothing follows */
};

struct vroot_fn {
    struct vpci_dev vd; /* how vPCI finds it; pdev is NULL */
    struct vroot *root;
    unsigned slot; /* 0: the host bridge */
    const struct vroot_row *rows;
    unsigned nr_rows;
    uint8_t value[PCI_CFG_SIZE] __aligned(4), rw[PCI_CFG_SIZE], rw1c[PCI_CFG_SIZE];
    /* Ports only: */
    struct vpci_dev *behind[XENLITE_PCI_SLOT_FUNCTIONS];
    bool raised;               /* an enabled event is pending: the message for it has been sent */
    bool ejecting;             /* the button was pressed, and the guest has not let go */
    bool let_go;               /* the guest has switched the slot's power indicator off */
    uint64_t events, messages; /* hot-plug events; messages sent for them */
};

struct vroot {
    struct vpci *vpci;
    struct vroot_fn *fn[XENLITE_PCI_NR_SLOTS + 1]; /* by slot; 0: the host bridge */
};

/* ---- implemented by the domain layer ---- */

struct p2m *domain_p2m(struct domain *d);
struct trap_table *domain_traps(struct domain *d);
uint16_t domain_id(const struct domain *d);
/* It has run, or may run now: slots tell it of changes. */
bool domain_has_started(const struct domain *d);

/* ---- life cycle; these take vpci->lock ---- */

/*
 * Gives the domain a PCI root. 0; -EBUSY (it runs, or is the control domain), -EEXIST (it has one),
 * -ENOMEM, or what trap_register_region() returns.
 */
int vroot_create(struct domain *d);
/*
 * No vCPU of the domain runs any more, and all functions were detached. Nothing happens without a
 * root.
 */
void vroot_destroy(struct domain *d);

/* ---- slots; these take vpci->lock ---- */

/*
 * Presses the attention button: the guest's kernel unbinds drivers and switches the slot off, after
 * some seconds in which a second press, vroot_cancel_eject(), takes it back. 0; -ENODEV (no root,
 * no such slot), -ENOENT (empty), -EBUSY (pressed already, or let go).
 */
int vroot_request_eject(struct domain *d, unsigned slot);
int vroot_cancel_eject(struct domain *d, unsigned slot);
/* Fills state, nr and sbdf[] of *out for slot out->slot. 0 or -ENODEV. */
int vroot_slot_query(struct domain *d, struct xenlite_pci_slot_op *out);
/* XENLITE_PCI_SLOT_empty.., or -ENODEV. */
int vroot_slot_state(struct domain *d, unsigned slot);
/* The first slot without a function, or -ENOSPC, -ENODEV. */
int vroot_free_slot(struct domain *d);

/* ---- for vPCI; vpci->lock held ---- */

bool vroot_place_taken(const struct vroot *r, unsigned slot, unsigned fn);
/* Function 0 comes last, and goes first: with it the slot is occupied or empty. */
void vroot_insert(struct vroot *r, struct vpci_dev *vd);
void vroot_remove(struct vroot *r, struct vpci_dev *vd);
/* More than one function in the slot of vd. */
bool vroot_multifunction(const struct vroot *r, const struct vpci_dev *vd);

/* Accesses to a function without hardware. Reads need no lock; writes take it. */
enum trap_result vroot_read(const struct vpci_dev *vd, unsigned reg, unsigned size, uint32_t *val);
enum trap_result vroot_write(struct vpci_dev *vd, unsigned reg, unsigned size, uint32_t val);

/* ---- between vroot.c and vroot_port.c ---- */

extern const struct vroot_row vroot_bridge_rows[], vroot_port_rows[];
extern const unsigned vroot_nr_bridge_rows, vroot_nr_port_rows;

uint32_t vroot_get(const struct vroot_fn *f, unsigned reg, unsigned size);
void vroot_set(struct vroot_fn *f, unsigned reg, unsigned size, uint32_t val);
/* Sets the registers that depend on the slot's number. */
void vroot_port_init(struct vroot_fn *port);
/* What is behind the port has changed. */
void vroot_port_changed(struct vroot_fn *port);
/* Its bus leads to what is behind it: link up, numbers sensible. *bus is the number. */
bool vroot_port_routes(const struct vroot_fn *port, uint8_t *bus);
void vroot_port_button(struct vroot_fn *port);
/* Bus numbers or links changed: finds anew what is where. */
void vroot_route(struct vroot *r);

#endif
