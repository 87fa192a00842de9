/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine_guest: multiboot kernels that test_machine_guest.c runs in whole machines. All of it is at GUEST behind
 * a multiboot header, entered at one of its labels with 32 bits.
 */
#define GUEST      0x100020
#define AT(label)  ((label) - guest_begin + GUEST)
#define EXIT       0xf4
#define REAL       0x1000        /* code for real-address mode */
#define LAPIC      0xfee00000
#define LAPIC_ICR  (LAPIC + 0x300)
#define INIT_SELF  0x44500
#define ENTRY(name) .global guest_##name; guest_##name

    .section .rodata
    .balign 16
    .code32
    .global guest_begin, guest_end
guest_begin:

/* INIT with the shutdown code of the caller: to 40:67, where the number of the way is told. */
ENTRY(init_jump):
    movb $0x0a, %bl
    jmp init
ENTRY(init_eoi):
    movb $5, %bl
    jmp init
ENTRY(init_reset):
    movb $0, %bl
init:
    cli
    movl $AT(real_begin), %esi
    movl $REAL, %edi
    movl $(real_end - real_begin), %ecx
    rep movsb
    movl $REAL, 0x467             /* 0000:1000 */
    movb $0x0f, %al
    outb %al, $0x70
    movb %bl, %al
    outb %al, $0x71
    movl $INIT_SELF, LAPIC_ICR
1:  hlt
    jmp 1b

    .code16
real_begin:
    movb $0x0f, %al
    outb %al, $0x70
    inb $0x71, %al                /* 0: it counted once */
    addb $0x21, %al
    outb %al, $EXIT
1:  hlt
    jmp 1b
real_end:
    .code32

guest_end:
    .section .note.GNU-stack, "", %progbits
