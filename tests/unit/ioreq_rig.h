/* SPDX-License-Identifier: MIT */
/*
 * What tests of requests share: a device with MSI and MSI-X that belongs to a guest of four vCPUs, and a device model that can be
 * killed.
 */
#ifndef XL_TESTS_IOREQ_RIG_H
#define XL_TESTS_IOREQ_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim_pci.h"

#include <xen/hvm/ioreq.h>

#define DEV  PCI_SBDF(0, 0, 2, 0)
#define BAR0 (17UL << 20)
#define NR   8    /* MSI-X entries */
#define REG  0x80 /* a dword that nobody manages; others follow */
#define ADDR 0xfee01000ULL
#define MSIX 0x1000 /* of the table in BAR 0 */

extern struct sim_function *f;
extern uint16_t server; /* the device model's */

/* The server's structures as the device model sees them. */
struct ioreq_server *at(uint16_t id);
const struct ioreq *slot(unsigned vcpu);
const struct xenlite_ioreq_detail *detail(unsigned vcpu);
uint32_t port(unsigned vcpu);
/* A new server for the whole segment, ports bound, enabled; and kill -9: the kernel closes the ports. */
void dm_start(void);
void dm_die(void);
int complete(unsigned vcpu, uint64_t id, uint32_t decision, uint32_t value, uint32_t mask);
/* The classic answer. */
void respond(unsigned vcpu, uint64_t data);
void assert_asked(unsigned vcpu, unsigned reg, uint32_t val);

/* Writes of the guest's. */
enum trap_result wr(unsigned vcpu, unsigned reg, unsigned size, uint32_t val);
enum trap_result msix_write(unsigned vcpu, unsigned entry, unsigned off, uint32_t val);
/* Masks the entry and writes a message into it. */
void msix_set(unsigned vcpu, unsigned entry, uint64_t address, uint32_t data);
/* What the device would send for entry i now: NULL if it is masked. */
struct sim_girq *sends(unsigned i);

int setup(void **state);
int teardown(void **state);

#endif
