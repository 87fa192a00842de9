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
#define TICKS      0x300000
#define COUNTER    0x300004
#define TIMER      0x300020      /* its entry of the local vector table */
#define SLOT       0x310200      /* of source 2, in the page of Hyper-V's messages */
#define TICKS_MOST 300
#define ENDS       0x300024      /* of all of the host's page faults: how often they were told */
#define FAULTS     0x300040      /* where they are */
#define MSR(number, value)                                                                                   \
    movl $number, %ecx;                                                                                      \
    movl $value, %eax;                                                                                       \
    xorl %edx, %edx;                                                                                         \
    wrmsr
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

/* Counts in a register, in memory, by SSE and by the x87 unit, while the local APIC's timer interrupts every
 * millisecond, until it has come TICKS_MOST times; then waits for more in HLT. All must agree in the end. The
 * timer is periodic, or counts once, or has a deadline, and is set anew by each tick, none of which may be lost; or
 * it is one of Hyper-V's, whose interrupts nobody ends. Who has an end of all page faults told is told of each
 * (engine/async_fault.h). */
ENTRY(count_synthetic):
    movl $0x10000, TIMER
    jmp count
ENTRY(count_once):
    movl $0x40, TIMER
    jmp count
ENTRY(count_deadline):
    movl $0x40040, TIMER
    jmp count
ENTRY(count):
    movl $0x20040, TIMER
count:
    cli
    movl $0x200000, %esp
    lidt AT(idt_register)
    movb $0xff, %al               /* the 8259: no interrupts of the timer that firmware has started */
    outb %al, $0x21
    movl %cr4, %eax
    orl $0x600, %eax              /* SSE, and its exceptions */
    movl %eax, %cr4
    movl $AT(tick), %eax
    movl $AT(idt_gate), %edi
    call set_gate
    movl $AT(ended), %eax
    call set_gate
    fninit
    fldz
    pxor %xmm0, %xmm0
    movl $1, %eax
    movd %eax, %xmm1
    xorl %ebx, %ebx
    movl $0, COUNTER
    movl $0, TICKS
    movl $0x1ff, LAPIC + 0xf0
    movl $0, ENDS
    movl $0, FAULTS + 4
    MSR(0x4b564d06, 0x41)
    MSR(0x4b564d02, FAULTS | 9)
    movl TIMER, %eax
    movl %eax, LAPIC + 0x320
    movl $0xb, LAPIC + 0x3e0
    movl $1000000, LAPIC + 0x380
    call set_deadline
    call set_synthetic
    sti
1:  incl %ebx
    incl COUNTER
    paddd %xmm1, %xmm0
    fld1
    faddp
    cmpl $TICKS_MOST, TICKS
    jb 1b
2:  hlt
    cmpl $TICKS_MOST + 10, TICKS
    jb 2b
    cli
    movb $0x66, %cl
    cmpl %ebx, COUNTER
    jne 3f
    movd %xmm0, %eax
    cmpl %ebx, %eax
    jne 3f
    fistpll 0x300010
    cmpl %ebx, 0x300010
    jne 3f
    movb $0x55, %cl
3:  movb %cl, %al
    outb %al, $EXIT
    hlt
tick:
    incl TICKS
    cmpl $0x10000, TIMER
    je 7f
    cmpl $0x40, TIMER
    jne 4f
    movl $1000000, LAPIC + 0x380
4:  call set_deadline
    movl $0, LAPIC + 0xb0
    iretl
ended:
    pushal
    incl ENDS
    cmpl $-1, FAULTS + 4
    je 6f
    movl $0x100, ENDS             /* of one that there was not */
6:  movl $0, FAULTS + 4
    MSR(0x4b564d07, 1)
    movl $0, LAPIC + 0xb0
    popal
    iretl
/* A timer that has counted once, to its end, and is made periodic then. */
ENTRY(late_period):
    cli
    movl $0x1ff, LAPIC + 0xf0
    movl $0x40, LAPIC + 0x320
    movl $0xb, LAPIC + 0x3e0
    movl $1000, LAPIC + 0x380
1:  cmpl $0, LAPIC + 0x390
    jne 1b
    movl $0x20040, LAPIC + 0x320
    movl $20, TICKS
2:  pause
    jmp 2b
set_gate:
    movw %ax, (%edi)
    shrl $16, %eax
    movw %ax, 6(%edi)
    movw %cs, 2(%edi)
    addl $8, %edi
    ret
set_deadline:
    cmpl $0x40040, TIMER
    jne 5f
    pushal
    rdtsc
    addl $1500000, %eax
    adcl $0, %edx
    movl $0x6e0, %ecx
    wrmsr
    popal
5:  ret
set_synthetic:
    cmpl $0x10000, TIMER
    jne 6f
    pushal
    xorl %edx, %edx
    movl $1, %eax
    movl $0x40000080, %ecx        /* on */
    wrmsr
    movl $(SLOT & ~0xfff) | 1, %eax
    movl $0x40000083, %ecx
    wrmsr
    movl $0x20040, %eax           /* vector 40h, which ends by itself */
    movl $0x40000092, %ecx
    wrmsr
    movl $0x2000a, %eax           /* periodic, once it has a count, by source 2 */
    movl $0x400000b0, %ecx
    wrmsr
    movl $10000, %eax
    movl $0x400000b1, %ecx
    wrmsr
    popal
6:  ret
7:  pushal
    movl $0, SLOT
    movl $0x40000084, %ecx        /* another message may come */
    wrmsr
    popal
    iretl
    .balign 8
idt_gate_at = . - 0x40 * 8        /* of which only vectors 40h and 41h are there */
idt_gate:
    .word 0, 0, 0x8e00, 0, 0, 0, 0x8e00, 0
idt_register:
    .word 0x42 * 8 - 1
    .long AT(idt_gate_at)

guest_end:
    .section .note.GNU-stack, "", %progbits
