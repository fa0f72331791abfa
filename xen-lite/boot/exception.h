/* SPDX-License-Identifier: MIT */
/*
 * The processor's exceptions and interrupts as they reach C code, per-CPU descriptor tables, and the fault-tolerant
 * accessors built on the exception table.
 */
#ifndef XL_BOOT_EXCEPTION_H
#define XL_BOOT_EXCEPTION_H

#include "lib/types.h"

struct exc_frame {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* Fills the interrupt descriptor table; once, on the boot CPU. */
void idt_init(void);
/* Loads GDT, TSS and IDT of the running CPU, whose percpu structure GS already names. */
void descriptors_load(unsigned cpu);

/* 0, or -EFAULT if the access raised an exception (an MSR that does not exist). */
int rdmsr_safe(uint32_t msr, uint64_t *val);
int wrmsr_safe(uint32_t msr, uint64_t val);

/* Prints the frame's registers and the calls that led there. */
void frame_dump(const struct exc_frame *f);
void backtrace(uint64_t rip, uint64_t rbp);

/* With the option stack-test=CPU, this CPU runs off its stack: that has to end in a panic which says so. */
void stack_self_test(unsigned cpu);
/* With gs-test=CPU, this CPU loses its GS base: the panic has to find its way all the same. */
void gs_self_test(unsigned cpu);

#endif
