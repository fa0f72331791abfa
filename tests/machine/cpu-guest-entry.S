/* SPDX-License-Identifier: MIT */
/*
 * Start of the bare-metal guests of cpu.t and wild.t: PVH note, the way to long mode, exception stubs, ring 3, and the code that the
 * second vCPU runs in real mode.
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
        movl    $pd, %edi               /* 4 GiB by 2 MiB, user accessible */
        movl    $0x87, %eax
        movl    $2048, %ecx
1:      movl    %eax, (%edi)
        addl    $0x200000, %eax
        addl    $8, %edi
        loop    1b
        movl    $pdpt, %edi
        movl    $pd + 7, %eax
        movl    $4, %ecx
1:      movl    %eax, (%edi)
        addl    $4096, %eax
        addl    $8, %edi
        loop    1b
        movl    $pdpt + 7, pml4
        movl    $pml4, %eax
        movl    %eax, %cr3
        movl    $0x620, %eax            /* PAE, OSFXSR, OSXMMEXCPT */
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x900, %eax
        wrmsr
        movl    $0x80010033, %eax
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
        movq    $tss, %rax              /* base into the TSS descriptor */
        movw    %ax, gdt + 42
        shrq    $16, %rax
        movb    %al, gdt + 44
        movb    %ah, gdt + 47
        movw    $40, %ax
        ltr     %ax
        call    guest_main
1:      cli
        hlt
        jmp     1b

/* Exceptions and interrupts: vector and error code on the stack, then one C function. */
        .altmacro
        .macro  STUB vec
        .balign 16
        .if (\vec == 8) || (\vec >= 10 && \vec <= 14) || (\vec == 17)
        .else
        pushq   $0
        .endif
        pushq   $\vec
        jmp     common
        .endm
        .balign 16
        .globl  stubs
stubs:
        .set    vec, 0
        .rept   256
        STUB    %vec
        .set    vec, vec + 1
        .endr
common: pushq   %rax
        pushq   %rcx
        pushq   %rdx
        pushq   %rbx
        pushq   %rbp
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, %rdi
        cld
        call    on_exception
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rdi
        popq    %rsi
        popq    %rbp
        popq    %rbx
        popq    %rdx
        popq    %rcx
        popq    %rax
        addq    $16, %rsp
        iretq

/* uint64_t in_ring3(void): xen_version from ring 3; what it returned in rax. INT 0x80 leads back. */
        .globl  in_ring3
in_ring3:
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, saved_rsp
        pushq   $35                     /* user data */
        pushq   $user_stack_top
        pushq   $0x2
        pushq   $27                     /* user code */
        pushq   $1f
        iretq
1:      movl    $17, %eax
        xorl    %edi, %edi
        cmpl    $0, has_vmcall
        jne     2f
        vmmcall
        int     $0x80
2:      vmcall
        int     $0x80

/* void ring3_at(const void *code): to ring 3 there, RSI in memory; it ends with an exception or with INT 0x80. */
        .globl  ring3_at
ring3_at:
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, saved_rsp
        pushq   $35
        pushq   $user_stack_top - 256
        pushq   $0x2
        pushq   $27
        pushq   %rdi
        movq    $scratch + 2048, %rsi
        xorl    %eax, %eax
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        iretq
        .globl  leave_ring3
leave_ring3:                            /* on_exception() returns here, in ring 0 */
        movq    saved_rsp, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret

/* The second vCPU starts here, copied to 0x8000: CPUID leaf 0 in real mode, with and without a prefix. */
        .globl  ap_code, ap_code_end
        .code16
ap_code:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        xorl    %eax, %eax
        cpuid
        movl    %ebx, 0x9000
        xorl    %eax, %eax
        .byte   0x67, 0x0f, 0xa2
        movl    %edx, 0x9004
        movl    $0x12345678, 0x9008
1:      hlt
        jmp     1b
ap_code_end:
        .code64

        .data
        .balign 16
        .globl  gdt
gdt:    .quad   0
        .quad   0x00af9a000000ffff      /* 8: code */
        .quad   0x00cf92000000ffff      /* 16: data */
        .quad   0x00affa000000ffff      /* 24: user code */
        .quad   0x00cff2000000ffff      /* 32: user data */
        .quad   0x0000890000000067      /* 40: TSS */
        .quad   0
gdt_desc:
        .short  . - gdt - 1
        .quad   gdt

        .bss
        .balign 4096
        .globl  pml4, pdpt
pml4:   .skip   4096
pdpt:   .skip   4096
pd:     .skip   4 * 4096
        .globl  scratch
scratch:
        .skip   8192
        .skip   16384
stack_top:
        .skip   4096
user_stack_top:
        .globl  tss
tss:    .skip   104
saved_rsp:
        .skip   8
        .section .note.GNU-stack, "", @progbits
