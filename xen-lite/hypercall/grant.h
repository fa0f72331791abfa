/* SPDX-License-Identifier: MIT */
/*
 * Grant tables, version 1: how a domain lets another one map or copy single pages of its memory.
 *
 * The granting domain writes entries into frames that it shares with the hypervisor; the hypervisor
 * pins an entry while it is mapped or copied (flags reading and writing, set by
 * compare-and-exchange in the shared entry, and a count that the guest cannot see). The mapping
 * domain holds a handle, an entry of its maptrack. The frame itself is held by a reference that
 * belongs to the p2m entry and goes with it (domain_p2m_release).
 *
 * Locking: lock protects the shared frames' list and the pins; maptrack_lock the handles. Neither
 * is held while the other, or another domain's, is taken. Both come before p2m.lock.
 */
#ifndef XL_HYPERCALL_GRANT_H
#define XL_HYPERCALL_GRANT_H

#include "lib/types.h"

#include <xen/grant_table.h>
#include <xen/xen.h>

#include "lib/spinlock.h"

struct domain;
struct vcpu;

#define GRANT_DEFAULT_FRAMES          64
#define GRANT_MAX_FRAMES              256
#define GRANT_DEFAULT_MAPTRACK_FRAMES 1024
#define GRANT_MAX_MAPTRACK_FRAMES     1024
#define GRANTS_PER_FRAME              (PAGE_SIZE / sizeof(grant_entry_v1_t))
#define MAPTRACK_PER_CHUNK            128u

/* What the hypervisor knows of an entry in use; all zero when it is not. */
struct grant_pin {
    uint32_t mfn;
    uint16_t readers, writers;
};

struct grant_frame {
    uint64_t mfn;             /* PAGE_SHARED, owned by the granting domain */
    grant_entry_v1_t *shared; /* its content: hostile, changes at any time */
    struct grant_pin *pins;   /* GRANTS_PER_FRAME of them */
};

/* One mapping made by this domain. */
struct grant_mapping {
    struct domain *granter; /* with a reference; NULL: free, next_free counts */
    uint64_t gfn;           /* where it is mapped, in the mapping domain */
    union {
        uint32_t ref;
        uint32_t next_free;
    };
    uint32_t mfn; /* what it maps */
    bool readonly;
    bool busy; /* being mapped or unmapped by some vCPU */
};

struct grant_table {
    spinlock_t lock;
    uint32_t nr_frames, max_frames;
    struct grant_frame *frame; /* max_frames of them */

    spinlock_t maptrack_lock;
    uint32_t nr_chunks, max_chunks;
    struct grant_mapping **chunk;
    uint32_t free_handle; /* first of the free ones, or ~0 */
    uint32_t nr_mapped;
    uint32_t released; /* grant_release_mappings: handles below are done */

    uint64_t nr_maps, nr_unmaps, nr_copies; /* since creation */
};

/*
 * Prepares an empty table with room for the given numbers of frames (0xffffffff: the defaults) and
 * makes its first frame, which the toolstack seeds before the guest runs. -EINVAL for numbers above
 * the maxima or zero frames, -ENOMEM.
 */
int grant_init(struct domain *d, uint32_t max_frames, uint32_t max_maptrack_frames);
/*
 * Gives up what d has mapped of others, in pieces: -ERESTART until done, then 0. Before or after
 * the p2m's teardown.
 */
int grant_release_mappings(struct domain *d);
/*
 * Frees the table itself, when the last reference to d goes and so nobody has anything of it
 * mapped.
 */
void grant_destroy(struct domain *d);

/*
 * The mfn of shared frame idx, making it and those before it if they do not exist yet; for
 * add_to_physmap and acquire_resource. -EINVAL beyond the limit, -ENOMEM. Holds no reference on the
 * frame.
 */
int grant_shared_frame(struct domain *d, uint32_t idx, uint64_t *mfn);

/* ---- between grant.c (tables, pins, handles) and grant_op.c (the hypercall) ---- */

/*
 * Pins entry ref of rd's table for d. Returns GNTST_okay and the frame, which the pin holds by a
 * reference of its own; or GNTST_bad_gntref, GNTST_general_error, GNTST_bad_page, GNTST_eagain.
 */
int16_t grant_pin(struct domain *d, struct domain *rd, uint32_t ref, bool readonly, uint64_t *mfn);
void grant_unpin(struct domain *rd, uint32_t ref, bool readonly);

/*
 * Whether d has a handle for what its p2m shows at gfn: 1 yes; 0 no; -EAGAIN one is being made or
 * given up just now. Takes the maptrack's lock.
 */
int grant_recorded(struct domain *d, uint64_t gfn, uint64_t mfn, bool readonly);

/* A handle that is busy and empty, or NULL when the maptrack is full or memory short. */
struct grant_mapping *grant_handle_alloc(struct domain *d, uint32_t *handle);
/* The handle if it is in use and nobody else works on it; it is busy then. NULL otherwise. */
struct grant_mapping *grant_handle_take(struct domain *d, uint32_t handle);
/* Ends busy: still in use. */
void grant_handle_keep(struct domain *d, struct grant_mapping *m);
/* Ends busy: free again. */
void grant_handle_free(struct domain *d, uint32_t handle);

/* Hypercall 20: cmd GNTTABOP_*, uop a linear address of count structures. */
long do_grant_table_op(struct vcpu *v, uint64_t cmd, uint64_t uop, uint64_t count, uint64_t a4,
                       uint64_t a5);

#endif
