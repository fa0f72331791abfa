/* SPDX-License-Identifier: MIT */
/*
 * Where an application processor starts after SIPI: 16-bit code that is copied to TRAMPOLINE_PA, then 32-bit code in
 * the image itself, then C. One processor comes up at a time; ap_boot_stack is its stack.
 */
#include "boot/asm_defs.h"

        .section .rodata, "a"
        .code16
        .globl trampoline_start, trampoline_end
trampoline_start:
        cli
        cld
        movw    %cs, %ax
        movw    %ax, %ds
        lgdtl   tramp_gdt_desc - trampoline_start
        movl    $CR0_PE_ET, %eax
        movl    %eax, %cr0
        ljmpl   $SEL_CODE32, $ap_start32
        .balign 4
tramp_gdt_desc:
        .short  31
        .long   boot_gdt
trampoline_end:

        .section .head.text, "ax"
        .code32
ap_start32:
        movl    $SEL_DATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    ap_boot_cr3, %eax
        movl    $ap_tmp_stack_top, %esp
        call    enter_long_mode
        ljmp    $SEL_CODE64, $ap_start64

        .code64
ap_start64:
        xorl    %eax, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    %eax, %fs
        movl    %eax, %gs
        movq    ap_boot_stack, %rsp
        xorl    %ebp, %ebp
        pushq   %rbp
        call    ap_main
1:      hlt
        jmp     1b

        .data
        .balign 8
        .globl ap_boot_cr3, ap_boot_stack
ap_boot_cr3:
        .quad   0
ap_boot_stack:
        .quad   0
        .section .bss
        .balign 16
        .skip   64
ap_tmp_stack_top:

        .section .note.GNU-stack, "", @progbits
