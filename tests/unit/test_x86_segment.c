// SPDX-License-Identifier: GPL-2.0-or-later
/* x86 descriptors and segment registers against the rules of Intel's manual, volume 3, chapters 3 and 5. */
#include "x86_machine.h"

static const uint8_t data_segments[] = {X86_ES, X86_DS, X86_FS, X86_GS};

static void test_descriptor_fields(void **state)
{
    (void)state;
    struct x86_descriptor d = {.low = descriptor(0x89abcdef, 0xf4321, A_SEGMENT | X86_SEGMENT_WRITABLE)};
    assert_int_equal(x86_descriptor_base(&d), 0x89abcdef);
    assert_int_equal(x86_descriptor_limit(&d), 0xf4321);
    assert_int_equal(x86_descriptor_attributes(&d), A_SEGMENT | X86_SEGMENT_WRITABLE);
    d.low = descriptor(0, 0xf4321fff, A_DATA | A_DPL(2));
    assert_int_equal(x86_descriptor_limit(&d), 0xf4321fff);
    assert_int_equal(x86_attributes_dpl(x86_descriptor_attributes(&d)), 2);
    d.high = 0x12345678;
    assert_int_equal(x86_descriptor_base(&d), 0x1234567800000000);
}

static void test_table_limits(void **state)
{
    struct x86_descriptor d;
    (void)state;
    machine_protected();
    gdt_put(FREE, 0x1122334455667788);
    WORKS(x86_descriptor_read(CORE, FREE, false, X86_GP, &d));
    assert_true(d.low == 0x1122334455667788 && d.high == 0 && d.address == GDT + FREE);
    S->gdtr.limit = FREE + 7;
    WORKS(x86_descriptor_read(CORE, FREE | 3, false, X86_GP, &d));
    RAISES(x86_descriptor_read(CORE, FREE, true, X86_GP, &d), X86_GP, FREE);
    S->gdtr.limit = FREE + 6;
    RAISES(x86_descriptor_read(CORE, FREE | 3, false, X86_TS, &d), X86_TS, FREE);
    S->gdtr.limit = 0xffff;
    S->gdtr.base = ABSENT;
    RAISES(x86_descriptor_read(CORE, 8, false, X86_GP, &d), X86_PF, 0);
    assert_int_equal(CORE->exception.address, ABSENT + 8);
}

static void test_local_table(void **state)
{
    struct x86_descriptor d;
    (void)state;
    machine_protected();
    RAISES(x86_descriptor_read(CORE, 0xc, false, X86_GP, &d), X86_GP, 0xc);
    WORKS(x86_load_ldtr(CORE, LOCAL));
    memory_put(LDT, 8, descriptor(0x700, 0xff, A_SEGMENT | X86_SEGMENT_WRITABLE));
    WORKS(x86_segment_load(CORE, X86_DS, 4)); /* entry 0 of an LDT is one as others are */
    assert_int_equal(S->segment_base[X86_DS], 0x700);
    assert_int_equal(memory_get(LDT + 5, 1) & 1, 1);
    WORKS(x86_descriptor_read(CORE, 0xff, false, X86_GP, &d));
    RAISES(x86_descriptor_read(CORE, 0x107, false, X86_GP, &d), X86_GP, 0x104);
    WORKS(x86_load_ldtr(CORE, 2));
    RAISES(x86_segment_load(CORE, X86_DS, 4), X86_GP, 4);
}

static void test_data(void **state)
{
    (void)state;
    machine_protected();
    gdt_put(FREE, descriptor(0x12345000, 0x7ff, A_SEGMENT));
    for (unsigned i = 0; i < sizeof data_segments; i++) {
        const enum x86_segment segment = data_segments[i];
        gdt_change(FREE, 1, 0);
        WORKS(x86_segment_load(CORE, segment, FREE));
        assert_int_equal(S->segment[segment].selector, FREE);
        assert_int_equal(S->segment[segment].limit, 0x7ff);
        assert_int_equal(S->segment[segment].attributes, A_SEGMENT | X86_SEGMENT_ACCESSED);
        assert_int_equal(S->segment_base[segment], 0x12345000);
        assert_true(gdt_accessed(FREE));
        WORKS(x86_segment_load(CORE, segment, 3));
        assert_int_equal(S->segment[segment].selector, 3);
        assert_int_equal(S->segment[segment].limit, 0);
        assert_int_equal(S->segment[segment].attributes & X86_SEGMENT_PRESENT, 0);
        assert_int_equal(S->segment_base[segment], 0);

        RAISES(x86_segment_load(CORE, segment, EXECUTE_ONLY0), X86_GP, EXECUTE_ONLY0);
        RAISES(x86_segment_load(CORE, segment, TASK), X86_GP, TASK);
        RAISES(x86_segment_load(CORE, segment, DATA0 | 3), X86_GP, DATA0); /* RPL 3, DPL 0 */
        RAISES(x86_segment_load(CORE, segment, ABSENT_DATA0), X86_NP_FAULT, ABSENT_DATA0);
        RAISES(x86_segment_load(CORE, segment, TABLE_LIMIT + 1), X86_GP, TABLE_LIMIT + 1);
        WORKS(x86_segment_load(CORE, segment, CODE0));
        WORKS(x86_segment_load(CORE, segment, CONFORMING0 | 3));
        WORKS(x86_segment_load(CORE, segment, DATA3));
    }
    assert_false(gdt_accessed(EXECUTE_ONLY0) || gdt_accessed(DATA0) || gdt_accessed(ABSENT_DATA0));
}

static void test_data_of_user(void **state)
{
    (void)state;
    machine_user();
    RAISES(x86_segment_load(CORE, X86_DS, DATA0), X86_GP, DATA0);
    RAISES(x86_segment_load(CORE, X86_DS, CODE0), X86_GP, CODE0);
    RAISES(x86_segment_load(CORE, X86_DS, DATA1), X86_GP, DATA1 & ~3);
    WORKS(x86_segment_load(CORE, X86_DS, CONFORMING0));
    WORKS(x86_segment_load(CORE, X86_DS, DATA3 & ~3)); /* RPL 0 takes nothing away */
    machine.absent_page = GDT >> 12;
    RAISES(x86_segment_load(CORE, X86_DS, DATA3), X86_PF, 0); /* the processor's own access */
}

static void test_stack_segment(void **state)
{
    (void)state;
    machine_protected();
    gdt_change(DATA0, 1, 0);
    WORKS(x86_segment_load(CORE, X86_SS, DATA0));
    assert_true(gdt_accessed(DATA0));
    RAISES(x86_segment_load(CORE, X86_SS, 0), X86_GP, 0);
    RAISES(x86_segment_load(CORE, X86_SS, 3), X86_GP, 0);
    RAISES(x86_segment_load(CORE, X86_SS, DATA0 | 1), X86_GP, DATA0);
    RAISES(x86_segment_load(CORE, X86_SS, DATA3), X86_GP, DATA3 & ~3);
    RAISES(x86_segment_load(CORE, X86_SS, DATA3 & ~3), X86_GP, DATA3 & ~3);
    RAISES(x86_segment_load(CORE, X86_SS, READ_ONLY0), X86_GP, READ_ONLY0);
    RAISES(x86_segment_load(CORE, X86_SS, CODE0), X86_GP, CODE0);
    RAISES(x86_segment_load(CORE, X86_SS, TASK), X86_GP, TASK);
    RAISES(x86_segment_load(CORE, X86_SS, ABSENT_DATA0), X86_SS_FAULT, ABSENT_DATA0);
    RAISES(x86_segment_load(CORE, X86_SS, TABLE_LIMIT + 1), X86_GP, TABLE_LIMIT + 1);
    machine_user();
    WORKS(x86_segment_load(CORE, X86_SS, DATA3_16));
    RAISES(x86_segment_load(CORE, X86_SS, DATA0), X86_GP, DATA0);
}

static void test_null_stack_of_long_mode(void **state)
{
    (void)state;
    machine_long();
    RAISES(x86_segment_load(CORE, X86_SS, 3), X86_GP, 0);
    WORKS(x86_segment_load(CORE, X86_SS, 0));
    assert_int_equal(x86_cpl(S), 0);
    machine_segments(CODE0, DATA0); /* compatibility mode */
    RAISES(x86_segment_load(CORE, X86_SS, 0), X86_GP, 0);
    machine_long_user();
    RAISES(x86_segment_load(CORE, X86_SS, 3), X86_GP, 0);
    machine_long();
    S->segment[X86_SS] = (struct x86_segment_register){.selector = 1, .attributes = A_DPL(1)};
    WORKS(x86_segment_load(CORE, X86_SS, 1));
    assert_int_equal(x86_cpl(S), 1);
}

static void test_real(void **state)
{
    (void)state;
    machine_real();
    S->segment[X86_DS].limit = 0xffffffff; /* what protected mode left */
    WORKS(x86_segment_load(CORE, X86_DS, 0xffff));
    assert_int_equal(S->segment[X86_DS].selector, 0xffff);
    assert_int_equal(S->segment_base[X86_DS], 0xffff0);
    assert_int_equal(S->segment[X86_DS].limit, 0xffffffff);
    WORKS(x86_segment_load(CORE, X86_SS, 0x1003));
    assert_int_equal(S->segment_base[X86_SS], 0x10030);
}

/* CR0.PE set with real-address mode's CS: still privilege 0, whatever the selector. */
static void test_privilege_after_real(void **state)
{
    (void)state;
    machine_real();
    x86_segment_set_real(S, X86_CS, 0x1003);
    x86_segment_set_real(S, X86_SS, 0x1002);
    S->cr0 |= X86_CR0_PE;
    assert_int_equal(x86_cpl(S), 0);
    WORKS(x86_segment_load(CORE, X86_DS, DATA0));
}

static void test_vm86(void **state)
{
    (void)state;
    machine_vm86();
    S->segment[X86_ES].limit = 0x12345;
    WORKS(x86_segment_load(CORE, X86_ES, 0x1234));
    assert_int_equal(S->segment[X86_ES].selector, 0x1234);
    assert_int_equal(S->segment_base[X86_ES], 0x12340);
    assert_int_equal(S->segment[X86_ES].limit, 0xffff);
    assert_int_equal(S->segment[X86_ES].attributes, 0xf3);
    assert_int_equal(x86_cpl(S), 3);
}

static void test_ldtr(void **state)
{
    (void)state;
    machine_protected();
    WORKS(x86_load_ldtr(CORE, LOCAL | 3));
    assert_int_equal(S->ldtr.selector, LOCAL | 3);
    assert_int_equal(S->ldtr_base, LDT);
    assert_int_equal(S->ldtr.limit, 0xff);
    RAISES(x86_load_ldtr(CORE, 4), X86_GP, 4);
    RAISES(x86_load_ldtr(CORE, LOCAL | 4), X86_GP, LOCAL | 4);
    RAISES(x86_load_ldtr(CORE, DATA0), X86_GP, DATA0);
    RAISES(x86_load_ldtr(CORE, OTHER_TASK), X86_GP, OTHER_TASK);
    RAISES(x86_load_ldtr(CORE, TABLE_LIMIT + 1), X86_GP, TABLE_LIMIT + 1);
    gdt_change(LOCAL, A_PRESENT, 0);
    RAISES(x86_load_ldtr(CORE, LOCAL), X86_NP_FAULT, LOCAL);
    WORKS(x86_load_ldtr(CORE, 1));
    assert_true(S->ldtr.selector == 1 && S->ldtr.limit == 0 && S->ldtr_base == 0);
}

static void test_tr(void **state)
{
    (void)state;
    machine_protected();
    assert_true(gdt_busy(TASK));
    assert_int_equal(S->tr.selector, TASK);
    assert_int_equal(S->tr.attributes, A_PRESENT | X86_TYPE_TSS_BUSY);
    assert_int_equal(S->tr_base, TSS);
    RAISES(x86_load_tr(CORE, TASK), X86_GP, TASK); /* busy */
    RAISES(x86_load_tr(CORE, 3), X86_GP, 0);
    RAISES(x86_load_tr(CORE, OTHER_TASK | 4), X86_GP, OTHER_TASK | 4);
    RAISES(x86_load_tr(CORE, LOCAL), X86_GP, LOCAL);
    RAISES(x86_load_tr(CORE, CODE0), X86_GP, CODE0);
    gdt_change(OTHER_TASK, A_PRESENT, 0);
    RAISES(x86_load_tr(CORE, OTHER_TASK), X86_NP_FAULT, OTHER_TASK);
    assert_false(gdt_busy(OTHER_TASK));
    WORKS(x86_load_tr(CORE, OTHER_TASK16));
    assert_int_equal(S->tr.attributes, A_PRESENT | X86_TYPE_TSS16_BUSY);
    assert_true(gdt_busy(OTHER_TASK16));
}

static void test_system_of_long_mode(void **state)
{
    (void)state;
    machine_long();
    gdt_put(LOCAL + 8, 0xffff8001);
    WORKS(x86_load_ldtr(CORE, LOCAL));
    assert_true(S->ldtr_base == 0xffff800100000000 + LDT);
    gdt_put(LOCAL + 8, 0x8001); /* not canonical */
    RAISES(x86_load_ldtr(CORE, LOCAL), X86_GP, LOCAL);
    gdt_put(LOCAL + 8, descriptor(0, 0, A_DATA)); /* the next descriptor */
    RAISES(x86_load_ldtr(CORE, LOCAL), X86_GP, LOCAL);

    RAISES(x86_load_tr(CORE, OTHER_TASK16), X86_GP, OTHER_TASK16);
    RAISES(x86_load_tr(CORE, OTHER_TASK), X86_GP, OTHER_TASK); /* the one behind is no second half */
    S->gdtr.limit = OTHER_TASK + 7;
    RAISES(x86_load_tr(CORE, OTHER_TASK), X86_GP, OTHER_TASK);
    S->gdtr.limit = OTHER_TASK + 15;
    gdt_put(OTHER_TASK + 8, 0x12);
    WORKS(x86_load_tr(CORE, OTHER_TASK));
    assert_true(S->tr_base == 0x1200000000 + OTHER_TSS);
    assert_true(gdt_busy(OTHER_TASK));
}

/* 32-bit bases also in 64-bit code, where the descriptor behind does not count. */
static void test_data_of_long_mode(void **state)
{
    (void)state;
    machine_long();
    gdt_put(FREE, descriptor(0x89abc000, ~0u, A_DATA));
    gdt_put(FREE + 8, ~0ull);
    WORKS(x86_segment_load(CORE, X86_FS, FREE));
    assert_true(S->segment_base[X86_FS] == 0x89abc000);
    WORKS(x86_segment_load(CORE, X86_FS, 0));
    assert_int_equal(S->segment_base[X86_FS], 0);
}

static void test_leave_inner(void **state)
{
    (void)state;
    machine_protected();
    machine_segment(X86_DS, DATA0);
    machine_segment(X86_ES, CODE0);
    machine_segment(X86_FS, DATA3);
    machine_segment(X86_GS, CONFORMING0);
    machine_segment(X86_CS, CODE3);
    machine_segment(X86_SS, DATA3);
    x86_segments_leave_inner(S);
    assert_int_equal(S->segment[X86_DS].selector, 0);
    assert_int_equal(S->segment[X86_DS].attributes, 0);
    assert_int_equal(S->segment[X86_ES].selector, 0);
    assert_int_equal(S->segment[X86_FS].selector, DATA3);
    assert_int_equal(S->segment[X86_GS].selector, CONFORMING0);
    assert_int_equal(S->segment[X86_SS].selector, DATA3);
}

/* A program's FS has a null selector and a base of its own. */
static void test_leave_inner_keeps_base(void **state)
{
    (void)state;
    machine_long_user();
    x86_segment_set_null(S, X86_FS, 3);
    S->segment_base[X86_FS] = 0x7fff12345678;
    x86_segments_leave_inner(S);
    assert_int_equal(S->segment[X86_FS].selector, 0);
    assert_true(S->segment_base[X86_FS] == 0x7fff12345678);
}

/* One that becomes null keeps its base, as Intel's processors do. */
static void test_leave_inner_nullifies(void **state)
{
    (void)state;
    machine_long();
    machine_segment(X86_GS, DATA0);
    S->segment_base[X86_GS] = 0x400000;
    machine_segment(X86_CS, CODE64_3);
    machine_segment(X86_SS, DATA3);
    x86_segments_leave_inner(S);
    assert_int_equal(S->segment[X86_GS].selector, 0);
    assert_int_equal(S->segment[X86_GS].attributes, 0);
    assert_int_equal(S->segment_base[X86_GS], 0x400000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptor_fields),
        cmocka_unit_test(test_table_limits),
        cmocka_unit_test(test_local_table),
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_data_of_user),
        cmocka_unit_test(test_stack_segment),
        cmocka_unit_test(test_null_stack_of_long_mode),
        cmocka_unit_test(test_real),
        cmocka_unit_test(test_privilege_after_real),
        cmocka_unit_test(test_vm86),
        cmocka_unit_test(test_ldtr),
        cmocka_unit_test(test_tr),
        cmocka_unit_test(test_system_of_long_mode),
        cmocka_unit_test(test_data_of_long_mode),
        cmocka_unit_test(test_leave_inner),
        cmocka_unit_test(test_leave_inner_keeps_base),
        cmocka_unit_test(test_leave_inner_nullifies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
