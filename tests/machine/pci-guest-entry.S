/* SPDX-License-Identifier: MIT */
/*
 * Start of the guest of pci-guest.c: PVH note, identity-mapped long mode, the second CPU's way there, and a stub for each vector.
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
        movl    $guest_main, %esi
to_long_mode:
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
        movl    %esp, %esp
        movl    %esi, %esi
        call    *%rsi
1:      cli
        hlt
        jmp     1b

/* Copied below 1 MiB, and run there from its start in real mode. */
        .code16
        .globl  trampoline, trampoline_end
trampoline:
        cli
        movw    %cs, %ax
        movw    %ax, %ds
        lgdtl   trampoline_gdt - trampoline
        movl    $0x11, %eax
        movl    %eax, %cr0
        ljmpl   $24, $second32
trampoline_gdt:
        .word   gdt_desc - gdt - 1
        .long   gdt
trampoline_end:
        .code32
second32:
        movl    $32, %eax
        movl    %eax, %ds
        movl    %eax, %ss
        movl    $second_stack_top, %esp
        movl    $guest_ap, %esi
        jmp     to_long_mode

/* Vectors 0 to 255, 16 bytes each: an error code or 0, and the number. */
        .code64
        .balign 16
        .globl  vectors
vectors:
        .set    n, 0
        .rept   256
        .balign 16
        .if     !(n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21 || n == 29 || n == 30)
        push    $0
        .endif
        push    $n
        jmp     any_vector
        .set    n, n + 1
        .endr
any_vector:
        push    %rax
        push    %rcx
        push    %rdx
        push    %rsi
        push    %rdi
        push    %r8
        push    %r9
        push    %r10
        push    %r11
        mov     72(%rsp), %rdi
        mov     80(%rsp), %rdx
        mov     88(%rsp), %rsi
        cld
        call    on_vector
        pop     %r11
        pop     %r10
        pop     %r9
        pop     %r8
        pop     %rdi
        pop     %rsi
        pop     %rdx
        pop     %rcx
        pop     %rax
        add     $16, %rsp
        iretq

        .data
        .balign 16
gdt:    .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff, 0x00cf93000000ffff
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
        .skip   65536
second_stack_top:
        .section .note.GNU-stack, "", @progbits
