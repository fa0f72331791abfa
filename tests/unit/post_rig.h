/* SPDX-License-Identifier: MIT */
/*
 * A machine of some CPUs that run the real scheduler, and a software unit that posts interrupts to vCPUs: each CPU is a
 * thread, of which one runs at a time. Who goes on is chosen at random, from a seed, at every access of a descriptor, every wait for a
 * lock, and at any time in a guest or an idle CPU; and so is when a device sends its next request. With every second pair of
 * seeds the CPUs can keep local APICs and take what is posted by themselves, while they are in guest mode.
 */
#ifndef XL_TESTS_POST_RIG_H
#define XL_TESTS_POST_RIG_H

#include "domain/domain.h"

#define POST_CPUS    3
#define POST_VCPUS   5
#define POST_SOURCES 12

struct post_counts {
    uint64_t requests;   /* sent by devices */
    uint64_t posted;     /* of them, those that set a bit in a descriptor that was not set */
    uint64_t told;       /* notifications to CPUs that run the vCPU */
    uint64_t woken;      /* notifications to CPUs where it sleeps */
    uint64_t remapped;   /* that came by way of a host vector */
    uint64_t received;   /* interrupts that guests took */
    uint64_t ipis;       /* interrupts of vCPUs for each other */
    uint64_t taken;      /* that CPUs in guest mode took from descriptors */
    uint64_t sleeps, moves, pauses, rebinds;
};

/* Runs `rounds` bursts of requests and actions, each followed by silence in which everything must arrive. Fails the test if not. */
void post_play(uint64_t seed, unsigned rounds, struct post_counts *counts);

/* The same machine with nobody running: vCPUs that have not begun, and a source for each of the first, in turn. */
void post_begin(uint64_t seed);
struct vcpu *post_vcpu(unsigned n);
/* The n-th source sends its message. */
void post_request(unsigned n);
void post_end(void);

#endif
