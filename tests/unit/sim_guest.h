/* SPDX-License-Identifier: MIT */
/*
 * Turns the simulated domain of sim_pci.c into a guest with a PCI root: a page table in which gfns
 * and mfns differ, ports, and messages that are remembered.
 */
#ifndef XL_TESTS_SIM_GUEST_H
#define XL_TESTS_SIM_GUEST_H

#include "sim_pci.h"
#include "vdev/vpci_guest.h"
#include "vdev/vroot.h"

extern bool sim_guest_on;      /* the page table is the guest's */
extern bool sim_guest_started; /* domain_has_started() */
extern unsigned sim_messages;  /* delivered by vapic_deliver_msi() */
extern uint64_t sim_message_addr;
extern uint32_t sim_message_data;
extern uint32_t sim_port_value; /* what a read of a port gives; the last write */
extern uint16_t sim_port_last;

/* After sim_reset(): the domain is a guest with a root, the functions nobody's. */
void sim_guest_begin(void);
/* Before sim_finish(): destroys the root and checks that the guest has nothing left. */
void sim_guest_end(void);

/* The guest's RAM, one page. */
void sim_guest_ram(uint64_t gfn);
/* mfn behind gpa, or INVALID_MFN. */
uint64_t sim_guest_mfn(uint64_t gpa);
unsigned sim_guest_nr_mapped(void);
/* Calls fn for each page of device memory that is mapped. */
void sim_guest_for_each(void (*fn)(uint64_t gfn, uint64_t mfn));
/* Guest memory accesses: through the page table, or the registry. */
enum trap_result guest_mem(uint64_t gpa, unsigned size, bool write, uint64_t *val);

/* For sim_pci.c: the page table of a guest. */
int sim_guest_map_range(uint64_t gfn, uint64_t mfn, uint64_t nr, enum p2m_type type,
                        uint64_t *done);
int sim_guest_unmap(uint64_t gfn, uint64_t nr, uint64_t *done);
uint64_t sim_guest_lookup(uint64_t gfn, enum p2m_type *type, unsigned *order);

#endif
