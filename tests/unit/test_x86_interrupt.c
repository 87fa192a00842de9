// SPDX-License-Identifier: GPL-2.0-or-later
/* Delivery of x86 interrupts and exceptions against the rules of Intel's manual, volume 3, chapter 6. */
#include "x86_machine.h"

#include "arch/x86/interrupt.h"

enum { FLAGS = X86_EFLAGS_ONE | X86_EFLAGS_CF, VECTOR = 0x40 };

static void deliver(struct x86_event event)
{
    assert_int_equal(x86_deliver(CORE, event), X86_DELIVERED);
}

static void software(unsigned vector)
{
    deliver((struct x86_event){.kind = X86_EVENT_SOFTWARE, .vector = (uint8_t)vector, .length = 2});
}

static void external(unsigned vector)
{
    deliver((struct x86_event){.kind = X86_EVENT_EXTERNAL, .vector = (uint8_t)vector});
}

static struct x86_event exception(unsigned vector, int error)
{
    return (struct x86_event){.kind = X86_EVENT_EXCEPTION,
                              .vector = (uint8_t)vector,
                              .has_error = error >= 0,
                              .error = error >= 0 ? (uint32_t)error : 0};
}

static void set_flags(uint64_t flags)
{
    x86_eflags_set(S, flags | FLAGS);
}

static void handler_is(uint16_t code, uint64_t rip)
{
    assert_int_equal(S->segment[X86_CS].selector, code);
    assert_true(S->rip == rip);
}

static void stack_is(uint16_t selector, uint64_t rsp)
{
    assert_int_equal(S->segment[X86_SS].selector, selector);
    assert_true(S->gpr[X86_RSP] == rsp);
}

/* Handlers in 32-bit code for all exceptions: at HANDLER + 16 * vector. */
static void all_handlers(uint16_t code)
{
    for (unsigned i = 0; i < 32; i++)
        idt_gate(i, code, HANDLER + 16 * i, X86_TYPE_INTERRUPT_GATE, 0, 0);
}

/* -- real-address mode ------------------------------------------------------------------------------------
 */

static void test_real(void **state)
{
    (void)state;
    machine_real();
    x86_segment_set_real(S, X86_CS, 0x123);
    x86_segment_set_real(S, X86_SS, 0x100);
    S->gpr[X86_RSP] = 0xabcd8000;
    set_flags(X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_AC | X86_EFLAGS_DF);
    memory_put(VECTOR * 4, 4, 0x04560789);
    external(VECTOR);
    handler_is(0x456, 0x789);
    assert_int_equal(S->segment_base[X86_CS], 0x4560);
    assert_true(S->gpr[X86_RSP] == 0xabcd7ffa); /* only SP changes */
}

static void test_real_frame(void **state)
{
    (void)state;
    machine_real();
    x86_segment_set_real(S, X86_CS, 0x123);
    x86_segment_set_real(S, X86_SS, 0x100);
    set_flags(X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_AC | X86_EFLAGS_DF);
    const uint16_t pushed = (uint16_t)x86_eflags_get(S);
    memory_put(X86_GP * 4, 4, 0x04560789);
    deliver(exception(X86_GP, 0)); /* no error code here */
    assert_true(S->gpr[X86_RSP] == STACK - 6);
    STACK_IS(2, RIP, 0x123, pushed);
    assert_int_equal(x86_eflags_get(S), FLAGS | X86_EFLAGS_DF);
}

static void test_real_table_limit(void **state)
{
    (void)state;
    machine_real();
    memory_put(X86_GP * 4, 4, 0x00110022);
    memory_put(X86_DF * 4, 4, 0x00330044);
    S->idtr.limit = VECTOR * 4 + 2;
    software(VECTOR);
    handler_is(0x11, 0x22);
    STACK_IS(2, RIP - 2);
    S->idtr.limit = X86_GP * 4 + 2;
    software(VECTOR); /* #GP has no vector either */
    handler_is(0x33, 0x44);
    S->idtr.limit = X86_DF * 4 + 2;
    const struct x86_event event = {.kind = X86_EVENT_SOFTWARE, .vector = VECTOR, .length = 2};
    assert_int_equal(x86_deliver(CORE, event), X86_SHUTDOWN);
}

/* -- protected mode -----------------------------------------------------------------------------------------
 */

static void test_same_privilege(void **state)
{
    (void)state;
    machine_protected();
    gdt_change(CODE0, 1, 0);
    set_flags(X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_NT | X86_EFLAGS_AC);
    const uint64_t pushed = x86_eflags_get(S);
    idt_gate(VECTOR, CODE0 | 3, 0x12345678, X86_TYPE_INTERRUPT_GATE, 0, 0);
    external(VECTOR);
    handler_is(CODE0, 0x12345678);
    stack_is(DATA0, STACK - 12);
    STACK_IS(4, RIP, CODE0, pushed);
    assert_int_equal(x86_eflags_get(S), FLAGS | X86_EFLAGS_AC);
    assert_true(gdt_accessed(CODE0));
    assert_int_equal(S->segment[X86_CS].attributes & X86_SEGMENT_ACCESSED, X86_SEGMENT_ACCESSED);
}

static void test_trap_gate_keeps_if(void **state)
{
    (void)state;
    machine_protected();
    set_flags(X86_EFLAGS_IF | X86_EFLAGS_TF);
    idt_gate(X86_GP, CODE0, HANDLER, X86_TYPE_TRAP_GATE, 0, 0);
    deliver(exception(X86_GP, 0x1234));
    assert_int_equal(x86_eflags_get(S), FLAGS | X86_EFLAGS_IF);
    stack_is(DATA0, STACK - 16);
    STACK_IS(4, 0x1234, RIP, CODE0);
}

static void test_inner(void **state)
{
    (void)state;
    machine_user();
    gdt_change(DATA0, 1, 0);
    set_flags(X86_EFLAGS_IF);
    const uint64_t pushed = x86_eflags_get(S) | X86_EFLAGS_RF;
    idt_gate(X86_PF, CODE0, HANDLER, X86_TYPE_INTERRUPT_GATE, 0, 0);
    struct x86_event event = exception(X86_PF, 6);
    event.address = 0xdeadbeef;
    deliver(event);
    handler_is(CODE0, HANDLER);
    stack_is(DATA0, STACK0 - 24);
    STACK_IS(4, 6, RIP, CODE3, pushed, STACK, DATA3);
    assert_int_equal(S->cr2, 0xdeadbeef);
    assert_int_equal(x86_cpl(S), 0);
    assert_true(gdt_accessed(DATA0));
    assert_int_equal(machine.program_written, 0); /* all of it is supervisor's */
    assert_int_equal(S->segment[X86_DS].selector, DATA3);
}

/* To privilege 1, and to a conforming segment, which changes no privilege. */
static void test_other_privileges(void **state)
{
    (void)state;
    machine_user();
    idt_gate(VECTOR, CODE1, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
    software(VECTOR);
    handler_is(CODE1, HANDLER);
    stack_is(DATA1, STACK1 - 20);
    assert_int_equal(x86_cpl(S), 1);

    machine_user();
    idt_gate(VECTOR, CONFORMING0, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
    software(VECTOR);
    handler_is(CONFORMING0 | 3, HANDLER);
    stack_is(DATA3, STACK - 12);
    assert_int_equal(x86_cpl(S), 3);
}

static void test_16bit_gate(void **state)
{
    (void)state;
    machine_user();
    idt_gate(X86_GP, CODE0, 0xffff4321, X86_TYPE_TRAP_GATE16, 0, 0);
    deliver(exception(X86_GP, 0x98));
    handler_is(CODE0, 0x4321);
    stack_is(DATA0, STACK0 - 12);
    STACK_IS(2, 0x98, RIP, CODE3, FLAGS & ~1, STACK, DATA3);
}

static void test_16bit_stack(void **state)
{
    (void)state;
    machine_protected();
    machine_segment(X86_SS, DATA16);
    S->gpr[X86_RSP] = 0x12348000;
    idt_gate(VECTOR, CODE0, HANDLER, X86_TYPE_INTERRUPT_GATE, 0, 0);
    external(VECTOR);
    assert_true(S->gpr[X86_RSP] == 0x12348000 - 12);
    assert_int_equal(memory_get(STACK - 12, 4), RIP);
}

static void test_16bit_inner_stack(void **state)
{
    (void)state;
    machine_user();
    memory_put(TSS + 4, 4, 0x12340000 | STACK0);
    memory_put(TSS + 8, 4, DATA16);
    idt_gate(VECTOR, CODE0, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
    software(VECTOR);
    stack_is(DATA16, (0x12340000 | STACK0) - 20);
    assert_int_equal(memory_get(STACK0 - 20, 4), RIP);
}

/* The inner stack of a 16-bit TSS. */
static void test_16bit_tss(void **state)
{
    (void)state;
    machine_user();
    WORKS(x86_load_tr(CORE, OTHER_TASK16));
    memory_put(OTHER_TSS16 + 2, 2, STACK0);
    memory_put(OTHER_TSS16 + 4, 2, DATA0);
    idt_gate(VECTOR, CODE0, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
    software(VECTOR);
    stack_is(DATA0, STACK0 - 20);
}

static void test_from_vm86(void **state)
{
    (void)state;
    machine_vm86();
    const uint64_t flags = x86_eflags_get(S);
    idt_gate(VECTOR, CODE0, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
    software(VECTOR);
    handler_is(CODE0, HANDLER);
    stack_is(DATA0, STACK0 - 36);
    STACK_IS(4, RIP, 0x21, flags, 0x7000, 0x30, 0x10, 0x43, 0x50, 0x60);
    assert_false(x86_vm86(S));
    assert_int_equal(S->segment[X86_DS].selector, 0);
    assert_int_equal(S->segment[X86_GS].attributes, 0);
    assert_int_equal(x86_cpl(S), 0);

    /* Only privilege 0 handles it. */
    machine_vm86();
    all_handlers(CODE0);
    idt_gate(VECTOR, CODE1, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
    software(VECTOR);
    handler_is(CODE0, HANDLER + 16 * X86_GP);
    STACK_IS(4, CODE1 & ~3, RIP - 2);
    machine_vm86();
    all_handlers(CODE0);
    idt_gate(VECTOR, CONFORMING0, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
    software(VECTOR);
    STACK_IS(4, CONFORMING0, RIP - 2);
}

/* -- what is refused ------------------------------------------------------------------------------------- */

/* The event leads to exception `vector` with an error code; the frame has `rip`. */
static void refused(struct x86_event event, unsigned vector, uint32_t error, uint64_t rip)
{
    deliver(event);
    handler_is(CODE0, HANDLER + 16 * vector);
    STACK_IS(4, error, rip);
}

static struct x86_event software_event(void)
{
    return (struct x86_event){.kind = X86_EVENT_SOFTWARE, .vector = VECTOR, .length = 2};
}

static struct x86_event external_event(void)
{
    return (struct x86_event){.kind = X86_EVENT_EXTERNAL, .vector = VECTOR};
}

static void user_with_handlers(void)
{
    machine_user();
    all_handlers(CODE0);
}

static void test_gate_dpl(void **state)
{
    (void)state;
    user_with_handlers();
    idt_gate(VECTOR, CODE0, HANDLER, X86_TYPE_INTERRUPT_GATE, 2, 0);
    refused(software_event(), X86_GP, VECTOR * 8 + 2, RIP - 2);
    user_with_handlers();
    idt_gate(VECTOR, CODE0, HANDLER, X86_TYPE_INTERRUPT_GATE, 2, 0);
    external(VECTOR);
    handler_is(CODE0, HANDLER);
    user_with_handlers();
    deliver((struct x86_event){.kind = X86_EVENT_INT1, .vector = X86_DB, .length = 1});
    handler_is(CODE0, HANDLER + 16);
}

static void test_gate_refused(void **state)
{
    static const uint8_t types[] = {0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 0x1e};
    (void)state;
    for (unsigned i = 0; i < sizeof types; i++) {
        user_with_handlers();
        idt_gate(VECTOR, CODE0, HANDLER, types[i], 3, 0);
        refused(software_event(), X86_GP, VECTOR * 8 + 2, RIP - 2);
        user_with_handlers();
        idt_gate(VECTOR, CODE0, HANDLER, types[i], 3, 0);
        refused(external_event(), X86_GP, VECTOR * 8 + 3, RIP);
    }
    user_with_handlers();
    S->idtr.limit = VECTOR * 8 + 6;
    refused(software_event(), X86_GP, VECTOR * 8 + 2, RIP - 2);
    user_with_handlers();
    memory_put(IDT + VECTOR * 8, 8, gate_low(CODE0, 0, X86_TYPE_TRAP_GATE, 3, 0) & ~(1ull << 47));
    refused(software_event(), X86_NP_FAULT, VECTOR * 8 + 2, RIP - 2);
    refused(external_event(), X86_NP_FAULT, VECTOR * 8 + 3, S->rip);
}

static void test_code_refused(void **state)
{
    static const struct {
        uint16_t selector;
        uint8_t vector;
        uint16_t error;
    } cases[] = {
        {0, X86_GP, 0},         {3, X86_GP, 0},       {TABLE_LIMIT + 1, X86_GP, TABLE_LIMIT + 1},
        {0xc, X86_GP, 0xc}, /* no LDT */
        {DATA0, X86_GP, DATA0}, {TASK, X86_GP, TASK}, {ABSENT_CODE0 | 3, X86_NP_FAULT, ABSENT_CODE0},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        user_with_handlers();
        idt_gate(VECTOR, cases[i].selector, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
        refused(software_event(), cases[i].vector, cases[i].error, RIP - 2);
        user_with_handlers();
        idt_gate(VECTOR, cases[i].selector, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
        refused(external_event(), cases[i].vector, cases[i].error | 1u, RIP);
    }
    machine_protected(); /* outward */
    all_handlers(CODE0);
    idt_gate(VECTOR, CODE3, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
    refused(software_event(), X86_GP, CODE3 & ~3, RIP - 2);
    user_with_handlers(); /* behind the segment's limit */
    gdt_put(FREE, descriptor(0, 0xfff, A_SEGMENT | X86_SEGMENT_CODE | X86_SEGMENT_BIG));
    idt_gate(VECTOR, FREE, 0x1000, X86_TYPE_INTERRUPT_GATE, 3, 0);
    refused(external_event(), X86_GP, 1, RIP);
    idt_gate(VECTOR, FREE, 0xfff, X86_TYPE_INTERRUPT_GATE, 3, 0);
    external(VECTOR);
    handler_is(FREE, 0xfff);
}

static void test_inner_stack_refused(void **state)
{
    static const struct {
        uint16_t selector;
        uint8_t vector;
        uint16_t error;
    } cases[] = {
        {0, X86_TS, 0},
        {DATA1 & ~3, X86_TS, DATA1 & ~3}, /* RPL is not DPL */
        {DATA0 | 1, X86_TS, DATA0},
        {READ_ONLY0 | 1, X86_TS, READ_ONLY0},
        {TABLE_LIMIT + 2, X86_TS, TABLE_LIMIT + 1},
        {FREE | 1, X86_SS_FAULT, FREE},
    };
    (void)state;
    for (unsigned i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        const unsigned n = i / 2, ext = i % 2;
        user_with_handlers();
        gdt_put(FREE, descriptor(0, ~0u, (A_DATA & ~A_PRESENT) | A_DPL(1)));
        idt_gate(VECTOR, CODE1, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
        memory_put(TSS + 16, 2, cases[n].selector); /* of privilege 1; that of 0 is in order */
        refused(ext ? external_event() : software_event(), cases[n].vector, cases[n].error | ext,
                ext ? RIP : RIP - 2);
    }
    user_with_handlers();
    idt_gate(VECTOR, CODE1, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
    S->tr.limit = 16; /* one byte short of SS1 */
    refused(external_event(), X86_TS, TASK | 1, RIP);
    user_with_handlers();
    idt_gate(VECTOR, CODE1, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
    S->tr.limit = 17;
    external(VECTOR);
    handler_is(CODE1, HANDLER);
}

/* -- RF -------------------------------------------------------------------------------------------------- */

static void test_resume_flag(void **state)
{
    static const struct {
        uint8_t kind, vector;
        bool before, pushed;
    } cases[] = {
        {X86_EVENT_EXCEPTION, X86_UD, false, true},  {X86_EVENT_EXCEPTION, X86_DE, false, true},
        {X86_EVENT_EXCEPTION, X86_DB, false, false}, {X86_EVENT_EXCEPTION, X86_DB, true, true},
        {X86_EVENT_SOFTWARE, X86_BP, false, false},  {X86_EVENT_SOFTWARE, X86_BP, true, false},
        {X86_EVENT_INT1, X86_DB, true, false},       {X86_EVENT_EXTERNAL, 0x20, false, false},
        {X86_EVENT_EXTERNAL, 0x20, true, true},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        machine_protected();
        set_flags(cases[i].before ? X86_EFLAGS_RF : 0);
        idt_gate(cases[i].vector, CODE0, HANDLER, X86_TYPE_TRAP_GATE, 0, 0);
        deliver((struct x86_event){.kind = cases[i].kind, .vector = cases[i].vector});
        STACK_IS(4, RIP, CODE0, FLAGS | (cases[i].pushed ? X86_EFLAGS_RF : 0));
        assert_int_equal(x86_eflags_get(S), FLAGS);
    }
}

/* -- long mode ------------------------------------------------------------------------------------------- */

static void test_long_same(void **state)
{
    (void)state;
    machine_long();
    set_flags(X86_EFLAGS_IF);
    S->gpr[X86_RSP] = STACK + 7;
    idt_gate(X86_GP, CODE64, 0xffff800012345678, X86_TYPE_INTERRUPT_GATE, 0, 0);
    deliver(exception(X86_GP, 8));
    handler_is(CODE64, 0xffff800012345678);
    stack_is(DATA0, STACK - 48); /* SS stays */
    STACK_IS(8, 8, RIP, CODE64, FLAGS | X86_EFLAGS_IF | X86_EFLAGS_RF, STACK + 7, DATA0);
    assert_int_equal(x86_eflags_get(S), FLAGS);
}

static void test_long_inner(void **state)
{
    (void)state;
    machine_long_user();
    idt_gate(VECTOR, CODE64, HANDLER, X86_TYPE_TRAP_GATE, 3, 0);
    software(VECTOR);
    handler_is(CODE64, HANDLER);
    stack_is(0, STACK0 - 40);
    assert_int_equal(x86_cpl(S), 0);
    STACK_IS(8, RIP, CODE64_3, FLAGS & ~1, STACK, DATA3);
    machine_compatible_user();
    idt_gate(VECTOR, CODE64, HANDLER, X86_TYPE_TRAP_GATE, 3, 0);
    software(VECTOR);
    stack_is(0, STACK0 - 40);
    STACK_IS(8, RIP, CODE3, FLAGS & ~1, STACK, DATA3);
}

/* To privilege 1 the null SS has that as RPL. */
static void test_long_inner_1(void **state)
{
    (void)state;
    machine_long_user();
    gdt_put(FREE, descriptor(0, 0, A_CODE64 | A_DPL(1)));
    idt_gate(VECTOR, FREE, HANDLER, X86_TYPE_TRAP_GATE, 3, 0);
    software(VECTOR);
    handler_is(FREE | 1, HANDLER);
    stack_is(1, STACK1 - 40);
    assert_int_equal(x86_cpl(S), 1);
}

static void test_ist(void **state)
{
    (void)state;
    machine_long_user();
    idt_gate(VECTOR, CODE64, HANDLER, X86_TYPE_TRAP_GATE, 3, 1);
    software(VECTOR);
    stack_is(0, (IST1 & ~15) - 40);
    machine_long(); /* without a change of privilege, too, and SS stays then */
    idt_gate(VECTOR, CODE64, HANDLER, X86_TYPE_TRAP_GATE, 3, 1);
    software(VECTOR);
    stack_is(DATA0, (IST1 & ~15) - 40);
    STACK_IS(8, RIP, CODE64, FLAGS & ~1, STACK, DATA0);
    machine_long();
    idt_gate(VECTOR, CODE64, HANDLER, X86_TYPE_TRAP_GATE, 3, 7);
    memory_put(TSS + 0x24 + 6 * 8, 8, 0x5000);
    software(VECTOR);
    stack_is(DATA0, 0x5000 - 40);
}

/* Long mode: the event leads to `vector` with an error code. */
static void long_refused(struct x86_event event, unsigned vector, uint32_t error, uint64_t rip)
{
    for (unsigned i = 0; i < 32; i++)
        idt_gate(i, CODE64, HANDLER + 16 * i, X86_TYPE_INTERRUPT_GATE, 0, 0);
    deliver(event);
    handler_is(CODE64, HANDLER + 16 * vector);
    STACK_IS(8, error, rip);
}

static void test_long_refused(void **state)
{
    static const uint8_t types[] = {X86_TYPE_TASK_GATE, X86_TYPE_INTERRUPT_GATE16, X86_TYPE_TRAP_GATE16};
    static const uint16_t selectors[] = {CODE0, CODE_D_L, DATA0};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        machine_long();
        idt_gate(VECTOR, CODE64, HANDLER, types[i], 3, 0);
        long_refused(software_event(), X86_GP, VECTOR * 8 + 2, RIP - 2);
        machine_long();
        idt_gate(VECTOR, selectors[i], HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
        long_refused(external_event(), X86_GP, selectors[i] | 1u, RIP);
    }
    machine_long();
    idt_gate(VECTOR, CODE64, 1ull << 47, X86_TYPE_INTERRUPT_GATE, 3, 0);
    long_refused(software_event(), X86_GP, 0, RIP - 2);
    machine_long();
    S->idtr.limit = VECTOR * 16 + 14;
    long_refused(external_event(), X86_GP, VECTOR * 8 + 3, RIP);
}

static void test_long_stack_refused(void **state)
{
    (void)state;
    machine_long_user();
    gdt_put(FREE, descriptor(0, 0, A_CODE64 | A_DPL(1)));
    idt_gate(VECTOR, FREE, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
    memory_put(TSS + 12, 8, 1ull << 47);
    long_refused(external_event(), X86_SS_FAULT, 1, RIP);
    machine_long_user();
    idt_gate(VECTOR, CODE64, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 2);
    S->tr.limit = 0x24 + 14;
    long_refused(external_event(), X86_TS, TASK | 1, RIP);
    machine_long(); /* the stack that is used already: the exception's handler has another */
    idt_gate(VECTOR, CODE64, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
    idt_gate(X86_SS_FAULT, CODE64, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 1);
    S->gpr[X86_RSP] = 0x0000800000000010;
    external(VECTOR);
    STACK_IS(8, 1, RIP, CODE64);
}

/* -- faults on the way: table 6-5 ------------------------------------------------------------------------ */

/* Which exception's handler is entered when `first` cannot be delivered for want of its gate (#NP) or for a
 * page fault in it. */
static unsigned handler_after(struct x86_event first, bool page_fault)
{
    machine_protected();
    all_handlers(CODE0);
    memory_put(IDT + first.vector * 8, 8, gate_low(CODE0, 0, X86_TYPE_INTERRUPT_GATE, 0, 0) & ~(1ull << 47));
    if (page_fault) { /* the handler's descriptor is in an absent page */
        WORKS(x86_load_ldtr(CORE, LOCAL));
        S->ldtr_base = ABSENT;
        idt_gate(first.vector, 4, HANDLER, X86_TYPE_INTERRUPT_GATE, 0, 0);
    }
    if (x86_deliver(CORE, first) == X86_SHUTDOWN)
        return X86_SHUTDOWN + 1000;
    return (unsigned)(S->rip - HANDLER) / 16;
}

static void test_double_fault(void **state)
{
    static const uint8_t benign[] = {X86_DB, X86_NMI, X86_BP, X86_OF, X86_BR, X86_UD,
                                     X86_NM, X86_MF,  X86_AC, X86_MC, X86_XM};
    static const uint8_t contributory[] = {X86_DE, X86_TS, X86_SS_FAULT, X86_GP};
    (void)state;
    for (unsigned i = 0; i < sizeof benign; i++) {
        assert_int_equal(handler_after(exception(benign[i], -1), false), X86_NP_FAULT);
        STACK_IS(4, benign[i] * 8u + 3, RIP);
        assert_int_equal(handler_after(exception(benign[i], -1), true), X86_PF);
        assert_int_equal(S->cr2, ABSENT);
    }
    for (unsigned i = 0; i < sizeof contributory; i++) {
        assert_int_equal(handler_after(exception(contributory[i], 0), false), X86_DF);
        STACK_IS(4, 0, RIP, CODE0);
        assert_int_equal(handler_after(exception(contributory[i], 0), true), X86_PF);
    }
    assert_int_equal(handler_after(exception(X86_NP_FAULT, 0), false), X86_DF);
    struct x86_event page_fault = exception(X86_PF, 2);
    page_fault.address = 0x1111;
    assert_int_equal(handler_after(page_fault, false), X86_DF);
    assert_int_equal(S->cr2, 0x1111);
    assert_int_equal(handler_after(page_fault, true), X86_DF);
    assert_int_equal(S->cr2, ABSENT);
    assert_int_equal(handler_after((struct x86_event){.kind = X86_EVENT_EXTERNAL, .vector = X86_GP}, true),
                     X86_PF);
    assert_int_equal(handler_after((struct x86_event){.kind = X86_EVENT_SOFTWARE, .vector = X86_GP}, true),
                     X86_PF);
}

static void test_triple_fault(void **state)
{
    (void)state;
    assert_int_equal(handler_after(exception(X86_DF, 0), false), X86_SHUTDOWN + 1000);
    assert_int_equal(handler_after(exception(X86_DF, 0), true), X86_SHUTDOWN + 1000);
    machine_protected();
    S->idtr.limit = 0;
    assert_int_equal(x86_deliver(CORE, exception(X86_UD, -1)), X86_SHUTDOWN);
}

/* A page fault on the frame's stack leaves the registers for the second exception, which has a stack. */
static void test_stack_page_fault(void **state)
{
    (void)state;
    machine_user();
    idt_gate(VECTOR, CODE1, HANDLER, X86_TYPE_INTERRUPT_GATE, 3, 0);
    idt_gate(X86_PF, CODE0, HANDLER, X86_TYPE_INTERRUPT_GATE, 0, 0);
    memory_put(TSS + 12, 4, ABSENT + 12);
    software(VECTOR);
    handler_is(CODE0, HANDLER);
    STACK_IS(4, X86_PF_WRITE, RIP - 2, CODE3, (FLAGS & ~1) | X86_EFLAGS_RF, STACK, DATA3);
    assert_int_equal(S->cr2, ABSENT + 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real),
        cmocka_unit_test(test_real_frame),
        cmocka_unit_test(test_real_table_limit),
        cmocka_unit_test(test_same_privilege),
        cmocka_unit_test(test_trap_gate_keeps_if),
        cmocka_unit_test(test_inner),
        cmocka_unit_test(test_other_privileges),
        cmocka_unit_test(test_16bit_gate),
        cmocka_unit_test(test_16bit_stack),
        cmocka_unit_test(test_16bit_inner_stack),
        cmocka_unit_test(test_16bit_tss),
        cmocka_unit_test(test_from_vm86),
        cmocka_unit_test(test_gate_dpl),
        cmocka_unit_test(test_gate_refused),
        cmocka_unit_test(test_code_refused),
        cmocka_unit_test(test_inner_stack_refused),
        cmocka_unit_test(test_resume_flag),
        cmocka_unit_test(test_long_same),
        cmocka_unit_test(test_long_inner),
        cmocka_unit_test(test_long_inner_1),
        cmocka_unit_test(test_ist),
        cmocka_unit_test(test_long_refused),
        cmocka_unit_test(test_long_stack_refused),
        cmocka_unit_test(test_double_fault),
        cmocka_unit_test(test_triple_fault),
        cmocka_unit_test(test_stack_page_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
