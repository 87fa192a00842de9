/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm_guest: what bench/kvm runs under visor and QEMU. As a Multiboot kernel it does COUNT times WHAT (PORT,
 * MEMORY, HALT), says so on the serial port and ends; with FIRST it is a firmware of 64 KiB, and its first
 * instructions say so, for who starts no kernel without one.
 */
#define LAPIC 0xfee00000

        .text
#ifdef FIRST
        .code16
        .globl _start
_start: mov $0x3f8, %dx
        mov $'!', %al
        out %al, %dx
1:      hlt
        jmp 1b
        .org 0xfff0
        jmp _start
        .org 0x10000
#else
        .code32
        .balign 4
        .long 0x1badb002, 0, -0x1badb002
        .globl _start
_start: mov $0x3f8, %dx
        mov $'!', %al
        out %al, %dx
        mov $0x300000, %esp
        mov $COUNT, %ecx
        test %ecx, %ecx
        jz 9f
#ifdef HALT
        lgdt gdt_register
        ljmp $8, $1f
1:      mov $16, %eax
        mov %eax, %ss
        mov %eax, %ds
        mov $tick, %eax
        mov %ax, gate
        shr $16, %eax
        mov %ax, gate + 6
        lidt idt_register
        mov $0xff, %al
        out %al, $0x21
        movl $0x1ff, LAPIC + 0xf0
        movl $0xb, LAPIC + 0x3e0
        movl $0x30, LAPIC + 0x320
#endif
2:
#ifdef PORT
        mov $0x3fd, %dx
        in %dx, %al
#endif
#ifdef MEMORY
        mov ADDRESS, %eax
#endif
#ifdef HALT
        movl $1000, LAPIC + 0x380
        sti
4:      hlt
        jmp 4b                          /* something else has come */
3:
#endif
        dec %ecx
        jnz 2b
9:      mov $0x3f8, %dx
        mov $'.', %al
        out %al, %dx
1:      cli
        hlt
        jmp 1b
#ifdef HALT
tick:   movl $0, LAPIC + 0xb0           /* without IRET, which not every KVM has: the stack begins anew */
        mov $0x300000, %esp
        jmp 3b
        .balign 8
gdt:    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_register:
        .word 23
        .long gdt
idt_at = . - 0x30 * 8
gate:   .word 0, 8, 0x8e00, 0
idt_register:
        .word 0x31 * 8 - 1
        .long idt_at
#endif
#endif
        .section .note.GNU-stack, "", %progbits
