/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rare and privileged instructions: results, faults and what privilege they need. Intel SDM volume 2. */
#include "x86_emulate.h"

#define RAX S->gpr[X86_RAX]
#define RBX S->gpr[X86_RBX]
#define RCX S->gpr[X86_RCX]
#define RDX S->gpr[X86_RDX]

static void long_mode(void)
{
    machine_long();
    around_init("max");
}

static void long_user(void)
{
    machine_long_user();
    around_init("max");
}

/* -- control registers --------------------------------------------------------------------------------------
 */

static void test_cr0(void **state)
{
    (void)state;
    machine_protected();
    around_init("max");
    RAX = X86_CR0_PE | X86_CR0_WP | X86_CR0_ET;
    DOES(0x0f, 0x22, 0xc0); /* mov cr0, eax */
    assert_int_equal(S->cr0, X86_CR0_PE | X86_CR0_WP | X86_CR0_ET);
    assert_int_equal(around.flushed, 1 + X86_FLUSH_ALL);
    DOES(0x0f, 0x20, 0xc3); /* mov ebx, cr0 */
    assert_int_equal(RBX, S->cr0);
    RAX = X86_CR0_PG;
    FAULTS(X86_GP, 0, 0x0f, 0x22, 0xc0); /* without PE */
    RAX = X86_CR0_PE | X86_CR0_NW;
    FAULTS(X86_GP, 0, 0x0f, 0x22, 0xc0);        /* without CD */
    FAULTS(X86_UD, -1, 0x0f, 0x22, 0xc8);       /* CR1 */
    FAULTS(X86_UD, -1, 0xf0, 0x0f, 0x20, 0xc0); /* LOCK */
    machine_user();
    FAULTS(X86_GP, 0, 0x0f, 0x20, 0xc0);
    FAULTS(X86_GP, 0, 0x0f, 0x22, 0xc0);
}

/* The way from 32-bit code into long mode and back. */
static void test_enter_long_mode(void **state)
{
    (void)state;
    machine_protected();
    around_init("max");
    S->cr3 = 0x5000;
    RCX = 0xc0000080, RAX = X86_EFER_LME, RDX = 0;
    DOES(0x0f, 0x30); /* wrmsr */
    RAX = X86_CR0_PE | (uint64_t)X86_CR0_PG;
    FAULTS(X86_GP, 0, 0x0f, 0x22, 0xc0); /* without PAE */
    RAX = X86_CR4_PAE;
    DOES(0x0f, 0x22, 0xe0); /* mov cr4, eax */
    RAX = X86_CR0_PE | (uint64_t)X86_CR0_PG;
    DOES(0x0f, 0x22, 0xc0);
    assert_int_equal(S->efer, X86_EFER_LME | X86_EFER_LMA);
    RAX = 0;
    FAULTS(X86_GP, 0, 0x0f, 0x22, 0xe0); /* PAE must stay */
    RAX = X86_EFER_NXE;
    FAULTS(X86_GP, 0, 0x0f, 0x30);                                          /* LME, too */
    assert_int_equal(RUN(0xea, 0x00, 0x40, 0, 0, CODE64, 0), X86_EMULATED); /* jmp far */
    assert_int_equal(x86_code_of(S), X86_CODE_64);
    assert_int_equal(S->rip, 0x4000);
    RAX = X86_CR0_PE;
    FAULTS(X86_GP, 0, 0x0f, 0x22, 0xc0); /* not from 64-bit code */
    machine_segments(CODE0, DATA0);
    RAX = X86_CR0_PE;
    DOES(0x0f, 0x22, 0xc0);
    assert_int_equal(S->efer, X86_EFER_LME);
}

static void test_cr3_cr4(void **state)
{
    (void)state;
    long_mode();
    S->cr4 = X86_CR4_PAE;
    RAX = 0x123000;
    DOES(0x0f, 0x22, 0xd8);
    assert_int_equal(S->cr3, 0x123000);
    assert_int_equal(around.flushed, 1 + X86_FLUSH_NOT_GLOBAL);
    RAX = 1ull << 63 | 0x123000;
    FAULTS(X86_GP, 0, 0x0f, 0x22, 0xd8);
    RAX = X86_CR4_PAE | X86_CR4_PCIDE;
    DOES(0x0f, 0x22, 0xe0);
    RAX = 1ull << 63 | 0x124001;
    DOES(0x0f, 0x22, 0xd8);
    assert_int_equal(S->cr3, 0x124001);
    assert_int_equal(around.flushed_linear, 1);
    RAX = X86_CR4_PAE | X86_CR4_VME;
    FAULTS(X86_GP, 0, 0x0f, 0x22, 0xe0);
    around_init("max,-smep,-pcid");
    RAX = X86_CR4_PAE | X86_CR4_SMEP;
    FAULTS(X86_GP, 0, 0x0f, 0x22, 0xe0);
    RAX = 1ull << 50;
    FAULTS(X86_GP, 0, 0x0f, 0x22, 0xd8); /* beyond physical memory */
    RAX = 9;
    DOES(0x44, 0x0f, 0x22, 0xc0); /* mov cr8, rax */
    assert_int_equal(around.cr8, 9);
    DOES(0x44, 0x0f, 0x20, 0xc3);
    assert_int_equal(RBX, 9);
    RAX = 16;
    FAULTS(X86_GP, 0, 0x44, 0x0f, 0x22, 0xc0);
}

/* PAE paging: the four entries are read with CR3, and their reserved bits are looked at. */
static void test_pdptes(void **state)
{
    (void)state;
    machine_protected();
    around_init("max");
    S->cr4 = X86_CR4_PAE;
    S->cr3 = 0x5020;
    memory_put(0x5020, 8, 0x7001);
    memory_put(0x5028, 8, 0x8001);
    RAX = X86_CR0_PE | (uint64_t)X86_CR0_PG;
    DOES(0x0f, 0x22, 0xc0);
    assert_int_equal(S->pdpte[0], 0x7001);
    assert_int_equal(S->pdpte[1], 0x8001);
    memory_put(0x5028, 8, 0x8003);
    RAX = 0x5020;
    FAULTS(X86_GP, 0, 0x0f, 0x22, 0xd8);
    memory_put(0x5028, 8, 0x9001);
    assert_int_equal(S->pdpte[1], 0x8001);
    DOES(0x0f, 0x22, 0xd8);
    assert_int_equal(S->pdpte[1], 0x9001);
}

/* By a jump to a TSS: the other task has page tables of its own. */
static void test_task_switch(void **state)
{
    (void)state;
    machine_protected();
    around_init("max");
    memory_put(OTHER_TSS + 0x1c, 4, 0x5040);
    memory_put(OTHER_TSS + 0x20, 4, HANDLER);
    memory_put(OTHER_TSS + 0x38, 4, STACK);
    memory_put(OTHER_TSS + 0x48, 4, DATA0);
    memory_put(OTHER_TSS + 0x4c, 4, CODE0);
    memory_put(OTHER_TSS + 0x50, 4, DATA0);
    memory_put(OTHER_TSS + 0x54, 4, DATA0);
    memory_put(0x5040, 8, 0x7001);
    S->cr0 |= X86_CR0_PG;
    S->cr4 = X86_CR4_PAE;
    assert_int_equal(RUN(0xea, 0, 0, 0, 0, OTHER_TASK, 0), X86_EMULATED);
    assert_int_equal(S->rip, HANDLER);
    assert_int_equal(S->cr3, 0x5040);
    assert_int_equal(S->pdpte[0], 0x7001);
    assert_int_equal(around.flushed, 1 + X86_FLUSH_NOT_GLOBAL);
}

static void test_debug(void **state)
{
    (void)state;
    long_mode();
    RAX = 0x123456789a;
    DOES(0x0f, 0x23, 0xd0); /* mov dr2, rax */
    DOES(0x0f, 0x21, 0xd3);
    assert_int_equal(RBX, 0x123456789a);
    FAULTS(X86_GP, 0, 0x0f, 0x23, 0xf8); /* DR7 has 32 bits */
    RAX = 0xffffffff;
    DOES(0x0f, 0x23, 0xf0); /* mov dr6, rax */
    assert_int_equal(S->dr[6], 0xffffeffful & 0xffffefff);
    DOES(0x0f, 0x21, 0xe3); /* dr4 is dr6 */
    assert_int_equal(RBX, S->dr[6]);
    S->cr4 |= X86_CR4_DE;
    FAULTS(X86_UD, -1, 0x0f, 0x21, 0xe3);
    FAULTS(X86_UD, -1, 0x44, 0x0f, 0x21, 0xc0);
    S->dr[7] |= 1 << 13; /* GD */
    assert_int_equal(RUN(0x0f, 0x21, 0xc3), X86_EMULATE_EXCEPTION);
    assert_int_equal(CORE->exception.vector, X86_DB);
    assert_true(S->dr[6] & 1 << 13);
    assert_false(S->dr[7] & 1 << 13);
    assert_int_equal(S->rip, RIP + 3 * 4);
    long_user();
    FAULTS(X86_GP, 0, 0x0f, 0x21, 0xc3);
}

/* -- MSRs, CPUID, time ----------------------------------------------------------------------------------- */

static void set_msr(uint32_t msr, uint64_t value)
{
    RCX = msr, RAX = (uint32_t)value, RDX = value >> 32;
}

static uint64_t get_msr(uint32_t msr)
{
    RCX = msr;
    DOES(0x0f, 0x32);
    return RAX | RDX << 32;
}

static void test_msrs(void **state)
{
    static const uint32_t stored[] = {0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101,
                                      0xc0000102, 0xc0000103, 0x174,      0x175,      0x176,      0x250,
                                      0x26f,      0x200,      0x3b,       0x10,       0x800};
    (void)state;
    long_mode();
    for (unsigned i = 0; i < sizeof stored / sizeof stored[0]; i++) {
        set_msr(stored[i], 0x06060000);
        DOES(0x0f, 0x30);
        assert_int_equal(get_msr(stored[i]), 0x06060000);
    }
    set_msr(0xc0000101, 1ull << 63); /* not canonical */
    FAULTS(X86_GP, 0, 0x0f, 0x30);
    set_msr(0x277, 0x0702020202020202); /* no types of memory */
    FAULTS(X86_GP, 0, 0x0f, 0x30);
    set_msr(0x277, 0x0007050600070106);
    DOES(0x0f, 0x30);
    assert_int_equal(S->pat, 0x0007050600070106);
    set_msr(0xc0000080, X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE);
    DOES(0x0f, 0x30);
    assert_true(S->efer & X86_EFER_NXE);
    set_msr(0xc0000080, 1 << 12); /* SVME */
    FAULTS(X86_GP, 0, 0x0f, 0x30);
    RCX = 0xdeadbeef;
    FAULTS(X86_GP, 0, 0x0f, 0x32);
    FAULTS(X86_GP, 0, 0x0f, 0x30);
    assert_int_equal(get_msr(0x8b) >> 32, 0x10f);
    assert_true(get_msr(0x10a) & 1);
    around_init("max,-arch_capabilities");
    RCX = 0x10a;
    FAULTS(X86_GP, 0, 0x0f, 0x32);
    long_user();
    RCX = 0xc0000080;
    FAULTS(X86_GP, 0, 0x0f, 0x32);
    FAULTS(X86_GP, 0, 0x0f, 0x30);
    around_init("486");
    FAULTS(X86_UD, -1, 0x0f, 0x32);
}

static void test_time(void **state)
{
    (void)state;
    long_mode();
    around.tsc = 0x100000005;
    S->tsc_offset = 0x10;
    S->tsc_aux = 7;
    DOES(0x0f, 0x31);
    assert_int_equal(RAX, 0x15);
    assert_int_equal(RDX, 1);
    DOES(0x0f, 0x01, 0xf9); /* rdtscp */
    assert_int_equal(RCX, 7);
    set_msr(0x10, 0x1000);
    DOES(0x0f, 0x30);
    DOES(0x0f, 0x31);
    assert_int_equal(RAX, 0x1000);
    assert_int_equal(S->tsc_adjust, 0x1000 - 0x100000015ull);
    set_msr(0x3b, 0);
    DOES(0x0f, 0x30);
    DOES(0x0f, 0x31);
    assert_int_equal(RAX | RDX << 32, 0x100000015);
    long_user();
    DOES(0x0f, 0x31);
    S->cr4 |= X86_CR4_TSD;
    FAULTS(X86_GP, 0, 0x0f, 0x31);
    FAULTS(X86_GP, 0, 0x0f, 0x01, 0xf9);
    FAULTS(X86_GP, 0, 0x0f, 0x33); /* rdpmc */
}

static void test_cpuid(void **state)
{
    (void)state;
    long_user();
    RAX = ~0ull << 32, RCX = 0;
    DOES(0x0f, 0xa2);
    assert_int_equal(RAX, 0x16);
    assert_memory_equal(&RBX, "Genu", 4);
    assert_memory_equal(&RDX, "ineI", 4);
    assert_memory_equal(&RCX, "ntel", 4);
    RAX = 1;
    DOES(0x0f, 0xa2);
    assert_false(RCX & 1 << 27);
    assert_false(RDX & 1 << 9); /* the local APIC is off: bit 11 of its base */
    around.msr_value = 0xfee00800;
    S->cr4 |= X86_CR4_OSXSAVE;
    RAX = 1;
    DOES(0x0f, 0xa2);
    assert_true(RCX & 1 << 27);
    assert_true(RDX & 1 << 9);
}

/* -- descriptor tables, segments ------------------------------------------------------------------------- */

static void test_tables(void **state)
{
    (void)state;
    long_mode();
    RAX = 0x5000;
    memory_put(0x5000, 2, 0x127);
    memory_put(0x5002, 8, 0xffff800000012340);
    DOES(0x0f, 0x01, 0x10); /* lgdt [rax] */
    assert_int_equal(S->gdtr.limit, 0x127);
    assert_int_equal(S->gdtr.base, 0xffff800000012340);
    DOES(0x0f, 0x01, 0x40, 0x10); /* sgdt [rax + 16] */
    assert_memory_equal(machine.memory + 0x5010, machine.memory + 0x5000, 10);
    memory_put(0x5002, 8, 1ull << 62);
    FAULTS(X86_GP, 0, 0x0f, 0x01, 0x18); /* lidt */
    machine_protected();
    RAX = 0x5000;
    memory_put(0x5002, 4, 0x87654321);
    DOES(0x66, 0x0f, 0x01, 0x18); /* 24 bits of the base */
    assert_int_equal(S->idtr.base, 0x654321);
    machine_user();
    RAX = 0x5000;
    FAULTS(X86_GP, 0, 0x0f, 0x01, 0x18);
    DOES(0x0f, 0x01, 0x08); /* sidt */
    S->cr4 |= X86_CR4_UMIP;
    FAULTS(X86_GP, 0, 0x0f, 0x01, 0x08);
    FAULTS(X86_GP, 0, 0x0f, 0x00, 0xc0); /* sldt */
    FAULTS(X86_GP, 0, 0x0f, 0x00, 0xc8); /* str */
    FAULTS(X86_GP, 0, 0x0f, 0x01, 0xe0); /* smsw */
    machine_real();
    FAULTS(X86_UD, -1, 0x0f, 0x00, 0xc0);
    DOES(0x0f, 0x01, 0xe0);
}

static void test_task_register(void **state)
{
    (void)state;
    long_mode();
    gdt_change(TASK, 2, 0); /* not busy */
    RAX = TASK;
    DOES(0x0f, 0x00, 0xd8); /* ltr ax */
    assert_true(gdt_busy(TASK));
    FAULTS(X86_GP, TASK, 0x0f, 0x00, 0xd8);
    RBX = ~0ull;
    DOES(0x0f, 0x00, 0xcb); /* str ebx */
    assert_int_equal(RBX, TASK);
    RAX = LOCAL;
    DOES(0x0f, 0x00, 0xd0); /* lldt ax */
    DOES(0x0f, 0x00, 0xc3);
    assert_int_equal(RBX, LOCAL);
    long_user();
    FAULTS(X86_GP, 0, 0x0f, 0x00, 0xd0);
    FAULTS(X86_GP, 0, 0x0f, 0x00, 0xd8);
}

static void test_segment_moves(void **state)
{
    (void)state;
    machine_protected();
    around_init("max");
    RAX = DATA16;
    DOES(0x8e, 0xd0); /* mov ss, ax */
    assert_int_equal(S->segment[X86_SS].selector, DATA16);
    assert_int_equal(S->interrupt_shadow, X86_SHADOW_STACK);
    S->interrupt_shadow = X86_SHADOW_NONE;
    RAX = 0x77777777;
    DOES(0x8c, 0xd0); /* mov eax, ss */
    assert_int_equal(RAX, DATA16);
    RAX = CODE0;
    FAULTS(X86_GP, CODE0, 0x8e, 0xd0);
    FAULTS(X86_UD, -1, 0x8e, 0xc8); /* to cs */
    machine_protected();
    memory_put(STACK - 4, 4, 0xaaaaaaaa);
    DOES(0x06); /* push es: 16 bits are written */
    assert_int_equal(S->gpr[X86_RSP], STACK - 4);
    assert_int_equal(memory_get(STACK - 4, 4), 0xaaaa0000 | DATA0);
    memory_put(STACK - 4, 2, DATA16);
    DOES(0x1f); /* pop ds */
    assert_int_equal(S->segment[X86_DS].selector, DATA16);
    assert_int_equal(S->gpr[X86_RSP], STACK);
    machine_protected();
    RBX = 0x5000;
    memory_put(0x5000, 4, 0x12345678);
    memory_put(0x5004, 2, DATA16);
    DOES(0x0f, 0xb4, 0x03); /* lfs eax, [ebx] */
    assert_int_equal(RAX, 0x12345678);
    assert_int_equal(S->segment[X86_FS].selector, DATA16);
    memory_put(0x5004, 2, CODE3 + 0x700);
    FAULTS(X86_GP, (CODE3 + 0x700) & ~3, 0xc4, 0x03); /* les */
    FAULTS(X86_UD, -1, 0xc4, 0xc3);
}

static void test_descriptor_checks(void **state)
{
    (void)state;
    machine_protected();
    around_init("max");
    RBX = DATA0;
    DOES(0x0f, 0x02, 0xc3); /* lar eax, ebx */
    assert_true(S->flags & NZCV_Z);
    assert_int_equal(RAX, gdt_get(DATA0) >> 32 & 0xf0ff00);
    DOES(0x0f, 0x03, 0xc3); /* lsl */
    assert_int_equal(RAX, 0xffffffff);
    RBX = 0x7f8; /* beyond what is there: no descriptor of a segment */
    RAX = 5;
    DOES(0x0f, 0x02, 0xc3);
    assert_false(S->flags & NZCV_Z);
    assert_int_equal(RAX, 5);
    RBX = EXECUTE_ONLY0;
    DOES(0x0f, 0x00, 0xe3); /* verr */
    assert_false(S->flags & NZCV_Z);
    RBX = READ_ONLY0;
    DOES(0x0f, 0x00, 0xe3);
    assert_true(S->flags & NZCV_Z);
    DOES(0x0f, 0x00, 0xeb); /* verw */
    assert_false(S->flags & NZCV_Z);
    RAX = 0x10, RCX = 3;
    DOES(0x63, 0xc8); /* arpl ax, cx */
    assert_int_equal(RAX, 0x13);
    assert_true(S->flags & NZCV_Z);
    DOES(0x63, 0xc8);
    assert_false(S->flags & NZCV_Z);
    machine_user();
    RBX = DATA0;
    DOES(0x0f, 0x02, 0xc3);
    assert_false(S->flags & NZCV_Z);
    machine_real();
    FAULTS(X86_UD, -1, 0x0f, 0x02, 0xc3);
    FAULTS(X86_UD, -1, 0x63, 0xc8);
}

/* -- system calls and interrupts ------------------------------------------------------------------------- */

static void test_system_calls(void **state)
{
    (void)state;
    long_user();
    S->star = (uint64_t)CODE64 << 32;
    S->lstar = HANDLER;
    assert_int_equal(RUN(0x0f, 0x05), X86_EMULATED);
    assert_int_equal(S->rip, HANDLER);
    assert_int_equal(RCX, RIP + 2);
    assert_int_equal(x86_cpl(S), 0);
    RCX = 0x4444;
    assert_int_equal(RUN(0x48, 0x0f, 0x07), X86_EMULATED); /* sysretq */
    assert_int_equal(S->rip, 0x4444);
    assert_int_equal(x86_cpl(S), 3);
    FAULTS(X86_GP, 0, 0x48, 0x0f, 0x07);
    machine_compatible_user();
    FAULTS(X86_UD, -1, 0x0f, 0x05); /* as Intel's */
    FAULTS(X86_UD, -1, 0x0f, 0x07);
    FAULTS(X86_GP, 0, 0x0f, 0x34); /* sysenter */
    S->sysenter_cs = CODE64, S->sysenter_eip = HANDLER, S->sysenter_esp = STACK0;
    assert_int_equal(RUN(0x0f, 0x34), X86_EMULATED);
    assert_int_equal(S->rip, HANDLER);
    RDX = 0x5555, RCX = 0x6666;
    assert_int_equal(RUN(0x0f, 0x35), X86_EMULATED); /* sysexit */
    assert_int_equal(S->rip, 0x5555);
    assert_int_equal(S->gpr[X86_RSP], 0x6666);
}

static void test_interrupts(void **state)
{
    (void)state;
    long_user();
    idt_gate(0x80, CODE64, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
    assert_int_equal(RUN(0xcd, 0x80), X86_EMULATE_EXCEPTION);
    assert_int_equal(x86_deliver(CORE, x86_exception_event(CORE)), X86_DELIVERED);
    assert_int_equal(S->rip, HANDLER);
    assert_int_equal(memory_get(S->gpr[X86_RSP], 8), RIP + 2);
    assert_int_equal(RUN(0x48, 0xcf), X86_EMULATED); /* iretq */
    assert_int_equal(S->rip, RIP + 2);
    assert_int_equal(x86_cpl(S), 3);
    /* The gate's privilege counts, and the fault is the instruction's. */
    idt_gate(3, CODE64, HANDLER, X86_TYPE_INTERRUPT_GATE, 0, 0);
    idt_gate(X86_GP, CODE64, HANDLER + 0x100, X86_TYPE_INTERRUPT_GATE, 0, 0);
    assert_int_equal(RUN(0xcc), X86_EMULATE_EXCEPTION);
    assert_int_equal(x86_deliver(CORE, x86_exception_event(CORE)), X86_DELIVERED);
    assert_int_equal(S->rip, HANDLER + 0x100);
    assert_int_equal(memory_get(S->gpr[X86_RSP], 8), 3 << 3 | 2);
    assert_int_equal(memory_get(S->gpr[X86_RSP] + 8, 8), RIP + 2);
    /* INT1 does not ask for it. */
    long_user();
    idt_gate(1, CODE64, HANDLER, X86_TYPE_INTERRUPT_GATE, 0, 0);
    assert_int_equal(RUN(0xf1), X86_EMULATE_EXCEPTION);
    assert_int_equal(x86_deliver(CORE, x86_exception_event(CORE)), X86_DELIVERED);
    assert_int_equal(S->rip, HANDLER);
    machine_user();
    DOES(0xce); /* into */
    S->flags |= NZCV_V;
    assert_int_equal(RUN(0xce), X86_EMULATE_EXCEPTION);
    assert_int_equal(CORE->exception.vector, X86_OF);
    assert_int_equal(S->rip, RIP + 2);
    machine_vm86();
    S->eflags_system &= ~(uint64_t)X86_EFLAGS_IOPL;
    FAULTS(X86_GP, 0, 0xcd, 0x21);
}

static void test_interrupt_flag(void **state)
{
    (void)state;
    long_mode();
    DOES(0xfb);
    assert_true(S->eflags_system & X86_EFLAGS_IF);
    assert_int_equal(S->interrupt_shadow, X86_SHADOW_STI);
    DOES(0xfb);
    assert_false(S->interrupt_shadow);
    DOES(0xfa);
    assert_false(S->eflags_system & X86_EFLAGS_IF);
    const uint64_t rip = S->rip;
    assert_int_equal(RUN(0xf4), X86_EMULATE_HALT);
    assert_int_equal(S->rip, rip + 1);
    long_user();
    FAULTS(X86_GP, 0, 0xfb);
    FAULTS(X86_GP, 0, 0xfa);
    FAULTS(X86_GP, 0, 0xf4);
    S->eflags_system |= X86_EFLAGS_IOPL;
    DOES(0xfb);
    FAULTS(X86_GP, 0, 0xf4);
}

static void test_pushf(void **state)
{
    (void)state;
    long_mode();
    x86_eflags_set(S, X86_EFLAGS_IF | X86_EFLAGS_CF | X86_EFLAGS_RF | X86_EFLAGS_AC);
    DOES(0x9c);
    assert_int_equal(memory_get(STACK - 8, 8), X86_EFLAGS_IF | X86_EFLAGS_CF | X86_EFLAGS_AC | 2);
    memory_put(STACK - 8, 8, X86_EFLAGS_ALL);
    DOES(0x9d);
    assert_int_equal(S->gpr[X86_RSP], STACK);
    assert_int_equal(x86_eflags_get(S), X86_EFLAGS_USER | X86_EFLAGS_IF | X86_EFLAGS_IOPL | 2);
    long_user();
    memory_put(STACK, 8, X86_EFLAGS_ALL);
    DOES(0x9d);
    assert_int_equal(x86_eflags_get(S), X86_EFLAGS_USER | 2);
    machine_vm86();
    DOES(0x9c);
    S->eflags_system &= ~(uint64_t)X86_EFLAGS_IOPL;
    FAULTS(X86_GP, 0, 0x9c);
    FAULTS(X86_GP, 0, 0x9d);
}

static void test_bound_enter(void **state)
{
    (void)state;
    machine_user();
    RBX = 0x5000;
    memory_put(0x5000, 4, (uint32_t)-5);
    memory_put(0x5004, 4, 7);
    RAX = (uint32_t)-5;
    DOES(0x62, 0x03);
    RAX = 8;
    FAULTS(X86_BR, -1, 0x62, 0x03);
    /* enter 0x20, 3 */
    machine_protected();
    S->gpr[X86_RBP] = 0x5100;
    memory_put(0x50fc, 4, 0x1111);
    memory_put(0x50f8, 4, 0x2222);
    DOES(0xc8, 0x20, 0, 3);
    assert_int_equal(S->gpr[X86_RBP], STACK - 4);
    assert_int_equal(S->gpr[X86_RSP], STACK - 16 - 0x20);
    assert_int_equal(memory_get(STACK - 4, 4), 0x5100);
    assert_int_equal(memory_get(STACK - 8, 4), 0x1111);
    assert_int_equal(memory_get(STACK - 12, 4), 0x2222);
    assert_int_equal(memory_get(STACK - 16, 4), STACK - 4);
}

/* -- ports ----------------------------------------------------------------------------------------------- */

static void test_ports(void **state)
{
    (void)state;
    long_mode();
    around.port_value = 0x12345678;
    RAX = ~0ull;
    DOES(0xe4, 0x71); /* in al, 71h */
    assert_int_equal(RAX, 0xffffffffffffff78);
    assert_int_equal(around.port, 0x71);
    RDX = 0x10cf8, RAX = 0xabcdef01;
    DOES(0xef); /* out dx, eax */
    assert_int_equal(around.port, 0xcf8);
    assert_int_equal(around.port_size, 4);
    assert_int_equal(around.port_value, 0xabcdef01);
    DOES(0xed);
    assert_int_equal(RAX, 0xabcdef01);
}

static void test_port_bitmap(void **state)
{
    (void)state;
    machine_user();
    around_init("max");
    S->tr.limit = 0x100;
    memory_put(TSS + 0x66, 2, 0x80);
    memory_put(TSS + 0x80 + 0x3f8 / 8, 2, 0xff00); /* but of 400h and on */
    RDX = 0x3ff;
    DOES(0xec);
    FAULTS(X86_GP, 0, 0xed); /* its last three are not allowed */
    RDX = 0x400;
    FAULTS(X86_GP, 0, 0xec);
    FAULTS(X86_GP, 0, 0x6c);
    RDX = 0x7000; /* beyond the end of the TSS */
    FAULTS(X86_GP, 0, 0xec);
    S->eflags_system |= X86_EFLAGS_IOPL;
    DOES(0xec);
    S->eflags_system &= ~(uint64_t)X86_EFLAGS_IOPL;
    S->tr.attributes = A_PRESENT | X86_TYPE_TSS16_BUSY;
    RDX = 0x3ff;
    FAULTS(X86_GP, 0, 0xec);
}

static void test_port_strings(void **state)
{
    (void)state;
    long_mode();
    around.port_value = 0x1000;
    S->gpr[X86_RDI] = 0x5000, RCX = 3, RDX = 0x1f0;
    DOES(0xf3, 0x66, 0x6d); /* rep insw */
    assert_int_equal(memory_get(0x5000, 8), 0x100210011000);
    assert_int_equal(S->gpr[X86_RDI], 0x5006);
    assert_int_equal(RCX, 0);
    S->gpr[X86_RSI] = 0x5004, RCX = 1, S->df = ~0ull;
    DOES(0xf3, 0x6e); /* rep outsb */
    assert_int_equal(around.port_value, 2);
    assert_int_equal(S->gpr[X86_RSI], 0x5003);
    /* Some at a time. */
    S->df = 1, RCX = 1000, S->gpr[X86_RSI] = 0x5000, around.port_count = 0;
    const uint64_t rip = S->rip;
    enum x86_emulated result;
    unsigned calls = 0;
    while ((result = RUN(0xf3, 0x6e)) == X86_EMULATE_AGAIN) {
        assert_int_equal(S->rip, rip);
        calls++;
    }
    assert_int_equal(result, X86_EMULATED);
    assert_true(calls > 1);
    assert_int_equal(around.port_count, 1000);
    assert_int_equal(S->gpr[X86_RSI], 0x5000 + 1000);
    /* A fault in the middle: what the device gave is where it belongs, and nothing was taken for the rest. */
    S->gpr[X86_RDI] = ABSENT - 2, RCX = 5, around.port_count = 0;
    assert_int_equal(RUN(0xf3, 0x6c), X86_EMULATE_EXCEPTION);
    assert_int_equal(CORE->exception.vector, X86_PF);
    assert_int_equal(RCX, 3);
    assert_int_equal(around.port_count, 2);
}

/* -- the rest -------------------------------------------------------------------------------------------- */

/* Either instruction, whose results are for the privileged. */
static void test_hypercalls(void **state)
{
    (void)state;
    long_mode();
    RAX = 0xfedcba9876543210, RBX = 1, RCX = UINT64_C(2) << 40, RDX = 3, S->gpr[X86_RSI] = 4;
    DOES(0x0f, 0x01, 0xc1); /* vmcall */
    assert_int_equal(around.call, 0xfedcba9876543210);
    assert_int_equal(RAX, 0x0123456789abcdef);
    assert_int_equal(around.arguments[0], 1);
    assert_int_equal(around.arguments[1], UINT64_C(2) << 40);
    assert_int_equal(around.arguments[2], 3);
    assert_int_equal(around.arguments[3], 4);
    DOES(0x0f, 0x01, 0xd9); /* vmmcall */
    assert_int_equal(RAX, 0xfedcba9876543210);
    FAULTS(X86_UD, -1, 0x66, 0x0f, 0x01, 0xc1);
    long_user();
    around.call = 77;
    DOES(0x0f, 0x01, 0xc1);
    assert_int_equal((int64_t)RAX, -1);
    assert_int_equal(around.call, 77);
}

static void test_hypercalls_of_32_bits(void **state)
{
    (void)state;
    machine_protected();
    around_init("max");
    RAX = 0xffffffff00000009, RBX = 0x500001000;
    DOES(0x0f, 0x01, 0xd9);
    assert_int_equal(around.call, 9);
    assert_int_equal(around.arguments[0], 0x1000);
    assert_int_equal(RAX, 0xfffffff6);
}

/* Who does not see KVM in CPUID has a processor without a hypervisor's calls. */
static void test_no_hypercalls(void **state)
{
    (void)state;
    long_mode();
    around_init("max,-kvmclock,-kvm-steal-time,-kvm-pv-eoi,-kvm-asyncpf");
    FAULTS(X86_UD, -1, 0x0f, 0x01, 0xc1);
    FAULTS(X86_UD, -1, 0x0f, 0x01, 0xd9);
    around_init("max,-hypervisor");
    FAULTS(X86_UD, -1, 0x0f, 0x01, 0xc1);
    around_init("max,hv=on");
    DOES(0x0f, 0x01, 0xc1);
}

static void test_group7(void **state)
{
    (void)state;
    long_mode();
    S->segment_base[X86_GS] = 1, S->kernel_gs_base = 2;
    DOES(0x0f, 0x01, 0xf8); /* swapgs */
    assert_int_equal(S->segment_base[X86_GS], 2);
    assert_int_equal(S->kernel_gs_base, 1);
    DOES(0x0f, 0x01, 0xcb); /* stac */
    assert_true(S->eflags_system & X86_EFLAGS_AC);
    DOES(0x0f, 0x01, 0xca);
    assert_false(S->eflags_system & X86_EFLAGS_AC);
    RAX = 0x7000;
    DOES(0x0f, 0x01, 0x38); /* invlpg [rax] */
    assert_int_equal(around.flushed, 1 + X86_FLUSH_PAGE);
    assert_int_equal(around.flushed_linear, 0x7000);
    DOES(0x0f, 0x06);                     /* clts */
    DOES(0x0f, 0x09);                     /* wbinvd */
    FAULTS(X86_UD, -1, 0x0f, 0x01, 0xc8); /* monitor */
    FAULTS(X86_UD, -1, 0x0f, 0x01, 0xc2); /* vmlaunch */
    FAULTS(X86_UD, -1, 0x0f, 0x01, 0xd0); /* xgetbv without OSXSAVE */
    S->cr4 |= X86_CR4_OSXSAVE;
    RCX = 0, RAX = 3, RDX = 0;
    DOES(0x0f, 0x01, 0xd1); /* xsetbv */
    RAX = 0;
    DOES(0x0f, 0x01, 0xd0);
    assert_int_equal(RAX, 3);
    RAX = 2;
    FAULTS(X86_GP, 0, 0x0f, 0x01, 0xd1);
    RAX = 7;
    FAULTS(X86_GP, 0, 0x0f, 0x01, 0xd1);
    long_user();
    FAULTS(X86_GP, 0, 0x0f, 0x01, 0xf8);
    FAULTS(X86_UD, -1, 0x0f, 0x01, 0xcb);
    FAULTS(X86_GP, 0, 0x0f, 0x01, 0x38);
    FAULTS(X86_GP, 0, 0x0f, 0x06);
    FAULTS(X86_GP, 0, 0x0f, 0x09);
}

static void test_fsgsbase(void **state)
{
    (void)state;
    long_user();
    FAULTS(X86_UD, -1, 0xf3, 0x48, 0x0f, 0xae, 0xd0);
    S->cr4 |= X86_CR4_FSGSBASE;
    RAX = 0x700000001234;
    DOES(0xf3, 0x48, 0x0f, 0xae, 0xd0); /* wrfsbase rax */
    DOES(0xf3, 0x0f, 0xae, 0xd8);       /* wrgsbase eax */
    DOES(0xf3, 0x48, 0x0f, 0xae, 0xc3); /* rdfsbase rbx */
    assert_int_equal(RBX, 0x700000001234);
    DOES(0xf3, 0x48, 0x0f, 0xae, 0xcb);
    assert_int_equal(RBX, 0x1234);
    RAX = 1ull << 60;
    FAULTS(X86_GP, 0, 0xf3, 0x48, 0x0f, 0xae, 0xd0);
}

static void test_random(void **state)
{
    (void)state;
    long_user();
    uint64_t seen = 0;
    for (unsigned i = 0; i < 8; i++) {
        DOES(0x48, 0x0f, 0xc7, 0xf0); /* rdrand rax */
        assert_int_equal(x86_eflags_get(S) & X86_EFLAGS_CONDITIONS, X86_EFLAGS_CF);
        seen |= RAX;
    }
    assert_true(seen >> 32 != 0);
    DOES(0x0f, 0xc7, 0xf8); /* rdseed eax */
    around_init("max,-rdrand,-rdseed");
    FAULTS(X86_UD, -1, 0x48, 0x0f, 0xc7, 0xf0);
    FAULTS(X86_UD, -1, 0x0f, 0xc7, 0xf8);
}

/* Segments' limits and rights, and canonical addresses, of memory operands. */
static void test_operands(void **state)
{
    (void)state;
    machine_user();
    around_init("max");
    machine_segment(X86_DS, DATA3_16);
    S->segment[X86_DS].limit = 0x5003;
    RAX = 0x5000;
    DOES(0x0f, 0x00, 0x08); /* str [eax] */
    RAX = 0x5003;
    FAULTS(X86_GP, 0, 0x0f, 0x00, 0x08);
    S->gpr[X86_RBP] = 0x5000;
    S->segment[X86_SS].limit = 0x4fff;
    FAULTS(X86_SS_FAULT, 0, 0x0f, 0x00, 0x4d, 0x00);
    RAX = 0x4000;
    FAULTS(X86_GP, 0, 0x2e, 0x0f, 0x00, 0x08); /* to the code segment */
    x86_segment_set_null(S, X86_ES, 0);
    FAULTS(X86_GP, 0, 0x26, 0x0f, 0x00, 0x08);
    long_mode();
    RAX = 1ull << 47;
    FAULTS(X86_GP, 0, 0x0f, 0x00, 0x08);
    S->gpr[X86_RBP] = 1ull << 47;
    FAULTS(X86_SS_FAULT, 0, 0x0f, 0x00, 0x4d, 0x00);
    RAX = 0x10000;
    FAULTS(X86_PF, X86_PF_WRITE, 0x0f, 0x00, 0x08);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cr0),
        cmocka_unit_test(test_enter_long_mode),
        cmocka_unit_test(test_cr3_cr4),
        cmocka_unit_test(test_pdptes),
        cmocka_unit_test(test_task_switch),
        cmocka_unit_test(test_debug),
        cmocka_unit_test(test_msrs),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_cpuid),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_task_register),
        cmocka_unit_test(test_segment_moves),
        cmocka_unit_test(test_descriptor_checks),
        cmocka_unit_test(test_system_calls),
        cmocka_unit_test(test_interrupts),
        cmocka_unit_test(test_interrupt_flag),
        cmocka_unit_test(test_pushf),
        cmocka_unit_test(test_bound_enter),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_port_bitmap),
        cmocka_unit_test(test_port_strings),
        cmocka_unit_test(test_hypercalls),
        cmocka_unit_test(test_hypercalls_of_32_bits),
        cmocka_unit_test(test_no_hypercalls),
        cmocka_unit_test(test_group7),
        cmocka_unit_test(test_fsgsbase),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_operands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
