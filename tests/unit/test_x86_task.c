// SPDX-License-Identifier: GPL-2.0-or-later
/* x86 task switches against the rules of Intel's manual, volume 3, chapter 7. */
#include "x86_machine.h"

#include "arch/x86/interrupt.h"
#include "arch/x86/task.h"
#include "arch/x86/transfer.h"

/* Offsets in a TSS: figure 7-2. */
enum { CR3 = 0x1c, EIP = 0x20, EFLAGS = 0x24, EAX = 0x28, ES = 0x48, LDT_FIELD = 0x60, TRAP = 0x64 };
/* ... and figure 7-10. */
enum { IP_16 = 0x0e, FLAGS_16 = 0x10, AX_16 = 0x12, ES_16 = 0x22, LDT_16 = 0x2a };

enum { NEW_RIP = 0x5678, NEW_STACK = 0x7800, VECTOR = 0x40, GATE = FREE };

static void fill_task(uint16_t code, uint16_t data)
{
    memory_put(OTHER_TSS + CR3, 4, 0x9000);
    memory_put(OTHER_TSS + EIP, 4, NEW_RIP);
    memory_put(OTHER_TSS + EFLAGS, 4, 0xffc08002 | X86_EFLAGS_ZF | X86_EFLAGS_IF); /* reserved bits, too */
    for (unsigned i = 0; i < 8; i++)
        memory_put(OTHER_TSS + EAX + 4 * i, 4, i == X86_RSP ? NEW_STACK : 0xa0000000 + i);
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        memory_put(OTHER_TSS + ES + 4 * i, 4, i == X86_CS ? code : data);
    memory_put(OTHER_TSS + LDT_FIELD, 2, LOCAL);
}

static void fill_task16(void)
{
    memory_put(OTHER_TSS16 + IP_16, 2, NEW_RIP);
    memory_put(OTHER_TSS16 + FLAGS_16, 2, X86_EFLAGS_ONE | X86_EFLAGS_SF);
    for (unsigned i = 0; i < 8; i++)
        memory_put(OTHER_TSS16 + AX_16 + 2 * i, 2, i == X86_RSP ? NEW_STACK : 0xa000 + i);
    for (unsigned i = 0; i < 4; i++)
        memory_put(OTHER_TSS16 + ES_16 + 2 * i, 2, i == X86_CS ? CODE16 : DATA16);
}

static void machine_tasks(void)
{
    machine_protected();
    fill_task(CODE0, DATA0);
    fill_task16();
    for (unsigned i = 0; i < 8; i++)
        if (i != X86_RSP)
            S->gpr[i] = 0x01010101 * (i + 1);
    x86_eflags_set(S, X86_EFLAGS_ONE | X86_EFLAGS_CF);
}

static void check_saved(uint64_t eflags)
{
    assert_int_equal(memory_get(TSS + EIP, 4), RIP);
    assert_int_equal(memory_get(TSS + EFLAGS, 4), eflags);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(memory_get(TSS + EAX + 4 * i, 4), i == X86_RSP ? STACK : 0x01010101 * (i + 1));
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        assert_int_equal(memory_get(TSS + ES + 4 * i, 4), i == X86_CS ? CODE0 : DATA0);
    assert_int_equal(memory_get(TSS + LDT_FIELD, 4), 0); /* is only read */
}

static void check_loaded(uint64_t eflags)
{
    assert_true(S->rip == NEW_RIP);
    assert_int_equal(x86_eflags_get(S), eflags);
    for (unsigned i = 0; i < 8; i++)
        if (i != X86_RSP)
            assert_int_equal(S->gpr[i], 0xa0000000 + i);
    assert_int_equal(S->ldtr.selector, LOCAL);
    assert_int_equal(S->ldtr_base, LDT);
    assert_int_equal(S->tr.selector, OTHER_TASK);
    assert_int_equal(S->tr_base, OTHER_TSS);
    assert_int_equal(S->tr.attributes & 15, X86_TYPE_TSS_BUSY);
    assert_true(S->cr0 & X86_CR0_TS);
    assert_true(gdt_busy(OTHER_TASK));
}

enum {
    OLD_FLAGS = X86_EFLAGS_ONE | X86_EFLAGS_CF,
    NEW_FLAGS = X86_EFLAGS_ONE | X86_EFLAGS_ZF | X86_EFLAGS_IF
};

static void test_jump(void **state)
{
    (void)state;
    machine_tasks();
    S->dr[7] = 0x7ff;
    S->cr3 = 0x1000; /* no paging: stays */
    WORKS(x86_far_jump(CORE, OTHER_TASK, 0x9999, 4));
    check_saved(OLD_FLAGS);
    check_loaded(NEW_FLAGS);
    assert_false(gdt_busy(TASK));
    assert_int_equal(memory_get(OTHER_TSS, 2), 0); /* no link */
    assert_int_equal(S->gpr[X86_RSP], NEW_STACK);
    assert_int_equal(S->dr[7], 0x6aa);
    assert_int_equal(S->cr3, 0x1000);
    assert_int_equal(x86_cpl(S), 0);
    assert_true(S->segment[X86_GS].selector == DATA0 && S->segment[X86_CS].selector == CODE0);
}

static void test_cr3(void **state)
{
    (void)state;
    machine_tasks();
    S->cr0 |= X86_CR0_PG;
    WORKS(x86_far_jump(CORE, OTHER_TASK, 0, 4));
    assert_int_equal(S->cr3, 0x9000);
}

/* A call, and back by IRET. */
static void test_call_and_back(void **state)
{
    (void)state;
    machine_tasks();
    WORKS(x86_far_call(CORE, OTHER_TASK, 0, 4));
    check_saved(OLD_FLAGS);
    check_loaded(NEW_FLAGS | X86_EFLAGS_NT);
    assert_true(gdt_busy(TASK));
    assert_int_equal(memory_get(OTHER_TSS, 2), TASK);
    S->rip = 0x4444;
    S->cr0 &= ~(uint64_t)X86_CR0_TS;
    WORKS(x86_iret(CORE, 4));
    assert_true(S->rip == RIP);
    assert_int_equal(x86_eflags_get(S), OLD_FLAGS);
    assert_int_equal(S->tr.selector, TASK);
    assert_false(gdt_busy(OTHER_TASK));
    assert_true(gdt_busy(TASK));
    assert_int_equal(memory_get(OTHER_TSS + EIP, 4), 0x4444);
    assert_int_equal(memory_get(OTHER_TSS + EFLAGS, 4), NEW_FLAGS); /* without NT */
    assert_true(S->cr0 & X86_CR0_TS);
    assert_int_equal(S->gpr[X86_RSP], STACK);
    RAISES(x86_far_call(CORE, TASK, 0, 4), X86_GP, TASK); /* itself */
}

static void test_return_refused(void **state)
{
    (void)state;
    machine_tasks();
    S->eflags_system |= X86_EFLAGS_NT;
    memory_put(TSS, 2, OTHER_TASK);
    RAISES(x86_iret(CORE, 4), X86_TS, OTHER_TASK); /* not busy */
    memory_put(TSS, 2, DATA0);
    RAISES(x86_iret(CORE, 4), X86_TS, DATA0);
    memory_put(TSS, 2, OTHER_TASK | 4);
    RAISES(x86_iret(CORE, 4), X86_TS, OTHER_TASK | 4);
    memory_put(TSS, 2, 0);
    RAISES(x86_iret(CORE, 4), X86_TS, 0);
    memory_put(TSS, 2, TABLE_LIMIT + 1);
    RAISES(x86_iret(CORE, 4), X86_TS, TABLE_LIMIT + 1);
    gdt_change(OTHER_TASK, A_PRESENT, 2);
    memory_put(TSS, 2, OTHER_TASK);
    RAISES(x86_iret(CORE, 4), X86_NP_FAULT, OTHER_TASK);
}

static void test_16bit(void **state)
{
    (void)state;
    machine_tasks();
    WORKS(x86_far_call(CORE, OTHER_TASK16, 0, 4));
    assert_true(S->rip == NEW_RIP);
    assert_int_equal(x86_eflags_get(S), X86_EFLAGS_ONE | X86_EFLAGS_SF | X86_EFLAGS_NT);
    assert_int_equal(S->gpr[X86_RAX] & 0xffff, 0xa000);
    assert_int_equal(S->segment[X86_CS].selector, CODE16);
    assert_int_equal(S->segment[X86_DS].selector, DATA16);
    assert_int_equal(S->segment[X86_FS].selector, 0);
    assert_int_equal(S->segment[X86_GS].attributes, 0);
    assert_int_equal(S->ldtr.selector, 0);
    assert_int_equal(memory_get(OTHER_TSS16, 2), TASK);
    S->gpr[X86_RBX] = 0x12345678;
    WORKS(x86_iret(CORE, 2));
    assert_int_equal(memory_get(OTHER_TSS16 + AX_16 + 2 * X86_RBX, 2), 0x5678);
    assert_int_equal(memory_get(OTHER_TSS16 + IP_16, 2), NEW_RIP);
    assert_int_equal(memory_get(OTHER_TSS16 + FLAGS_16, 2), X86_EFLAGS_ONE | X86_EFLAGS_SF);
    assert_int_equal(memory_get(OTHER_TSS16 + ES_16 + 2, 2), CODE16);
    assert_int_equal(memory_get(OTHER_TSS16 + LDT_16, 2), 0);
    assert_int_equal(S->gpr[X86_RBX], 0x01010101 * (X86_RBX + 1));
}

static void test_gate(void **state)
{
    (void)state;
    machine_tasks();
    machine_segments(CODE3, DATA3);
    gdt_put(GATE, gate_low(OTHER_TASK, 0, X86_TYPE_TASK_GATE, 2, 0));
    RAISES(x86_far_jump(CORE, GATE, 0, 4), X86_GP, GATE);
    RAISES(x86_far_call(CORE, OTHER_TASK, 0, 4), X86_GP, OTHER_TASK); /* the TSS's DPL is 0 */
    gdt_put(GATE, gate_low(OTHER_TASK, 0, X86_TYPE_TASK_GATE, 3, 0));
    gdt_change(GATE, A_PRESENT, 0);
    RAISES(x86_far_jump(CORE, GATE, 0, 4), X86_NP_FAULT, GATE);
    gdt_change(GATE, 0, A_PRESENT);
    WORKS(x86_far_jump(CORE, GATE | 3, 0, 4));
    check_loaded(NEW_FLAGS);
    assert_int_equal(x86_cpl(S), 0);
    machine_tasks();
    gdt_put(GATE, gate_low(DATA0, 0, X86_TYPE_TASK_GATE, 3, 0));
    RAISES(x86_far_call(CORE, GATE, 0, 4), X86_GP, DATA0);
}

static void test_refused(void **state)
{
    (void)state;
    machine_tasks();
    RAISES(x86_far_jump(CORE, OTHER_TASK | 3, 0, 4), X86_GP, OTHER_TASK); /* RPL */
    gdt_put(OTHER_TASK, descriptor(OTHER_TSS, 0x66, A_PRESENT | X86_TYPE_TSS));
    RAISES(x86_far_jump(CORE, OTHER_TASK, 0, 4), X86_TS, OTHER_TASK);
    gdt_put(OTHER_TASK16, descriptor(OTHER_TSS16, 0x2a, A_PRESENT | X86_TYPE_TSS16));
    RAISES(x86_far_call(CORE, OTHER_TASK16, 0, 4), X86_TS, OTHER_TASK16);
    gdt_put(OTHER_TASK, descriptor(OTHER_TSS, 0x67, X86_TYPE_TSS));
    RAISES(x86_far_jump(CORE, OTHER_TASK, 0, 4), X86_NP_FAULT, OTHER_TASK);
    gdt_put(OTHER_TASK, descriptor(ABSENT, 0x67, A_PRESENT | X86_TYPE_TSS));
    RAISES(x86_far_jump(CORE, OTHER_TASK, 0, 4), X86_PF, 0);
    assert_true(gdt_busy(TASK) && !gdt_busy(OTHER_TASK));
    machine_long();
    RAISES(x86_far_jump(CORE, OTHER_TASK, 0, 4), X86_GP, OTHER_TASK);
}

/* -- what is wrong is found in the new task -------------------------------------------------------------- */

static void test_segments_refused(void **state)
{
    static const struct {
        uint8_t field; /* a segment, or LDT_FIELD */
        uint16_t selector;
        uint8_t vector;
    } cases[] = {
        {LDT_FIELD, DATA0, X86_TS},
        {LDT_FIELD, FREE, X86_TS}, /* absent */
        {LDT_FIELD, 0xc, X86_TS},
        {X86_CS, 0, X86_TS},
        {X86_CS, DATA0, X86_TS},
        {X86_CS, CODE0 | 1, X86_TS},
        {X86_CS, ABSENT_CODE0, X86_NP_FAULT},
        {X86_SS, 0, X86_TS},
        {X86_SS, DATA3, X86_TS},
        {X86_SS, READ_ONLY0, X86_TS},
        {X86_SS, ABSENT_DATA0, X86_SS_FAULT},
        {X86_DS, EXECUTE_ONLY0, X86_TS},
        {X86_GS, TABLE_LIMIT + 1, X86_TS},
        {X86_ES, ABSENT_DATA0, X86_NP_FAULT},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const unsigned field = cases[i].field;
        machine_tasks();
        gdt_put(FREE, descriptor(LDT, 0xff, X86_TYPE_LDT));
        memory_put(OTHER_TSS + (field == LDT_FIELD ? LDT_FIELD : ES + 4 * field), 2, cases[i].selector);
        assert_int_equal(x86_task_switch(CORE, OTHER_TASK, X86_TASK_JMP, i & 1), X86_RAISED);
        assert_int_equal(CORE->exception.vector, cases[i].vector);
        assert_int_equal(CORE->exception.error, (cases[i].selector & ~3u) | (i & 1));
        assert_true(CORE->exception.in_new_task);
        assert_true(S->rip == NEW_RIP);
        assert_int_equal(S->tr.selector, OTHER_TASK);
        assert_true(gdt_busy(OTHER_TASK) && !gdt_busy(TASK));
    }
    RAISES(x86_task_switch(CORE, OTHER_TASK, X86_TASK_JMP, 0), X86_GP, OTHER_TASK);
    assert_false(CORE->exception.in_new_task);
}

/* A user task whose segments are wrong: the handler is entered from its privilege. */
static void test_refused_at_new_privilege(void **state)
{
    (void)state;
    machine_tasks();
    fill_task(CODE3, DATA3);
    memory_put(OTHER_TSS + ES + 4 * X86_SS, 2, DATA0);
    assert_int_equal(x86_far_jump(CORE, OTHER_TASK, 0, 4), X86_RAISED);
    assert_int_equal(x86_cpl(S), 3);
    memory_put(OTHER_TSS + 4, 4, STACK0);
    memory_put(OTHER_TSS + 8, 4, DATA0);
    idt_gate(X86_TS, CODE0, HANDLER, X86_TYPE_INTERRUPT_GATE, 0, 0);
    assert_int_equal(x86_deliver(CORE, x86_exception_event(CORE)), X86_DELIVERED);
    assert_int_equal(S->gpr[X86_RSP], STACK0 - 24);
    STACK_IS(4, DATA0, NEW_RIP, CODE3);
}

static void test_user_task(void **state)
{
    (void)state;
    machine_tasks();
    fill_task(CODE3, DATA3);
    WORKS(x86_far_jump(CORE, OTHER_TASK, 0, 4));
    assert_int_equal(x86_cpl(S), 3);
    assert_true(gdt_accessed(CODE3) && gdt_accessed(DATA3));
}

static void test_vm86_task(void **state)
{
    (void)state;
    machine_tasks();
    fill_task(0x123, 0x456);
    memory_put(OTHER_TSS + EFLAGS, 4, X86_EFLAGS_VM | X86_EFLAGS_ONE);
    WORKS(x86_far_jump(CORE, OTHER_TASK, 0, 4));
    assert_true(x86_vm86(S));
    assert_int_equal(S->segment_base[X86_CS], 0x1230);
    assert_int_equal(S->segment_base[X86_GS], 0x4560);
    assert_int_equal(S->ldtr.selector, LOCAL);
    assert_int_equal(x86_cpl(S), 3);
}

static void test_trap_bit(void **state)
{
    (void)state;
    machine_tasks();
    memory_put(OTHER_TSS + TRAP, 2, 1);
    assert_int_equal(x86_far_jump(CORE, OTHER_TASK, 0, 4), X86_RAISED);
    assert_int_equal(CORE->exception.vector, X86_DB);
    assert_false(CORE->exception.has_error);
    assert_true(CORE->exception.in_new_task);
    assert_int_equal(S->dr[6], 1 << 15);
    check_loaded(NEW_FLAGS);
}

/* -- by the IDT ------------------------------------------------------------------------------------------ */

static void interrupt_task(uint16_t task)
{
    memory_put(IDT + VECTOR * 8, 8, gate_low(task, 0, X86_TYPE_TASK_GATE, 3, 0));
    memory_put(IDT + X86_GP * 8, 8, gate_low(task, 0, X86_TYPE_TASK_GATE, 0, 0));
    memory_put(IDT + X86_DF * 8, 8, gate_low(task, 0, X86_TYPE_TASK_GATE, 0, 0));
    for (unsigned i = X86_TS; i <= X86_NP_FAULT; i++)
        idt_gate(i, CODE0, HANDLER + 16 * i, X86_TYPE_INTERRUPT_GATE, 0, 0);
    idt_gate(X86_DB, CODE0, HANDLER + 16, X86_TYPE_INTERRUPT_GATE, 0, 0);
}

static void deliver(enum x86_event_kind kind, unsigned vector, int error)
{
    const struct x86_event event = {.kind = kind,
                                    .vector = (uint8_t)vector,
                                    .has_error = error >= 0,
                                    .error = (uint32_t)error,
                                    .length = kind == X86_EVENT_SOFTWARE ? 2 : 0};
    assert_int_equal(x86_deliver(CORE, event), X86_DELIVERED);
}

static void test_interrupt(void **state)
{
    (void)state;
    machine_tasks();
    interrupt_task(OTHER_TASK);
    deliver(X86_EVENT_SOFTWARE, VECTOR, -1);
    check_saved(OLD_FLAGS);
    check_loaded(NEW_FLAGS | X86_EFLAGS_NT);
    assert_int_equal(memory_get(OTHER_TSS, 2), TASK);
    assert_int_equal(S->gpr[X86_RSP], NEW_STACK);
    assert_true(gdt_busy(TASK));
}

static void test_exception_with_error(void **state)
{
    (void)state;
    machine_tasks();
    interrupt_task(OTHER_TASK);
    deliver(X86_EVENT_EXCEPTION, X86_GP, 0x1230);
    check_saved(OLD_FLAGS | X86_EFLAGS_RF); /* a fault */
    check_loaded(NEW_FLAGS | X86_EFLAGS_NT);
    assert_int_equal(S->gpr[X86_RSP], NEW_STACK - 4);
    STACK_IS(4, 0x1230);
    machine_tasks();
    interrupt_task(OTHER_TASK16);
    deliver(X86_EVENT_EXCEPTION, X86_GP, 0x1230);
    assert_int_equal(S->gpr[X86_RSP] & 0xffff, NEW_STACK - 2);
    assert_int_equal(memory_get(NEW_STACK - 2, 2), 0x1230);
}

static void test_interrupt_refused(void **state)
{
    (void)state;
    machine_tasks();
    interrupt_task(OTHER_TASK);
    gdt_change(OTHER_TASK, A_PRESENT, 0);
    deliver(X86_EVENT_EXTERNAL, VECTOR, -1);
    assert_true(S->rip == HANDLER + 16 * X86_NP_FAULT);
    STACK_IS(4, OTHER_TASK | 1, RIP);
    deliver(X86_EVENT_SOFTWARE, VECTOR, -1);
    STACK_IS(4, OTHER_TASK, HANDLER + 16 * X86_NP_FAULT - 2);
}

/* An exception in the new task has that one's rip, not the interrupted one's. */
static void test_interrupt_refused_inside(void **state)
{
    (void)state;
    machine_tasks();
    interrupt_task(OTHER_TASK);
    memory_put(OTHER_TSS + ES + 4 * X86_DS, 2, EXECUTE_ONLY0);
    deliver(X86_EVENT_SOFTWARE, VECTOR, -1);
    assert_true(S->rip == HANDLER + 16 * X86_TS);
    assert_int_equal(S->gpr[X86_RSP], NEW_STACK - 16);
    STACK_IS(4, EXECUTE_ONLY0, NEW_RIP, CODE0);
}

/* The debug trap of the new task comes when the exception's delivery is complete, also of a double fault. */
static void test_interrupt_trap_bit(void **state)
{
    static const uint8_t vectors[] = {X86_GP, X86_DF};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        machine_tasks();
        interrupt_task(OTHER_TASK);
        memory_put(OTHER_TSS + TRAP, 2, 1);
        deliver(X86_EVENT_EXCEPTION, vectors[i], 0x70);
        assert_true(S->rip == HANDLER + 16);
        STACK_IS(4, NEW_RIP, CODE0, NEW_FLAGS | X86_EFLAGS_NT, 0x70);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jump),
        cmocka_unit_test(test_cr3),
        cmocka_unit_test(test_call_and_back),
        cmocka_unit_test(test_return_refused),
        cmocka_unit_test(test_16bit),
        cmocka_unit_test(test_gate),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_segments_refused),
        cmocka_unit_test(test_refused_at_new_privilege),
        cmocka_unit_test(test_user_task),
        cmocka_unit_test(test_vm86_task),
        cmocka_unit_test(test_trap_bit),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_exception_with_error),
        cmocka_unit_test(test_interrupt_refused),
        cmocka_unit_test(test_interrupt_refused_inside),
        cmocka_unit_test(test_interrupt_trap_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
