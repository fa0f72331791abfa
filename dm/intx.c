/* SPDX-License-Identifier: MIT */
/* INTx of guests' functions: from a file of the toolstack to the hypervisor, see intx.h. */
#include "dm/intx.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include "dm/devices.h"
#include "dm/dmd.h"
#include "dm/hv.h"
#include "dm/hv_server.h"
#include "dm/logfile.h"
#include "libs/xenlite.h"

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

void intx_connect(struct dmd *dmd, uint16_t domid, uint32_t sbdf)
{
    struct xenlite_pci_info info;
    char bdf[BDF_TEXT];
    uint32_t gsi;

    if (!known_gsi(dmd, sbdf, &gsi) || xenlite_pci_info(hv_xc(dmd->hv), sbdf, &info))
        return;
    /* A daemon that starts again finds it as its predecessor left it. */
    if (!info.intx_pin || info.intx_gsi == gsi)
        return;
    if (xenlite_pci_intx(hv_xc(dmd->hv), domid, sbdf, gsi, 0)) {
        format_bdf(bdf, sbdf);
        message("domain %u: %s has no INTx, only MSI: GSI %u cannot be connected: %m", domid, bdf,
                gsi);
    }
}
