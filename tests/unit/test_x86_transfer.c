// SPDX-License-Identifier: GPL-2.0-or-later
/* x86 far transfers, IRET and fast system calls against the rules of Intel's manual, volumes 2 and 3. */
#include "x86_machine.h"

#include "arch/x86/transfer.h"

enum { GATE = FREE, TARGET = 0x12345678, ONE = X86_EFLAGS_ONE };

static void at(uint16_t code, uint64_t rip)
{
    assert_int_equal(S->segment[X86_CS].selector, code);
    assert_true(S->rip == rip);
}

static void stack_at(uint16_t selector, uint64_t rsp)
{
    assert_int_equal(S->segment[X86_SS].selector, selector);
    assert_true(S->gpr[X86_RSP] == rsp);
}

/* -- real-address and virtual-8086 mode -------------------------------------------------------------------
 */

static void test_real(void **state)
{
    (void)state;
    machine_real();
    WORKS(x86_far_jump(CORE, 0x123, 0x56784321, 2));
    at(0x123, 0x4321);
    assert_int_equal(S->segment_base[X86_CS], 0x1230);
    RAISES(x86_far_jump(CORE, 0x123, 0x10000, 4), X86_GP, -1);
    WORKS(x86_far_call(CORE, 0x45, 0x6789, 2));
    at(0x45, 0x6789);
    stack_at(0, STACK - 4);
    STACK_IS(2, 0x4321, 0x123);
    RAISES(x86_far_call(CORE, 0x123, 0x10000, 4), X86_GP, -1);
    WORKS(x86_far_return(CORE, 2, 6));
    at(0x123, 0x4321);
    stack_at(0, STACK + 6);
    POPS(4, 0x10000, 0x123, 0);
    RAISES(x86_far_return(CORE, 4, 0), X86_GP, -1);
    RAISES(x86_iret(CORE, 4), X86_GP, -1);
}

static void test_real_iret(void **state)
{
    (void)state;
    machine_real();
    POPS(2, 0x1111, 0x222, 0xffff);
    x86_eflags_set(S, X86_EFLAGS_AC);
    WORKS(x86_iret(CORE, 2));
    at(0x222, 0x1111);
    stack_at(0, STACK + 6);
    assert_int_equal(x86_eflags_get(S), 0x47fd7);
    S->gpr[X86_RSP] = STACK;
    POPS(4, 0x1111, 0x222, 0xffffffff);
    x86_eflags_set(S, 0);
    WORKS(x86_iret(CORE, 4));
    assert_int_equal(x86_eflags_get(S), 0x257fd7);
    S->gpr[X86_RSP] = STACK;
    POPS(4, 0x1111, 0x222, 0);
    x86_eflags_set(S, X86_EFLAGS_ALL & ~X86_EFLAGS_VM);
    WORKS(x86_iret(CORE, 4));
    assert_int_equal(x86_eflags_get(S), 0x180000 | ONE);
}

static void test_vm86(void **state)
{
    (void)state;
    machine_vm86();
    WORKS(x86_far_jump(CORE, 0x123, 0x4321, 2));
    at(0x123, 0x4321);
    assert_int_equal(S->segment[X86_CS].attributes, 0xf3);
    RAISES(x86_far_jump(CORE, 0x123, 0x10000, 4), X86_GP, 0);
    WORKS(x86_far_call(CORE, 8, 0x6789, 4));
    STACK_IS(4, 0x4321, 0x123);
    WORKS(x86_far_return(CORE, 4, 0));
    at(0x123, 0x4321);
    POPS(4, 0x1111, 0x222, 0xffffffff & ~(X86_EFLAGS_VM | X86_EFLAGS_IOPL));
    WORKS(x86_iret(CORE, 4));
    at(0x222, 0x1111);
    assert_int_equal(x86_eflags_get(S), 0x257fd7 | X86_EFLAGS_VM); /* as are VM and IOPL */
    S->eflags_system &= ~(uint64_t)(1 << 12);
    RAISES(x86_iret(CORE, 4), X86_GP, 0);
    RAISES(x86_iret(CORE, 2), X86_GP, 0);
}

/* -- code segments --------------------------------------------------------------------------------------- */

static void test_jump(void **state)
{
    (void)state;
    machine_protected();
    gdt_put(FREE, descriptor(0x700, 0xfff, A_SEGMENT | X86_SEGMENT_CODE));
    WORKS(x86_far_jump(CORE, FREE, 0xfff, 4));
    at(FREE, 0xfff);
    assert_int_equal(S->segment_base[X86_CS], 0x700);
    assert_true(gdt_accessed(FREE));
    RAISES(x86_far_jump(CORE, FREE, 0x1000, 4), X86_GP, 0);
    WORKS(x86_far_jump(CORE, CONFORMING0 | 3, TARGET, 4)); /* RPL does not count */
    at(CONFORMING0, TARGET);
    WORKS(x86_far_jump(CORE, CODE16, TARGET, 2));
    at(CODE16, TARGET & 0xffff);
    machine_user();
    WORKS(x86_far_jump(CORE, CODE3 & ~3, TARGET, 4));
    at(CODE3, TARGET);
    WORKS(x86_far_jump(CORE, CONFORMING0, TARGET, 4));
    at(CONFORMING0 | 3, TARGET);
    assert_int_equal(x86_cpl(S), 3);
}

static void refused_by_both(uint16_t selector, int vector, int error)
{
    RAISES(x86_far_jump(CORE, selector, TARGET, 4), vector, error);
    RAISES(x86_far_call(CORE, selector, TARGET, 4), vector, error);
}

static void test_code_refused(void **state)
{
    (void)state;
    machine_protected();
    refused_by_both(0, X86_GP, 0);
    refused_by_both(3, X86_GP, 0);
    refused_by_both(TABLE_LIMIT + 1, X86_GP, TABLE_LIMIT + 1);
    refused_by_both(DATA0, X86_GP, DATA0);
    refused_by_both(LOCAL, X86_GP, LOCAL);
    refused_by_both(TASK, X86_GP, TASK);
    refused_by_both(CODE3, X86_GP, CODE3 & ~3);
    refused_by_both(CODE0 | 1, X86_GP, CODE0);
    refused_by_both(CONFORMING3, X86_GP, CONFORMING3 & ~3);
    refused_by_both(ABSENT_CODE0, X86_NP_FAULT, ABSENT_CODE0);
    refused_by_both(CODE16, X86_GP, 0); /* TARGET is behind its limit */
    machine_user();
    refused_by_both(CODE0, X86_GP, CODE0);
    machine_long();
    refused_by_both(CODE_D_L, X86_GP, CODE_D_L);
    RAISES(x86_far_jump(CORE, CODE64, 1ull << 47, 8), X86_GP, 0);
    RAISES(x86_far_jump(CORE, CODE0, 1ull << 32, 8), X86_GP, 0);
}

static void test_call(void **state)
{
    (void)state;
    machine_protected();
    WORKS(x86_far_call(CORE, CONFORMING0, TARGET, 4));
    at(CONFORMING0, TARGET);
    stack_at(DATA0, STACK - 8);
    STACK_IS(4, RIP, CODE0);
    WORKS(x86_far_return(CORE, 4, 8));
    at(CODE0, RIP);
    stack_at(DATA0, STACK + 8);
    WORKS(x86_far_call(CORE, CODE16, 0x89abcdef, 2));
    at(CODE16, 0xcdef);
    STACK_IS(2, RIP, CODE0);
    S->gpr[X86_RSP] = ABSENT + 8;
    RAISES(x86_far_call(CORE, CODE0, TARGET, 4), X86_PF, X86_PF_WRITE);
}

static void test_long(void **state)
{
    (void)state;
    machine_long();
    WORKS(x86_far_call(CORE, CONFORMING64, 0xffff800000001000, 8));
    at(CONFORMING64, 0xffff800000001000);
    STACK_IS(8, RIP, CODE64);
    WORKS(x86_far_jump(CORE, CODE0, 0xfffffff0, 8)); /* into compatibility mode */
    at(CODE0, 0xfffffff0);
    WORKS(x86_far_jump(CORE, CODE64, 0xfffffff0, 4)); /* and back */
    at(CODE64, 0xfffffff0);
    S->gpr[X86_RSP] = 0x0000800000000010;
    RAISES(x86_far_call(CORE, CODE64, 0, 8), X86_SS_FAULT, 0);
}

/* -- call gates ------------------------------------------------------------------------------------------ */

static void test_gate_same(void **state)
{
    (void)state;
    machine_protected();
    gdt_put(GATE, gate_low(CODE0 | 3, TARGET, X86_TYPE_CALL_GATE, 0, 4));
    WORKS(x86_far_call(CORE, GATE, 0xdead, 4));
    at(CODE0, TARGET);
    stack_at(DATA0, STACK - 8); /* no parameters are copied */
    STACK_IS(4, RIP, CODE0);
    WORKS(x86_far_jump(CORE, GATE, 0xdead, 4));
    at(CODE0, TARGET);
    stack_at(DATA0, STACK - 8);
    machine_user();
    gdt_put(GATE, gate_low(CONFORMING0, TARGET, X86_TYPE_CALL_GATE16, 3, 4));
    WORKS(x86_far_call(CORE, GATE | 3, 0xdead, 4));
    at(CONFORMING0 | 3, TARGET & 0xffff);
    stack_at(DATA3, STACK - 4);
    STACK_IS(2, RIP, CODE3);
    WORKS(x86_far_jump(CORE, GATE | 3, 0xdead, 4));
    at(CONFORMING0 | 3, TARGET & 0xffff);
}

static void test_gate_inner(void **state)
{
    (void)state;
    machine_user();
    POPS(4, 0x11111111, 0x22222222, 0x33333333);
    gdt_put(GATE, gate_low(CODE0, TARGET, X86_TYPE_CALL_GATE, 3, 3));
    WORKS(x86_far_call(CORE, GATE, 0, 4));
    at(CODE0, TARGET);
    stack_at(DATA0, STACK0 - 28);
    STACK_IS(4, RIP, CODE3, 0x11111111, 0x22222222, 0x33333333, STACK, DATA3);
    assert_int_equal(x86_cpl(S), 0);
    WORKS(x86_far_return(CORE, 4, 12));
    at(CODE3, RIP);
    stack_at(DATA3, STACK + 12);
    assert_int_equal(x86_cpl(S), 3);
    /* 16 bits, 31 parameters, privilege 1 */
    gdt_put(GATE, gate_low(CODE1, TARGET, X86_TYPE_CALL_GATE16, 3, 31));
    WORKS(x86_far_call(CORE, GATE, 0, 2));
    at(CODE1, TARGET & 0xffff);
    stack_at(DATA1, STACK1 - 8 - 62);
    for (unsigned i = 0; i < 31; i++)
        assert_int_equal(memory_get(STACK1 - 66 + 2 * i, 2), memory_get(STACK + 12 + 2 * i, 2));
}

static void test_gate_refused(void **state)
{
    (void)state;
    machine_user();
    gdt_put(GATE, gate_low(CODE0, TARGET, X86_TYPE_CALL_GATE, 2, 0));
    refused_by_both(GATE, X86_GP, GATE);
    machine_protected();
    refused_by_both(GATE | 3, X86_GP, GATE);
    machine_user();
    gdt_put(GATE, gate_low(CODE0, TARGET, X86_TYPE_CALL_GATE, 3, 0));
    RAISES(x86_far_jump(CORE, GATE, 0, 4), X86_GP, CODE0); /* a jump does not go inward */
    gdt_change(GATE, A_PRESENT, 0);
    refused_by_both(GATE, X86_NP_FAULT, GATE);
    static const struct {
        uint16_t selector;
        uint8_t vector;
        uint16_t error;
    } cases[] = {
        {3, X86_GP, 0},
        {DATA0, X86_GP, DATA0},
        {TASK, X86_GP, TASK},
        {TABLE_LIMIT + 3, X86_GP, TABLE_LIMIT + 1},
        {FREE + 8, X86_NP_FAULT, FREE + 8},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gdt_put(FREE + 8, descriptor(0, ~0u, (A_CODE & ~A_PRESENT) | A_DPL(3)));
        gdt_put(GATE, gate_low(cases[i].selector, TARGET, X86_TYPE_CALL_GATE, 3, 0));
        refused_by_both(GATE, cases[i].vector, cases[i].error);
    }
    machine_protected(); /* outward */
    gdt_put(GATE, gate_low(CODE3, TARGET, X86_TYPE_CALL_GATE, 3, 0));
    refused_by_both(GATE, X86_GP, CODE3 & ~3);
    gdt_put(GATE, gate_low(CODE16, TARGET, X86_TYPE_CALL_GATE, 3, 0));
    refused_by_both(GATE, X86_GP, 0);
}

static void test_gate_stack_refused(void **state)
{
    (void)state;
    machine_user();
    gdt_put(GATE, gate_low(CODE0, TARGET, X86_TYPE_CALL_GATE, 3, 1));
    memory_put(TSS + 8, 2, DATA3);
    RAISES(x86_far_call(CORE, GATE, 0, 4), X86_TS, DATA3 & ~3);
    memory_put(TSS + 8, 2, ABSENT_DATA0);
    RAISES(x86_far_call(CORE, GATE, 0, 4), X86_SS_FAULT, ABSENT_DATA0);
    memory_put(TSS + 8, 2, DATA0);
    S->gpr[X86_RSP] = ABSENT; /* parameters are read as the program */
    RAISES(x86_far_call(CORE, GATE, 0, 4), X86_PF, X86_PF_USER);
    S->gpr[X86_RSP] = STACK;
    memory_put(TSS + 4, 4, ABSENT + 16); /* and written as supervisor */
    RAISES(x86_far_call(CORE, GATE, 0, 4), X86_PF, X86_PF_WRITE);
    S->tr.limit = 8;
    RAISES(x86_far_call(CORE, GATE, 0, 4), X86_TS, TASK);
}

static void test_gate_long(void **state)
{
    (void)state;
    machine_long_user();
    gdt_put(GATE, gate_low(CODE64, TARGET, X86_TYPE_CALL_GATE, 3, 5));
    gdt_put(GATE + 8, 0xffff8000);
    WORKS(x86_far_call(CORE, GATE | 3, 0, 4));
    at(CODE64, 0xffff800000000000 | TARGET);
    stack_at(0, STACK0 - 32);
    STACK_IS(8, RIP, CODE64_3, STACK, DATA3);
    assert_int_equal(x86_cpl(S), 0);
    WORKS(x86_far_return(CORE, 8, 0));
    at(CODE64_3, RIP);
    stack_at(DATA3, STACK);
    RAISES(x86_far_jump(CORE, GATE | 3, 0, 4), X86_GP, CODE64);

    WORKS(x86_load_ldtr(CORE, LOCAL)); /* the LDT may have them */
    memory_put(LDT + 8, 8, gdt_get(GATE));
    memory_put(LDT + 16, 8, 0);
    WORKS(x86_far_call(CORE, 8 | 4 | 3, 0, 4));
    at(CODE64, TARGET);

    machine_long_user();
    gdt_put(GATE, gate_low(CODE64, TARGET, X86_TYPE_CALL_GATE, 3, 0));
    gdt_put(GATE + 8, 0x8000); /* not canonical */
    RAISES(x86_far_call(CORE, GATE, 0, 4), X86_GP, 0);
    gdt_put(GATE + 8, 0x1full << 40);
    refused_by_both(GATE, X86_GP, GATE);
    gdt_put(GATE + 8, 0);
    gdt_put(GATE, gate_low(CODE0, TARGET, X86_TYPE_CALL_GATE, 3, 0));
    refused_by_both(GATE, X86_GP, CODE0);
    gdt_put(GATE, gate_low(CODE64, TARGET, X86_TYPE_CALL_GATE16, 3, 0));
    refused_by_both(GATE, X86_GP, GATE);
    gdt_put(GATE, gate_low(OTHER_TASK, TARGET, X86_TYPE_TASK_GATE, 3, 0));
    refused_by_both(GATE, X86_GP, GATE);
}

/* -- far returns ----------------------------------------------------------------------------------------- */

static void test_return_outer(void **state)
{
    (void)state;
    machine_protected();
    machine_segment(X86_ES, DATA3);
    machine_segment(X86_GS, CONFORMING0);
    POPS(4, TARGET, CODE3, 0, 0, 0x7700, DATA3);
    WORKS(x86_far_return(CORE, 4, 8));
    at(CODE3, TARGET);
    stack_at(DATA3, 0x7708);
    assert_int_equal(S->segment[X86_DS].selector, 0);
    assert_int_equal(S->segment[X86_FS].selector, 0);
    assert_int_equal(S->segment[X86_ES].selector, DATA3);
    assert_int_equal(S->segment[X86_GS].selector, CONFORMING0);
    assert_int_equal(x86_cpl(S), 3);
    /* To a stack of 16 bits only SP is set. */
    machine_protected();
    S->gpr[X86_RSP] = STACK;
    POPS(4, TARGET, CODE3, 0x12347700, DATA3_16);
    WORKS(x86_far_return(CORE, 4, 0));
    stack_at(DATA3_16, 0x7700);
}

static void test_return_refused(void **state)
{
    static const struct {
        uint16_t code, stack;
        uint8_t vector;
        uint16_t error;
    } cases[] = {
        {0, 0, X86_GP, 0},
        {3, 0, X86_GP, 0},
        {TABLE_LIMIT + 1, 0, X86_GP, TABLE_LIMIT + 1},
        {DATA0, 0, X86_GP, DATA0},
        {CODE0 | 3, DATA3, X86_GP, CODE0},
        {CODE3 & ~3, 0, X86_GP, CODE3 & ~3},
        {CONFORMING3 & ~3, 0, X86_GP, CONFORMING3 & ~3},
        {ABSENT_CODE0, 0, X86_NP_FAULT, ABSENT_CODE0},
        {CODE16, 0, X86_GP, 0}, /* the limit */
        {CODE3, 0, X86_GP, 0},
        {CODE3, DATA0, X86_GP, DATA0},
        {CODE3, DATA3 & ~3, X86_GP, DATA3 & ~3},
        {CODE3, CODE3, X86_GP, CODE3 & ~3},
        {CODE3, FREE | 3, X86_SS_FAULT, FREE},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        machine_protected();
        gdt_put(FREE, descriptor(0, ~0u, (A_DATA & ~A_PRESENT) | A_DPL(3)));
        POPS(4, TARGET, cases[i].code, STACK, cases[i].stack);
        RAISES(x86_far_return(CORE, 4, 0), cases[i].vector, cases[i].error);
        POPS(4, TARGET, cases[i].code, ONE, STACK, cases[i].stack);
        RAISES(x86_iret(CORE, 4), cases[i].vector, cases[i].error);
    }
    machine_user(); /* inward */
    POPS(4, TARGET, CODE0, 0);
    RAISES(x86_far_return(CORE, 4, 0), X86_GP, CODE0);
    RAISES(x86_iret(CORE, 4), X86_GP, CODE0);
    machine_protected();
    S->gpr[X86_RSP] = ABSENT - 8;
    POPS(4, TARGET, CODE3);
    RAISES(x86_far_return(CORE, 4, 0), X86_PF, 0);
    RAISES(x86_iret(CORE, 4), X86_PF, 0);
}

/* -- IRET ------------------------------------------------------------------------------------------------ */

static void test_iret_same(void **state)
{
    (void)state;
    machine_protected();
    POPS(4, TARGET, CODE0, 0xffffffff & ~(X86_EFLAGS_VM));
    WORKS(x86_iret(CORE, 4));
    at(CODE0, TARGET);
    stack_at(DATA0, STACK + 12);
    assert_int_equal(x86_eflags_get(S), X86_EFLAGS_ALL & ~X86_EFLAGS_VM);
    machine_protected();
    POPS(2, 0x1111, CODE0, 0xffff);
    WORKS(x86_iret(CORE, 2));
    at(CODE0, 0x1111);
    stack_at(DATA0, STACK + 6);
    assert_int_equal(x86_eflags_get(S), 0x7fd7);
}

/* Which flags a program may change, by IOPL. */
static void test_iret_flags(void **state)
{
    (void)state;
    for (unsigned iopl = 0; iopl < 4; iopl++) {
        machine_user();
        x86_eflags_set(S, iopl << 12);
        POPS(4, TARGET, CODE3, 0xffffffff);
        WORKS(x86_iret(CORE, 4));
        const unsigned changed = X86_EFLAGS_USER | X86_EFLAGS_RF | (iopl == 3 ? X86_EFLAGS_IF : 0);
        assert_int_equal(x86_eflags_get(S), changed | ONE | iopl << 12);
        x86_eflags_set(S, (X86_EFLAGS_ALL & ~(X86_EFLAGS_VM | X86_EFLAGS_NT | X86_EFLAGS_IOPL)) | iopl << 12);
        const uint64_t before = x86_eflags_get(S);
        S->gpr[X86_RSP] = STACK;
        POPS(4, TARGET, CODE3, 0);
        WORKS(x86_iret(CORE, 4));
        assert_int_equal(x86_eflags_get(S), (before & ~(uint64_t)changed) | ONE);
    }
}

static void test_iret_outer(void **state)
{
    (void)state;
    machine_protected();
    POPS(4, TARGET, CODE3, X86_EFLAGS_IOPL | X86_EFLAGS_IF, 0x7700, DATA3);
    WORKS(x86_iret(CORE, 4));
    at(CODE3, TARGET);
    stack_at(DATA3, 0x7700);
    /* The flags are those that privilege 0 may change. */
    assert_int_equal(x86_eflags_get(S), X86_EFLAGS_IOPL | X86_EFLAGS_IF | ONE);
    assert_int_equal(S->segment[X86_DS].selector, 0);
    assert_int_equal(x86_cpl(S), 3);
}

static void test_iret_to_vm86(void **state)
{
    (void)state;
    machine_protected();
    const uint64_t flags = X86_EFLAGS_VM | X86_EFLAGS_RF | X86_EFLAGS_IF | X86_EFLAGS_IOPL;
    POPS(4, 0x1111, 0x222, flags | 0xffc08028, 0x7700, 0x333, 0x444, 0x555, 0x666, 0x777);
    WORKS(x86_iret(CORE, 4));
    at(0x222, 0x1111);
    stack_at(0x333, 0x7700);
    assert_int_equal(x86_eflags_get(S), flags | ONE);
    assert_int_equal(S->segment[X86_ES].selector, 0x444);
    assert_int_equal(S->segment[X86_DS].selector, 0x555);
    assert_int_equal(S->segment[X86_FS].selector, 0x666);
    assert_int_equal(S->segment[X86_GS].selector, 0x777);
    assert_int_equal(S->segment_base[X86_GS], 0x7770);
    assert_int_equal(S->segment[X86_SS].attributes, 0xf3);
    assert_int_equal(S->segment[X86_SS].limit, 0xffff);
    machine_protected();
    POPS(4, 0x10000, 0x222, flags, 0x7700, 0x333, 0, 0, 0, 0);
    RAISES(x86_iret(CORE, 4), X86_GP, 0);
    machine_user(); /* VM is not theirs */
    POPS(4, TARGET, CODE3, flags);
    WORKS(x86_iret(CORE, 4));
    at(CODE3, TARGET);
    assert_false(x86_vm86(S));
}

static void test_iret_long(void **state)
{
    (void)state;
    machine_long();
    S->segment[X86_FS] = (struct x86_segment_register){0};
    S->segment_base[X86_FS] = 0x7fff12345678;
    POPS(8, 0x7fffffff0000, CODE64_3, X86_EFLAGS_VM | X86_EFLAGS_IF, 0x7fff00000008, DATA3);
    WORKS(x86_iret(CORE, 8));
    at(CODE64_3, 0x7fffffff0000);
    stack_at(DATA3, 0x7fff00000008);
    assert_int_equal(x86_eflags_get(S), X86_EFLAGS_IF | ONE);
    assert_true(S->segment_base[X86_FS] == 0x7fff12345678);
    assert_int_equal(x86_cpl(S), 3);
    /* To the same privilege the stack is popped as well; a null SS will do. */
    machine_long();
    POPS(8, TARGET, CODE64, 0, 0xffff880000000000, 0);
    WORKS(x86_iret(CORE, 8));
    at(CODE64, TARGET);
    stack_at(0, 0xffff880000000000);
    assert_int_equal(x86_cpl(S), 0);
    /* With 32-bit operands */
    machine_long();
    POPS(4, TARGET, CODE64, 0, STACK, DATA0);
    WORKS(x86_iret(CORE, 4));
    stack_at(DATA0, STACK);
}

/* A kernel stack's upper half does not get into a program's ESP. */
static void test_iret_to_compatible(void **state)
{
    (void)state;
    machine_long();
    S->gpr[X86_RSP] = UPPER_HALF + 0x6000;
    POPS(8, 0x8048000, CODE3, 0, 0xabcdef0187654320, DATA3);
    WORKS(x86_iret(CORE, 8));
    at(CODE3, 0x8048000);
    stack_at(DATA3, 0x87654320);
    machine_long();
    S->gpr[X86_RSP] = UPPER_HALF + 0x6000;
    POPS(8, 0x8048000, CODE3, 0, 0x12345678, DATA3_16);
    WORKS(x86_iret(CORE, 8));
    stack_at(DATA3_16, 0x5678);
}

static void test_iret_long_refused(void **state)
{
    static const struct {
        uint64_t rip;
        uint16_t code, stack;
        uint16_t error;
    } cases[] = {
        {1ull << 47, CODE64, DATA0, 0},
        {TARGET, CODE64, 3, 0},   /* a null SS of another privilege */
        {TARGET, CODE64_3, 3, 0}, /* and privilege 3 has none */
        {TARGET, CODE64_3, 0, 0},
        {TARGET, CODE0, 0, 0}, /* nor has compatibility mode */
        {TARGET, CODE_D_L, DATA0, CODE_D_L},
        {1ull << 32, CODE3, DATA3, 0},
        {TARGET, CODE64, DATA3, DATA3 & ~3},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        machine_long();
        POPS(8, cases[i].rip, cases[i].code, 0, STACK, cases[i].stack);
        RAISES(x86_iret(CORE, 8), X86_GP, cases[i].error);
    }
    machine_long();
    S->eflags_system |= X86_EFLAGS_NT;
    POPS(8, TARGET, CODE64, 0, STACK, DATA0);
    RAISES(x86_iret(CORE, 8), X86_GP, 0);
    machine_long();
    S->gpr[X86_RSP] = 1ull << 47;
    RAISES(x86_iret(CORE, 8), X86_SS_FAULT, 0);
    RAISES(x86_far_return(CORE, 8, 0), X86_SS_FAULT, 0);
}

/* -- fast system calls ----------------------------------------------------------------------------------- */

static void flat(enum x86_segment segment, unsigned attributes)
{
    assert_int_equal(S->segment[segment].attributes,
                     attributes | X86_SEGMENT_ACCESSED | X86_SEGMENT_GRANULAR);
    assert_int_equal(S->segment[segment].limit, 0xffffffff);
    assert_int_equal(S->segment_base[segment], 0);
}

static void test_syscall(void **state)
{
    (void)state;
    machine_long_user();
    S->star = 0x0023001300000000;
    S->lstar = 0xffffffff80001000;
    S->cstar = 0xffffffff80002000;
    S->sfmask = X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_CF | X86_EFLAGS_DF;
    x86_eflags_set(S, X86_EFLAGS_IF | X86_EFLAGS_CF | X86_EFLAGS_ZF | X86_EFLAGS_DF);
    const uint64_t flags = x86_eflags_get(S);
    WORKS(x86_syscall(CORE));
    at(0x10, 0xffffffff80001000);
    stack_at(0x1b, STACK);
    assert_int_equal(S->gpr[X86_RCX], RIP);
    assert_int_equal(S->gpr[11], flags);
    assert_int_equal(x86_eflags_get(S), X86_EFLAGS_ZF | ONE);
    assert_int_equal(x86_cpl(S), 0); /* whatever the RPL in STAR */
    flat(X86_CS, A_CODE64);
    flat(X86_SS, A_DATA);

    WORKS(x86_sysret(CORE, true));
    at(0x33, RIP);
    stack_at(0x2b, STACK);
    assert_int_equal(x86_eflags_get(S), flags);
    assert_int_equal(x86_cpl(S), 3);
    flat(X86_CS, A_CODE64 | A_DPL(3));
    flat(X86_SS, A_DATA | A_DPL(3));

    machine_compatible_user();
    S->star = 0x0023001000000000;
    S->cstar = 0xffffffff80002000;
    WORKS(x86_syscall(CORE));
    at(0x10, 0xffffffff80002000);
    S->gpr[X86_RCX] = 0xffffffff08048000;
    S->gpr[11] = ~0ull;
    WORKS(x86_sysret(CORE, false));
    at(0x23, 0x08048000);
    assert_int_equal(x86_eflags_get(S), 0x3c7fd7); /* not RF, not VM */
    flat(X86_CS, A_CODE | A_DPL(3));
}

static void test_syscall_refused(void **state)
{
    (void)state;
    machine_long_user();
    S->efer &= ~(uint64_t)X86_EFER_SCE;
    RAISES(x86_syscall(CORE), X86_UD, -1);
    RAISES(x86_sysret(CORE, true), X86_UD, -1);
    machine_long_user();
    RAISES(x86_sysret(CORE, true), X86_GP, 0);
    machine_long();
    S->gpr[X86_RCX] = 1ull << 47;
    RAISES(x86_sysret(CORE, true), X86_GP, 0);
    machine_real();
    S->efer = X86_EFER_SCE;
    RAISES(x86_syscall(CORE), X86_UD, -1);
}

static void test_sysenter(void **state)
{
    (void)state;
    machine_user();
    S->sysenter_cs = 0x63;
    S->sysenter_esp = 0xffff800000006000;
    S->sysenter_eip = 0xffff800012340000;
    x86_eflags_set(S, X86_EFLAGS_IF | X86_EFLAGS_CF);
    WORKS(x86_sysenter(CORE));
    at(0x60, 0x12340000);
    stack_at(0x68, 0x6000);
    assert_int_equal(x86_eflags_get(S), X86_EFLAGS_CF | ONE);
    assert_int_equal(x86_cpl(S), 0);
    flat(X86_CS, A_CODE);
    flat(X86_SS, A_DATA);
    S->gpr[X86_RDX] = TARGET;
    S->gpr[X86_RCX] = 0x7700;
    WORKS(x86_sysexit(CORE, false));
    at(0x73, TARGET);
    stack_at(0x7b, 0x7700);
    assert_int_equal(x86_cpl(S), 3);
    flat(X86_CS, A_CODE | A_DPL(3));
    flat(X86_SS, A_DATA | A_DPL(3));

    machine_vm86();
    S->sysenter_cs = 0x60;
    WORKS(x86_sysenter(CORE));
    assert_false(x86_vm86(S));

    machine_long_user();
    S->sysenter_cs = 0x60;
    S->sysenter_esp = 0xffff800000006000;
    S->sysenter_eip = 0xffff800012340000;
    WORKS(x86_sysenter(CORE));
    at(0x60, 0xffff800012340000);
    stack_at(0x68, 0xffff800000006000);
    flat(X86_CS, A_CODE64);
    S->gpr[X86_RDX] = 0x7fff00000000;
    S->gpr[X86_RCX] = 0x7fff00001000;
    WORKS(x86_sysexit(CORE, true));
    at(0x83, 0x7fff00000000);
    stack_at(0x8b, 0x7fff00001000);
    flat(X86_CS, A_CODE64 | A_DPL(3));
}

static void test_sysenter_refused(void **state)
{
    (void)state;
    machine_user();
    S->sysenter_cs = 3;
    RAISES(x86_sysenter(CORE), X86_GP, 0);
    S->sysenter_cs = 0x60;
    RAISES(x86_sysexit(CORE, false), X86_GP, 0);
    machine_long();
    RAISES(x86_sysexit(CORE, false), X86_GP, 0);
    S->sysenter_cs = 0x60;
    S->gpr[X86_RDX] = 1ull << 47;
    RAISES(x86_sysexit(CORE, true), X86_GP, 0);
    S->gpr[X86_RDX] = 0;
    S->gpr[X86_RCX] = 1ull << 47;
    RAISES(x86_sysexit(CORE, true), X86_GP, 0);
    machine_real();
    S->sysenter_cs = 0x60;
    RAISES(x86_sysenter(CORE), X86_GP, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real),
        cmocka_unit_test(test_real_iret),
        cmocka_unit_test(test_vm86),
        cmocka_unit_test(test_jump),
        cmocka_unit_test(test_code_refused),
        cmocka_unit_test(test_call),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_gate_same),
        cmocka_unit_test(test_gate_inner),
        cmocka_unit_test(test_gate_refused),
        cmocka_unit_test(test_gate_stack_refused),
        cmocka_unit_test(test_gate_long),
        cmocka_unit_test(test_return_outer),
        cmocka_unit_test(test_return_refused),
        cmocka_unit_test(test_iret_same),
        cmocka_unit_test(test_iret_flags),
        cmocka_unit_test(test_iret_outer),
        cmocka_unit_test(test_iret_to_vm86),
        cmocka_unit_test(test_iret_long),
        cmocka_unit_test(test_iret_to_compatible),
        cmocka_unit_test(test_iret_long_refused),
        cmocka_unit_test(test_syscall),
        cmocka_unit_test(test_syscall_refused),
        cmocka_unit_test(test_sysenter),
        cmocka_unit_test(test_sysenter_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
