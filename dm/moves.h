/* SPDX-License-Identifier: MIT */
/*
 * Devices that move, and the list of them: what is asked of the hypervisor by the second thread (worker.h), as it waits while any
 * device is being reset. After each job, whatever it was, the models learn which devices there are.
 */
#ifndef DM_MOVES_H
#define DM_MOVES_H

#include <stdbool.h>
#include <stdint.h>

#include <xenlite/pci.h>

#include "dm/worker.h"

struct dmd;
struct domain;
struct qmp_error;
struct qmp_later;

enum move_kind {
    MOVE_LIST,   /* only the list */
    MOVE_DETAIL, /* the list, and xenlite_pci_info() of each function in it */
    MOVE_ATTACH,
    MOVE_DETACH,
    MOVE_INTX, /* connects the pin, if the function has one that is not connected so yet */
};

struct move {
    struct job job;
    struct dmd *dmd;
    enum move_kind kind;
    /* Which domain it is about; 0: none. Its number may belong to another one when the job is done. */
    uint16_t domid;
    uint8_t handle[16];
    struct xenlite_pci_move pci; /* sbdf and flags are asked, the rest is answered */
    char sentence[400];          /* why not */
    uint32_t gsi;                /* of MOVE_INTX */
    bool one, force;             /* of a command: only pci.sbdf; without asking the guest */
    int error;                   /* errno of the call; 0: it succeeded */
    int list_error;              /* errno of the list's */
    struct xenlite_pci_entry *list;
    struct xenlite_pci_info *info; /* of each in it; all zero: not known. NULL unless MOVE_DETAIL */
    unsigned nr;
    /* The models know the list. domain: that of domid if it is still there, else NULL. May be NULL. */
    void (*then)(struct move *move, struct domain *domain);
    struct qmp_later *later; /* who waits for an answer, given by then(); NULL: nobody */
};

/* A job about domain (NULL: about none), to be filled in and given to move_submit() or freed. NULL: no memory. */
struct move *move_new(struct dmd *dmd, enum move_kind kind, const struct domain *domain);
/*
 * Takes the job over. own: it is the daemon's and always accepted. False: there are too many, and it is freed. Its number in *seq, if that
 * is not NULL: a list with this number or a higher one is younger than this call.
 */
bool move_submit(struct move *move, bool own, uint64_t *seq);
/* For a command: the client gets its answer from then(). False with *error: too many wait. */
bool move_for_client(struct move *move, struct qmp_error *error);

#endif
