/* SPDX-License-Identifier: MIT */
/* Jobs about devices, see moves.h. */
#include "dm/moves.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm/devices.h"
#include "dm/dmd.h"
#include "dm/logfile.h"
#include "dm/qmp.h"
#include "libs/xenlite.h"

/* ---- on the second thread ---- */

/* A daemon that starts again finds the pin as its predecessor left it. */
static int connect_pin(struct move *move, xc_interface *xch)
{
    struct xenlite_pci_info info;

    if (xenlite_pci_info(xch, move->pci.sbdf, &info) || !info.intx_pin ||
        info.intx_gsi == move->gsi)
        return 0;
    return xenlite_pci_intx(xch, move->domid, move->pci.sbdf, move->gsi, 0);
}

static void ask_details(struct move *move, xc_interface *xch)
{
    move->info = calloc(move->nr + 1, sizeof(*move->info));
    for (unsigned i = 0; move->info && i < move->nr; i++)
        if (xenlite_pci_info(xch, move->list[i].sbdf, &move->info[i]))
            memset(&move->info[i], 0, sizeof(move->info[i]));
}

static void run(struct job *job, xc_interface *xch)
{
    struct move *move = (struct move *)job;
    int r = 0;

    if (move->kind == MOVE_ATTACH)
        r = xenlite_pci_attach(xch, move->domid, &move->pci, move->sentence,
                               sizeof(move->sentence));
    else if (move->kind == MOVE_DETACH)
        r = xenlite_pci_detach(xch, move->domid, &move->pci, move->sentence,
                               sizeof(move->sentence));
    else if (move->kind == MOVE_INTX)
        r = connect_pin(move, xch);
    move->error = r ? errno : 0;
    if (xenlite_pci_list(xch, &move->list, &move->nr)) {
        move->list_error = errno ? errno : EIO;
        move->list = NULL;
        move->nr = 0;
    } else if (move->kind == MOVE_DETAIL) {
        ask_details(move, xch);
    }
}

/* ---- on the loop's ---- */

static void discard(struct move *move)
{
    if (move->later)
        qmp_forget(move->later);
    free(move->info);
    free(move->list);
    free(move);
}

static struct domain *domain_of(const struct move *move)
{
    struct domain *domain = move->domid ? dmd_find(move->dmd, move->domid) : NULL;

    return domain && !memcmp(domain->handle, move->handle, sizeof(move->handle)) ? domain : NULL;
}

static void done(struct job *job, bool ran)
{
    struct move *move = (struct move *)job;

    if (ran) {
        models_listed(move->dmd->models, move);
        if (move->then)
            move->then(move, domain_of(move));
    }
    discard(move);
}

struct move *move_new(struct dmd *dmd, enum move_kind kind, const struct domain *domain)
{
    struct move *move = calloc(1, sizeof(*move));

    if (!move)
        return NULL;
    move->job.run = run;
    move->job.done = done;
    move->dmd = dmd;
    move->kind = kind;
    if (domain) {
        move->domid = domain->domid;
        memcpy(move->handle, domain->handle, sizeof(move->handle));
    }
    return move;
}

bool move_submit(struct move *move, bool own, uint64_t *seq)
{
    if (!worker_submit(move->dmd->worker, &move->job, own)) {
        discard(move);
        return false;
    }
    if (seq)
        *seq = move->job.seq;
    return true;
}

bool move_for_client(struct move *move, struct qmp_error *error)
{
    move->later = qmp_defer(error);
    if (!move->later) {
        discard(move);
        qmp_set_error(error, NULL, "not enough memory");
        return false;
    }
    if (move_submit(move, false, NULL))
        return true;
    qmp_set_error(error, NULL, "too many requests about devices wait already");
    return false;
}
