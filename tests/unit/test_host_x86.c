/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_host_x86: as test_host.c, for the operations that x86 guests have: random regions through the host
 * code generator and through the IR interpreter. What x86 leaves undefined of a flags value is taken out of
 * it, or only conditions that look at the rest are made of it. HOST_TEST_SEED, HOST_TEST_COUNT,
 * HOST_TEST_SIZE and HOST_TEST_TRACE as there.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <ucontext.h>

#include <cmocka.h>

#include "host_harness.h"
#include "part_flags.h"

static struct ir_region *const r = &region;

/* -- random regions ---------------------------------------------------------------------------- */

enum { KINDS = 8, KEPT = 256 };
static ir_value values[KINDS][KEPT];
static unsigned value_count[KINDS];

static void remember(ir_value v)
{
    unsigned type = r->insns[v].type;
    if (v && value_count[type] < KEPT)
        values[type][value_count[type]++] = v;
}

static ir_value constant(enum ir_type type)
{
    return ir_const(r, type, random_value());
}

/* A value of the type: recent ones mostly, or a guest register, or a constant. */
static ir_value pick(enum ir_type type)
{
    unsigned n = value_count[type];
    if (n && below(3)) {
        unsigned back = below(4) ? MIN(n, 4u) : n;
        return values[type][n - 1 - below(back)];
    }
    switch (type) {
    case IR_I64: return below(5) ? ir_get(r, below(DATA), IR_I64) : constant(IR_I64);
    case IR_I32: return below(5) ? ir_trunc(r, ir_get(r, below(DATA), IR_I64)) : constant(IR_I32);
    case IR_F64:
        return ir_emit(r, IR_VGET_FLOAT, IR_F64, 0, ir_get(r, INTEGERS + below(VECTORS), IR_V128), 0, 0, 0,
                       0);
    default: return ir_get_flags(r);
    }
}

/* Whether a condition looks at `defined` flags only. */
static bool condition_defined(unsigned cond, uint16_t defined)
{
    static const uint16_t reads[] = {
        NZCV_Z, NZCV_B, NZCV_N, NZCV_V, NZCV_B | NZCV_Z, NZCV_N | NZCV_V, NZCV_N | NZCV_V | NZCV_Z, NZCV_P};
    return !(reads[cond >> 1] & ~defined);
}

/* The flags that are defined whatever the operands. */
static uint16_t surely_defined(enum ir_op op, unsigned size, ir_value b)
{
    if (op < IR_PART_SHL || op > IR_PART_RCR || r->insns[b].op == IR_CONST)
        return part_defined_flags(op, size, r->insns[b].imm);
    uint16_t defined = NZCVPA_MASK;
    for (unsigned count = 0; count < 64; count++)
        defined &= part_defined_flags(op, size, count);
    return defined;
}

static ir_value some_bool(void)
{
    enum ir_type type = below(2) ? IR_I32 : IR_I64;
    if (below(3) == 0)
        return ir_cmp(r, (enum ir_cond)(IR_SGE + below(4)), pick(type), pick(type));
    return ir_cond(r, pick(IR_FLAGS), (enum ir_cond)below(16));
}

/* Something that depends on one condition of the flags. */
static void use_condition(ir_value flags, uint16_t defined)
{
    unsigned cond = below(16);
    if (!condition_defined(cond, defined))
        return;
    ir_value holds = ir_cond(r, flags, (enum ir_cond)cond);
    if (below(3) == 0)
        ir_emit(r, IR_EXIT_IF, IR_VOID, 0, holds, 0, 0, 0x50000000 + 4 * (uint64_t)below(1000), 0);
    else
        remember(ir_select(r, holds, pick(IR_I64), pick(IR_I64)));
}

/* Flags of which only some are defined: becomes the guest's flags, or an operand, without the others. */
static void use_flags(ir_value flags, uint16_t defined)
{
    if (below(2))
        use_condition(flags, defined);
    if (below(3) == 0)
        return;
    if (defined != NZCVPA_MASK) {
        ir_value packed = ir_emit(r, IR_FLAGS_PACK, IR_I32, 0, flags, 0, 0, 0, 0);
        packed = ir_binary_imm(r, IR_AND, packed, defined);
        flags = ir_emit(r, IR_FLAGS_UNPACK, IR_FLAGS, 0, packed, 0, 0, 0, 0);
    }
    if (below(2))
        ir_set_flags(r, flags);
    remember(flags);
}

static ir_value random_part(void)
{
    const enum ir_op op = (enum ir_op)(IR_PART_ADD + below(IR_PART_MUL - IR_PART_ADD + 1));
    const unsigned size = below(4);
    const enum ir_type type = size == 3 || (size < 2 && below(2)) ? IR_I64 : IR_I32;
    const bool takes = ir_op_info[op].arguments[2] == 'l';
    ir_value flags = takes ? pick(IR_FLAGS) : IR_NONE;
    ir_value a = pick(type), b = below(3) ? pick(type) : constant(type);
    if (op >= IR_PART_SHL && op <= IR_PART_RCR && below(2))
        b = ir_const(r, type, below(70));
    if (op == IR_PART_INC || op == IR_PART_DEC || below(8) == 0)
        b = a;
    else if (below(16) == 0)
        a = ir_const(r, type, 0);
    ir_value v = ir_part(r, op, size, a, b, flags);
    if (below(4)) {
        ir_value f = ir_flags_of_x86(r, v);
        if (below(4) == 0) /* nothing but the flags is wanted */
            v = IR_NONE;
        use_flags(f, surely_defined(op, size, b));
    }
    return v;
}

/* x86's flags of the operations that Arm has, too. */
static ir_value random_arm(void)
{
    static const uint8_t ops[] = {IR_SUB, IR_ADD, IR_AND, IR_ANDN, IR_ADC, IR_SBC};
    const enum ir_op op = ops[below(ARRAY_SIZE(ops))];
    const enum ir_type type = below(2) ? IR_I32 : IR_I64;
    ir_value flags = op == IR_ADC || op == IR_SBC ? pick(IR_FLAGS) : IR_NONE;
    ir_value v = ir_emit(r, op, type, 0, pick(type), pick(type), flags, 0, 0);
    use_flags(below(2) ? ir_flags_of_x86(r, v) : ir_flags_of(r, v), NZCV_MASK);
    return v;
}

/* Division, mostly of what fits. */
static ir_value random_division(void)
{
    const enum ir_type type = below(2) ? IR_I32 : IR_I64;
    const unsigned width = type == IR_I32 ? 32 : 64;
    const bool is_signed = below(2), fits = below(30);
    ir_value low = pick(type), high = pick(type), divisor = pick(type);
    if (fits && is_signed) {
        high = ir_binary_imm(r, IR_SAR, low, width - 1);
        divisor = ir_binary_imm(r, IR_OR, ir_binary_imm(r, IR_SHR, divisor, 1), 1);
    } else if (fits) {
        divisor = ir_binary_imm(r, IR_OR, divisor, 1);
        high = below(2) ? ir_const(r, type, 0) : ir_binary_imm(r, IR_SHR, divisor, 1);
    }
    const enum ir_op quotient = is_signed ? IR_SDIV_WIDE : IR_UDIV_WIDE;
    const enum ir_op remainder = is_signed ? IR_SREM_WIDE : IR_UREM_WIDE;
    const bool first = below(2);
    ir_value v = ir_divide_wide(r, first ? quotient : remainder, high, low, divisor);
    if (below(2)) {
        remember(v);
        v = ir_divide_wide(r, first ? remainder : quotient, high, low, divisor);
    }
    return v;
}

static void random_flags(void)
{
    const enum ir_type type = below(2) ? IR_I32 : IR_I64;
    switch (below(4)) {
    case 0: use_flags(ir_flags_bit(r, pick(type), pick(type), pick(IR_FLAGS)), NZCV_B | NZCV_Z); break;
    case 1:
        use_flags(ir_emit(r, IR_FLAGS_UCOM, IR_FLAGS, below(2), pick(IR_F64), pick(IR_F64), 0, 0, 0),
                  NZCVPA_MASK);
        break;
    case 2: remember(ir_emit(r, IR_FLAGS_CONST, IR_FLAGS, 0, 0, 0, 0, random64() & NZCVPA_MASK, 0)); break;
    default: remember(ir_emit(r, IR_FLAGS_PACK, IR_I32, 0, pick(IR_FLAGS), 0, 0, 0, 0)); break;
    }
}

static void random_guest_insn(unsigned number)
{
    ir_emit(r, IR_INSN, IR_VOID, 0, 0, 0, 0, REGION_START + 4 * number, 0);
    if (below(6) == 0)
        remember(random_division());
    for (unsigned n = below(3); n > 0; n--)
        remember(random_part());
    if (below(4) == 0)
        remember(random_arm());
    if (below(4) == 0)
        random_flags();
    if (below(10) == 0)
        ir_raise_if(r, some_bool(), TRANSLATOR_UNDEFINED, random64(), 0x70000000 + random64() % 1000);
    for (unsigned n = below(3); n > 0; n--)
        ir_set(r, below(DATA), below(2) ? pick(IR_I64) : ir_zext(r, pick(IR_I32)));
    if (below(8) == 0)
        ir_emit(r, IR_EXIT_IF, IR_VOID, 0, some_bool(), 0, 0, 0x50000000 + 4 * (uint64_t)below(1000), 0);
}

/* Rule 3 of regions forbids a SET before a division in one guest instruction: use_flags() makes some. */
static bool is_valid(void)
{
    struct error error = ERROR_INIT;
    return !ir_verify(r, &error);
}

static void random_region(void)
{
    const char *size = getenv("HOST_TEST_SIZE");
    do {
        unsigned count = 1 + below(size ? (unsigned)strtoul(size, NULL, 0) : 24);
        ir_region_reset(r, REGION_START);
        memset(value_count, 0, sizeof value_count);
        for (unsigned i = 0; i < count; i++)
            random_guest_insn(i);
        r->guest_end = REGION_START + 4 * count;
        uint64_t target = 0x60000000 + 4 * (uint64_t)below(1000);
        if (below(2))
            ir_emit(r, IR_GOTO, IR_VOID, 0, 0, 0, 0, target, 0);
        else
            ir_emit(r, IR_RAISE, IR_VOID, TRANSLATOR_SYSCALL, 0, 0, 0, random64(), target);
    } while (!is_valid());
}

/* -- comparing --------------------------------------------------------------------------------- */

static struct test_cpu start, expected, actual;
static uint32_t fault_offset;

static const struct host_insn *insn_at(uint32_t offset)
{
    unsigned i = code.insn_count;
    while (i > 1 && code.insns[i - 1].start > offset)
        i--;
    return &code.insns[i - 1];
}

/* A division that faults leaves the block, as the run time has it. */
static void on_divide(int signal, siginfo_t *info, void *context)
{
    if (info->si_code != FPE_INTDIV)
        _exit(signal);
    fault_offset = (uint32_t)(host_context_pc(context) - (uint64_t)(uintptr_t)block_at(0));
    host_repair_context(&isa, &actual.common, context, insn_at(fault_offset)->state);
    actual.common.exit_reason = TRANSLATOR_DIVIDE;
    actual.pc = r->guest_start + insn_at(fault_offset)->pc_delta;
    host_context_set_pc(context, (uint64_t)(uintptr_t)cache + routines[HOST_LEAVE]);
}

static void random_state(void)
{
    static const double doubles[] = {0.0, -0.0, 1.0, -1.0, 1.5, 1e300, __builtin_inf(), __builtin_nan("")};
    memset(&start, 0, sizeof start);
    prepare_cpu(&start);
    for (unsigned i = 0; i < INTEGERS; i++)
        start.x[i] = random_value();
    for (unsigned i = 0; i < VECTORS; i++)
        memcpy(&start.v[i].d[0], &doubles[below(ARRAY_SIZE(doubles))], 8);
    start.flags = random64() & NZCVPA_MASK;
    start.pc = REGION_START;
}

static enum translator_exit resolve(struct test_cpu *cpu)
{
    if (cpu->common.exit_reason != TRANSLATOR_LINK)
        return (enum translator_exit)cpu->common.exit_reason;
    cpu->pc = code.exits[cpu->common.exit_payload].target;
    return TRANSLATOR_NONE;
}

static int differ(const char *what, unsigned index, uint64_t is, uint64_t should)
{
    if (is == should)
        return 0;
    fprintf(stderr, "%s%u is %" PRIx64 ", should be %" PRIx64 "\n", what, index, is, should);
    return 1;
}

static bool compare(enum translator_exit is, enum translator_exit should)
{
    int bad = differ("exit ", 0, is, should) | differ("pc ", 0, actual.pc, expected.pc);
    for (unsigned i = 0; i < INTEGERS; i++)
        bad |= differ("x", i, actual.x[i], expected.x[i]);
    /* at a fault, and where the exit says that nobody reads them, flags may be any */
    if (should != TRANSLATOR_DIVIDE && !(should == TRANSLATOR_NONE && expected.pc & 8))
        bad |= differ("flags ", 0, actual.flags & NZCVPA_MASK, expected.flags & NZCVPA_MASK);
    if (should != TRANSLATOR_NONE && should != TRANSLATOR_DIVIDE)
        bad |= differ("payload ", 0, actual.common.exit_payload, expected.common.exit_payload);
    bad |= differ("mxcsr ", 0, actual.common.fp_control & ~expected.common.fp_control, 0);
    return bad;
}

static enum translator_exit run_both(const void *block, uint64_t id)
{
    expected = actual = start;
    enum translator_exit should = ir_interpret(&isa, &expected.common, r);
    enter(&actual, block);
    if (!compare(resolve(&actual), should))
        return should;
    fprintf(stderr, "region %#" PRIx64 "\n", id);
    if (getenv("HOST_TEST_TRACE")) {
        ir_print(stderr, r, NULL);
        host_disassemble(stderr, code.bytes, code.size, (uint64_t)(uintptr_t)block);
        for (unsigned i = 0; i < INTEGERS; i++)
            fprintf(stderr, "x%u = %" PRIx64 "\n", i, start.x[i]);
        fprintf(stderr, "flags = %x\n", start.flags);
    }
    fail_msg("host code and interpreter differ");
    return should;
}

static int setup_x86(void **state)
{
    isa.more_flags = NZCV_P | NZCV_A;
    return setup(state);
}

/* In each test: cmocka has its own handler around it. */
static void catch_divisions(void)
{
    static uint8_t signal_stack[65536];
    struct sigaction action = {.sa_sigaction = on_divide, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaltstack(&(stack_t){.ss_sp = signal_stack, .ss_size = sizeof signal_stack}, NULL);
    sigaction(SIGFPE, &action, NULL);
}

static void test_random_regions(void **state)
{
    (void)state;
    const char *count = getenv("HOST_TEST_COUNT"), *first = getenv("HOST_TEST_SEED");
    unsigned n = count ? (unsigned)strtoul(count, NULL, 0) : 10000, faults = 0;
    if (first)
        seed = strtoull(first, NULL, 0);
    catch_divisions();
    for (unsigned i = 0; i < n; i++) {
        uint64_t id = seed;
        random_region();
        host_emit(&isa, r, exit_flags_dead, NULL, &code);
        if (code.overflow) {
            fprintf(stderr, "region %#" PRIx64 "\n", id);
            ir_print(stderr, r, NULL);
            fail_msg("overflow");
        }
        const void *block = place(0, 0);
        for (unsigned k = 0; k < 4; k++) {
            random_state();
            faults += run_both(block, id) == TRANSLATOR_DIVIDE;
        }
    }
    assert_true(count || faults > 100);
}

/* -- what the code is -------------------------------------------------------------------------- */

static void begin(void)
{
    ir_region_reset(r, REGION_START);
    ir_emit(r, IR_INSN, IR_VOID, 0, 0, 0, 0, REGION_START, 0);
}

static void finish(uint64_t target)
{
    struct error error = ERROR_INIT;
    r->guest_end = REGION_START + 4;
    ir_emit(r, IR_GOTO, IR_VOID, 0, 0, 0, 0, target, 0);
    if (ir_verify(r, &error))
        fail_msg("%s", error.message);
    host_emit(&isa, r, exit_flags_dead, NULL, &code);
    assert_false(code.overflow);
}

/* How often `text` is in the block's disassembly. */
static unsigned occurrences(const char *text)
{
    char *listing = NULL;
    size_t size = 0;
    unsigned n = 0;
    FILE *stream = open_memstream(&listing, &size);
    host_disassemble(stream, code.bytes, code.size, 0);
    fclose(stream);
    for (const char *p = listing; (p = strstr(p, text)); p++)
        n++;
    free(listing);
    return n;
}

/* A comparison and the branch that reads it: cmp and jcc, nothing else; flags dead at the exits. */
static void test_fusion(void **state)
{
    (void)state;
    for (unsigned size = 0; size < 4; size++) {
        begin();
        enum ir_type type = size == 2 ? IR_I32 : IR_I64;
        ir_value a = ir_get(r, 0, IR_I64), b = ir_get(r, 1, IR_I64);
        if (type == IR_I32) {
            a = ir_trunc(r, a);
            b = ir_trunc(r, b);
        }
        ir_value f = ir_flags_of_x86(r, ir_part(r, IR_PART_SUB, size, a, b, IR_NONE));
        ir_set_flags(r, f);
        ir_emit(r, IR_EXIT_IF, IR_VOID, 0, ir_cond(r, f, IR_UGT), 0, 0, 0x50000008, 0);
        finish(0x60000008);
        assert_int_equal(occurrences("cmp"), 1);
        assert_int_equal(occurrences("ja "), 1);
        assert_int_equal(occurrences("lahf"), 0);
        assert_int_equal(occurrences("cmc"), 0);
    }
    /* dec and jnz, although dec keeps a carry */
    begin();
    ir_value a = ir_trunc(r, ir_get(r, 0, IR_I64));
    ir_value v = ir_part(r, IR_PART_DEC, 2, a, a, ir_get_flags(r));
    ir_value f = ir_flags_of_x86(r, v);
    ir_set_flags(r, f);
    ir_set(r, 0, ir_zext(r, v));
    ir_emit(r, IR_EXIT_IF, IR_VOID, 0, ir_cond(r, f, IR_NE), 0, 0, 0x50000008, 0);
    finish(0x60000008);
    assert_int_equal(occurrences("dec"), 1);
    assert_int_equal(occurrences("bt "), 0);
    assert_int_equal(occurrences("mov"), 2); /* the numbers of two exits */
    assert_true(code.flags_dead);
}

static void test_negation(void **state)
{
    (void)state;
    begin();
    ir_value v = ir_part(r, IR_PART_SUB, 3, ir_const(r, IR_I64, 0), ir_get(r, 1, IR_I64), IR_NONE);
    ir_set_flags(r, ir_flags_of_x86(r, v));
    ir_set(r, 1, v);
    finish(0x60000000);
    assert_int_equal(occurrences("neg"), 1);
    assert_int_equal(occurrences("sub"), 0);
}

/* Quotient and remainder are one division. */
static void test_one_division(void **state)
{
    (void)state;
    begin();
    ir_value a = ir_get(r, 0, IR_I64), b = ir_get(r, 1, IR_I64), c = ir_get(r, 2, IR_I64);
    ir_value q = ir_divide_wide(r, IR_UDIV_WIDE, a, b, c), m = ir_divide_wide(r, IR_UREM_WIDE, a, b, c);
    ir_set(r, 3, q);
    ir_set(r, 4, m);
    finish(0x60000008);
    assert_int_equal(occurrences("div"), 1);
}

/* At a division that faults the flags are exact: here they are in EFLAGS only, just before. */
static void test_divide_fault(void **state)
{
    (void)state;
    begin();
    ir_value a = ir_get(r, 0, IR_I64), b = ir_get(r, 1, IR_I64);
    ir_value v = ir_part(r, IR_PART_SUB, 3, a, b, IR_NONE);
    ir_set_flags(r, ir_flags_of_x86(r, v));
    ir_set(r, 0, v);
    ir_emit(r, IR_INSN, IR_VOID, 0, 0, 0, 0, REGION_START + 4, 0);
    ir_set(r, 2, ir_divide_wide(r, IR_SDIV_WIDE, v, b, ir_get(r, 3, IR_I64)));
    finish(0x60000000);
    random_state();
    start.x[0] = 1;
    start.x[1] = 2;
    start.x[2] = 3;
    start.x[3] = 0;
    actual = start;
    catch_divisions();
    enter(&actual, place(0, 0));
    assert_int_equal(actual.common.exit_reason, TRANSLATOR_DIVIDE);
    assert_true(actual.pc == REGION_START + 4);
    assert_true(actual.x[0] == ~0ull && actual.x[2] == 3);
    assert_int_equal(actual.flags & NZCVPA_MASK, NZCV_N | NZCV_B | NZCV_P | NZCV_A);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_regions), cmocka_unit_test(test_fusion),
        cmocka_unit_test(test_negation),       cmocka_unit_test(test_one_division),
        cmocka_unit_test(test_divide_fault),
    };
    return cmocka_run_group_tests_name("host code for x86", tests, setup_x86, NULL);
}
