/* SPDX-License-Identifier: MIT */
/*
 * Physical PCI: access to configuration space, the functions that exist, their BARs and the
 * capabilities that matter here.  Knows nothing about domains but the owner's pointer.
 */
#ifndef XL_VDEV_PCI_H
#define XL_VDEV_PCI_H

#include "lib/list.h"
#include "lib/spinlock.h"
#include "lib/types.h"
#include "vdev/pci_regs.h"

struct domain;
struct acpi_mcfg_info;

/* segment << 16 | bus << 8 | device << 3 | function, as in Xen's interfaces. */
#define PCI_SBDF(seg, bus, dev, fn)                                                                \
    ((uint32_t)(seg) << 16 | (uint32_t)(bus) << 8 | (uint32_t)(dev) << 3 | (uint32_t)(fn))
#define PCI_SEG(sbdf)   ((sbdf) >> 16)
#define PCI_BUS(sbdf)   ((sbdf) >> 8 & 0xff)
#define PCI_DEVFN(sbdf) ((sbdf)&0xff)
#define PCI_DEV(sbdf)   ((sbdf) >> 3 & 0x1f)
#define PCI_FN(sbdf)    ((sbdf)&0x7)
/* printf arguments for "%04x:%02x:%02x.%u" */
#define PCI_FMT       "%04x:%02x:%02x.%u"
#define PCI_ARG(sbdf) PCI_SEG(sbdf), PCI_BUS(sbdf), PCI_DEV(sbdf), PCI_FN(sbdf)

#define PCI_MAX_BARS    6
#define PCI_MAX_DEVICES 1024

enum pci_bar_kind {
    PCI_BAR_NONE, /* not implemented, or the upper half of the one before */
    PCI_BAR_IO,
    PCI_BAR_MEM32,
    PCI_BAR_MEM64, /* takes the next register as well */
    PCI_BAR_ROM,
};

struct pci_bar {
    uint64_t addr; /* as the device decodes it now, without flags */
    uint64_t size; /* bytes, a power of two; 0 with PCI_BAR_NONE */
    uint8_t kind;  /* enum pci_bar_kind */
    bool prefetchable;
};

/* What the PCI Express capability says about the place of a function (PCIe 5.0, 7.5.3.2). */
enum pcie_type {
    PCIE_ENDPOINT = 0,
    PCIE_LEGACY_ENDPOINT = 1,
    PCIE_ROOT_PORT = 4,
    PCIE_UPSTREAM = 5,
    PCIE_DOWNSTREAM = 6,
    PCIE_TO_PCI_BRIDGE = 7,
    PCI_TO_PCIE_BRIDGE = 8,
    PCIE_RC_ENDPOINT = 9,
    PCIE_RC_EVENT = 10,
    PCIE_NONE = 0xff, /* conventional PCI */
};

struct pci_msix_info {
    uint8_t cap;                /* offset of the capability, 0: none */
    uint8_t table_bar, pba_bar; /* index into bar[] */
    uint16_t nr;                /* entries, 1..2048; 0: unusable, the capability must stay off */
    uint32_t table_offset, pba_offset; /* inside the BAR */
};

struct pci_dev {
    struct list_head link; /* in the list of all functions, pci_lock */
    uint32_t sbdf;
    uint16_t vendor, device;
    uint32_t class_rev;                        /* class code << 8 | revision */
    uint8_t header;                            /* PCI_HEADER_*, without the multi-function bit */
    uint8_t pcie_type;                         /* enum pcie_type */
    uint8_t cap_pm, cap_msi, cap_pcie, cap_af; /* offsets, 0: none */
    struct pci_msix_info msix;
    uint8_t nr_bars; /* registers: 6, or 2 in a bridge */
    struct pci_bar bar[PCI_MAX_BARS];
    struct pci_bar rom;
    uint16_t cap_sriov; /* of a function that can have virtual ones; 0: none */
    struct pci_bar vf_bar[PCI_MAX_BARS]; /* kind and size of each virtual function's; the first one's address */
    struct pci_dev *physfn; /* a virtual function's physical one, which stays as long; NULL: it is physical itself */
    uint16_t vf_index;      /* from 0; pci_read_bars() keeps it */
    bool resizable; /* has the resizable BAR capability: sizes may change while decoding is off */
    bool decode;    /* it decodes memory as far as we know; kept by vPCI once it has an owner */
    bool hidden;    /* owned by the hypervisor: no domain gets at it */
    bool held;      /* changes hands, or is nobody's on purpose: no domain finds it by itself */
    struct domain *owner; /* NULL: nobody; set and cleared by vPCI */
    bool bus_reset; /* a bridge's: the hypervisor is resetting the bus behind it; command_lock */
    spinlock_t command_lock; /* changes of the command register, or of a bridge's control register */
    /* A guest's function: whether INTx is kept off whatever the guest says, and what it says.  command_lock. */
    bool intx_held, no_intx;
};

/* ---- raw access; size is 1, 2 or 4, reg aligned to it ---- */

/*
 * Takes the ECAM windows over (they become reserved ranges).  Without any, CF8/CFC serve the first
 * 256 bytes.  Once, before any access.
 */
void pci_hw_init(const struct acpi_mcfg_info *mcfg);
/* All ones for what does not exist or cannot be reached.  Takes a lock only where CF8/CFC serve. */
uint32_t pci_conf_read(uint32_t sbdf, unsigned reg, unsigned size);
void pci_conf_write(uint32_t sbdf, unsigned reg, unsigned size, uint32_t val);
/*
 * The function's registers in the ECAM window, for aligned reads; NULL: only pci_conf_read() gets
 * there.
 */
const volatile uint8_t *pci_conf_window(uint32_t sbdf);
/* True if registers from 256 on can be reached. */
bool pci_has_ext_config(uint32_t sbdf);

/* Ports of a device's BAR: size 1, 2 or 4. */
uint32_t pci_port_read(uint16_t port, unsigned size);
void pci_port_write(uint16_t port, unsigned size, uint32_t val);

/*
 * The command register of a guest's function as the guest reads and writes it: INTx may be kept off behind its back, while an
 * interrupt of it is in service, or because its pin leads nowhere. A virtual function's memory decoding reads as off, and is
 * left on (vdev/pci_sriov.h).
 */
uint32_t pci_command_read(struct pci_dev *dev);
void pci_command_write(struct pci_dev *dev, uint32_t val);
/* Keeps INTx off. */
void pci_hold_intx(struct pci_dev *dev);
/* The guest's own bit counts again. */
void pci_release_intx(struct pci_dev *dev);

/* ---- functions ---- */

/* One more bus that the scan starts from; bus 0 of segment 0 always is. */
void pci_add_root(uint16_t segment, uint8_t bus);
/* Walks the buses from the host bridges down.  On the boot CPU, decode off for moments.  0 or
 * -ENOMEM. */
int pci_scan(void);
/*
 * Looks at one function and enters it.  *out is the known entry if there is one.  Sizing BARs
 * switches decoding off and on again.  0, -ENODEV (absent), -ENOSPC, -ENOMEM.
 */
int pci_add(uint32_t sbdf, struct pci_dev **out);
/* Forgets a function that nobody owns and that no virtual function needs.  0, -ENODEV, -EBUSY. */
int pci_remove(uint32_t sbdf);
struct pci_dev *pci_find(uint32_t sbdf);
/* Calls fn for each known function in order of discovery; stops at a non-zero result. */
int pci_for_each(int (*fn)(struct pci_dev *dev, void *arg), void *arg);
unsigned pci_nr_devices(void);

/*
 * Reads the BARs' addresses again, e.g. after the owner wrote them; sizes stay, but for a virtual function's, which are
 * what pci_sriov_size() found last.
 */
void pci_read_bars(struct pci_dev *dev);
/* Finds sizes and addresses anew; switches decoding off for the time it takes. */
void pci_size_bars(struct pci_dev *dev);
/* True if MSI-X table and pending bits lie inside memory BARs. */
bool pci_msix_in_bars(const struct pci_dev *dev);

static inline bool pci_bar_is_memory(const struct pci_bar *bar)
{
    return bar->kind == PCI_BAR_MEM32 || bar->kind == PCI_BAR_MEM64;
}

static inline uint32_t pci_msix_table_len(const struct pci_msix_info *m)
{
    return m->nr * (uint32_t)PCI_MSIX_ENTRY_SIZE;
}

/* Whole quadwords (PCI 3.0, 6.8.2). */
static inline uint32_t pci_msix_pba_len(const struct pci_msix_info *m)
{
    return (m->nr + 63u) / 64 * 8;
}

/*
 * Uncached access to device memory, in whole pages.  Windows are kept and shared, so that moving
 * BARs about uses no more of the hypervisor's address space than there are places.  NULL when all
 * are in use.
 */
volatile uint8_t *pci_window(paddr_t pa, size_t len);
/* Offset of a capability, 0: none.  Bounded even if the list loops. */
uint8_t pci_find_cap(uint32_t sbdf, uint8_t id);
/* Offset of an extended capability, 0: none, or out of reach.  Bounded as well. */
uint16_t pci_find_ext_cap(uint32_t sbdf, uint16_t id);
/* The function's PCIe capability has this register (PCI_EXP_*, of 2 bytes): its version and kind do, and it lies inside. */
bool pci_has_exp(const struct pci_dev *dev, unsigned reg);
/* Known functions that are hidden. */
extern unsigned pci_nr_hidden;
/* Takes a known function out of every domain's reach.  0, -ENODEV, -EBUSY.  At boot. */
int pci_hide(uint32_t sbdf);
bool pci_is_hidden(uint32_t sbdf);
/* Buses behind a bridge; false if it is none, or is not set up. */
bool pci_bridge_buses(const struct pci_dev *dev, uint8_t *secondary, uint8_t *subordinate);
/* True if a known function is on that bus. */
bool pci_bus_in_use(uint16_t seg, uint8_t bus);

/* ---- memory that must not be mapped through to any domain as device memory ---- */

/*
 * Reserves [first, last]: LAPIC and message window, IO-APICs, IOMMU registers, RAM.  `why` is a
 * static string.  0, -EINVAL, -ENOSPC.  At boot only; pci_hw_init() adds the ECAM windows.
 */
int pci_reserve(paddr_t first, paddr_t last, const char *why);
/* Why [first, last] overlaps a reserved range; NULL if it does not. */
const char *pci_reserved(paddr_t first, paddr_t last);

#endif
