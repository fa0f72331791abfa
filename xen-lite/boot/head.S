/* SPDX-License-Identifier: MIT */
/*
 * The way in from the boot loader: multiboot 1 and 2 headers, and from 32-bit protected mode without paging to 64-bit
 * C code. The image is linked at its physical address, so symbols are physical addresses before and after paging.
 */
#include "boot/asm_defs.h"

        .section .multiboot, "a"
        .balign 8
/* Multiboot 1, with explicit addresses: loaders then need not understand ELF64 (Multiboot 0.6.96, 3.1.3). */
mb1_header:
        .long 0x1badb002
        .long MB1_FLAGS
        .long -(0x1badb002 + MB1_FLAGS)
        .long mb1_header
        .long __image_start
        .long __image_load_end
        .long __image_end
        .long start32

        .balign 8
/* Multiboot 2: information request for memory map, modules, command line and both RSDP tags. */
mb2_header:
        .long 0xe85250d6
        .long 0
        .long mb2_header_end - mb2_header
        .long -(0xe85250d6 + (mb2_header_end - mb2_header))
        .balign 8
        .short 1, 1                     /* information request, optional */
        .long 2f - 1f + 8
1:      .long 1, 3, 6, 12, 14, 15
2:      .balign 8
        .short 6, 1                     /* modules on page boundaries */
        .long 8
        .balign 8
        .short 0, 0
        .long 8
mb2_header_end:

        .section .head.text, "ax"
        .code32
        .globl start32
start32:
        cld
        cli
        movl    %eax, %ebp              /* magic */
        movl    %ebx, %esi              /* information structure */
        movl    $boot_stack_top, %esp

        /* Long mode, or a message in plain text where a PC shows it. */
        movl    $0x80000000, %eax
        cpuid
        cmpl    $0x80000001, %eax
        jb      no_long_mode
        movl    $0x80000001, %eax
        cpuid
        btl     $29, %edx
        jnc     no_long_mode

        /* Loaders clear .bss, but ours holds page tables: do not depend on it. */
        movl    $__bss_start, %edi
        movl    $__image_end, %ecx
        subl    %edi, %ecx
        shrl    $2, %ecx
        xorl    %eax, %eax
        rep stosl

        /* Early tables: 4 GiB at 0 and again at DIRECTMAP_BASE (PML4 slot 256), by 2 MiB pages. */
        movl    $boot_pd, %edi
        movl    $0x83, %eax             /* present, writable, large */
        movl    $2048, %ecx
1:      movl    %eax, (%edi)
        addl    $0x200000, %eax
        addl    $8, %edi
        loop    1b
        movl    $boot_pdpt, %edi
        movl    $boot_pd + 3, %eax
        movl    $4, %ecx
1:      movl    %eax, (%edi)
        addl    $4096, %eax
        addl    $8, %edi
        loop    1b
        movl    $boot_pdpt + 3, boot_pml4
        movl    $boot_pdpt + 3, boot_pml4 + 256 * 8

        movl    $boot_pml4, %eax
        call    enter_long_mode
        ljmp    $SEL_CODE64, $start64

no_long_mode:
        movl    $no_long_mode_text, %esi
        movl    $0xb8000, %edi
        movb    $0x4f, %ah
1:      lodsb
        testb   %al, %al
        jz      2f
        stosw
        jmp     1b
2:      hlt
        jmp     2b
no_long_mode_text:
        .asciz  "xen-lite needs a 64-bit CPU"

/* In: eax = root table. Turns on paging, long mode and no-execute; loads the GDT. Clobbers eax, ecx, edx. */
        .globl enter_long_mode
enter_long_mode:
        movl    %eax, %cr3
        movl    $CR4_BITS, %eax
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx       /* EFER */
        rdmsr
        orl     $0x900, %eax            /* LME, NXE */
        wrmsr
        movl    $CR0_BITS, %eax
        movl    %eax, %cr0
        lgdt    boot_gdt_desc
        ret

        .code64
start64:
        xorl    %eax, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    %eax, %fs
        movl    %eax, %gs
        movq    $boot_stack_top, %rsp
        xorl    %edx, %edx
        pushq   %rdx                    /* ends a backtrace */
        movl    %ebp, %edi
        movl    %esi, %esi
        xorl    %ebp, %ebp
        call    hv_main
1:      hlt
        jmp     1b

        .section .rodata, "a"
        .balign 8
        .globl boot_gdt
boot_gdt:
        .quad   0
        .quad   0x00af9a000000ffff      /* SEL_CODE64 */
        .quad   0x00cf92000000ffff      /* SEL_DATA */
        .quad   0x00cf9a000000ffff      /* SEL_CODE32 */
boot_gdt_end:
        .globl boot_gdt_desc
boot_gdt_desc:
        .short  boot_gdt_end - boot_gdt - 1
        .long   boot_gdt
        .long   0

        .section .bss.early, "aw", @nobits
        .balign 4096
        .globl boot_pml4
boot_pml4:
        .skip   4096
boot_pdpt:
        .skip   4096
boot_pd:
        .skip   4 * 4096
        .globl boot_stack_guard, boot_stack_top
boot_stack_guard:
        .skip   STACK_GUARD
        .skip   STACK_SIZE
boot_stack_top:

        .section .note.GNU-stack, "", @progbits
