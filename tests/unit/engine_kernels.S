/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine_kernels: what the guests of test_engine_translate.c execute. All of it is copied to KERNEL, which is also
 * mapped for user programs at USER; addresses are made of differences of labels. engine_kernels.h has the places.
 */
#include "engine_kernels.h"

#define AT(label)      ((label) - kernel_begin + KERNEL)
#define USER_AT(label) ((label) - kernel_begin + USER)
#define ENTRY(name)    .global kernel_##name; kernel_##name

/* Ends the test with the value of EAX. */
#define FINISH outl %eax, $PORT_FINISH; 9: hlt; jmp 9b
#define FINISH_WITH(value) movl $(value), %eax; FINISH
/* Where the exception of the next instruction goes on. */
#define RESUME(label) leaq label(%rip), %r15

    .section .rodata
    .balign 16
    .global kernel_begin
kernel_begin:

/* -- 64-bit exception handlers: log vector, error, rip, cr2, cs:rflags, and go on at r15 -------------------------- */

    .code64
    .global kernel_stubs
    .balign 16
kernel_stubs:
    vector = 0
    .rept 32
    .balign 16
    .if vector != 8 && (vector < 10 || vector > 14) && vector != 17
    pushq $0
    .endif
    pushq $vector
    jmp handler
    vector = vector + 1
    .endr

handler:
    pushq %rax
    pushq %rbx
    movl LOG, %eax
    incl LOG
    shll $6, %eax
    leaq LOG + 64(%rax), %rbx
    movq 16(%rsp), %rax     /* vector */
    movq %rax, (%rbx)
    movq 24(%rsp), %rax     /* error */
    movq %rax, 8(%rbx)
    movq 32(%rsp), %rax     /* rip */
    movq %rax, 16(%rbx)
    movq %cr2, %rax
    movq %rax, 24(%rbx)
    movq 40(%rsp), %rax     /* cs */
    movq %rax, 32(%rbx)
    movq 48(%rsp), %rax     /* rflags */
    movq %rax, 40(%rbx)
    movq 56(%rsp), %rax     /* rsp */
    movq %rax, 48(%rbx)
    testq %r15, %r15
    jz 1f
    movq %r15, 32(%rsp)
    xorl %r15d, %r15d
    popq %rbx
    popq %rax
    addq $16, %rsp
    iretq
1:  FINISH_WITH(UNEXPECTED)

/* An interrupt: counts at COUNTER, EOI by memory. */
    .global kernel_interrupt
kernel_interrupt:
    lock incl COUNTER
    movl $0, LAPIC_EOI
    iretq

/* INT 80h: the program has finished. */
    .global kernel_int80
kernel_int80:
    FINISH

/* -- plain ------------------------------------------------------------------------------------------------------- */

ENTRY(add):
    movl $40, %eax
    addl $2, %eax
    FINISH

/* -- page faults: rdi is the first of the pages that the test has made --------------------------------------------- */

ENTRY(faults):
    RESUME(1f)
    movq ABSENT_PAGE(%rdi), %rax      /* 0 */
1:  RESUME(1f)
    movq %rax, ABSENT_PAGE+8(%rdi)    /* 1 */
1:  RESUME(1f)
    movb $1, READONLY_PAGE(%rdi)      /* 2 */
1:  RESUME(1f)
    leaq NX_PAGE(%rdi), %rax
    jmp *%rax                         /* 3 */
1:  RESUME(1f)
    movl RESERVED_PAGE(%rdi), %eax    /* 4 */
1:  movq READ_PAGE(%rdi), %rax        /* accessed */
    movq %rax, WRITTEN_PAGE(%rdi)     /* dirty */
    RESUME(1f)
    movq $-1, %rcx
    movq %rcx, WRITTEN_PAGE + 0xffc(%rdi)  /* 5: across, into an absent one */
1:  RESUME(1f)
    lock addq $1, WRITTEN_PAGE + 0xffd(%rdi) /* 6 */
1:  RESUME(1f)
    movq $0x800000000000, %rax
    movq (%rax), %rax                 /* 7: not canonical */
1:  RESUME(1f)
    movq %rax, %rbp
    movq (%rbp), %rax                 /* 8: in the stack segment */
1:  FINISH_WITH(1)

/* Breakpoints of ports; #DB is kernel_log_debug. */
ENTRY(ports):
    movq %cr4, %rax
    orl $8, %eax                      /* DE */
    movq %rax, %cr4
    movl $0x1f2, %eax
    movq %rax, %dr0
    movl $0x60001, %eax               /* L0; a port, of two bytes */
    movq %rax, %dr7
    movw $0x1f0, %dx
    inb %dx, %al
    inw %dx, %ax
    inl %dx, %eax                     /* 0 */
    movw $0x1f3, %dx
    outb %al, %dx                     /* 1 */
    movw $0x1f2, %dx
    movl $SCRATCH, %edi
    movl $3, %ecx
    cld
    rep insb                          /* 2, 3, 4 */
    movq %cr4, %rax
    andl $~8, %eax
    movq %rax, %cr4
    inb %dx, %al
    FINISH_WITH(1)

/* Near branches to an address that is not canonical. */
ENTRY(branches):
    movq $0x800000000000, %rbx
    RESUME(1f)
    jmp *%rbx                         /* 0 */
1:  RESUME(1f)
    call *%rbx                        /* 1 */
1:  pushq %rbx
    RESUME(1f)
    ret                               /* 2 */
1:  RESUME(1f)
    ret $16                           /* 3 */
1:  popq %rax
    RESUME(1f)
    movq %rbx, (%rsp)
    jmp *(%rsp)                       /* 4 */
1:  FINISH_WITH(1)

/* Exceptions of floating point that are not masked: divisions by zero. */
ENTRY(floats):
    movq %cr4, %rax
    orl $0x600, %eax                  /* OSFXSR, OSXMMEXCPT */
    movq %rax, %cr4
    movl $0x1d80, SCRATCH
    ldmxcsr SCRATCH
    movl $1, %eax
    cvtsi2sdl %eax, %xmm0
    xorps %xmm1, %xmm1
    RESUME(1f)
    stc
    divsd %xmm1, %xmm0                /* 0 */
    cmpl %eax, %eax
1:  setc SCRATCH + 4
    movsd %xmm0, SCRATCH + 8
    stmxcsr SCRATCH + 16
    movq %cr4, %rax
    andl $~0x400, %eax
    movq %rax, %cr4
    RESUME(1f)
    divsd %xmm1, %xmm0                /* 1: CR4.OSXMMEXCPT is 0 */
1:  movl $0x1f80, SCRATCH
    ldmxcsr SCRATCH
    divsd %xmm1, %xmm0
    movsd %xmm0, SCRATCH + 24
    fninit
    movw $0x37b, SCRATCH
    fldcw SCRATCH
    fldz
    fld1
    RESUME(1f)
    fdivp %st, %st(1)                 /* 1/0: pending */
    fnstsw SCRATCH + 32
2:  fwait                             /* 2 */
1:  RESUME(1f)
    fstpl SCRATCH + 40                /* 3 */
1:  RESUME(1f)
    emms                              /* 4 */
1:  fnclex
    fstl SCRATCH + 48
    fninit
    FINISH_WITH(1)

/* WP clear: a supervisor writes read-only pages. */
ENTRY(write_protect):
    movq %cr0, %rax
    andl $~0x10000, %eax
    movq %rax, %cr0
    movl $77, READONLY_PAGE(%rdi)
    orl $0x10000, %eax
    movq %rax, %cr0
    RESUME(1f)
    movl $78, READONLY_PAGE(%rdi)
1:  FINISH_WITH(2)

/* SMAP, SMEP, and EFLAGS.AC */
ENTRY(smap):
    movl USER_PAGE(%rdi), %eax
    movq %cr4, %rcx
    orl $0x300000, %ecx
    movq %rcx, %cr4
    RESUME(1f)
    movl USER_PAGE(%rdi), %eax        /* 0 */
1:  stac
    movl USER_PAGE(%rdi), %ebx
    movl %ebx, USER_PAGE+4(%rdi)
    clac
    RESUME(1f)
    movl %eax, USER_PAGE(%rdi)        /* 1 */
1:  RESUME(1f)
    leaq USER_PAGE(%rdi), %rax
    jmp *%rax                         /* 2: SMEP */
1:  movl %ebx, %eax
    FINISH

/* The TLB keeps what has changed in the tables until it is told; global pages survive CR3. */
ENTRY(flush):
    movl READ_PAGE(%rdi), %r8d        /* now in the TLB */
    movl GLOBAL_PAGE(%rdi), %r9d
    movq PTE_OF_READ, %rax
    movq PTE_OF_OTHER, %rbx
    movq (%rbx), %rcx
    movq %rcx, (%rax)                 /* READ_PAGE is another page */
    invlpg READ_PAGE(%rdi)
    movl READ_PAGE(%rdi), %r10d
    movq PTE_OF_GLOBAL, %rax
    movq (%rax), %rdx
    movq %rcx, (%rax)                 /* GLOBAL_PAGE too, but it is not told */
    movq %cr3, %rcx
    movq %rcx, %cr3
    movl GLOBAL_PAGE(%rdi), %r11d
    movq %cr4, %rcx
    xorl $0x80, %ecx
    movq %rcx, %cr4                   /* PGE changes: everything */
    movl GLOBAL_PAGE(%rdi), %r12d
    FINISH_WITH(3)

/* -- user programs ------------------------------------------------------------------------------------------------ */

/* Segments in 32-bit code; faults go on at EBP. */
    .global kernel_stub32_12
kernel_stub32_12:
    movl %ebp, %r15d
    pushq $12
    jmp handler
    .global kernel_stub32_13
kernel_stub32_13:
    movl %ebp, %r15d
    pushq $13
    jmp handler

#define RESUME32 movl $USER_AT(1f), %ebp

ENTRY(segments):
    pushq $USER_DATA
    pushq $USER_STACK
    pushq $0x202
    pushq $USER32_CODE
    pushq $USER_AT(program32)
    iretq
    .code32
program32:
    movl $SMALL_DATA, %eax
    movl %eax, %fs
    movl $0x11223344, %ecx
    movl %ecx, %fs:0xffc
    movl %fs:0xffc, %edx
    RESUME32
    movl %fs:0xffd, %edx              /* 0 */
1:  RESUME32
    addl %ecx, %fs:0xfff              /* 1 */
1:  RESUME32
    movl $0xfffffff0, %esi
    movl %ecx, %fs:4(%esi)            /* 2 */
1:  movl %eax, %ds
    movl $0xffe, %esi
    RESUME32
    movl %ecx, (%esi)                 /* 3 */
1:  movb %cl, 1(%esi)
    RESUME32
    lock incl 1(%esi)                 /* 4 */
1:  RESUME32
    xchgw %cx, 1(%esi)                /* 5 */
1:  RESUME32
    fninit
    fldz
    fstps (%esi)                      /* 6 */
1:  movl %eax, %ss
    movl $0xffc, %esp
    pushl %ecx
    popl %edx
    addl $2, %esp
    RESUME32
    popl %edx                         /* 7: #SS */
1:  RESUME32
    movl (%esp), %edx                 /* 8: #SS */
1:  movl $USER_DATA, %eax
    movl %eax, %ss
    movl $USER_STACK, %esp
    movl %eax, %ds
    movl $DOWN_DATA, %eax
    movl %eax, %es
    RESUME32
    movl %es:0x7ff, %edx              /* 9 */
1:  movl %ecx, %es:0x800
    movl $FIXED_DATA, %eax
    movl %eax, %es
    movl %es:0x800, %ebx
    RESUME32
    movl %ecx, %es:0x800              /* 10 */
1:  xorl %eax, %eax
    movl %eax, %es
    RESUME32
    movl %es:0x800, %edx              /* 11 */
1:  movl %cs:USER_AT(program32), %edx
    RESUME32
    movl %ecx, %cs:USER_AT(program32) /* 12 */
1:  movl $SMALL_DATA, %eax
    movl %eax, %es
    movl $0xff8, %edi
    movl $100, %ecx
    cld
    RESUME32
    rep stosl                         /* 13, after two */
1:  movl $USER_DATA, %eax
    movl %eax, %es
    movl $1, %eax
    int $0x80
    .code64

/* To CPL 3 by IRET, from there by SYSCALL to system_call, back by SYSRET, and by a fault. */
ENTRY(user):
    movl $0xc0000082, %ecx            /* LSTAR */
    movl $AT(system_call), %eax
    xorl %edx, %edx
    wrmsr
    movl $0xc0000081, %ecx            /* STAR */
    xorl %eax, %eax
    movl $((USER32_CODE) << 16 | KERNEL_CODE), %edx
    wrmsr
    movl $0xc0000084, %ecx            /* FMASK: IF and DF */
    movl $0x600, %eax
    xorl %edx, %edx
    wrmsr
    movl $0xc0000080, %ecx
    rdmsr
    orl $1, %eax                      /* SCE */
    wrmsr
    pushq $USER_DATA
    pushq $USER_STACK
    pushq $0x202
    pushq $USER_CODE
    pushq $USER_AT(program)
    iretq
program:
    movl $1, %eax
    std
    syscall                           /* eax += 10; edx: its rflags */
    cld
    movl %edx, %r8d
    movl %eax, %r9d
    RESUME(1f)
    movl LOG, %eax                    /* 0: the kernel's */
1:  RESUME(1f)
    cli                               /* 1 */
1:  RESUME(1f)
    inb $0x80, %al                    /* 2 */
1:  RESUME(1f)
    ud2                               /* 3 */
1:  xorl %ecx, %ecx
    RESUME(1f)
    divl %ecx                         /* 4 */
1:  RESUME(1f)
    movdqa 8(%rsp), %xmm0             /* 5: not aligned */
1:  pushfq
    popq %r10
    movl %r9d, %eax
    int $0x80
system_call:
    addl $10, %eax
    pushfq
    popq %rdx
    sysretq

/* -- devices ------------------------------------------------------------------------------------------------------ */

ENTRY(devices):
    movl $DEVICE, %ebx
    movl $0x11223344, %eax
    movl %eax, 4(%rbx)
    movw $0x5566, 8(%rbx)
    movl 4(%rbx), %r8d
    movq 8(%rbx), %r9
    lock addl $1, 4(%rbx)             /* no memory */
    movl 4(%rbx), %r10d
    xchgb %al, 9(%rbx)
    movzbl %al, %r11d
    movw $0x1f0, %dx
    movl $0xcafe, %eax
    outw %ax, %dx
    inl %dx, %eax
    movl %eax, %r12d
    FINISH_WITH(4)

/* -- code that changes ---------------------------------------------------------------------------------------------- */

ENTRY(changes):
    xorl %esi, %esi
    movl $100, %ecx
1:  movb %cl, 2f + 1(%rip)            /* the immediate of the next instruction */
2:  movl $0, %eax
    addl %eax, %esi
    decl %ecx
    jnz 1b
    movl %esi, %eax
    FINISH                            /* 5050 */

/* A function elsewhere is written, called, written ... */
ENTRY(generates):
    movl $SCRATCH, %ebx
    xorl %esi, %esi
    movl $200, %ecx
    movb $0xb8, (%rbx)                /* mov $imm32, %eax */
    movb $0xc3, 5(%rbx)               /* ret */
1:  movl %ecx, 1(%rbx)
    call *%rbx
    addl %eax, %esi
    decl %ecx
    jnz 1b
    movl %esi, %eax
    FINISH                            /* 20100 */

/* -- interrupts ------------------------------------------------------------------------------------------------------ */

/* The local APIC's timer, one shot each, and HLT until it has come three times. */
ENTRY(timer):
    movl $0x1ff, LAPIC_SVR
    movl $0x40, LAPIC_LVT_TIMER       /* vector 40h */
    movl $0xb, LAPIC_TIMER_DIVIDE     /* by 1 */
    movl $3, %ecx
1:  cli
    movl COUNTER, %ebx
    movl $2000000, LAPIC_TIMER_INITIAL
2:  sti
    hlt
    cli
    cmpl %ebx, COUNTER
    je 2b
    decl %ecx
    jnz 1b
    movl COUNTER, %eax
    FINISH

/* Its deadline, by a time-stamp counter that the guest has set: EBX is how often it came too early. */
ENTRY(deadline):
    movl $0x1ff, LAPIC_SVR
    movl $0x40040, LAPIC_LVT_TIMER
    xorl %eax, %eax
    xorl %edx, %edx
    movl $0x10, %ecx
    wrmsr
    rdtsc
    addl $3000000, %eax
    movl %eax, %ebp
    movl $0x6e0, %ecx
    wrmsr
1:  sti
    hlt
    cli
    cmpl $0, COUNTER
    je 1b
    rdtsc
    xorl %ebx, %ebx
    cmpl %ebp, %eax
    jae 2f
    incl %ebx
2:  FINISH                            /* edx:eax: the counter */

/* The same in a loop that does nothing: an interrupt gets a running CPU out of its blocks. */
ENTRY(spin):
    movl $0x1ff, LAPIC_SVR
    movl $0x20040, LAPIC_LVT_TIMER    /* periodic */
    movl $0xb, LAPIC_TIMER_DIVIDE
    movl $500000, LAPIC_TIMER_INITIAL
    sti
1:  cmpl $5, COUNTER
    jb 1b
    movl COUNTER, %eax
    FINISH

/* STI: the interrupt comes only behind the next instruction. An IPI to itself is pending. */
ENTRY(shadow):
    movl $0x1ff, LAPIC_SVR
    movl $0x44040, LAPIC_ICR_LOW      /* self, vector 40h */
    movl COUNTER, %eax
    sti
    movl COUNTER, %ebx
    movl COUNTER, %ecx
    cli
    FINISH                            /* ebx 0, ecx 1 */

/* -- single step ------------------------------------------------------------------------------------------------------ */

ENTRY(step):
    xorl %ecx, %ecx
    pushfq
    orl $0x100, (%rsp)
    popfq
    incl %ecx
    movl %ss, %edx
    movl %edx, %ss      /* puts off the trap until after */
    incl %ecx
    pushfq
    andl $~0x100, (%rsp)
    popfq
    incl %ecx
    movl %ecx, %eax
    FINISH

/* Vector 1 of that test: only counts. */
    .global kernel_count_step
kernel_count_step:
    pushq %rax
    movl LOG, %eax
    incl LOG
    movq 8(%rsp), %rbx
    movq %rbx, LOG + 64(, %rax, 8)
    popq %rax
    iretq

/* -- breakpoints and watchpoints --------------------------------------------------------------------------------------- */

ENTRY(stores):
    movl $1, SCRATCH
    movl $2, SCRATCH + 8
    movl SCRATCH, %eax
    addl SCRATCH + 8, %eax
    FINISH

/* Writes two pages, ends, and when it is run on writes one of them again. */
ENTRY(dirty):
    movl $1, SCRATCH
    movl $1, SCRATCH + 0x1000
    xorl %eax, %eax
    outl %eax, $PORT_FINISH
    movl $2, SCRATCH
    movl SCRATCH + 0x1000, %eax
    FINISH

/* The same by the debug registers: DR0 is an instruction's, DR1 a write's, DR2 an access's. */
ENTRY(registers):
    movl $AT(2f), %eax
    movq %rax, %dr0
    movl $SCRATCH + 8, %eax
    movq %rax, %dr1
    movl $SCRATCH, %eax
    movq %rax, %dr2
    movl $0x0fd0002a, %eax            /* global; execute, 4 bytes written, 4 bytes accessed */
    movq %rax, %dr7
    movl $1, SCRATCH + 4              /* none */
    movl $7, SCRATCH + 9              /* DR1, in part */
    movl SCRATCH + 8, %ecx            /* none: read */
    movl SCRATCH, %ecx                /* DR2 */
2:  movl $3, %eax                     /* DR0 */
    xorl %ecx, %ecx
    movq %rcx, %dr7
    FINISH

/* Two breakpoints behind a load of SS, which puts off the first one's for good. */
ENTRY(shadowed_breakpoint):
    movl $AT(3f), %eax
    movq %rax, %dr0
    movl $AT(2f), %eax
    movq %rax, %dr1
    movl $0xa, %eax
    movq %rax, %dr7
    movl %ss, %eax
    movl %eax, %ss
2:  movl $1, %ecx                     /* DR1 */
3:  movl $5, %eax                     /* DR0 */
    xorl %ecx, %ecx
    movq %rcx, %dr7
    FINISH

/* Vector 1 of these tests: logs DR6 and rip, and sets RF if a breakpoint may have been there. */
    .global kernel_log_debug
kernel_log_debug:
    pushq %rax
    pushq %rbx
    movl LOG, %ebx
    incl LOG
    shll $4, %ebx
    movq %dr6, %rax
    movq %rax, LOG + 64(%rbx)
    movq 16(%rsp), %rax
    movq %rax, LOG + 72(%rbx)
    movq %dr6, %rax
    andl $3, %eax
    negl %eax
    sbbl %eax, %eax
    andl $0x10000, %eax
    orl %eax, 32(%rsp)
    xorl %eax, %eax
    movq %rax, %dr6
    popq %rbx
    popq %rax
    iretq

/* -- x87 and SSE while CR0.TS is set ------------------------------------------------------------------------------------ */

ENTRY(task_switched):
    movq %cr0, %rax
    orl $8, %eax
    movq %rax, %cr0
    RESUME(1f)
    movaps %xmm0, %xmm1               /* 0: #NM */
1:  RESUME(1f)
    fld1                              /* 1: #NM */
1:  clts
    fld1
    fistpl COUNTER
    movl $5, %eax
    movd %eax, %xmm0
    movq %cr4, %rbx
    andl $~0x200, %ebx
    movq %rbx, %cr4
    RESUME(1f)
    movaps %xmm0, %xmm1               /* 2: #UD */
1:  fld1
    fld1
    faddp
    fistpl COUNTER + 4                /* legal */
    FINISH_WITH(5)

/* -- MMX on the x87's registers ------------------------------------------------------------------------------------------- */

/* The x87's state as it is after each of these, at SCRATCH + 512 * n. */
ENTRY(mmx):
    movl $0x40, COUNTER               /* no exception is masked */
    movl $0x11223344, COUNTER + 4
    fninit
    fld1
    RESUME(1f)
    movq %mm0, ABSENT_PAGE(%rdi)      /* 0: #PF, and the top is still 7 */
1:  fxsave SCRATCH
    RESUME(1f)
    paddd ABSENT_PAGE(%rdi), %mm1     /* 1: likewise */
1:  fxsave SCRATCH + 512
    movq %mm7, SCRATCH + 2048         /* 1.0 is there */
    movd COUNTER + 4, %mm2
    movq %mm2, %mm3
    punpckldq %mm2, %mm3
    fxsave SCRATCH + 1024             /* its top is 0, all registers valid */
    RESUME(1f)
    movq %mm3, ABSENT_PAGE(%rdi)      /* 2: #PF in what is MMX's state already */
1:  movq %mm3, SCRATCH + 2056
    emms
    fxsave SCRATCH + 1536
    fld1
    fldz
    fdivrp                            /* an exception, masked so far */
    fldcw COUNTER
    RESUME(1f)
    movq %mm3, %mm4                   /* 3: #MF */
1:  fninit
    movq %mm3, %mm4
    movq %mm4, SCRATCH + 2064
    emms
    FINISH_WITH(6)

/* -- 32-bit addresses wrap around ---------------------------------------------------------------------------------------- */

ENTRY(wraps):
    movabsq $0x1234567800000008, %rbx /* of which 32 bits count */
    pushq $BOOT_CODE32
    pushq $AT(wraps32)
    lretq
    .code32
wraps32:
    movl -16(%ebx), %eax              /* fffffff8 */
    addl -12(%ebx), %eax              /* fffffffc */
    movl %eax, COUNTER
    movl $0xfffffff0, %ecx
    movl 8(%ecx), %eax                /* fffffff8 */
    addl 0x28(%ecx), %eax             /* 18 */
    movl %eax, COUNTER + 4
    movl $0x80000000, %edx
    movl -8(%edx,%edx), %eax          /* fffffff8 */
    addl 0x18(%edx,%edx), %eax        /* 18 */
    movl %eax, COUNTER + 8
    movl %esp, %ebp
    movl $4, %esp
    pushl $0x1111                     /* 0 */
    pushl $0x2222                     /* fffffffc */
    pushl $0x3333                     /* fffffff8 */
    popl %eax
    popl %edx
    popl %esi
    movl %ebp, %esp
    movl %eax, COUNTER + 12
    movl %edx, COUNTER + 16
    movl %esi, COUNTER + 20
    FINISH_WITH(7)
    .code64

/* -- two processors ------------------------------------------------------------------------------------------------------ */

    .set ROUNDS, 100000
/* The first one starts the second by INIT and SIPI; both add to COUNTER. */
ENTRY(smp):
    movl $0x1ff, LAPIC_SVR
    movl $0xc4500, LAPIC_ICR_LOW      /* INIT, all but self */
    movl $0xc4600 | (TRAMPOLINE >> 12), LAPIC_ICR_LOW /* SIPI */
    movl $ROUNDS, %ecx
1:  lock incl COUNTER
    decl %ecx
    jnz 1b
2:  pause
    cmpl $1, DONE
    jne 2b
    movl COUNTER, %eax
    FINISH

    .code16
    .global kernel_trampoline /* copied to TRAMPOLINE */
kernel_trampoline:
    movw %cs, %ax
    movw %ax, %ds
    xorl %ebx, %ebx
    movw $0, %ax
    movw %ax, %ds
    movl $ROUNDS, %ecx
1:  lock incl COUNTER
    decl %ecx
    jnz 1b
    movl $1, DONE
2:  hlt
    jmp 2b
    .global kernel_trampoline_end
kernel_trampoline_end:

/* -- from real mode to long mode --------------------------------------------------------------------------------------------- */

    .balign 16
ENTRY(boot):
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movl $0x12345678, %esi
    movw $0x1000, %ax
    movw %ax, %es
    movl %es:(0x10), %edi             /* at 10010h */
    lgdtl BOOT_GDTR
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $BOOT_CODE32, $AT(boot32)
    .code32
boot32:
    movl $KERNEL_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $KERNEL_STACK, %esp
    pushl $0x55aa55aa
    popl %ebp
    movl %cr4, %eax
    orl $0x20, %eax                   /* PAE */
    movl %eax, %cr4
    movl $PML4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax                  /* LME, NXE */
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    ljmpl $KERNEL_CODE, $AT(boot64)
    .code64
boot64:
    movl %esi, %eax
    addq %rbp, %rax
    FINISH

/* A triple fault: no IDT. */
ENTRY(triple):
    lidt no_idt(%rip)
    ud2
no_idt:
    .word 0
    .quad 0

    .global kernel_end
kernel_end:
    .section .note.GNU-stack, "", @progbits
