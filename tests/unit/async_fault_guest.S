/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * async_fault_guest: what test_async_fault.c runs, at GUEST, with 64 bits: it enables asynchronous page faults
 * and waits for the end of all, has a program read a page that may be slow, and tells (OUT) after each, and whenever it is told
 * of a fault.
 */
#define GUEST   0x1000
#define RESULTS 0x2000          /* struct results of test_async_fault.c */
#define FAULTS  (RESULTS + 0)
#define FAULT   (RESULTS + 4)   /* its token */
#define ENDS    (RESULTS + 8)
#define END     (RESULTS + 12)
#define WOKEN   (RESULTS + 16)
#define VALUE   (RESULTS + 20)
#define AREA    0x3000
#define FLAGS   AREA
#define TOKEN   (AREA + 4)
#define USER_STACK 0x6000
#define SLOW    0x400000
#define VECTOR  0xe0
#define TELL    outb %al, $0xf4
#define MSR(number, value)                                                                                   \
    movl $number, %ecx;                                                                                      \
    movl $value, %eax;                                                                                       \
    xorl %edx, %edx;                                                                                         \
    wrmsr

    .section .rodata
    .balign 16
    .code64
    .global async_guest_begin, async_guest_end, async_guest_fault, async_guest_ready
async_guest_begin:
    MSR(0x4b564d06, VECTOR)
    MSR(0x4b564d02, AREA | 0xb)   /* enabled, in the kernel, by interrupt */
1:  cli
    cmpl $1, ENDS
    je 2f
    sti
    hlt
    jmp 1b
2:  TELL
    pushq $0x1b                   /* a program, which may use ports */
    pushq $USER_STACK
    pushq $0x3202
    pushq $0x23
    pushq $(program - async_guest_begin + GUEST)
    iretq

program:
    movl SLOW, %eax
    movl %eax, VALUE
    TELL
3:  jmp 3b

/* #PF: the page is not there; what would be another program's work is to halt. */
async_guest_fault:
    cmpl $1, FLAGS
    jne 3b
    pushq %rax
    movl $0, FLAGS
    movq %cr2, %rax
    movl %eax, FAULT
    movl $0, WOKEN
    incl FAULTS
    TELL
1:  cli
    cmpl $0, WOKEN
    jne 2f
    sti
    hlt
    jmp 1b
2:  popq %rax
    addq $8, %rsp
    iretq

/* The vector: a page is there, or all. */
async_guest_ready:
    pushq %rax
    pushq %rcx
    pushq %rdx
    movl TOKEN, %eax
    movl %eax, END
    incl ENDS
    cmpl $-1, %eax
    je 1f
    cmpl FAULT, %eax
    jne 2f
1:  movl $1, WOKEN
2:  movl $0, TOKEN
    MSR(0x4b564d07, 1)
    MSR(0x80b, 0)                 /* the interrupt's end */
    popq %rdx
    popq %rcx
    popq %rax
    iretq

async_guest_end:
    .section .note.GNU-stack, "", %progbits
