/* SPDX-License-Identifier: MIT */
/*
 * A scene for tests of hand-overs: a network card behind a root port with access control, and two guests that may get it.
 */
#ifndef XL_TESTS_PT_CARD_H
#define XL_TESTS_PT_CARD_H

#include "pt_rig.h"

#define F(bus, dev, fn) PCI_SBDF(0, bus, dev, fn)
#define NIC F(1, 0, 0)

extern struct rig_fn *nic, *port;
extern struct domain *guest, *other; /* 3 and 4 */

/* cmocka's set-up and tear-down of a test. The buses are not scanned yet: rig_boot(). */
int card_setup(void **state);
int card_teardown(void **state);

/* To and from the guest, to the end. */
struct pt_result attach(uint32_t sbdf, uint32_t flags);
struct pt_result detach(uint32_t sbdf, uint32_t flags);
/* Refused at that stage by that rule, said in a sentence, and nothing has happened: also as a dry run. */
void refused(const struct pt_request *req, enum xenlite_pci_stage stage, enum deny_rule rule);

#define REFUSED(sbdf, stage, rule)                                                                 \
    refused(&(struct pt_request){ PT_ATTACH, 3, sbdf, 0, 0 }, XENLITE_PCI_STAGE_##stage,           \
            DENY_PT_##rule)

#endif
