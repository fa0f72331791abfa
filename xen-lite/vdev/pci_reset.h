/* SPDX-License-Identifier: MIT */
/*
 * Resetting physical functions between owners: which ways there are, the reset itself in steps that never wait on the
 * spot, and the registers that a reset takes away but firmware and control domain rely on.
 *
 * No locks: the caller owns the function, nobody else touches its registers meanwhile.
 */
#ifndef XL_VDEV_PCI_RESET_H
#define XL_VDEV_PCI_RESET_H

#include "vdev/pci.h"
#include "vdev/pci_topo.h"

/* Ways to reset, a mask; the lowest bit is tried first. Values of xenlite/pci.h. */
#define PCI_RESET_FLR    0x1u /* PCIe 5.0, 6.6.2 */
#define PCI_RESET_AF_FLR 0x2u
#define PCI_RESET_PM     0x4u /* D3hot and back, if the function says that this resets it */
#define PCI_RESET_BUS    0x8u /* secondary bus reset; all behind the bridge belongs to one group */

/* Ways that the function has. `t` (may be NULL: no bus reset) must know it. */
unsigned pci_reset_methods(const struct pci_dev *dev, const struct pci_topology *t);
const char *pci_reset_name(unsigned method);

/* Header and control registers that a reset clears and that are not its owner's to choose. */
struct pci_saved {
    bool valid;
    uint32_t bar[PCI_MAX_BARS];
    uint32_t rom;
    uint8_t cache_line, latency, int_line;
    uint16_t devctl, devctl2, lnkctl, lnkctl2;
    uint32_t rebar[PCI_MAX_BARS];
};
void pci_save(const struct pci_dev *dev, struct pci_saved *s);
/* Decoding and bus mastering stay off; the function must be in D0. */
void pci_restore(const struct pci_dev *dev, const struct pci_saved *s);
/* Decoding, bus mastering and INTx off, whatever state it is in. */
void pci_silence(const struct pci_dev *dev);

enum pci_reset_state {
    PCI_RESET_WAKE,    /* into D0 first: registers of a sleeping function may not work */
    PCI_RESET_DRAIN,   /* until its requests are answered */
    PCI_RESET_TRIGGER,
    PCI_RESET_RAISE,   /* the second half: out of D3hot, or the end of the bus's reset */
    PCI_RESET_SETTLE,  /* the time in which it may not be touched */
    PCI_RESET_READY,   /* until it answers */
    PCI_RESET_DONE,
};

struct pci_reset {
    const struct pci_dev *dev;
    struct pci_dev *bridge;       /* PCI_RESET_BUS */
    unsigned method;              /* one bit; 0: only into D0 and until it answers */
    enum pci_reset_state state;
    uint64_t wake_ns;             /* nothing to do before */
    uint64_t deadline_ns;         /* of the state that polls */
    uint64_t polled;              /* registers read while waiting */
};

/* How long a function may take to answer after its reset, from the end of the time in which it may not be touched. */
#define PCI_RESET_READY_MS 10000

/* Begins; the caller has silenced the function. */
void pci_reset_begin(struct pci_reset *r, const struct pci_dev *dev, unsigned method);
/*
 * Goes as far as it can without waiting. 0: done. -EAGAIN: again at wake_ns. -ETIMEDOUT: it does not answer. -EIO: something
 * else answers in its place.
 */
int pci_reset_step(struct pci_reset *r);

#endif
