/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the kernel of state_kernel.c begins: entered with 32 bits, compiled for x86-64 it goes to long mode. */
#ifdef __x86_64__
#define CODE 0x00af9a000000ffff
#else
#define CODE 0x00cf9a000000ffff
#endif

    .section .text.first, "ax"
    .balign 4
    .long 0x1badb002, 0, -0x1badb002 /* Multiboot, version 1 */
    .code32
    .global entry
entry:
#ifdef __x86_64__
    movl $directory + 3, pointers /* the first gigabyte is where it is, in large pages */
    movl $pointers + 3, top
    movl $directory, %edi
    movl $0x83, %eax
1:  movl %eax, (%edi)
    addl $8, %edi
    addl $0x200000, %eax
    cmpl $0x40000083, %eax
    jne 1b
    movl %cr4, %eax
    orl $0x20, %eax               /* PAE */
    movl %eax, %cr4
    movl $top, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx        /* EFER.LME */
    movl $0x100, %eax
    xorl %edx, %edx
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
#endif
    movl %cr4, %eax
    orl $0x600, %eax              /* SSE */
    movl %eax, %cr4
    movl %cr0, %eax
    andl $~0xc, %eax
    orl $0x22, %eax
    movl %eax, %cr0
    lgdt gdt_register
    ljmp $8, $2f
#ifdef __x86_64__
    .code64
#endif
2:  movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $0x80000, %esp
    fninit
    call main
3:  hlt
    jmp 3b

    .text
    .global tick
tick:
#ifdef __x86_64__
    push %rax
    incl ticks
    movb $0x20, %al
    outb %al, $0x20
    pop %rax
    iretq
#else
    push %eax
    incl ticks
    movb $0x20, %al
    outb %al, $0x20
    pop %eax
    iretl
#endif

    .data
    .balign 8
gdt:
    .quad 0, CODE, 0x00cf92000000ffff
gdt_register:
    .word gdt_register - gdt - 1
    .long gdt, 0

#ifdef __x86_64__
    .bss
    .balign 4096
    .global directory
top:
    .skip 4096
pointers:
    .skip 4096
directory:
    .skip 4096
#endif
    .section .note.GNU-stack, "", %progbits
