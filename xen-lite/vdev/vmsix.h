/* SPDX-License-Identifier: MIT */
/*
 * MSI-X as a domain sees it.  The table's pages are never mapped: the hypervisor keeps what the
 * domain wrote and gives the device host messages.  Mask and unmask touch one bit of the device.
 * Other registers on these pages are passed through, byte-exact and counted.
 */
#ifndef XL_VDEV_VMSIX_H
#define XL_VDEV_VMSIX_H

#include "lib/list.h"
#include "lib/spinlock.h"
#include "lib/types.h"
#include "trap/trap.h"

struct girq;
struct vpci;
struct vpci_dev;

struct vmsix_entry {
    uint64_t address;  /* the domain's */
    uint32_t data;     /* the domain's */
    uint32_t ctrl;     /* the domain's vector control */
    struct girq *girq; /* NULL until first unmasked */
    bool bound;        /* address and data are what girq and the device's entry have */
    bool live;         /* unmasked in the device */
    uint32_t reads[4], writes[4]; /* accesses by the domain, by dword */
};

/* Under vpci_dev.lock, where nothing else is said. */
struct vmsix {
    uint16_t nr;
    uint8_t cap;
    bool enabled;        /* the domain's enable bit; the function mask is the hardware's */
    bool trapped;        /* table, pba and hw_table are valid; constant while pages have an owner */
    bool reachable;      /* and memory is decoded */
    bool known;          /* entry[].live and .bound tell the truth about the device */
    uint64_t table, pba; /* guest-physical */
    uint32_t table_len, pba_len; /* bytes */
    volatile uint8_t *hw_table;  /* the device's table */
    uint64_t mask_writes, binds, failed;
    uint64_t neighbour_reads, neighbour_writes; /* of other registers on these pages; atomics */
    struct vmsix_entry entry[];                 /* nr of them */
};

/* Most functions whose tables share one page. */
#define VMSIX_PAGE_OWNERS 4

/* A function with a table or pending bits on a page, and the part of its BAR that lies there. */
struct vmsix_owner {
    struct vpci_dev *vd;  /* NULL: free place */
    uint64_t first, last; /* guest-physical, both included */
};

/* A page of device memory that holds a table or pending bits: one trapped region of the domain. */
struct vmsix_page {
    struct list_head link; /* in vpci->pages */
    uint64_t first;        /* guest-physical: of the page, or where a smaller BAR begins in it */
    volatile uint8_t *va;  /* of the device's memory behind `first` */
    struct vpci *vpci;
    struct trap_region *region;
    spinlock_t lock; /* owner[], and accesses to owners' registers; nothing is taken under it */
    struct vmsix_owner owner[VMSIX_PAGE_OWNERS];
};

/* Enters the registers; MSI-X is off in the device afterwards.  0 or a negative errno. */
int vmsix_init(struct vpci_dev *vd);
void vmsix_cleanup(struct vpci_dev *vd);

/*
 * Memory decoding is about to come on (BARs are where the hardware has them) or went off: traps or
 * releases the pages of table and pending bits.  0, also for a table that nobody can reach because
 * it lies in reserved memory; after an error decoding must stay off.  vpci->lock held.
 */
int vmsix_map(struct vpci_dev *vd);
void vmsix_unmap(struct vpci_dev *vd);
/* Decoding is on now: brings the device's table up to date.  After vmsix_map(); vpci->lock held. */
void vmsix_online(struct vpci_dev *vd);

/* ---- vmsix_page.c; vpci->lock held ---- */

/*
 * Traps the pages of [gpa, gpa + len), which is inside BAR `bar`, for vd, and takes them out of the
 * page table.  0; -ENOSPC (too many functions on a page, or no window), -ENOMEM, -EEXIST.
 */
int vmsix_pages_get(struct vpci_dev *vd, unsigned bar, uint64_t gpa, uint32_t len);
/* Releases all pages that vd has. */
void vmsix_pages_put(struct vpci_dev *vd);

/* ---- vmsix.c, for the pages' handlers; vd->lock held, `off` + `size` inside the table ---- */

/* Any access inside one dword, or an aligned quadword. */
int vmsix_table_read(struct vpci_dev *vd, uint32_t off, unsigned size, uint64_t *val);
/* Aligned dwords and quadwords. */
int vmsix_table_write(struct vpci_dev *vd, uint32_t off, unsigned size, uint64_t val);

/* ---- vmsix.c, for those who decide on messages; vpci->lock and vd->lock held, i < nr ---- */

/*
 * Binds this message of entry i, and unmasks it if the domain has.  0; -ESTALE: the domain has
 * written another one meanwhile; -ENODEV: memory is not decoded; or girq's error.  After an error
 * nothing is bound.
 */
int vmsix_bind(struct vpci_dev *vd, unsigned i, uint64_t address, uint32_t data);
/* Messages of entry i go nowhere until the next bind. */
void vmsix_unbind(struct vpci_dev *vd, unsigned i);
/* Unmasks entry i if the domain has and its message is bound. */
void vmsix_settle(struct vpci_dev *vd, unsigned i);
/* The first entry from `from` on that the domain uses and whose message is not bound. */
bool vmsix_next_unbound(const struct vpci_dev *vd, unsigned from, unsigned *i);

#endif
