/* SPDX-License-Identifier: MIT */
/*
 * Into the guest and out again (APM 15.5 and 15.17). Nothing can interrupt between CLGI and STGI, so the host's own
 * GS base and TR may be away meanwhile. RFLAGS.IF is set while GIF is clear: with V_INTR_MASKING it is the host's IF at
 * VMRUN that lets physical interrupts end the guest's run (APM 15.21.1).
 */
        .text
        .balign 16
        .globl  svm_vmrun
        .type   svm_vmrun, @function
/* void svm_vmrun(paddr_t vmcb (rdi), paddr_t host_vmcb (rsi), uint64_t *gpr (rdx)) */
svm_vmrun:
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        pushq   %rsi
        pushq   %rdx
        clgi
        sti
        movq    %rdi, %rax              /* STI's shadow ends here, not in the guest */
        movq    %rdx, %rcx
        movq    2*8(%rcx), %rdx
        movq    3*8(%rcx), %rbx
        movq    5*8(%rcx), %rbp
        movq    6*8(%rcx), %rsi
        movq    7*8(%rcx), %rdi
        movq    8*8(%rcx), %r8
        movq    9*8(%rcx), %r9
        movq    10*8(%rcx), %r10
        movq    11*8(%rcx), %r11
        movq    12*8(%rcx), %r12
        movq    13*8(%rcx), %r13
        movq    14*8(%rcx), %r14
        movq    15*8(%rcx), %r15
        movq    1*8(%rcx), %rcx
        vmload  %rax
        vmrun   %rax
        vmsave  %rax                    /* rax is the host's again */
        cli
        pushq   %rcx
        movq    8(%rsp), %rcx           /* gpr */
        movq    %rdx, 2*8(%rcx)
        movq    %rbx, 3*8(%rcx)
        movq    %rbp, 5*8(%rcx)
        movq    %rsi, 6*8(%rcx)
        movq    %rdi, 7*8(%rcx)
        movq    %r8, 8*8(%rcx)
        movq    %r9, 9*8(%rcx)
        movq    %r10, 10*8(%rcx)
        movq    %r11, 11*8(%rcx)
        movq    %r12, 12*8(%rcx)
        movq    %r13, 13*8(%rcx)
        movq    %r14, 14*8(%rcx)
        movq    %r15, 15*8(%rcx)
        popq    1*8(%rcx)
        popq    %rax                    /* gpr */
        popq    %rax                    /* host_vmcb */
        vmload  %rax
        stgi
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret
        .size   svm_vmrun, . - svm_vmrun

        .section .note.GNU-stack, "", @progbits
