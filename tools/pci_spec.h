/* SPDX-License-Identifier: MIT */
/*
 * Names of PCI functions: "[DDDD:]BB:DD.F", and with options as xl takes them in guest.cfg's pci = [...] and for
 * pci-attach (xl-pci-configuration(5)).
 */
#ifndef TOOLS_PCI_SPEC_H
#define TOOLS_PCI_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCI_BDF_TEXT 16 /* "0000:00:00.0" and its 0 */

/* Segment << 16 | bus << 8 | device << 3 | function, as everywhere. */
struct pci_spec {
    uint32_t sbdf;
    bool group;      /* ".*": every function that can only move together with function 0 */
    bool permissive; /* unknown configuration registers may be written */
    bool seize;      /* unbind its driver if it is not assignable yet */
    unsigned slot;   /* in the guest; 0: the first free */
};

/* Exactly one function, nothing behind it. Returns 0 or -1. */
int pci_bdf_parse(const char *text, uint32_t *sbdf);
void pci_bdf_format(uint32_t sbdf, char text[PCI_BDF_TEXT]);

/*
 * A function with options: "BDF[@SLOT][,KEY=VALUE...]", or "KEY=VALUE..." with a key bdf. The keys permissive and seize keep what
 * spec holds when they are not given; the other fields are set. Returns 0, or -1 with what is wrong in error[].
 */
int pci_spec_parse(const char *text, struct pci_spec *spec, char *error, size_t size);

#endif
