/* SPDX-License-Identifier: GPL-2.0-or-later */
/* start: entry, interrupts, other processors' way in, and the visit to long mode of the test kernel (main.c). */
#include "kernel.h"

        .code32
        .text
        .balign 4
        .long 0x1badb002, 0, -0x1badb002 /* Multiboot, version 1 */

        .globl _start
_start: mov $STACK, %esp
        cld
        lgdt gdt_register
        ljmp $CODE_SELECTOR, $1f
1:      mov $DATA_SELECTOR, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        lidt idt_register
        push %ebx
        call main
1:      hlt
        jmp 1b

/* -- interrupts: a stub for each vector, which makes all frames alike -- */

        .macro stubs first, last, has_error
        .set vector, \first
        .rept \last - \first + 1
        .balign 16
        .if \has_error == 0
        push $0
        .endif
        push $vector
        jmp common
        .set vector, vector + 1
        .endr
        .endm

        .balign 16
        .globl stub_table
stub_table:
        stubs 0, 7, 0
        stubs 8, 8, 1
        stubs 9, 9, 0
        stubs 10, 14, 1
        stubs 15, 16, 0
        stubs 17, 17, 1
        stubs 18, 127, 0

common: pusha
        cld
        push %esp
        call interrupt
        add $4, %esp
        popa
        add $8, %esp
        iret

/* -- other processors -- */

        .globl trampoline, trampoline_end
        .code16
trampoline:
        cli
        xor %ax, %ax
        mov %ax, %ds
        lgdtl TRAMPOLINE + (trampoline_gdt - trampoline)
        mov %cr0, %eax
        or $1, %eax
        mov %eax, %cr0
        ljmpl $CODE_SELECTOR, $processor_start
        .balign 4
trampoline_gdt:
        .word gdt_end - gdt - 1
        .long gdt
trampoline_end:

        .code32
processor_start:
        mov $DATA_SELECTOR, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov $1, %eax
        lock xadd %eax, processors_begun
        inc %eax
        mov %eax, %ecx
        imul $STACK_SIZE, %ecx
        lea STACK(%ecx), %esp
        lidt idt_register
        call processor_main

/* -- long mode and back: long_visit(address of the top table, of the results) -- */

        .globl long_visit
long_visit:
        push %ebp
        push %ebx
        push %esi
        push %edi
        mov 24(%esp), %edi              /* results */
        mov 20(%esp), %eax
        mov %cr3, %esi
        push %esi
        mov %cr4, %edx
        push %edx
        or $0x20, %edx                  /* PAE */
        mov %edx, %cr4
        mov %eax, %cr3
        mov $0xc0000080, %ecx
        rdmsr
        or $0x900, %eax                 /* LME, NXE */
        wrmsr
        mov %cr0, %eax
        or $0x80010000, %eax            /* PG, WP */
        mov %eax, %cr0
        rdmsr
        mov %eax, (%edi)                /* EFER with LMA */
        ljmp $CODE64_SELECTOR, $1f
        .code64
1:      mov %rsp, long_stack(%rip)
        lidt long_idt_register(%rip)
        movabs $LONG_ALIAS, %rbx
        mov (%rbx), %rax
        mov %rax, 8(%rdi)               /* what an alias shows */
        movl $0, long_count(%rip)
        lea 2f(%rip), %rdx              /* where each fault goes on */
        mov %rdx, long_resume(%rip)
        movb $1, 0x1000(%rbx)           /* not there */
2:      lea 3f(%rip), %rdx
        mov %rdx, long_resume(%rip)
        movb $1, 0x2000(%rbx)           /* read-only */
3:      lea 4f(%rip), %rdx
        mov %rdx, long_resume(%rip)
        lea 0x3000(%rbx), %rax          /* not to be executed */
        jmp *%rax
4:      lea 5f(%rip), %rdx
        mov %rdx, long_resume(%rip)
        mov 0x4000(%rbx), %rax          /* a reserved bit */
5:      lea 6f(%rip), %rdx
        mov %rdx, long_resume(%rip)
        movabs $0x800000000000, %rax    /* not canonical */
        mov (%rax), %rax
6:      cmpb $0, no_cr8(%rip)
        jne 7f
        mov $7, %eax                    /* the task priority, by CR8 */
        mov %rax, %cr8
        mov %cr8, %rax
        mov %eax, 16(%rdi)
        mov $(LAPIC + 0x80), %ecx
        mov (%rcx), %eax
        mov %eax, 20(%rdi)
        xor %eax, %eax
        mov %rax, %cr8
7:      mov $0xc0000101, %ecx           /* GS base, and its exchange */
        mov $0x11223344, %eax
        mov $0x5566, %edx
        wrmsr
        swapgs
        mov $0xc0000102, %ecx
        rdmsr
        mov %eax, 24(%rdi)
        mov %edx, 28(%rdi)
        movabs $0x123456789abcdef0, %r8
        mov %r8, %r15
        rol $12, %r15
        mov %r15, 32(%rdi)
        movl $0, long_ticks(%rip)
1:      sti                             /* nothing is done but to halt */
        hlt
        cli
        cmpl $2, long_ticks(%rip)
        jb 1b
        sti                             /* what came while its handler ran is no longer asked for */
        nop
        in $0x80, %al
        nop
        cli
        ljmp *long_leave(%rip)
        .code32
1:      mov $DATA_SELECTOR, %eax
        mov %eax, %ss
        mov %eax, %ds
        mov %eax, %es
        mov %cr0, %eax
        and $0x7fffffff, %eax
        mov %eax, %cr0
        mov $0xc0000080, %ecx
        rdmsr
        and $~0x100, %eax
        wrmsr
        pop %edx
        mov %edx, %cr4
        pop %esi
        mov %esi, %cr3
        lidt idt_register
        pop %edi
        pop %esi
        pop %ebx
        pop %ebp
        ret
        .data
long_leave:
        .long 1b
        .word CODE_SELECTOR
        .text

/* A level-triggered interrupt, whose device is calmed when it has come twice. It is the device's if that asks:
 * a KVM that is software tells of an interrupt's end as soon as it is delivered, so that it may come again. */
        .code64
        .globl long_hpet
long_hpet:
        push %rax
        mov $HPET, %eax
        testl $1, 0x20(%rax)
        jz 1f
        incl long_ticks(%rip)
        cmpl $2, long_ticks(%rip)
        jb 1f
        movl $1, 0x20(%rax)
1:      mov $LAPIC, %eax
        movl $0, 0xb0(%rax)
        pop %rax
        iretq

/* Both are noted: the vector, the error code, and CR2's lower half. */
        .code64
        .globl long_gp, long_pf
long_gp:
        movl $13, %ecx
        jmp 1f
long_pf:
        movl $14, %ecx
1:      mov long_count(%rip), %eax
        lea (%rax, %rax, 2), %eax
        lea long_faults(%rip), %r9
        lea (%r9, %rax, 4), %r9
        mov %ecx, (%r9)
        mov (%rsp), %ecx
        mov %ecx, 4(%r9)
        mov %cr2, %rcx
        mov %ecx, 8(%r9)
        incl long_count(%rip)
        mov long_resume(%rip), %rax
        mov %rax, 8(%rsp)
        add $8, %rsp
        iretq
        .code32

        .data
        .balign 16
        .globl gdt, gdt_end, idt_register, long_idt_register
gdt:    .quad 0
        .quad 0x00cf9b000000ffff        /* code */
        .quad 0x00cf93000000ffff        /* data */
        .quad 0x00af9b000000ffff        /* 64-bit code */
        .quad 0x00cf13000000ffff        /* data that is not present */
        .quad 0x00cf93000000ffff
gdt_end:
gdt_register:
        .word gdt_end - gdt - 1
        .long gdt
idt_register:
        .word VECTORS * 8 - 1
        .long idt
        .balign 8
long_idt_register:
        .word VECTORS * 16 - 1
        .long long_idt, 0

        .bss
        .balign 16
        .globl long_count, long_faults, long_ticks, long_resume, processors_begun, idt, long_idt
idt:    .skip VECTORS * 8
        .balign 16
long_idt: .skip VECTORS * 16
long_stack: .skip 8
long_resume: .skip 8
long_count: .skip 4
long_ticks: .skip 4
long_faults: .skip 8 * 12
processors_begun: .skip 4
        .section .note.GNU-stack, "", %progbits
