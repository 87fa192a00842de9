/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of translator/guest/x86: how regions end and what leaves them. What instructions compute is compared
 * with the host's processor by tests/isa/x86.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/guest/x86/x86.h"
#include "translator/ir/eval.h"
#include "translator/translator.h"

#define PC 0x400000

static struct ir_region region;
static struct x86_cpu cpu;
static uint64_t stack[8];

/* Stands in for the run time, which nothing here reaches. */
void translator_invalidate(struct translator *t, uint64_t start, uint64_t length)
{
    (void)t, (void)start, (void)length;
}

static const struct ir_insn *lift(unsigned mode, const uint8_t *bytes, size_t limit, unsigned max)
{
    struct error error = ERROR_INIT;
    ir_region_reset(&region, PC);
    region.mode = mode;
    x86_guest.lift(&region, PC, bytes, limit, max);
    if (ir_verify(&region, &error))
        fail_msg("%s", error.message);
    return &region.insns[region.count - 1];
}

static enum translator_exit run(unsigned mode, const uint8_t *bytes, size_t limit)
{
    lift(mode, bytes, limit, IR_REGION_GUEST_MAX);
    cpu.common.fp_control = 0x1f80;
    cpu.state.gpr[X86_RSP] = (uintptr_t)&stack[4];
    return ir_interpret(&x86_guest, &cpu.common, &region);
}

static void assert_raises(const struct ir_insn *last, enum translator_exit exit, uint64_t payload,
                          uint64_t pc)
{
    assert_int_equal(last->op, IR_RAISE);
    assert_int_equal(last->aux, exit);
    assert_int_equal(last->imm, payload);
    assert_int_equal(last->imm2, pc);
}

/* -- where regions end ---------------------------------------------------------------------------- */

/* mov eax, 0x12345678: the page behind its first bytes is missing */
static void test_first_is_cut(void **state)
{
    static const uint8_t code[] = {0xb8, 0x78, 0x56, 0x34, 0x12};
    (void)state;
    for (size_t limit = 1; limit < sizeof code; limit++) {
        assert_raises(lift(0, code, limit, 32), TRANSLATOR_FETCH_FAULT, PC + limit, PC);
        assert_int_equal(region.guest_end, PC + limit);
    }
    assert_int_equal(lift(0, code, sizeof code, 32)->op, IR_GOTO);
}

/* A later one begins a region of its own. */
static void test_later_is_cut(void **state)
{
    static const uint8_t code[] = {0x90, 0xb8, 0x78, 0x56, 0x34, 0x12};
    (void)state;
    const struct ir_insn *last = lift(0, code, 4, 32);
    assert_int_equal(last->op, IR_GOTO);
    assert_int_equal(last->imm, PC + 1);
    assert_int_equal(region.guest_end, PC + 1);
}

static void test_region_ends_after_max(void **state)
{
    static const uint8_t code[] = {0x90, 0x90, 0x90, 0x90};
    (void)state;
    assert_int_equal(lift(0, code, sizeof code, 3)->imm, PC + 3);
}

/* -- what leaves ---------------------------------------------------------------------------------- */

static void test_exits(void **state)
{
    static const struct {
        uint8_t bytes[4];
        unsigned mode, exit, length;
        bool behind; /* pc is behind the instruction */
    } cases[] = {
        {{0x0f, 0x05}, 0, TRANSLATOR_SYSCALL, 0, true},
        {{0x0f, 0x05}, X86_MODE_SYSTEM, TRANSLATOR_EMULATE, 2, false},
        {{0xcc}, 0, TRANSLATOR_BREAKPOINT, 0, false},
        {{0x0f, 0x0b}, 0, TRANSLATOR_UNDEFINED, 0, false},
        {{0x06}, 0, TRANSLATOR_UNDEFINED, 0, false}, /* PUSH ES, which 64-bit code has not */
        {{0x07}, X86_CODE_32, TRANSLATOR_EMULATE, 1, false},
        {{0xf0, 0x90}, 0, TRANSLATOR_UNDEFINED, 0, false}, /* LOCK NOP */
        {{0xf4}, 0, TRANSLATOR_EMULATE, 1, false},
        {{0x0f, 0xa2}, 0, TRANSLATOR_EMULATE, 2, false},
        {{0xcd, 0x80}, X86_CODE_32, TRANSLATOR_EMULATE, 2, false},
        {{0x9d}, X86_MODE_SYSTEM | X86_CODE_16, TRANSLATOR_EMULATE, 1, false},
        {{0xd4, 0x00}, X86_CODE_32, TRANSLATOR_DIVIDE, 0, false}, /* AAM 0 */
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        const unsigned length = cases[i].bytes[1] ? 2 : 1;
        assert_raises(lift(cases[i].mode, cases[i].bytes, sizeof cases[i].bytes, 32),
                      (enum translator_exit)cases[i].exit, cases[i].length,
                      PC + (cases[i].behind ? length : 0));
    }
}

/* 15 prefixes and an opcode: #GP, which is the owner's, who sees it by the length. */
static void test_too_long(void **state)
{
    uint8_t code[16];
    (void)state;
    memset(code, 0x66, sizeof code);
    code[15] = 0x90;
    assert_raises(lift(0, code, sizeof code, 32), TRANSLATOR_EMULATE, 0, PC);
}

/* Stepping begins with TF, which POPF may set. */
static void test_popf(void **state)
{
    static const uint8_t code[] = {0x9d, 0xcc};
    (void)state;
    stack[4] = X86_EFLAGS_TF | X86_EFLAGS_CF;
    assert_int_equal(run(0, code, sizeof code), TRANSLATOR_EMULATE);
    assert_int_equal(cpu.common.exit_payload, 1);
    assert_int_equal(cpu.state.gpr[X86_RSP], (uintptr_t)&stack[4]);

    cpu.state.eflags_system = X86_EFLAGS_IF;
    stack[4] = X86_EFLAGS_CF | X86_EFLAGS_DF | X86_EFLAGS_ID | X86_EFLAGS_IOPL;
    assert_int_equal(run(0, code, sizeof code), TRANSLATOR_BREAKPOINT);
    assert_int_equal(cpu.pc, PC + 1);
    assert_int_equal(cpu.state.df, ~0ull);
    assert_int_equal(x86_eflags_get(&cpu.state),
                     X86_EFLAGS_CF | X86_EFLAGS_DF | X86_EFLAGS_ID | X86_EFLAGS_IF | X86_EFLAGS_ONE);
}

/* IP wraps around within its segment, which begins at PC - 0x10. */
static void test_wrap(void **state)
{
    static const uint8_t code[] = {0xeb, 0xce}; /* to IP 0x12 - 0x32 */
    (void)state;
    cpu.state.segment_base[X86_CS] = PC - 0x10;
    assert_int_equal(run(X86_CODE_16 | X86_MODE_STACK16 | X86_MODE_SEGMENTED, code, sizeof code),
                     TRANSLATOR_NONE);
    assert_int_equal(cpu.pc, PC - 0x10 + 0xffe0);
}

static void test_eflags(void **state)
{
    const uint64_t all = X86_EFLAGS_CONDITIONS | X86_EFLAGS_DF | X86_EFLAGS_IF | X86_EFLAGS_ONE;
    (void)state;
    for (unsigned bit = 0; bit < 22; bit++) {
        x86_eflags_set(&cpu.state, 1ull << bit);
        assert_int_equal(x86_eflags_get(&cpu.state), 1ull << bit | X86_EFLAGS_ONE);
    }
    x86_eflags_set(&cpu.state, all);
    assert_int_equal(x86_eflags_get(&cpu.state), all);
}

static void test_push_segment(void **state)
{
    static const uint8_t fs[] = {0x0f, 0xa0}, es[] = {0x06}, short_gs[] = {0x66, 0x0f, 0xa8};
    unsigned stores = 0;
    (void)state;
    cpu.state.segment[X86_FS].selector = 0x1234;
    cpu.state.segment[X86_FS].attributes = 0xffff;
    cpu.state.segment[X86_GS].selector = 0x5678;
    stack[3] = stack[2] = ~0ull;
    assert_int_equal(run(X86_CODE_64, fs, sizeof fs), TRANSLATOR_NONE);
    assert_int_equal(cpu.state.gpr[X86_RSP], (uintptr_t)&stack[3]);
    assert_true(stack[3] == 0x1234);
    assert_int_equal(run(X86_CODE_64, short_gs, sizeof short_gs), TRANSLATOR_NONE);
    assert_int_equal(cpu.state.gpr[X86_RSP], (uintptr_t)&stack[4] - 2);
    assert_true(stack[3] == 0x5678000000001234);
    /* 4 bytes of which 2 are written */
    lift(X86_CODE_32, es, sizeof es, 1);
    for (unsigned i = 0; i < region.count; i++) {
        if (region.insns[i].op != IR_STORE)
            continue;
        stores++;
        assert_int_equal(region.insns[i].aux & IR_MEM_SIZE, 1);
        assert_int_equal((int64_t)region.insns[i].imm, -4);
    }
    assert_int_equal(stores, 1);
}

/* Behind a TLB a 32-bit function looks its stack up twice: for what it reads, and for what it writes. */
static void test_reaches_of_32_bits(void **state)
{
    static const uint8_t code[] = {0x8b, 0x44, 0x24, 0x08, /* mov eax, [esp+8] */
                                   0x83, 0xec, 0x10, 0x8b,
                                   0x4c, 0x24, 0x1c, /* sub esp, 16; mov ecx, [esp+28] */
                                   0x50, 0x51, 0x89, 0x44,
                                   0x24, 0x04, 0x59}; /* push eax, ecx; mov [esp+4], eax;
                                                         pop ecx */
    unsigned reaches = 0, accesses = 0;
    struct error error = ERROR_INIT;
    (void)state;
    ir_region_reset(&region, PC);
    region.mode = X86_CODE_32;
    region.reaches = true;
    x86_guest.lift(&region, PC, code, sizeof code, 7);
    assert_int_equal(ir_verify(&region, &error), 0);
    for (unsigned i = 0; i < region.count; i++) {
        const struct ir_insn *n = &region.insns[i];
        reaches += n->op == IR_REACH;
        accesses += (n->op == IR_LOAD || n->op == IR_STORE) && n->aux & IR_MEM_REACHED;
    }
    assert_int_equal(reaches, 2);
    assert_int_equal(accesses, 6);
}

/* mov eax, [ecx - 0x80000000]; mov edx, [ecx - 0x7ffffffc]: the first offset has no opposite of 32 bits, so
 * it is in no shared look-up. */
static void test_reach_of_the_least_offset(void **state)
{
    static const uint8_t code[] = {0x8b, 0x81, 0, 0, 0, 0x80, 0x8b, 0x91, 4, 0, 0, 0x80};
    (void)state;
    ir_region_reset(&region, PC);
    region.mode = X86_CODE_32;
    region.reaches = true;
    x86_guest.lift(&region, PC, code, sizeof code, 2);
    for (unsigned i = 0; i < region.count; i++)
        assert_int_not_equal(region.insns[i].op, IR_REACH);
}

/* mov rcx, 1000h; mov eax, [rcx]; mov rdx, 1000h + (2^63 - 1); mov ebx, [rdx]; mov edi, [rcx + 8]: the second
 * address is as far from the first as can be, and in no look-up with it. */
static void test_reach_of_the_farthest(void **state)
{
    static const uint8_t code[] = {0x48, 0xb9, 0x00, 0x10, 0, 0, 0, 0,    0,    0,    0x8b, 0x01, 0x48, 0xba,
                                   0xff, 0x0f, 0,    0,    0, 0, 0, 0x80, 0x8b, 0x1a, 0x8b, 0x79, 0x08};
    unsigned accesses = 0;
    (void)state;
    ir_region_reset(&region, PC);
    region.mode = X86_CODE_64;
    region.reaches = true;
    x86_guest.lift(&region, PC, code, sizeof code, 5);
    for (unsigned i = 0; i < region.count; i++) {
        const struct ir_insn *n = &region.insns[i];
        if (n->op != IR_LOAD || !(n->aux & IR_MEM_REACHED))
            continue;
        assert_in_range(n->imm, 0, 8);
        accesses++;
    }
    assert_int_equal(accesses, 2);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_is_cut),
        cmocka_unit_test(test_later_is_cut),
        cmocka_unit_test(test_region_ends_after_max),
        cmocka_unit_test(test_exits),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_popf),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_eflags),
        cmocka_unit_test(test_push_segment),
        cmocka_unit_test(test_reaches_of_32_bits),
        cmocka_unit_test(test_reach_of_the_least_offset),
        cmocka_unit_test(test_reach_of_the_farthest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
