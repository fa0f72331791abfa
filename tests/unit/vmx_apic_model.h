/* SPDX-License-Identifier: MIT */
/*
 * A CPU that keeps a guest's local APIC (SDM chapter 30), on the VMCS of vmx_rig.h: entries, the virtualised accesses of the
 * guest, delivery at instruction boundaries. A test plays the guest.
 */
#ifndef TEST_VMX_APIC_MODEL_H
#define TEST_VMX_APIC_MODEL_H

#include "vmx_rig.h"

/* Addresses of the two MSR bitmaps, for rig_vmx.addr. */
#define MODEL_MAP_BASE 0x12000u
#define MODEL_MAP_APIC 0x15000u
#define MODEL_TPR      0x80u
/* The instruction does not exit. */
#define NO_EXIT 0xffffu

struct vmx_apic_model {
    uint32_t page[1024]; /* the virtual-APIC page */
    uint8_t map_base[VMX_MSRBM_SIZE], map_apic[VMX_MSRBM_SIZE];
    uint8_t rvi, svi;
    bool recognised;
    bool cli, shadow; /* the guest's; shadow: the last instruction was STI */
    unsigned exits;
};

extern struct vmx_apic_model m;

/* Given by the test: the guest takes a vector; injected: the hypervisor said so in the VMCS. */
void model_delivered(uint8_t vec, bool injected);

/* The VMCS tells the CPU to keep it. */
bool model_keeps(void);
/* Checks the rules for controls and fails if one is broken. */
void model_entry(void);
void model_exit(uint32_t reason, uint64_t qualification);
/*
 * The guest's accesses: NO_EXIT, or the reason of an exit, whose qualification is in the VMCS. An access that would reach the
 * machine's own local APIC fails.
 */
uint32_t model_rdmsr(uint32_t msr, uint64_t *val);
uint32_t model_wrmsr(uint32_t msr, uint64_t val, bool *fault);
/* The page's task priority has been written by MOV to CR8. */
uint32_t model_tpr_written(void);
/* The CPU takes the notification of posted interrupts: true. False: it exits. pid: the descriptor, 5 words. */
bool model_notified(uint64_t *pid);
/* A virtual interrupt has been recognised and the guest can take it. */
void model_deliver(void);

#endif
