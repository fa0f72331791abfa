/* SPDX-License-Identifier: MIT */
/*
 * What surrounds requests to device models in tests: vCPUs that only know whether they wait, event channels, frames with
 * their references, and one timer.
 */
#ifndef XL_TESTS_SIM_IOREQ_H
#define XL_TESTS_SIM_IOREQ_H

#include "vdev/ioreq.h"

#define SIM_VCPUS    4
#define SIM_PORTS    256
#define SIM_FRAMES   64
#define SIM_FRAME_AT 256 /* number of the first, below the simulated device memory */

struct sim_vcpu {
    unsigned id;
    bool waiting;
    unsigned waits, resumes;
};

struct sim_port {
    bool used, bound;
    struct vcpu *v;
    unsigned signals; /* to the device model */
};

struct sim_frame {
    bool allocated;
    unsigned users;
};

extern struct sim_vcpu sim_vcpu[SIM_VCPUS];
extern struct ioreq_domain sim_ioreq;
extern struct ioreq_vcpu sim_ioreq_vcpu[SIM_VCPUS];
extern struct sim_port sim_port[SIM_PORTS]; /* index is the port; 0 is none */
extern struct sim_frame sim_frame[SIM_FRAMES];
extern unsigned sim_ports_fail_after; /* 0: never; n: the n-th allocation from now fails */

/* Nobody waits, nothing is allocated; vCPU 0 is current. */
void sim_ioreq_reset(struct domain *d);
/* Takes all down; what is left over fails the test. Frames that are mapped are unmapped first. */
void sim_ioreq_finish(void);
/* Who makes the accesses from now on. */
void sim_run_on(unsigned vcpu);
/* The timer fires if it is due. */
void sim_ioreq_timer(void);

/* The other side of a port. */
void sim_port_bind(uint32_t port);
void sim_port_close(uint32_t port);
void sim_port_signal(uint32_t port);
unsigned sim_ports_used(void);

#endif
