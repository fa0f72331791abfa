/* SPDX-License-Identifier: MIT */
/*
 * Capabilities that vPCI manages: one row each.  One that cannot be set up fails the function,
 * whose interrupts would otherwise go around the hypervisor.
 */
#include "vdev/vmsi.h"
#include "vdev/vmsix.h"
#include "vdev/vpci_engine.h"

static const struct {
    const char *name;
    int (*init)(struct vpci_dev *vd);
    void (*cleanup)(struct vpci_dev *vd);
} caps[] = {
    { "MSI", vmsi_init, vmsi_cleanup },
    { "MSI-X", vmsix_init, vmsix_cleanup },
};

int vpci_cap_init(struct vpci_dev *vd)
{
    int rc = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(caps) && !rc; i++)
        rc = caps[i].init(vd);
    return rc;
}

void vpci_cap_cleanup(struct vpci_dev *vd)
{
    for (unsigned i = ARRAY_SIZE(caps); i-- > 0;)
        caps[i].cleanup(vd);
}
