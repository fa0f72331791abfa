/* SPDX-License-Identifier: MIT */
/*
 * Numbers that assembly and C share: selectors, stack size, control register values at entry.
 */
#ifndef XL_BOOT_ASM_DEFS_H
#define XL_BOOT_ASM_DEFS_H

#define SEL_CODE64 0x08
#define SEL_DATA   0x10
#define SEL_CODE32 0x18
#define SEL_TSS    0x20

#define STACK_SIZE 16384
/* Not present, below each stack. A function's frame must be smaller (HV_CFLAGS see to it). */
#define STACK_GUARD 4096

/* PAE; and OSFXSR, OSXMMEXCPT so that a guest's FPU state can be saved and restored (SDM vol. 3, 2.5). */
#define CR4_BITS 0x620
/* PG, WP, NE, ET, MP, PE. */
#define CR0_BITS 0x80010033
/* Protected mode without paging, ET. */
#define CR0_PE_ET 0x11

/* Page-aligned, keep, memory information, and the address fields of the multiboot 1 header are valid. */
#define MB1_FLAGS 0x00010003

/* Where application processors start: below 1 MiB, page aligned, inside conventional memory. */
#define TRAMPOLINE_PA 0x8000

#endif
