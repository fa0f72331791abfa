/* SPDX-License-Identifier: MIT */
/*
 * The guest of stale.c: 32-bit code that does one memory access or paging command at a time, as words at 0x2000 say. It is
 * copied to 0x1000; memory below 4 MiB is mapped at its own address when paging is on.
 */
        .set    SEQ, 0x2000             /* of the command that is wanted */
        .set    DONE, 0x2004            /* of the last that was done */
        .set    COMMAND, 0x2008
        .set    ARGUMENT, 0x200c
        .set    RESULT, 0x2010

        .section .rodata
        .globl  guest_code, guest_code_end
        .code32
guest_code:
        pause
        movl    SEQ, %eax
        cmpl    DONE, %eax
        je      guest_code
        movl    ARGUMENT, %edx
        movl    COMMAND, %ecx
        xorl    %ebx, %ebx
        cmpl    $1, %ecx
        je      1f
        cmpl    $2, %ecx
        je      2f
        cmpl    $3, %ecx
        je      3f
        cmpl    $4, %ecx
        je      4f
        invlpg  (%edx)
        jmp     9f
1:      movl    (%edx), %ebx
        jmp     9f
2:      movl    %edx, %cr3
        jmp     9f
3:      movl    %cr0, %edx
        orl     $0x80000000, %edx
        movl    %edx, %cr0
        jmp     9f
4:      movl    %cr0, %edx
        andl    $0x7fffffff, %edx
        movl    %edx, %cr0
9:      movl    %ebx, RESULT
        movl    %eax, DONE
        jmp     guest_code
guest_code_end:
        .section .note.GNU-stack, "", @progbits
