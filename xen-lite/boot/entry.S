/* SPDX-License-Identifier: MIT */
/*
 * Interrupt and exception entry: 256 stubs that lead to one C function with the frame of struct exc_frame.
 */
        .text
        .altmacro
        .macro  STUB vec
        .balign 16
        .if (\vec == 8) || (\vec == 10) || (\vec == 11) || (\vec == 12) || (\vec == 13) || (\vec == 14) || (\vec == 17) || (\vec == 21) || (\vec == 29) || (\vec == 30)
        .else
        pushq   $0                      /* where the CPU pushes no error code (SDM vol. 3, 6.15) */
        .endif
        pushq   $\vec
        jmp     exc_common
        .endm

        .balign 16
        .globl exc_stubs
exc_stubs:
        .set    vec, 0
        .rept   256
        STUB    %vec
        .set    vec, vec + 1
        .endr

exc_common:
        cld
        pushq   %rdi
        pushq   %rsi
        pushq   %rdx
        pushq   %rcx
        pushq   %rax
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, %rdi
        movq    %rsp, %rbx
        andq    $~15, %rsp
        call    exc_dispatch
        movq    %rbx, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rax
        popq    %rcx
        popq    %rdx
        popq    %rsi
        popq    %rdi
        addq    $16, %rsp
        iretq

        .section .note.GNU-stack, "", @progbits
