/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of the translator's run time with an invented guest that has what Arm has not: instructions of one
 * byte at any address, a mode of its own, and a division that faults.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/translator.h"

struct test_cpu {
    struct translator_cpu common;
    uint64_t x[6];
    uint64_t mode;
    uint64_t pc;
    uint16_t flags;
    uint32_t qc;
};

enum { SUM, LOW, DIVISOR, QUOTIENT, LEFT, TARGET, MODE };

static const struct guest_register registers[] = {
    {"sum", IR_I64, 1, offsetof(struct test_cpu, x[0])},
    {"low", IR_I64, 2, offsetof(struct test_cpu, x[1])},
    {"div", IR_I64, 3, offsetof(struct test_cpu, x[2])},
    {"quot", IR_I64, 4, offsetof(struct test_cpu, x[3])},
    {"left", IR_I64, 5, offsetof(struct test_cpu, x[4])},
    {"target", IR_I64, 6, offsetof(struct test_cpu, x[5])},
    {"mode", IR_I64, 0, offsetof(struct test_cpu, mode)},
};

static unsigned mode_of(const struct translator_cpu *cpu)
{
    return (unsigned)((const struct test_cpu *)cpu)->mode << IR_MODE_SHIFT;
}

static void raise_exit(struct ir_region *r, unsigned exit, uint64_t pc)
{
    ir_emit(r, IR_RAISE, IR_VOID, exit, IR_NONE, IR_NONE, IR_NONE, 0, pc);
}

/* One instruction; false if it ends the region. */
static bool lift_one(struct ir_region *r, uint64_t pc, uint8_t byte)
{
    ir_emit(r, IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, pc, 0);
    switch (byte) {
    case '+': /* adds one and a hundred for each mode */
        ir_set(r, SUM, ir_binary_imm(r, IR_ADD, ir_get(r, SUM, IR_I64), 1 + 100 * r->mode));
        return true;
    case '/':
        ir_set(r, QUOTIENT,
               ir_divide_wide(r, IR_UDIV_WIDE, ir_const(r, IR_I64, 0), ir_get(r, LOW, IR_I64),
                              ir_get(r, DIVISOR, IR_I64)));
        return true;
    case 'm': /* the other mode */
        ir_set(r, MODE, ir_binary_imm(r, IR_XOR, ir_get(r, MODE, IR_I64), 1));
        raise_exit(r, TRANSLATOR_LOOKUP, pc + 1);
        return false;
    case 'j': /* while there is something left: to the target, which moves on by one modulo 4 */
    {
        ir_value left = ir_get(r, LEFT, IR_I64), target = ir_get(r, TARGET, IR_I64);
        ir_emit(r, IR_EXIT_IF, IR_VOID, 0, ir_cmp(r, IR_EQ, left, ir_const(r, IR_I64, 0)), IR_NONE, IR_NONE,
                pc + 1, 0);
        ir_set(r, LEFT, ir_binary_imm(r, IR_SUB, left, 1));
        ir_set(r, TARGET, ir_bfi(r, target, ir_binary_imm(r, IR_ADD, target, 1), 0, 2));
        ir_emit(r, IR_GOTO_REG, IR_VOID, 0, target, IR_NONE, IR_NONE, 0, 0);
        return false;
    }
    default: raise_exit(r, TRANSLATOR_SYSCALL, pc + 1); return false;
    }
}

static void lift(struct ir_region *r, uint64_t pc, const uint8_t *code, size_t limit, unsigned max)
{
    unsigned i = 0;
    bool goes_on = true;
    for (; goes_on && i < max && i < limit; i++)
        goes_on = lift_one(r, pc + i, code[i]);
    if (goes_on)
        ir_emit(r, IR_GOTO, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, pc + i, 0);
    r->guest_end = pc + i;
}

static enum guest_flags_use flags_use(uint64_t pc, const uint8_t *code, size_t limit,
                                      struct guest_flags_path *path)
{
    (void)pc, (void)code, (void)limit, (void)path;
    return GUEST_FLAGS_READ;
}

static const struct guest_isa isa = {
    .name = "test",
    .registers = registers,
    .register_count = ARRAY_SIZE(registers),
    .instruction_bytes = 1,
    .pc_shift = 0,
    .cpu_size = sizeof(struct test_cpu),
    .pc_offset = offsetof(struct test_cpu, pc),
    .flags_offset = offsetof(struct test_cpu, flags),
    .qc_offset = offsetof(struct test_cpu, qc),
    .more_flags = NZCV_P | NZCV_A,
    .mode = mode_of,
    .lift = lift,
    .flags_use = flags_use,
};

#define START 0x1000ull

static const char *program;

static size_t fetch(void *context, uint64_t pc, void *bytes, size_t size)
{
    (void)context;
    if (pc < START || pc - START >= strlen(program))
        return 0;
    size = MIN(size, strlen(program) - (pc - START));
    memcpy(bytes, program + (pc - START), size);
    return size;
}

static struct translator *translator;
static struct test_cpu *cpu;
static volatile sig_atomic_t strangers; /* signals that are no faults of the guest */

static void on_fault(int signal, siginfo_t *info, void *context)
{
    if (!translator_fault(&cpu->common, signal, info, context))
        strangers++;
}

static void begin(const char *code, bool interpret)
{
    const struct translator_options options = {.interpret = interpret};
    const struct translator_callbacks callbacks = {.fetch = fetch};
    struct error error = ERROR_INIT;
    struct translator_cpu *common = NULL;

    program = code;
    if (translator_new(&translator, &isa, &options, &callbacks, &error) ||
        translator_cpu_new(translator, &common, &error)) {
        error_report(&error);
        fail();
    }
    cpu = (struct test_cpu *)common;
    cpu->pc = START;
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    static uint8_t stack[65536];
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    sigaction(SIGFPE, &action, NULL);
}

static void end(void)
{
    translator_cpu_free(&cpu->common);
    translator_free(translator);
}

static void test_division(void **state)
{
    (void)state;
    for (unsigned interpret = 0; interpret < 2; interpret++) {
        begin("++/+/s", interpret);
        cpu->x[LOW] = 42;
        assert_int_equal(translator_run(&cpu->common), TRANSLATOR_DIVIDE);
        assert_int_equal(cpu->pc, START + 2);
        assert_int_equal(cpu->x[SUM], 2);
        assert_int_equal(cpu->x[QUOTIENT], 0);
        cpu->x[DIVISOR] = 5;
        assert_int_equal(translator_run(&cpu->common), TRANSLATOR_SYSCALL);
        assert_int_equal(cpu->pc, START + 6);
        assert_int_equal(cpu->x[SUM], 3);
        assert_int_equal(cpu->x[QUOTIENT], 8);
        end();
    }
    /* one that is sent is no fault of the guest */
    begin("s", false);
    strangers = 0;
    kill(getpid(), SIGFPE);
    assert_int_equal(strangers, 1);
    end();
}

/* The same code in two modes, many times: each has its own translation. */
static void test_modes(void **state)
{
    (void)state;
    for (unsigned interpret = 0; interpret < 2; interpret++) {
        begin("++m+s", interpret);
        for (unsigned i = 0; i < 100; i++) {
            cpu->pc = START;
            cpu->x[SUM] = 0;
            assert_int_equal(translator_run(&cpu->common), TRANSLATOR_SYSCALL);
            assert_int_equal(cpu->x[SUM], i % 2 ? 2 * 101 + 1 : 2 + 101);
        }
        end();
    }
}

/* Targets one byte apart: "++++j" entered at each of its additions in turn, 4 + 3 + 2 + 1 of them. */
static void test_neighbours(void **state)
{
    (void)state;
    begin("++++js", false);
    cpu->x[LEFT] = 40000;
    cpu->x[TARGET] = START;
    assert_int_equal(translator_run(&cpu->common), TRANSLATOR_SYSCALL);
    assert_int_equal(cpu->x[SUM], 4 + 100000);
    assert_int_equal(cpu->pc, START + 6);
    unsigned cached = 0;
    for (uint64_t pc = START; pc < START + 4; pc++)
        cached += cpu->common.own_jump_cache[pc & 0xffff].pc == pc;
    assert_int_equal(cached, 4);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_division),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_neighbours),
    };
    return cmocka_run_group_tests_name("run time, another guest", tests, NULL, NULL);
}
