/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * launch: a program of its own, which visor contains: the last step before a container's program. A process of
 * visor executes this from sealed memory, and this executes the program: so at no execve() of a container's process is
 * visor's file what /proc/self/exe leads to. For self_exe.c.
 *
 * Arguments: the number of a descriptor, in digits, which is closed by the execve() and otherwise hears why there was
 * none (channel.h: a packet of a kind and a negative errno); the program's path; its own arguments. The environment
 * is the program's.
 */
#include <asm/unistd_64.h>

#define F_SETFD                2
#define FD_CLOEXEC             1
#define CHANNEL_NOT_EXECUTED  12 /* create.c asserts that it is */

        .globl _start
        .text
_start:
        mov (%rsp), %rax             /* the number of arguments */
        lea 8(%rsp), %rbx            /* the arguments */
        lea 16(%rsp,%rax,8), %rbp    /* the environment */
        mov (%rbx), %rsi
        xor %edi, %edi
digit:  movzbl (%rsi), %eax
        test %eax, %eax
        jz ready
        imul $10, %edi
        lea -'0'(%rdi,%rax), %edi
        inc %rsi
        jmp digit
ready:  mov %edi, %r12d
        mov $F_SETFD, %esi
        mov $FD_CLOEXEC, %edx
        mov $__NR_fcntl, %eax
        syscall
        test %eax, %eax
        js failed
        mov 8(%rbx), %rdi
        lea 16(%rbx), %rsi
        mov %rbp, %rdx
        mov $__NR_execve, %eax
        syscall
failed: sub $16, %rsp
        movl $CHANNEL_NOT_EXECUTED, (%rsp)
        mov %eax, 4(%rsp)
        mov %r12d, %edi
        mov %rsp, %rsi
        mov $8, %edx
        mov $__NR_write, %eax
        syscall
        mov $1, %edi
        mov $__NR_exit_group, %eax
        syscall
        .section .note.GNU-stack, "", @progbits
