/* SPDX-License-Identifier: MIT */
/*
 * Simulated PCI functions for tests of vPCI: configuration space with write masks, device memory in
 * the simulated physical memory, a page table that is a map of frames, and interrupts that remember
 * what they were bound to.
 */
#ifndef XL_TESTS_SIM_PCI_H
#define XL_TESTS_SIM_PCI_H

#include "irq/girq.h"
#include "lib/percpu.h"
#include "p2m/p2m.h"
#include "sim_ioreq.h"
#include "vdev/vpci.h"

#define SIM_MAX_FUNCTIONS 64
/* Device memory lives between these addresses; one page of the page table's map each. */
#define SIM_MMIO_FIRST (16UL << 20)
#define SIM_MMIO_END   (64UL << 20)
/* Reserved by sim_reset(), as the hypervisor's registers are. */
#define SIM_RESERVED     (56UL << 20)
#define SIM_RESERVED_END (57UL << 20)
/* The control domain's RAM. */
#define SIM_RAM     (60UL << 20)
#define SIM_RAM_END (61UL << 20)

struct sim_function {
    uint32_t sbdf;
    bool present;
    uint8_t config[PCI_CFG_EXT_SIZE] __aligned(8);
    uint8_t writable[PCI_CFG_EXT_SIZE]; /* bits that a write changes */
    uint8_t w1c[PCI_CFG_EXT_SIZE];      /* bits that a written 1 clears */
    uint64_t bar_size[PCI_MAX_BARS];
    unsigned msi, msix;          /* offsets of capabilities */
    uint64_t bar_writes_decoded; /* writes that would have moved a decoding BAR */
};

struct sim_girq {
    struct girq g;
    bool used, bound;
    unsigned id;
    uint64_t guest_addr;
    uint32_t guest_data;
};
#define SIM_MAX_GIRQS 4096

extern struct sim_function sim_functions[SIM_MAX_FUNCTIONS];
extern unsigned sim_nr_functions;
extern uint64_t sim_raw_accesses; /* that reached pci_conf_read() or pci_conf_write() */
extern struct sim_girq sim_girqs[SIM_MAX_GIRQS];
extern unsigned sim_girqs_used;
extern bool sim_window; /* configuration space can be read through pci_conf_window() */
extern bool sim_bind_fails, sim_p2m_fails;
extern unsigned sim_unmaps;  /* calls of p2m_unmap() */
extern bool sim_found_fails; /* domain_pci_found() */
extern unsigned sim_found, sim_gone;

extern struct vpci sim_vpci;
extern struct trap_table sim_traps;
extern struct p2m sim_p2m;
#define SIM_DOMAIN ((struct domain *)&sim_vpci)
#define SIM_VCPU   (current_vcpu())

/* Forgets every function, and begins anew with an empty page table and registry. */
void sim_reset(void);
/* Takes everything down again and checks that nothing is left mapped, trapped or bound. */
void sim_finish(void);

/* A register as hardware has it, past write masks. */
void sim_put(struct sim_function *f, unsigned reg, unsigned size, uint32_t val);
uint32_t sim_get(const struct sim_function *f, unsigned reg, unsigned size);

struct sim_function *sim_add(uint32_t sbdf, uint16_t vendor, uint16_t device);
/* Memory BAR at `addr`; is_64 takes two registers. */
void sim_bar(struct sim_function *f, unsigned i, uint64_t size, uint64_t addr, bool is_64);
void sim_io_bar(struct sim_function *f, unsigned i, uint32_t size, uint32_t addr);
void sim_rom(struct sim_function *f, uint32_t size, uint32_t addr);
/* A bridge: header type 1 with a secondary bus. */
void sim_bridge(struct sim_function *f, uint8_t secondary, uint8_t subordinate);
/* Capabilities, appended to the list; return the offset. */
unsigned sim_cap(struct sim_function *f, uint8_t id, unsigned len);
unsigned sim_msi(struct sim_function *f, bool is_64, bool maskable, unsigned log2_messages);
unsigned sim_msix(struct sim_function *f, unsigned nr, unsigned table_bar, uint32_t table_offset,
                  unsigned pba_bar, uint32_t pba_offset);
void sim_decode(struct sim_function *f, bool on);
/* What a function-level reset does to registers and, if it has one, the MSI-X table. */
void sim_flr(struct sim_function *f);
struct sim_function *sim_find(uint32_t sbdf);
uint32_t sim_config32(const struct sim_function *f, unsigned reg);
uint64_t sim_bar_addr(const struct sim_function *f, unsigned i);

/* Scan, and everything to the control domain. */
void sim_boot(void);

/* Configuration accesses as the domain makes them. */
uint32_t cfg_read(uint32_t sbdf, unsigned reg, unsigned size);
void cfg_write(uint32_t sbdf, unsigned reg, unsigned size, uint32_t val);
/* Device memory accesses of the domain: through the page table, or the registry. */
enum trap_result mem_read(uint64_t gpa, unsigned size, uint64_t *val);
enum trap_result mem_write(uint64_t gpa, unsigned size, uint64_t val);

bool sim_mapped(uint64_t gpa);
unsigned sim_nr_mapped(void);
struct sim_girq *sim_girq_of_message(uint64_t addr, uint32_t data);

#endif
