/* SPDX-License-Identifier: MIT */
/*
 * A machine with VMX for tests: capability registers that can be changed, a VMCS as an array by encoding, registers and
 * invalidations that are remembered.
 */
#ifndef TEST_VMX_RIG_H
#define TEST_VMX_RIG_H

#include "cpu/vmx/vmx.h"

#define RIG_FIELDS 0x7000
#define RIG_MSRS 0x11

struct vmx_rig {
    uint64_t field[RIG_FIELDS];
    unsigned writes[RIG_FIELDS];
    uint64_t msr[RIG_MSRS];   /* from MSR_VMX_BASIC on */
    bool no_msr[RIG_MSRS];
    uint64_t cr2, dr6, lazy[NR_LAZY_MSRS];
    uint64_t pdpte[4];
    unsigned invepts, invvpids;
    uint64_t last_eptp, last_vpid, last_invvpid_type, last_invept_type;
};

extern struct vmx_rig rig;
extern struct cpu_vcpu rig_cpu;
extern struct vmx_vcpu rig_vmx;

/* A machine that can do everything, its capabilities probed, and one vCPU after INIT that is loaded. */
void rig_start(void);
int rig_rdmsr(uint32_t msr, uint64_t *val);
/* All that an entry needs is in the VMCS: host state, constants, guest state. */
void rig_fill_vmcs(void);

#endif
