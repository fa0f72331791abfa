/* SPDX-License-Identifier: MIT */
/*
 * Start of the guest of fuzz-guest.c: PVH note, identity-mapped long mode, and stubs that end the guest on an exception.
 */
        .section .note.Xen, "a", @note
        .long   4, 8, 18                /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz  "Xen"
        .quad   start32

        .text
        .code32
        .globl  start32
start32:
        movl    $stack_top, %esp
        movl    %ebx, start_info
        movl    $pd, %edi               /* 4 GiB by 2 MiB */
        movl    $0x83, %eax
        movl    $2048, %ecx
1:      movl    %eax, (%edi)
        addl    $0x200000, %eax
        addl    $8, %edi
        loop    1b
        movl    $pdpt, %edi
        movl    $pd + 3, %eax
        movl    $4, %ecx
1:      movl    %eax, (%edi)
        addl    $4096, %eax
        addl    $8, %edi
        loop    1b
        movl    $pdpt + 3, pml4
        movl    $pml4, %eax
        movl    %eax, %cr3
        movl    $0x20, %eax             /* PAE */
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    $0x80000011, %eax
        movl    %eax, %cr0
        lgdt    gdt_desc
        ljmp    $8, $start64
        .code64
start64:
        movl    $16, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movq    $stack_top, %rsp
        call    guest_main
1:      cli
        hlt
        jmp     1b

/* Whatever goes wrong is said on the console; an interrupt would be one that nobody asked for. */
        .balign 16
        .globl  unexpected
unexpected:
        call    on_exception
1:      cli
        hlt
        jmp     1b

        .data
        .balign 16
gdt:    .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_desc:
        .word   gdt_desc - gdt - 1
        .long   gdt
        .globl  start_info
start_info:
        .long   0
        .bss
        .balign 4096
pml4:   .skip   4096
pdpt:   .skip   4096
pd:     .skip   4 * 4096
        .skip   65536
stack_top:
