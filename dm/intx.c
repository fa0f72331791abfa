/* SPDX-License-Identifier: MIT */
/* INTx of guests' functions: from a file of the toolstack to the hypervisor, see intx.h. */
#include "dm/intx.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "dm/devices.h"
#include "dm/dmd.h"
#include "dm/logfile.h"
#include "dm/moves.h"

static bool known_gsi(const struct dmd *dmd, uint32_t sbdf, uint32_t *gsi)
{
    char path[PATH_MAX], bdf[BDF_TEXT];
    bool known;
    FILE *file;

    format_bdf(bdf, sbdf);
    snprintf(path, sizeof(path), "%s/assignable/%s.gsi", dmd->options.run_dir, bdf);
    file = fopen(path, "re");
    if (!file)
        return false;
    known = fscanf(file, "%" SCNu32, gsi) == 1;
    fclose(file);
    return known;
}

static void connected(struct move *move, struct domain *domain)
{
    char bdf[BDF_TEXT];

    (void)domain;
    if (!move->error)
        return;
    format_bdf(bdf, move->pci.sbdf);
    message("domain %u: %s has no INTx, only MSI: GSI %u cannot be connected: %s", move->domid, bdf,
            move->gsi, strerror(move->error));
}

void intx_connect(const struct domain *domain, uint32_t sbdf)
{
    struct move *move;
    uint32_t gsi;

    if (!known_gsi(domain->dmd, sbdf, &gsi))
        return;
    move = move_new(domain->dmd, MOVE_INTX, domain);
    if (!move)
        return;
    move->pci.sbdf = sbdf;
    move->gsi = gsi;
    move->then = connected;
    move_submit(move, true, NULL);
}
