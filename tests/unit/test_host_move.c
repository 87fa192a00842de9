/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of host_move(): code that was moved is the code that would have been made there. The guest's code is
 * this program's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "translator/guest/x86/x86.h"
#include "translator/host/host.h"
#include "translator/translator.h"

#define PAGE 4096ull

/* The linker's: where this program's code is. */
extern const char __executable_start, etext;

static struct ir_region region;
static struct host_code made, moved;

/* Stands in for the run time, which nothing here reaches. */
void translator_invalidate(struct translator *t, uint64_t start, uint64_t length)
{
    (void)t, (void)start, (void)length;
}

static bool flags_dead(void *context, uint64_t pc)
{
    (void)context;
    return pc & 16;
}

static void translate(unsigned mode, uint64_t pc, const uint8_t *bytes, struct host_code *code)
{
    ir_region_reset(&region, pc);
    region.mode = mode;
    region.movable = region.reaches = true;
    x86_system_guest.lift(&region, pc, bytes, PAGE - pc % PAGE, 32);
    host_emit(&x86_system_guest, &region, flags_dead, NULL, code);
    assert_false(code->overflow);
}

static void assert_same(void)
{
    assert_int_equal(moved.size, made.size);
    assert_memory_equal(moved.bytes, made.bytes, made.size);
    assert_int_equal(moved.exit_count, made.exit_count);
    for (unsigned i = 0; i < made.exit_count; i++) {
        const struct host_exit *a = &moved.exits[i], *b = &made.exits[i];
        assert_true(a->target == b->target && a->slot == b->slot && a->stub == b->stub &&
                    a->direct == b->direct && a->store == b->store && a->careful == b->careful &&
                    a->probe == b->probe);
    }
    assert_int_equal(moved.insn_count, made.insn_count);
    for (unsigned i = 0; i < made.insn_count; i++)
        assert_true(moved.insns[i].start == made.insns[i].start &&
                    moved.insns[i].pc_delta == made.insns[i].pc_delta);
}

/* Regions all over this program's code, as at `from`, moved to `to`; returns how many of a hundred could be.
 */
static unsigned move_all(unsigned mode, uint64_t from, uint64_t to)
{
    const uint8_t *start = (const uint8_t *)ALIGN_UP((uintptr_t)&__executable_start, PAGE);
    unsigned count = 0, movable = 0;
    for (const uint8_t *page = start; page + PAGE <= (const uint8_t *)&etext; page += PAGE) {
        for (unsigned offset = (unsigned)rand() % 64; offset < PAGE; offset += 1 + (unsigned)rand() % 200) {
            translate(mode, from + offset, page + offset, &moved);
            count++;
            if (region.cut || !moved.movable || !host_move(&x86_system_guest, &moved, to - from))
                continue; /* near a border */
            movable++;
            translate(mode, to + offset, page + offset, &made);
            assert_same();
        }
    }
    assert_true(count > 1000);
    return movable * 100 / count;
}

static void test_64_bits(void **state)
{
    (void)state;
    srand(1);
    assert_true(move_all(X86_CODE_64, 0x7f1234560000, 0x7f1234570000) > 90);
    assert_true(move_all(X86_CODE_64, 0x7fffffff0000, 0x555555554000) > 75);
    assert_true(move_all(X86_CODE_64, 0x555555554000, 0x7ffff7dc3000) > 90);
}

static void test_32_bits(void **state)
{
    (void)state;
    srand(2);
    assert_true(move_all(X86_CODE_32, 0xf7d12000, 0x56555000) > 90);
    assert_true(move_all(X86_CODE_32, 0x56555000, 0xf7d13000) > 90);
}

/* What wraps around at a border, or is put into the code in fewer bytes below it, stays. */
static void test_borders(void **state)
{
    static const uint8_t code[PAGE] = {0x48, 0x8d, 0x05, 0,
                                       0,    0,    0xf0, 0xc3}; /* lea rax, [rip - 0x10000000] */
    (void)state;
    translate(X86_CODE_64, 0x400000, code, &made);
    assert_false(made.movable);
    translate(X86_CODE_64, 0x100000000, code, &made);
    assert_false(made.movable);
    translate(X86_CODE_64, 0x200000000, code, &made);
    assert_true(made.movable);
    assert_false(host_move(&x86_system_guest, &made, -(uint64_t)0x100000000));
    translate(X86_CODE_32, 0x400000, code, &made);
    assert_true(made.movable);
    assert_false(host_move(&x86_system_guest, &made, 0x100000000));
    translate(X86_CODE_16, 0x4000, code, &made);
    assert_false(made.movable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_64_bits),
        cmocka_unit_test(test_32_bits),
        cmocka_unit_test(test_borders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
