/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of devices that belong to a guest: from the physical message or pin, over a host
 * vector, to the guest's local APICs.  With interrupt remapping each source has an entry of its own
 * that accepts that device only.
 *
 * Locking: each source has a lock, taken inside; under it come the remapping table's and the vector
 * allocator's.  The owner serialises create, bind, retarget and destroy of one source; delivery
 * runs beside them.
 */
#ifndef XL_IRQ_GIRQ_H
#define XL_IRQ_GIRQ_H

#include "iommu/iommu.h"
#include "lib/list.h"
#include "lib/spinlock.h"
#include "lib/types.h"

struct domain;

enum girq_kind {
    GIRQ_MSI, /* one message of a function's MSI or MSI-X capability */
    GIRQ_GSI, /* one IO-APIC pin */
};

struct girq {
    spinlock_t lock; /* all of the host side below */
    enum girq_kind kind;
    struct domain *dom;     /* owner; fixed */
    uint32_t sbdf;          /* GIRQ_MSI: segment << 16 | bus << 8 | devfn */
    uint32_t gsi;           /* GIRQ_GSI */
    bool level, active_low; /* GIRQ_GSI */
    bool masked;            /* GIRQ_GSI: the owner wants the pin masked */
    bool in_service;        /* GIRQ_GSI, level: held masked until girq_eoi() */
    bool dying;             /* girq_destroy() began: nothing is delivered any more */
    struct ir_entry irte; /* GIRQ_MSI: not valid without remapping; GIRQ_GSI: unused (ioapic.c's) */

    unsigned cpu; /* host target */
    uint8_t vector;
    bool live; /* the target is or was programmed: messages may be on their way to it */
    /* The target before the last move, kept until a message came to the new one (girq.c says why).
     */
    bool has_old;
    bool old_idle; /* that happened; set by delivery */
    unsigned old_cpu;
    uint8_t old_vector;
    uint64_t moved_at; /* ns; moves are rare by force */

    /*
     * GIRQ_MSI: what the guest wrote into the device, address << 32 | data, 0 while unbound.  One
     * word, so that delivery beside a bind sees the old or the new message and never a mixture.
     */
    uint64_t guest_msg;

    /*
     * GIRQ_GSI: functions of guests that may assert the pin beside what the owner has on it. dom is NULL where they are all
     * there is.
     */
    unsigned sharers;
    bool (*claim)(uint32_t gsi);
    unsigned unclaimed;    /* in a row, without an owner to ask */

    uint64_t raised;       /* host interrupts; posted ones are not counted here or below */
    uint64_t injected;     /* those that reached at least one vLAPIC or vIO-APIC pin */
    uint64_t dropped;      /* those that did not: unbound, or nobody accepted the destination */
    uint64_t eois;         /* GIRQ_GSI, level */
    uint64_t moves;        /* changes of the host target */
    struct list_head link; /* all sources, for girq_for_each() */
};

/*
 * Makes an unbound source for one message of function `sbdf`, owned by `dom`: a host vector and,
 * with interrupt remapping, an entry restricted to that function.  0, -ENOMEM, -ENOSPC (no vector
 * or remapping entry left), -ENODEV (remapping is on and no unit covers the function), -EIO (its
 * unit failed).
 */
int girq_msi_create(struct domain *dom, uint32_t sbdf, struct girq **out);

/*
 * Records what the guest wrote, so that messages go there from now on. Where the function's unit posts interrupts and the
 * message is for one vCPU, the unit hands them to that one itself; else the host side moves to
 * the CPU of the destination vCPU where that is one and known.  The message for the device is
 * girq_message() afterwards: without remapping it may have changed, so the device's entry must be
 * masked around this call and rewritten after it. 0; -EINVAL if addr is not in the guest's message
 * window or the delivery mode is not one that a device may use (nothing changes then).
 */
int girq_msi_bind(struct girq *g, uint64_t guest_addr, uint32_t guest_data);

/* Whether a guest's device may send this message: an interrupt or NMI for its local APICs. */
bool girq_message_allowed(uint64_t addr, uint32_t data);

/* Messages are counted and dropped until the next bind. */
void girq_msi_unbind(struct girq *g);

/* The guest's message; false while unbound. */
static inline bool girq_guest_message(const struct girq *g, uint64_t *addr, uint32_t *data)
{
    uint64_t msg = READ_ONCE(g->guest_msg);

    *addr = msg >> 32;
    *data = (uint32_t)msg;
    return msg != 0;
}

/* What must stand in the device's address and data registers. */
void girq_message(const struct girq *g, uint64_t *addr, uint32_t *data);

/*
 * Makes a source for a pin, masked, owned by `dom`.  0, -ENOENT (no such pin), -EBUSY (the
 * hypervisor's or somebody else's), -ENOMEM, -ENOSPC.
 */
int girq_gsi_bind(struct domain *dom, uint32_t gsi, bool level, bool active_low, struct girq **out);
/* Changes trigger and polarity; the pin must be masked.  0 or what the IO-APIC returns. */
int girq_gsi_set_trigger(struct girq *g, bool level, bool active_low);
void girq_gsi_mask(struct girq *g);
void girq_gsi_unmask(struct girq *g);
/* The guest's end of a level interrupt: the pin may interrupt again.  Nothing happens if none is in
 * service. */
void girq_eoi(struct girq *g);

/*
 * One more function of a guest may assert the pin, which is unmasked from now on: at each interrupt `claim` (the same for all) is
 * asked first, without a lock. It silences functions that assert the pin and says whether there were any; only if there were
 * none is the interrupt the owner's. The owner keeps the pin, and can still take it when it has none. 0 or the errors of
 * girq_gsi_bind().
 */
int girq_gsi_share(uint32_t gsi, bool active_low, bool (*claim)(uint32_t gsi));
/* One less. */
void girq_gsi_unshare(uint32_t gsi);

/*
 * The destination vCPU runs on `cpu` now: moves the host side there if that is possible at the
 * moment.  Only a bound GIRQ_MSI with remapping moves here; delivery works from any CPU, this saves
 * a kick.
 */
void girq_retarget(struct girq *g, unsigned cpu);

/*
 * vCPUs of `dom` have moved to other CPUs: girq_retarget() for each of its messages that has one
 * destination.  Takes the list's lock, for as long as it takes to walk it.
 */
void girq_follow(struct domain *dom);

/*
 * Ends it: no delivery after this returns.  The device must have been told to be silent (masked, or
 * its message disabled) or be blocked by remapping, whose entry this removes.  Frees g.  Not under
 * a lock that delivery takes (the vIO-APIC's).
 */
void girq_destroy(struct girq *g);

/* Calls fn for every source under the list's lock, until it returns false; fn must not create or
 * destroy one. */
void girq_for_each(bool (*fn)(const struct girq *g, void *arg), void *arg);

/* What a source of messages says of its remapping entry, and what the entry says, at one moment. */
struct girq_entry {
    struct domain *dom; /* to compare, not to follow */
    uint32_t sbdf;      /* the function that it is for */
    uint16_t sid;       /* the requester that it was allocated for */
    uint8_t vector;
    uint32_t dest;      /* APIC id; 0 if posted */
    paddr_t post;       /* address of a vCPU's descriptor that it is posted to; 0: remapped */
    struct ir_state entry; /* in the unit's table */
};
/* Fills *out for the source that has this entry; false when there is none. */
bool girq_of_entry(unsigned unit, unsigned index, struct girq_entry *out);

/* ---- what the guest's side provides (vdev/vlapic.c, vdev/vioapic.c) ---- */

/* Delivers a message to the domain's local APICs; how many accepted it.  Any CPU, interrupts off.
 */
unsigned vapic_deliver_msi(struct domain *dom, uint64_t addr, uint32_t data);
/* True and *cpu if the message has exactly one destination and its vCPU has a physical CPU. */
bool vapic_msi_cpu(struct domain *dom, uint64_t addr, uint32_t data, unsigned *cpu);
/*
 * The descriptor to which interrupts of this message can be posted, and *vector: of the only vCPU that it can ever reach, as
 * an edge. NULL: there is none. A logical destination is none, since the guest may change whose it is without touching the
 * device.
 */
struct ir_post *vapic_msi_post(struct domain *dom, uint64_t addr, uint32_t data, uint8_t *vector);
/* False for a message that no local APIC of the domain can ever receive: one for an id that does not exist. */
bool vapic_msi_possible(struct domain *dom, uint64_t addr, uint32_t data);
/* The physical pin fired: raises the virtual one.  How many local APICs accepted it. */
unsigned vioapic_host_irq(struct domain *dom, uint32_t gsi, bool level);

#endif
