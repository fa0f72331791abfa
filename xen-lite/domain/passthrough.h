/* SPDX-License-Identifier: MIT */
/*
 * Handing physical functions from one owner to another, as one transaction of named stages (xenlite/pci.h): checks first,
 * none of which changes anything; then take, silence, reset, restore, translate, give. What fails is undone.
 *
 * There is one transaction at a time in the machine. Whoever asks for something else meanwhile waits, and pushes it on while
 * waiting: so one whose caller went away ends as well. Nothing here waits on the spot: -EAGAIN says when to come again.
 *
 * Locking: pt_enter() takes the whole of it for the calling CPU, for a bounded time; before vpci->lock. It is not a
 * spinlock, because the steps wait for other CPUs to leave their guests: who finds it taken comes again later.
 */
#ifndef XL_DOMAIN_PASSTHROUGH_H
#define XL_DOMAIN_PASSTHROUGH_H

#include "include/xenlite/pci.h"
#include "lib/list.h"
#include "lib/types.h"
#include "trap/rules.h"
#include "vdev/pci_reset.h"

struct domain;
struct vioapic;

/* One function of a guest. */
struct pt_function {
    struct list_head link;
    struct pci_dev *pdev;
    uint8_t slot, fn;
    bool permissive;
    bool was_held;         /* was nobody's before: that is where it goes back to */
    unsigned method;       /* how it is reset; 0: not at all */
    struct pci_saved saved; /* registers as the control domain had them */
};

/* Embedded in struct domain as `pt`. Under pt_enter(). */
struct passthrough {
    struct list_head functions;
    struct vioapic *ioapic; /* of a guest with a PCI root */
    bool silent;            /* being destroyed: all have been silenced */
};

void pt_domain_init(struct passthrough *pt);

/* True: the caller has it, until pt_leave(). False: another CPU does; try again after about a millisecond. */
bool pt_enter(void);
void pt_leave(void);

/*
 * Gives the domain, before it first runs, what a guest with PCI has: a root with its slots, and an IO-APIC. 0 or the errors of
 * vroot_create() and vioapic_create().
 */
int pt_create_root(struct domain *d);

/* pt_request.domid of a dry run: could any guest have it? */
#define PT_ANYBODY 0xffffu

enum pt_kind {
    PT_ATTACH,
    PT_DETACH,
    PT_RELEASE, /* one slot of a domain that is being destroyed; sbdf is any of its functions */
};

/* What identifies a transaction: a call with the same goes on with it. */
struct pt_request {
    enum pt_kind kind;
    uint16_t domid;
    uint32_t sbdf, flags, slot;
};

#define PT_NO_RULE DENY_NR_RULES

struct pt_result {
    enum xenlite_pci_stage stage; /* that refused; XENLITE_PCI_STAGE_done */
    enum deny_rule rule;          /* PT_NO_RULE: none */
    uint32_t at;                  /* function that the rule is about */
    uint64_t a, b;
    unsigned nr;                  /* functions that moved, or would have */
    unsigned slot;
};

/*
 * Starts the request or goes on with it. 0: it has ended, *res says how. -EAGAIN: call again at *wake_ns. Takes pt_enter()
 * itself.
 */
int pt_run(const struct pt_request *req, struct pt_result *res, uint64_t *wake_ns);

/*
 * For domain/destroy.c, repeatedly: no vCPU of d runs any more. At the first call all of its functions fall silent: bus
 * mastering off, DMA blocked, IOTLB flushed. Then they are reset and go back to where they came from. 0 when there are none
 * left, -EAGAIN with *wake_ns. Its memory may be used again only after the 0.
 */
int pt_release_all(struct domain *d, uint64_t *wake_ns);

/*
 * Physical interrupt of a guest's function, which only firmware's tables tell; from then on INTx works in the guest. pt_enter()
 * held. 0, -ENODEV (not d's), or the errors of vintx_connect().
 */
int pt_connect_intx(struct domain *d, uint32_t sbdf, uint32_t gsi, bool active_low);

/* ---- questions; pt_enter() held ---- */

/* The domain that owns it: a domid, XENLITE_PCI_NOBODY or XENLITE_PCI_HYPERVISOR. */
uint16_t pt_owner(const struct pci_dev *pdev);
/* It is part of the transaction under way. */
bool pt_moving(const struct pci_dev *pdev);
/* The record of a guest's function; NULL for others. */
struct pt_function *pt_function_of(const struct domain *d, const struct pci_dev *pdev);
/* -ENODEV, -ENOMEM. */
int pt_info(uint32_t sbdf, struct xenlite_pci_info *out);
/* The n-th function of all. `t` from pci_topology(). */
void pt_entry(const struct pci_topology *t, unsigned n, struct xenlite_pci_entry *out);
void pt_member(const struct pci_topology *t, unsigned n, struct xenlite_pci_member *out);
uint16_t pt_group_name(const struct pci_topology *t, unsigned n);

/* ---- between the pt_*.c files ---- */

/* One function of the transaction under way. */
struct pt_item {
    struct pci_dev *pdev;
    struct domain *from;      /* NULL: nobody's, or held */
    struct domain *to;        /* NULL: nobody */
    bool given;               /* to `to`, which may have used it */
    bool was_held, permissive;
    uint8_t slot, fn;
    unsigned method;
    struct pci_saved saved;
};

#define PT_MAX_ITEMS XENLITE_PCI_SLOT_FUNCTIONS

struct pt_job {
    struct pt_request req;
    struct pt_result res;
    struct domain *d;         /* req.domid's, with a reference */
    struct pt_item item[PT_MAX_ITEMS];
    unsigned nr;
    enum xenlite_pci_stage stage; /* the one that is next */
    unsigned at;              /* item that the stage is at */
    bool reset;               /* between owners: they are reset */
    bool bus_done;            /* by a bus reset of one before */
    bool undoing;
    struct pci_reset machine;
    uint64_t wake_ns;
};

/* Refuses: fills in the result. Always -1. */
int pt_refuse(struct pt_job *j, enum xenlite_pci_stage stage, enum deny_rule rule, uint32_t at,
              uint64_t a, uint64_t b);
/* pt_check.c: all stages that only look; fills in the items. 0, or -1 after pt_refuse(). */
int pt_check(struct pt_job *j);
/* pt_move.c: acts. 0: ended. -EAGAIN: again at j->wake_ns. */
int pt_move(struct pt_job *j);
/* Not a bridge. */
bool pt_is_endpoint(const struct pci_dev *pdev);

#endif
