/* SPDX-License-Identifier: MIT */
/*
 * A PCI function from the toolstack's side: which driver of the control domain has it (sysfs), making it assignable, and whether
 * it can be given away.
 */
#ifndef TOOLS_PCI_DEV_H
#define TOOLS_PCI_DEV_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "guest_cfg.h"
#include "pci_spec.h"
#include <xenlite/pci.h>

#define PCI_DRIVER_MAX 64

/* The control domain's driver of the function: "" none. Returns false if there is no such function there. */
bool pci_driver(uint32_t sbdf, char driver[PCI_DRIVER_MAX]);
/* Is that one of the drivers that do nothing, and hold a function for guests? */
bool pci_driver_is_stub(const char *driver);

/* Unbinds its driver and binds a stub; remembers the former. 0 or -1 (said why). Nothing happens if it is assignable already. */
int pci_make_assignable(uint32_t sbdf);
/* Gives it back to the control domain; rebind: to the driver that it had. 0 or -1 (said why). */
int pci_make_unassignable(uint32_t sbdf, bool rebind);

/* What stands in the way of giving it to a guest, one sentence each, as an array (the caller's). now: also what can be put right. */
struct json_object *pci_obstacles(const struct xenlite_pci_info *info, bool group, bool now);

/*
 * For create: checks everything that can be checked before there is a domain, with complaints that name the configuration's line.
 * Returns 0 or -1.
 */
int pci_check_config(const struct guest_cfg *cfg);
/* Gives the configuration's devices to the domain, which has not run yet. Returns 0 or -1. */
int pci_attach_config(const struct guest_cfg *cfg, uint32_t domid);

/* Asks xl-dmd to attach; dry_run: to check only. Returns its answer or NULL (said why, with `what` before it). */
struct json_object *pci_attach(uint32_t domid, const struct pci_spec *spec, bool dry_run,
                               char **error);

#endif
