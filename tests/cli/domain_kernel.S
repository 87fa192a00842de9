/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel that boots in no time, for tests of what domains do: says READY, gives back what it is sent, and
 * takes some letters as commands: Q switches off, P panics, R resets, N is deaf to the power button, F floods
 * the console. Pressed, the power button switches it off.
 */
        .code32
        .text
        .balign 4
        .long 0x1badb002, 0, -0x1badb002 /* Multiboot, version 1 */

        .globl _start
_start: mov $0x80000, %esp
        mov $0x602, %dx /* ACPI's PM1 enable register: the power button */
        mov $0x100, %ax
        out %ax, %dx
        mov $ready, %esi
        call say
loop:   test %ebp, %ebp
        jnz 1f
        mov $0x600, %dx /* PM1 status */
        in %dx, %ax
        test $0x100, %ax
        jnz off
1:      mov $0x3fd, %dx
        in %dx, %al
        test $1, %al
        jz loop
        mov $0x3f8, %dx
        in %dx, %al
        cmp $'Q', %al
        je off
        cmp $'P', %al
        je panic
        cmp $'R', %al
        je reset
        cmp $'N', %al
        je deaf
        cmp $'F', %al
        je flood
        call put
        jmp loop

off:    mov $bye, %esi
        call say
        mov $0x604, %dx /* PM1 control: S5 */
        mov $0x3400, %ax
        out %ax, %dx
        hlt
panic:  mov $0x505, %dx /* pvpanic */
        mov $1, %al
        out %al, %dx
        hlt
reset:  mov $0xcf9, %dx
        mov $6, %al
        out %al, %dx
        hlt
deaf:   mov $1, %ebp
        mov $deaf_text, %esi
        call say
        jmp loop
flood:  mov $2000, %ecx
1:      mov $line, %esi
        call say
        loop 1b
        jmp loop

say:    lodsb
        test %al, %al
        jz 1f
        call put
        jmp say
1:      ret
put:    mov %al, %bl
1:      mov $0x3fd, %dx
        in %dx, %al
        test $0x20, %al
        jz 1b
        mov $0x3f8, %dx
        mov %bl, %al
        out %al, %dx
        ret

ready:  .asciz "READY\r\n"
bye:    .asciz "BYE\r\n"
deaf_text: .asciz "DEAF\r\n"
line:   .asciz "0123456789012345678901234567890123456789\r\n"
