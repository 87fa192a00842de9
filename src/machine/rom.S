/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rom: the last 256 bytes below 4 GiB and, for who jumps to FFFF0h, below 1 MiB. There is no firmware to start
 * the machine; but a processor that gets INIT comes here, and 16-bit code that wants to start the machine anew
 * jumps here. What firmware does then: by a byte in CMOS memory that says why, either go where the two words at
 * 40:67 say, or start everything anew. All of it works at either place.
 */

#define CMOS_INDEX    0x70
#define CMOS_DATA     0x71
#define CMOS_SHUTDOWN 0x0f
#define SHUTDOWN_EOI  0x05 /* to 40:67, after an end of interrupt */
#define SHUTDOWN_JUMP 0x0a /* to 40:67 */
#define BIOS_SEGMENT  0x40
#define WARM_VECTOR   0x67
#define TICKS         0x6c
#define PIC_MASTER    0x20
#define PIC_SLAVE     0xa0
#define EOI           0x20
#define RESET_CONTROL 0xcf9
#define RESET_ALL     6

    .section .rodata
    .code16
    .balign 16
    .global pc_rom, pc_rom_timer, pc_rom_nothing
pc_rom:
    cli
    cld
    movb $CMOS_SHUTDOWN, %al
    outb %al, $CMOS_INDEX
    inb $CMOS_DATA, %al
    movb %al, %ah
    movb $CMOS_SHUTDOWN, %al          /* it counts once */
    outb %al, $CMOS_INDEX
    movb $0, %al
    outb %al, $CMOS_DATA
    movw $BIOS_SEGMENT, %cx
    movw %cx, %ds
    cmpb $SHUTDOWN_JUMP, %ah
    je 2f
    cmpb $SHUTDOWN_EOI, %ah
    je 1f
    movw $RESET_CONTROL, %dx
    movb $RESET_ALL, %al
    outb %al, %dx
0:  hlt
    jmp 0b
1:  movb $EOI, %al
    outb %al, $PIC_SLAVE
    outb %al, $PIC_MASTER
2:  ljmpw *WARM_VECTOR

/* Interrupt 8, of the timer: counts. */
pc_rom_timer:
    pushw %ax
    pushw %ds
    movw $BIOS_SEGMENT, %ax
    movw %ax, %ds
    incl TICKS
    movb $EOI, %al
    outb %al, $PIC_MASTER
    popw %ds
    popw %ax
pc_rom_nothing:
    iretw

    .org pc_rom + 0xf0, 0xf4
    jmp pc_rom
    .org pc_rom + 0x100, 0

    .section .note.GNU-stack, "", %progbits
