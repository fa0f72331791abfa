/* SPDX-License-Identifier: MIT */
/*
 * The virtual root: creation and end, register files of functions without hardware, and which
 * function a bus number leads to.
 */
#include "vdev/vroot.h"

#include "lib/errno.h"
#include "lib/le.h"
#include "p2m/p2m.h"
#include "vdev/vpci_engine.h"
#include "vdev/vpci_guest.h"

_Static_assert(XENLITE_PCI_ECAM_SIZE == (uint32_t)XENLITE_PCI_NR_BUSES << 20, "1 MiB a bus");
_Static_assert(XENLITE_PCI_NR_SLOTS < 32, "device numbers");

/* Two toolstacks at a time. Taken before everything else. */
static spinlock_t create_lock = SPINLOCK_INIT;

/* ---- registers ---- */

uint32_t vroot_get(const struct vroot_fn *f, unsigned reg, unsigned size)
{
    uint32_t val = 0;

    for (unsigned i = 0; i < size; i++)
        val |= (uint32_t)READ_ONCE(f->value[reg + i]) << i * 8;
    return val;
}

static void put(uint8_t *bytes, unsigned reg, unsigned size, uint32_t val)
{
    for (unsigned i = 0; i < size; i++)
        WRITE_ONCE(bytes[reg + i], (uint8_t)(val >> i * 8));
}

void vroot_set(struct vroot_fn *f, unsigned reg, unsigned size, uint32_t val)
{
    put(f->value, reg, size, val);
}

static void load_rows(struct vroot_fn *f, const struct vroot_row *rows, unsigned nr)
{
    f->rows = rows;
    f->nr_rows = nr;
    for (unsigned i = 0; i < nr; i++) {
        put(f->value, rows[i].reg, rows[i].size, rows[i].reset);
        put(f->rw, rows[i].reg, rows[i].size, rows[i].rw);
        put(f->rw1c, rows[i].reg, rows[i].size, rows[i].rw1c);
    }
}

enum trap_result vroot_read(const struct vpci_dev *vd, unsigned reg, unsigned size, uint32_t *val)
{
    *val = 0; /* there are no extended capabilities */
    if (likely(reg < PCI_CFG_SIZE && size == 4))
        *val = get_le32(&vd->virt->value[reg]);
    else if (reg < PCI_CFG_SIZE)
        *val = vroot_get(vd->virt, reg, size);
    return TRAP_DONE;
}

static void write_locked(struct vroot_fn *f, unsigned reg, unsigned size, uint32_t val)
{
    uint8_t old[4] = { 0 };

    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(val >> i * 8), rw = f->rw[reg + i], now = f->value[reg + i];

        old[i] = now;
        now = (uint8_t)((now & ~rw) | (byte & rw));
        WRITE_ONCE(f->value[reg + i], (uint8_t)(now & ~(byte & f->rw1c[reg + i])));
    }
    for (unsigned n = 0; n < f->nr_rows; n++) {
        const struct vroot_row *row = &f->rows[n];
        uint32_t before;

        if (!row->written || row->reg >= reg + size || row->reg + row->size <= reg)
            continue;
        before = vroot_get(f, row->reg, row->size);
        for (unsigned i = 0; i < row->size; i++)
            if (row->reg + i >= reg && row->reg + i < reg + size)
                before = (before & ~(0xffu << i * 8)) | (uint32_t)old[row->reg + i - reg] << i * 8;
        row->written(f, before);
    }
}

enum trap_result vroot_write(struct vpci_dev *vd, unsigned reg, unsigned size, uint32_t val)
{
    if (reg >= PCI_CFG_SIZE)
        return TRAP_DONE;
    spin_lock(&vd->vpci->lock);
    write_locked(vd->virt, reg, size, val);
    spin_unlock(&vd->vpci->lock);
    return TRAP_DONE;
}

/* ---- who is where ---- */

static void unroute(struct vpci *vpci, struct vpci_dev *vd)
{
    if (vd->sbdf == VROOT_NOWHERE)
        return;
    if (vpci_find(vpci, vd->sbdf) == vd)
        vpci_set_slot(vpci, vd->sbdf, NULL);
    WRITE_ONCE(vd->sbdf, VROOT_NOWHERE);
}

/*
 * Who answers first has the address: on a wire two ports with one number would be a short circuit.
 */
static void route_to(struct vpci *vpci, struct vpci_dev *vd, uint32_t sbdf)
{
    if (vpci_find(vpci, sbdf) || vpci_set_slot(vpci, sbdf, vd))
        return;
    WRITE_ONCE(vd->sbdf, sbdf);
}

void vroot_route(struct vroot *r)
{
    struct vpci_dev *vd;
    uint8_t bus;

    list_for_each_entry (vd, &r->vpci->devices, link)
        unroute(r->vpci, vd);
    for (unsigned slot = 1; slot <= XENLITE_PCI_NR_SLOTS; slot++) {
        struct vroot_fn *port = r->fn[slot];

        if (!vroot_port_routes(port, &bus))
            continue;
        for (unsigned fn = 0; fn < XENLITE_PCI_SLOT_FUNCTIONS; fn++)
            if (port->behind[fn])
                route_to(r->vpci, port->behind[fn], PCI_SBDF(0, bus, 0, fn));
    }
}

bool vroot_place_taken(const struct vroot *r, unsigned slot, unsigned fn)
{
    return r->fn[slot]->behind[fn] != NULL;
}

void vroot_insert(struct vroot *r, struct vpci_dev *vd)
{
    struct vroot_fn *port = r->fn[vd->guest->slot];

    port->behind[vd->guest->fn] = vd;
    vroot_port_changed(port);
}

void vroot_remove(struct vroot *r, struct vpci_dev *vd)
{
    struct vroot_fn *port = r->fn[vd->guest->slot];

    unroute(r->vpci, vd);
    port->behind[vd->guest->fn] = NULL;
    vroot_port_changed(port);
}

bool vroot_multifunction(const struct vroot *r, const struct vpci_dev *vd)
{
    const struct vroot_fn *port = r->fn[vd->guest->slot];
    unsigned n = 0;

    for (unsigned i = 0; i < XENLITE_PCI_SLOT_FUNCTIONS; i++)
        n += port->behind[i] != NULL;
    return n > 1;
}

/* ---- slots ---- */

/* The port of `slot` with vpci->lock held, or NULL without. */
static struct vroot_fn *lock_port(struct domain *d, unsigned slot)
{
    struct vpci *vpci = domain_vpci(d);

    if (!vpci->root || !slot || slot > XENLITE_PCI_NR_SLOTS)
        return NULL;
    spin_lock(&vpci->lock);
    return vpci->root->fn[slot];
}

static int press(struct domain *d, unsigned slot, bool eject)
{
    struct vroot_fn *port = lock_port(d, slot);
    int rc = 0;

    if (!port)
        return -ENODEV;
    if (!port->behind[0])
        rc = -ENOENT;
    else if (port->ejecting == eject || port->let_go)
        rc = -EBUSY;
    if (!rc) {
        port->ejecting = eject;
        vroot_port_button(port);
    }
    spin_unlock(&port->root->vpci->lock);
    return rc;
}

int vroot_request_eject(struct domain *d, unsigned slot)
{
    return press(d, slot, true);
}

int vroot_cancel_eject(struct domain *d, unsigned slot)
{
    return press(d, slot, false);
}

static uint32_t state_of(const struct vroot_fn *port)
{
    if (!port->behind[0])
        return XENLITE_PCI_SLOT_empty;
    if (port->let_go)
        return XENLITE_PCI_SLOT_off;
    return port->ejecting ? XENLITE_PCI_SLOT_ejecting : XENLITE_PCI_SLOT_occupied;
}

int vroot_slot_query(struct domain *d, struct xenlite_pci_slot_op *out)
{
    struct vroot_fn *port = lock_port(d, out->slot);

    if (!port)
        return -ENODEV;
    out->state = state_of(port);
    out->nr = 0;
    for (unsigned i = 0; i < XENLITE_PCI_SLOT_FUNCTIONS; i++)
        if (port->behind[i])
            out->sbdf[out->nr++] = port->behind[i]->hw_sbdf;
    spin_unlock(&port->root->vpci->lock);
    return 0;
}

int vroot_slot_state(struct domain *d, unsigned slot)
{
    struct xenlite_pci_slot_op op = { .slot = slot };
    int rc = vroot_slot_query(d, &op);

    return rc ? rc : (int)op.state;
}

int vroot_free_slot(struct domain *d)
{
    struct xenlite_pci_slot_op op = { 0 };
    int rc;

    for (op.slot = 1; op.slot <= XENLITE_PCI_NR_SLOTS; op.slot++) {
        rc = vroot_slot_query(d, &op);
        if (rc || !op.nr)
            return rc ? rc : (int)op.slot;
    }
    return -ENOSPC;
}

/* ---- life cycle ---- */

static struct vroot_fn *make_function(struct vroot *r, unsigned slot)
{
    struct vroot_fn *f = trap_zalloc(sizeof(*f));

    if (!f)
        return NULL;
    f->root = r;
    f->slot = slot;
    list_init(&f->vd.link);
    spin_lock_init(&f->vd.lock);
    f->vd.vpci = r->vpci;
    f->vd.virt = f;
    f->vd.sbdf = PCI_SBDF(0, 0, XENLITE_PCI_PORT_DEV(slot), 0);
    f->vd.hw_sbdf = DENY_NO_DEVICE;
    if (slot) {
        load_rows(f, vroot_port_rows, vroot_nr_port_rows);
        vroot_port_init(f);
    } else {
        load_rows(f, vroot_bridge_rows, vroot_nr_bridge_rows);
    }
    return f;
}

static int make_functions(struct vroot *r)
{
    for (unsigned i = 0; i <= XENLITE_PCI_NR_SLOTS; i++) {
        r->fn[i] = make_function(r, i);
        if (!r->fn[i] || vpci_set_slot(r->vpci, r->fn[i]->vd.sbdf, &r->fn[i]->vd))
            return -ENOMEM;
    }
    return 0;
}

static void free_root(struct vroot *r)
{
    for (unsigned i = 0; r && i <= XENLITE_PCI_NR_SLOTS; i++)
        trap_defer_free(r->fn[i]);
    trap_defer_free(r);
}

static int create(struct domain *d)
{
    struct vpci *vpci = domain_vpci(d);
    struct vroot *r;
    int rc;

    if (vpci->root)
        return -EEXIST;
    if (vpci->policy || domain_has_started(d))
        return -EBUSY;
    rc = vpci_init(vpci, d, domain_id(d), domain_traps(d), domain_p2m(d), &vpci_policy_guest);
    if (rc) {
        vpci->policy = NULL;
        return rc;
    }
    r = trap_zalloc(sizeof(*r));
    rc = r ? 0 : -ENOMEM;
    if (r) {
        r->vpci = vpci;
        rc = make_functions(r);
    }
    if (!rc)
        rc = vpci_add_ecam(vpci, XENLITE_PCI_ECAM_BASE, 0, 0, XENLITE_PCI_NR_BUSES - 1);
    if (!rc) {
        __atomic_store_n(&vpci->root, r, __ATOMIC_RELEASE);
        return 0;
    }
    vpci_destroy(vpci);
    vpci->policy = NULL;
    free_root(r);
    return rc;
}

int vroot_create(struct domain *d)
{
    int rc;

    spin_lock(&create_lock);
    rc = create(d);
    spin_unlock(&create_lock);
    return rc;
}

void vroot_destroy(struct domain *d)
{
    struct vpci *vpci = domain_vpci(d);
    struct vroot *r = vpci->root;

    if (!r)
        return;
    while (!list_empty(&vpci->devices))
        vpci_guest_detach(d, list_first_entry(&vpci->devices, struct vpci_dev, link)->hw_sbdf);
    vpci_destroy(vpci);
    vpci->root = NULL;
    free_root(r);
}
