/* SPDX-License-Identifier: MIT */
/*
 * Into the guest and out again (SDM vol. 3, 27.1 and 28.5). Exits load RSP and RIP from the VMCS; the other general
 * registers are the guest's then.
 *
 *      int vmx_run(uint64_t *gpr, uint64_t *host_rsp, bool launched)
 *
 * gpr: in the order of enum cpu_gpr; RSP is not touched. host_rsp: what the VMCS has as host RSP. launched: VMRESUME
 * instead of VMLAUNCH. 0 after an exit; 1 if the instruction failed.
 */
#define VMCS_HOST_RSP 0x6c14

        .text
        .globl  vmx_run
vmx_run:
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        pushq   %rdi
        cmpq    (%rsi), %rsp
        je      1f
        movq    %rsp, (%rsi)
        movl    $VMCS_HOST_RSP, %eax
        vmwrite %rsp, %rax
1:      testb   %dl, %dl                /* nothing below touches the flags */
        movq    0*8(%rdi), %rax
        movq    1*8(%rdi), %rcx
        movq    2*8(%rdi), %rdx
        movq    3*8(%rdi), %rbx
        movq    5*8(%rdi), %rbp
        movq    6*8(%rdi), %rsi
        movq    8*8(%rdi), %r8
        movq    9*8(%rdi), %r9
        movq    10*8(%rdi), %r10
        movq    11*8(%rdi), %r11
        movq    12*8(%rdi), %r12
        movq    13*8(%rdi), %r13
        movq    14*8(%rdi), %r14
        movq    15*8(%rdi), %r15
        movq    7*8(%rdi), %rdi
        jz      2f
        vmresume
        jmp     3f
2:      vmlaunch
3:      popq    %rdi
        movl    $1, %eax
        jmp     4f

        .globl  vmx_exit_point
vmx_exit_point:
        pushq   %rdi
        movq    8(%rsp), %rdi
        movq    %rax, 0*8(%rdi)
        movq    %rcx, 1*8(%rdi)
        movq    %rdx, 2*8(%rdi)
        movq    %rbx, 3*8(%rdi)
        movq    %rbp, 5*8(%rdi)
        movq    %rsi, 6*8(%rdi)
        movq    %r8, 8*8(%rdi)
        movq    %r9, 9*8(%rdi)
        movq    %r10, 10*8(%rdi)
        movq    %r11, 11*8(%rdi)
        movq    %r12, 12*8(%rdi)
        movq    %r13, 13*8(%rdi)
        movq    %r14, 14*8(%rdi)
        movq    %r15, 15*8(%rdi)
        popq    7*8(%rdi)
        popq    %rdi
        xorl    %eax, %eax
4:      popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret

        .section .note.GNU-stack, "", @progbits
