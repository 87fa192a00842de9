/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_host: runs regions through the host code generator and through the IR interpreter and compares the
 * whole CPU structure and memory: random regions by the thousand, and exits, calls, returns by hand.
 *
 * The guest is an invented one with fewer registers than the host has pins for some, and more for others. The
 * environment variable HOST_TEST_SEED starts the random regions elsewhere, HOST_TEST_COUNT sets their number,
 * HOST_TEST_SIZE their guest instructions, HOST_TEST_TRACE prints a failing one.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/host/host.h"
#include "translator/ir/eval.h"

#include "host_harness.h"

/* Doubles that compare in all ways. */
static uint64_t random_double(void)
{
    static const double values[] = {0.0, -0.0, 1.0, -1.0, 1.5, 1e300, __builtin_inf(), -__builtin_inf()};
    uint64_t bits;
    if (below(5) == 0)
        return 0x7ff8000000000000 + below(5);
    memcpy(&bits, &values[below(ARRAY_SIZE(values))], 8);
    return bits;
}

/* -- random regions ---------------------------------------------------------------------------- */

enum { KINDS = 8 };
static ir_value values[KINDS][512];
static unsigned value_count[KINDS];

static void remember(ir_value v)
{
    unsigned type = region.insns[v].type;
    if (v && value_count[type] < 512)
        values[type][value_count[type]++] = v;
}

static ir_value constant(enum ir_type type)
{
    return ir_const(&region, type, random_value());
}

/* A value of the type: recent ones mostly, or a guest register, or a constant. */
static ir_value pick(enum ir_type type)
{
    unsigned n = value_count[type];
    if (n && below(3)) {
        unsigned back = below(4) ? MIN(n, 4u) : n; /* recent ones */
        return values[type][n - 1 - below(back)];
    }
    switch (type) {
    case IR_I64: return below(5) ? ir_get(&region, below(DATA), IR_I64) : constant(IR_I64);
    case IR_I32: return below(5) ? ir_trunc(&region, ir_get(&region, below(DATA), IR_I64)) : constant(IR_I32);
    case IR_V128: return ir_get(&region, INTEGERS + below(VECTORS), IR_V128);
    case IR_F64: return ir_emit(&region, IR_VGET_FLOAT, IR_F64, 0, pick(IR_V128), IR_NONE, IR_NONE, 0, 0);
    case IR_FLAGS: return ir_get_flags(&region);
    default: {
        enum ir_type operand = below(2) ? IR_I32 : IR_I64;
        switch (below(4)) {
        case 0: {
            static const uint8_t conds[] = {IR_EQ,  IR_NE,  IR_UGE, IR_ULT, IR_UGT,
                                            IR_ULE, IR_SGE, IR_SLT, IR_SGT, IR_SLE};
            return ir_cmp(&region, conds[below(ARRAY_SIZE(conds))], pick(operand),
                          below(3) ? pick(operand) : ir_const(&region, operand, 0));
        }
        case 1: return ir_bit(&region, pick(operand), below(operand == IR_I32 ? 32 : 64), below(2));
        default: return ir_cond(&region, pick(IR_FLAGS), below(14));
        }
    }
    }
}

static ir_value random_integer(enum ir_type type)
{
    struct ir_region *r = &region;
    unsigned bits = type == IR_I32 ? 32 : 64;
    static const uint8_t binary[] = {IR_ADD,  IR_SUB,  IR_MUL, IR_AND, IR_OR,  IR_XOR, IR_ANDN,
                                     IR_ORN,  IR_XORN, IR_SHL, IR_SHR, IR_SAR, IR_ROR, IR_UDIV,
                                     IR_SDIV, IR_ADD,  IR_SUB, IR_AND, IR_ADD, IR_SUB};
    static const uint8_t unary[] = {IR_NOT, IR_NEG, IR_CLZ, IR_CTZ, IR_RBIT};
    switch (below(14)) {
    case 0: return ir_unary(r, unary[below(ARRAY_SIZE(unary))], pick(type), 0);
    case 1: return ir_unary(r, IR_BSWAP, pick(type), type == IR_I32 ? 1 + below(2) : 1 + below(3));
    case 2:
    case 3: {
        unsigned lsb = below(bits), width = 1 + below(bits - lsb);
        if (below(3) == 0)
            width = 8u << below(3), lsb &= bits - 8, width = MIN(width, bits - lsb);
        switch (below(4)) {
        case 0: return ir_ubfx(r, pick(type), lsb, width);
        case 1: return ir_sbfx(r, pick(type), lsb, width);
        case 2: return ir_bfi(r, ir_const(r, type, 0), pick(type), lsb, width);
        default: return ir_bfi(r, pick(type), pick(type), lsb, width);
        }
    }
    case 4: return ir_emit(r, IR_EXTR, type, 0, pick(type), pick(type), IR_NONE, below(bits), 0);
    case 5:
        if (type == IR_I32)
            return below(8) ? ir_trunc(r, pick(IR_I64))
                            : ir_emit(r, IR_CRC32, IR_I32, below(3) | (below(2) ? IR_CRC_CASTAGNOLI : 0),
                                      pick(IR_I32), pick(IR_I32), IR_NONE, 0, 0);
        return below(2) ? ir_zext(r, pick(IR_I32)) : ir_sext(r, pick(IR_I32));
    case 6:
        return ir_emit(r, below(2) ? IR_ADC : IR_SBC, type, 0, pick(type), pick(type), pick(IR_FLAGS), 0, 0);
    case 7: return ir_select(r, pick(IR_BOOL), pick(type), pick(type));
    case 8: return ir_select(r, pick(IR_BOOL), ir_const(r, type, 1), ir_const(r, type, 0));
    case 9:
        if (type == IR_I32)
            return ir_emit(r, IR_FLAGS_PACK, IR_I32, 0, pick(IR_FLAGS), IR_NONE, IR_NONE, 0, 0);
        return ir_binary(r, below(2) ? IR_UMULH : IR_SMULH, pick(type), pick(type));
    default: {
        ir_value a = pick(type), b = below(3) ? pick(type) : constant(type);
        return ir_binary(r, binary[below(ARRAY_SIZE(binary))], a, b);
    }
    }
}

static void random_flags(void)
{
    struct ir_region *r = &region;
    enum ir_type type = below(2) ? IR_I32 : IR_I64;
    ir_value f;
    static const uint8_t ops[] = {IR_SUB, IR_SUB, IR_SUB, IR_ADD, IR_ADD, IR_AND, IR_ANDN, IR_ADC, IR_SBC};
    switch (below(8)) {
    case 0: f = ir_emit(r, IR_FLAGS_CONST, IR_FLAGS, 0, 0, 0, 0, random64() & NZCV_MASK, 0); break;
    case 1:
        f = ir_emit(r, IR_FLAGS_UNPACK, IR_FLAGS, 0,
                    ir_binary(r, IR_AND, pick(IR_I32), ir_const(r, IR_I32, NZCV_MASK)), 0, 0, 0, 0);
        break;
    case 2: {
        ir_value a = pick(IR_F64), b = pick(IR_F64);
        f = ir_emit(r, IR_FLAGS_FCMP, IR_FLAGS, below(2), a, b, 0, 0, 0);
        break;
    }
    default: {
        enum ir_op op = ops[below(ARRAY_SIZE(ops))];
        ir_value c = pick(IR_BOOL);
        ir_value a = pick(type), b = below(3) ? pick(type) : constant(type);
        ir_value flags = op == IR_ADC || op == IR_SBC ? pick(IR_FLAGS) : IR_NONE;
        ir_value v = ir_emit(r, op, type, 0, a, b, flags, 0, 0);
        f = ir_flags_of(r, v);
        if (below(3) == 0)
            f = ir_emit(r, IR_FLAGS_SELECT, IR_FLAGS, 0, c, f, IR_NONE, random64() & NZCV_MASK, 0);
        else if (below(2))
            remember(v);
        break;
    }
    }
    remember(f);
    if (below(4))
        ir_set_flags(r, f);
}

/* An address within the data page: base plus index, mostly aligned. */
static void random_address(unsigned size, ir_value *base, ir_value *index, unsigned *mem, uint64_t *offset)
{
    struct ir_region *r = &region;
    *base = ir_get(r, DATA, IR_I64);
    *index = IR_NONE;
    *offset = (uint64_t)(int64_t)((int)below(255) * 16 - 2048);
    *mem = size;
    if (below(8) == 0)
        *offset += below(16);
    if (below(3) == 0) {
        unsigned scale = below(4);
        *index = ir_binary(r, IR_AND, pick(IR_I64), ir_const(r, IR_I64, 0xf8));
        *mem |= scale << IR_MEM_SCALE_SHIFT;
        *offset = (uint64_t)(-(int)below(16) * 16);
    }
    if (below(3) == 0)
        *mem |= IR_MEM_ALIGNED;
}

static ir_value plain_address(unsigned size, unsigned *mem)
{
    struct ir_region *r = &region;
    ir_value offset = ir_binary(r, IR_AND, pick(IR_I64), ir_const(r, IR_I64, 0x7e0));
    ir_value address = ir_binary(r, IR_ADD, ir_get(r, DATA, IR_I64), offset);
    if (size < 4 && below(4) == 0)
        address = ir_binary(r, IR_ADD, address, ir_const(r, IR_I64, below(16)));
    *mem = size | (size == 4 || below(3) == 0 ? IR_MEM_ALIGNED : 0);
    return address;
}

static void random_exclusive(enum ir_type integer, unsigned integer_size)
{
    struct ir_region *r = &region;
    bool vector = below(3) == 0;
    unsigned mem;
    ir_value a = plain_address(vector ? 4 : integer_size, &mem);
    ir_value v = ir_emit(r, IR_LOAD_EXCL, vector ? IR_V128 : integer, mem, a, IR_NONE, IR_NONE, 0, 0);
    remember(v);
    if (below(3) == 0)
        return;
    v = ir_emit(r, IR_STORE_EXCL, IR_I32, mem, below(8) ? a : plain_address(vector ? 4 : integer_size, &mem),
                pick(vector ? IR_V128 : integer), IR_NONE, 0, 0);
    remember(v);
}

static void random_access(void)
{
    struct ir_region *r = &region;
    enum ir_type type = below(3) == 0 ? IR_V128 : below(4) == 0 ? IR_F64 : below(2) ? IR_I32 : IR_I64;
    unsigned size = type == IR_V128 ? below(5) : type == IR_F64 ? 3 : below(type == IR_I32 ? 3 : 4), mem;
    ir_value base, index, v = IR_NONE;
    uint64_t offset;
    enum ir_type integer = below(2) ? IR_I32 : IR_I64;
    unsigned integer_size = below(integer == IR_I32 ? 3 : 4);
    switch (below(10)) {
    case 0: {
        ir_value a = plain_address(integer_size, &mem);
        v = ir_emit(r, IR_ATOMIC, integer, mem, a, pick(integer), IR_NONE, below(9), 0);
        if (below(3) == 0)
            return;
        break;
    }
    case 1: {
        bool vector = below(3) == 0;
        ir_value a = plain_address(vector ? 4 : integer_size, &mem);
        enum ir_type t = vector ? IR_V128 : integer;
        ir_value expected = pick(t);
        if (below(2)) {
            expected = ir_emit(r, IR_LOAD, t, mem, a, IR_NONE, IR_NONE, 0, 0);
        }
        v = ir_emit(r, IR_CAS, t, mem, a, expected, pick(t), 0, 0);
        break;
    }
    case 2: random_exclusive(integer, integer_size); return;
    case 3: ir_emit(r, below(2) ? IR_FENCE : IR_CLEAR_EXCL, IR_VOID, 0, 0, 0, 0, 0, 0); return;
    case 4:
    case 5:
    case 6:
        random_address(size, &base, &index, &mem, &offset);
        v = ir_emit(r, IR_LOAD, type,
                    mem | (below(2) && !(type == IR_V128 || type == IR_F64) ? IR_MEM_SIGNED : 0), base, index,
                    IR_NONE, offset, 0);
        break;
    default:
        random_address(size, &base, &index, &mem, &offset);
        ir_emit(r, IR_STORE, type, mem | (below(4) == 0 ? IR_MEM_SEQ_CST : 0), base, index, pick(type),
                offset, 0);
        return;
    }
    remember(v);
}

static uint64_t helper(void *cpu, uint64_t a, uint64_t b)
{
    struct test_cpu *t = cpu;
    t->x[a & 7] += b;
    t->x[12] ^= a;
    t->v[b & 7].d[0] += a;
    t->v[13].d[1] ^= b;
    t->flags = (uint16_t)((t->flags ^ a) & NZCV_MASK);
    return a * 3 + b;
}

static void random_guest_insn(unsigned number)
{
    struct ir_region *r = &region;
    ir_emit(r, IR_INSN, IR_VOID, 0, 0, 0, 0, REGION_START + 4 * number, 0);
    if (below(40) == 0)
        remember(ir_call(r, helper, pick(IR_I64), below(2) ? pick(IR_I64) : IR_NONE));
    if (below(3) == 0)
        random_access();
    for (unsigned n = below(3); n > 0; n--)
        remember(random_integer(below(2) ? IR_I32 : IR_I64));
    if (below(3) == 0)
        random_flags();
    if (below(4) == 0)
        remember(pick(IR_BOOL));
    if (below(8) == 0)
        remember(ir_select(r, pick(IR_BOOL), pick(IR_V128), pick(IR_V128)));
    if (below(8) == 0)
        remember(ir_select(r, pick(IR_BOOL), pick(IR_F64), pick(IR_F64)));
    for (unsigned n = below(3); n > 0; n--) {
        if (below(4))
            ir_set(r, below(DATA), below(2) ? pick(IR_I64) : ir_zext(r, pick(IR_I32)));
        else
            ir_set(r, INTEGERS + below(VECTORS), pick(IR_V128));
    }
    if (below(6) == 0)
        ir_emit(r, IR_EXIT_IF, IR_VOID, 0, pick(IR_BOOL), 0, 0, 0x50000000 + 4 * (uint64_t)below(1000), 0);
}

/* Behind a TLB the data page lies in two guest pages. */
#define GUEST_SHIFT 0x123456780800ull
enum { GUEST_TLB = 1 };

static void random_region(void)
{
    struct ir_region *r = &region;
    const char *size = getenv("HOST_TEST_SIZE");
    unsigned count = 1 + below(size ? (unsigned)strtoul(size, NULL, 0) : 32);
    ir_region_reset(r, REGION_START);
    r->tlb = GUEST_TLB;
    memset(value_count, 0, sizeof value_count);
    for (unsigned i = 0; i < count; i++)
        random_guest_insn(i);
    r->guest_end = REGION_START + 4 * count;
    uint64_t target = 0x60000000 + 4 * (uint64_t)below(1000);
    switch (below(6)) {
    case 0: ir_emit(r, IR_GOTO_REG, IR_VOID, 0, pick(IR_I64), 0, 0, 0, 0); break;
    case 1: ir_emit(r, IR_CALL_GUEST, IR_VOID, 0, 0, 0, 0, target, REGION_START + 4 * count); break;
    case 2: ir_emit(r, IR_CALL_REG, IR_VOID, 0, pick(IR_I64), 0, 0, 0, REGION_START + 4 * count); break;
    case 3: ir_emit(r, IR_RETURN, IR_VOID, 0, pick(IR_I64), 0, 0, 0, 0); break;
    case 4: ir_emit(r, IR_RAISE, IR_VOID, TRANSLATOR_SYSCALL, 0, 0, 0, random64(), target); break;
    default: ir_emit(r, IR_GOTO, IR_VOID, 0, 0, 0, 0, target, 0); break;
    }
}

/* -- comparing --------------------------------------------------------------------------------- */

static struct test_cpu start, expected, actual;
static uint8_t data_start[DATA_SIZE], data_expected[DATA_SIZE];

/* -- guest memory behind a TLB ----------------------------------------------------------------- */

static unsigned memory_calls;
static uint64_t refused_page; /* one that the TLB has not: here some accesses are refused */

static bool serve_memory(struct translator_cpu *cpu, struct memory_access *access)
{
    uint8_t *at = (uint8_t *)(uintptr_t)(access->address - GUEST_SHIFT);
    memory_calls++;
    assert_int_equal(access->tlb, GUEST_TLB);
    assert_in_range(at - data, 0, DATA_SIZE - (1 << access->size));
    if (tlb_page(access->address) == refused_page && access->address % 256 >= 240) {
        cpu->exit_reason = TRANSLATOR_FAULT;
        cpu->exit_payload = access->address;
        return false;
    }
    access->pointer = at;
    if (access->kind == ACCESS_STORE)
        memcpy(at, &access->value, (size_t)1 << access->size);
    return true;
}

static void random_tlb(void)
{
    start.x[DATA] += GUEST_SHIFT;
    start.common.memory = serve_memory;
    for (unsigned i = 0; i < 2; i++)
        tlb_flush(&start.tlb[i]);
    uint64_t first = tlb_page((uint64_t)(uintptr_t)data + GUEST_SHIFT);
    refused_page = first + 4096 * below(4);
    for (unsigned i = 0; i < 2; i++) {
        if (first + 4096 * i == refused_page)
            continue;
        struct tlb_entry *entry = tlb_entry(&start.tlb[GUEST_TLB], first + 4096 * i);
        entry->addend = -GUEST_SHIFT;
        if (below(3))
            entry->read = first + 4096 * i;
        if (below(3))
            entry->write = first + 4096 * i;
    }
}

static void random_state(void)
{
    memset(&start, 0, sizeof start);
    prepare_cpu(&start);
    for (unsigned i = 0; i < INTEGERS; i++)
        start.x[i] = random_value();
    start.x[DATA] = (uint64_t)(uintptr_t)data + DATA_SIZE / 2;
    if (isa.tlb_offset)
        random_tlb();
    for (unsigned i = 0; i < VECTORS; i++) {
        start.v[i].d[0] = below(2) ? random_double() : random64();
        start.v[i].d[1] = random64();
    }
    start.flags = random64() & NZCV_MASK;
    start.pc = REGION_START;
    for (unsigned i = 0; i < DATA_SIZE; i += 8) {
        uint64_t v = random_value();
        memcpy(data_start + i, &v, 8);
    }
}

/* Makes of a left block what the interpreter says of it: the guest's pc and TRANSLATOR_NONE. */
static enum translator_exit resolve(struct test_cpu *cpu)
{
    if (cpu->common.exit_reason == TRANSLATOR_LINK) {
        assert_in_range(cpu->common.exit_payload, 0, code.exit_count - 1);
        cpu->pc = code.exits[cpu->common.exit_payload].target;
        return TRANSLATOR_NONE;
    }
    if (cpu->common.exit_reason == TRANSLATOR_LOOKUP)
        return TRANSLATOR_NONE;
    return (enum translator_exit)cpu->common.exit_reason;
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
    bool branch = should == TRANSLATOR_NONE && expected.pc >= 0x50000000 && expected.pc < 0x70000000;
    for (unsigned i = 0; i < INTEGERS; i++)
        bad |= differ("x", i, actual.x[i], expected.x[i]);
    for (unsigned i = 0; i < VECTORS; i++)
        bad |= differ("v.lo", i, actual.v[i].d[0], expected.v[i].d[0]) |
               differ("v.hi", i, actual.v[i].d[1], expected.v[i].d[1]);
    /* at an alignment fault the flags are those of before only if somebody may read them: see emit_flags.c */
    if (should != TRANSLATOR_ALIGNMENT && should != TRANSLATOR_FAULT && !(branch && expected.pc & 8))
        bad |= differ("flags ", 0, actual.flags & NZCV_MASK, expected.flags & NZCV_MASK);
    if (should != TRANSLATOR_NONE)
        bad |= differ("payload ", 0, actual.common.exit_payload, expected.common.exit_payload);
    bad |= differ("exclusive ", 0, actual.common.exclusive_address, expected.common.exclusive_address);
    /* sticky flags: no more than the interpreter's, which does not skip dead operations; "denormal" is not
     * Arm's */
    bad |= differ("mxcsr ", 0, actual.common.fp_control & ~expected.common.fp_control & ~2u, 0);
    bad |= differ("in_helper ", 0, actual.common.in_helper, 0);
    for (unsigned i = 0; i < DATA_SIZE; i++)
        bad |= differ("data ", i, data[i], data_expected[i]);
    return bad;
}

static void run_both(const void *block, uint64_t id)
{
    expected = start;
    memcpy(data, data_start, DATA_SIZE);
    enum translator_exit should = ir_interpret(&isa, &expected.common, &region);
    memcpy(data_expected, data, DATA_SIZE);
    memcpy(data, data_start, DATA_SIZE);
    actual = start;
    enter(&actual, block);
    enum translator_exit is = resolve(&actual);
    if (!compare(is, should))
        return;
    fprintf(stderr, "region %#" PRIx64 "\n", id);
    if (getenv("HOST_TEST_TRACE")) {
        ir_print(stderr, &region, NULL);
        host_disassemble(stderr, code.bytes, code.size, (uint64_t)(uintptr_t)block);
        for (unsigned i = 0; i < INTEGERS; i++)
            fprintf(stderr, "x%u = %" PRIx64 "\n", i, start.x[i]);
        for (unsigned i = 0; i < VECTORS; i++)
            fprintf(stderr, "v%u = %" PRIx64 ":%" PRIx64 "\n", i, start.v[i].d[1], start.v[i].d[0]);
        fprintf(stderr, "flags = %x\n", start.flags);
    }
    fail_msg("host code and interpreter differ");
}

static void compare_random_regions(unsigned n)
{
    const char *count = getenv("HOST_TEST_COUNT"), *first = getenv("HOST_TEST_SEED");
    if (count)
        n = (unsigned)strtoul(count, NULL, 0);
    if (first)
        seed = strtoull(first, NULL, 0);
    for (unsigned i = 0; i < n; i++) {
        struct error error = ERROR_INIT;
        uint64_t id = seed;
        random_region();
        assert_false(region.overflow);
        if (ir_verify(&region, &error)) {
            error_report(&error);
            ir_print(stderr, &region, NULL);
            fail_msg("the test makes bad regions");
        }
        host_emit(&isa, &region, exit_flags_dead, NULL, &code);
        if (code.overflow) {
            fprintf(stderr, "region %#" PRIx64 "\n", id);
            ir_print(stderr, &region, NULL);
            fail_msg("overflow");
        }
        const void *block = place(0, 0);
        for (unsigned k = 0; k < 4; k++) {
            random_state();
            run_both(block, id);
        }
    }
}

static void test_random_regions(void **state)
{
    (void)state;
    compare_random_regions(20000);
}

/* The interpreter asks the memory function for every access, host code only for those that the TLB has not.
 */
static void test_random_regions_behind_a_tlb(void **state)
{
    (void)state;
    compare_random_regions(8000);
    assert_true(memory_calls > 10000);
}

static int use_tlb(void **state)
{
    (void)state;
    isa.tlb_offset = offsetof(struct test_cpu, tlb);
    return 0;
}

static int use_no_tlb(void **state)
{
    (void)state;
    isa.tlb_offset = 0;
    return 0;
}

/* -- faults ------------------------------------------------------------------------------------ */

static bool in_interpreter;
static sigjmp_buf interpreter_fault;
static uint32_t fault_offset; /* in the block's code */

static const struct host_insn *insn_at(uint32_t offset)
{
    unsigned i = code.insn_count;
    while (i > 1 && code.insns[i - 1].start > offset)
        i--;
    return &code.insns[i - 1];
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
    if (address - (uint64_t)(uintptr_t)data >= DATA_SIZE) {
        fprintf(stderr, "unexpected fault at %#" PRIx64 " of %#" PRIx64 "\n", host_context_pc(context),
                address);
        _exit(1);
    }
    if (in_interpreter)
        siglongjmp(interpreter_fault, 1);
    fault_offset = (uint32_t)(host_context_pc(context) - (uint64_t)(uintptr_t)block_at(0));
    host_repair_context(&isa, &actual.common, context, insn_at(fault_offset)->state);
    actual.common.exit_reason = TRANSLATOR_FAULT;
    host_context_set_pc(context, (uint64_t)(uintptr_t)cache + routines[HOST_LEAVE]);
}

/* Whether an EXIT_IF depends on the BOOL. */
static bool decides_exit(ir_value condition)
{
    for (unsigned i = condition + 1u; i < region.count; i++)
        if (region.insns[i].op == IR_EXIT_IF && region.insns[i].a == condition)
            return true;
    return false;
}

/* Whether the flags at guest instruction pc surely have a reader: an exit, or a condition of one, before they
 * are set anew. Constant ones may have one that has been folded. */
static bool flags_read_after(uint64_t pc)
{
    unsigned i = 1;
    ir_value flags = IR_NONE;
    for (; region.insns[i].op != IR_INSN || region.insns[i].imm != pc; i++)
        if (region.insns[i].op == IR_SET_FLAGS)
            flags = region.insns[i].a;
    if (flags && region.insns[flags].op == IR_FLAGS_CONST)
        return true;
    for (; i < region.count; i++) {
        const struct ir_insn *n = &region.insns[i];
        switch (n->op) {
        case IR_COND:
            if (flags && n->a == flags && decides_exit((ir_value)i))
                return true;
            break;
        case IR_SET_FLAGS: return false;
        case IR_EXIT_IF:
        case IR_GOTO:
        case IR_CALL_GUEST:
            if (!exit_flags_dead(NULL, n->imm))
                return true;
            if (n->op != IR_EXIT_IF)
                return false;
            break;
        case IR_CALL:
        case IR_GOTO_REG:
        case IR_CALL_REG:
        case IR_RETURN:
        case IR_RAISE: return true;
        default: break;
        }
    }
    return false;
}

/* Interprets up to a fault; true if there was one. */
static bool interpret_to_fault(void)
{
    volatile uint32_t control = __builtin_ia32_stmxcsr();
    in_interpreter = true;
    volatile bool faulted = sigsetjmp(interpreter_fault, 1);
    if (!faulted)
        ir_interpret(&isa, &expected.common, &region);
    __builtin_ia32_ldmxcsr(control);
    in_interpreter = false;
    return faulted;
}

/* With memory that cannot be written, or not be read: both stop at the same instruction with the same state.
 */
static void test_faults(void **state)
{
    (void)state;
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK}, old;
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, &old);
    unsigned faults = 0;
    for (unsigned i = 0; i < 4000; i++) {
        uint64_t id = seed;
        random_region();
        host_emit(&isa, &region, exit_flags_dead, NULL, &code);
        const void *block = place(0, 0);
        random_state();
        expected = actual = start;
        memcpy(data, data_start, DATA_SIZE);
        mprotect(data, DATA_SIZE, below(2) ? PROT_NONE : PROT_READ);
        bool faulted = interpret_to_fault();
        enter(&actual, block);
        mprotect(data, DATA_SIZE, PROT_READ | PROT_WRITE);
        memcpy(data_expected, data_start, DATA_SIZE);
        if (!faulted)
            continue;
        faults++;
        int bad = differ("reason ", 0, actual.common.exit_reason, TRANSLATOR_FAULT) |
                  differ("pc ", 0, region.guest_start + insn_at(fault_offset)->pc_delta, expected.pc);
        for (unsigned k = 0; k < INTEGERS; k++)
            bad |= differ("x", k, actual.x[k], expected.x[k]);
        for (unsigned k = 0; k < VECTORS; k++)
            bad |= differ("v.lo", k, actual.v[k].d[0], expected.v[k].d[0]) |
                   differ("v.hi", k, actual.v[k].d[1], expected.v[k].d[1]);
        if (flags_read_after(expected.pc))
            bad |= differ("flags ", 0, actual.flags & NZCV_MASK, expected.flags & NZCV_MASK);
        bad |= differ("exclusive ", 0, actual.common.exclusive_address, expected.common.exclusive_address);
        if (bad) {
            fprintf(stderr, "region %#" PRIx64 "\n", id);
            ir_print(stderr, &region, NULL);
            host_disassemble(stderr, code.bytes, code.size, (uint64_t)(uintptr_t)block);
            fprintf(stderr, "fault at offset %#x\n", fault_offset);
            fail_msg("the state at a fault differs");
        }
    }
    sigaction(SIGSEGV, &old, NULL);
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    free(stack.ss_sp);
    assert_true(faults > 1000);
}

/* -- exits ------------------------------------------------------------------------------------- */

static struct test_cpu cpu;

static struct ir_region *begin(uint64_t pc)
{
    ir_region_reset(&region, pc);
    ir_emit(&region, IR_INSN, IR_VOID, 0, 0, 0, 0, pc, 0);
    return &region;
}

/* x[n] += k */
static void count(unsigned n, uint64_t k)
{
    ir_set(&region, n, ir_binary_imm(&region, IR_ADD, ir_get(&region, n, IR_I64), k));
}

static void leave(enum ir_op op, ir_value a, uint64_t imm, uint64_t imm2)
{
    ir_emit(&region, op, IR_VOID, op == IR_RAISE ? TRANSLATOR_SYSCALL : 0, a, 0, 0, imm, imm2);
}

static const void *finish(unsigned index, uint32_t first)
{
    host_emit(&isa, &region, exit_flags_dead, NULL, &code);
    assert_false(code.overflow);
    return place(index, first);
}

static void link_exit(unsigned index, unsigned exit, const void *target)
{
    uint8_t *slot = block_at(index) + code.exits[exit].slot;
    int32_t displacement = (int32_t)((const uint8_t *)target - (slot + 4));
    memcpy(slot, &displacement, 4);
}

static void jump_cache_set(uint64_t pc, const void *to)
{
    jump_cache[pc >> 2 & ((1 << JUMP_CACHE_BITS) - 1)] = (struct jump_cache_entry){pc, to};
}

static void test_links(void **state)
{
    (void)state;
    memset(&cpu, 0, sizeof cpu);
    prepare_cpu(&cpu);
    begin(0x1000);
    count(0, 1);
    leave(IR_EXIT_IF, ir_cmp(&region, IR_EQ, ir_get(&region, 0, IR_I64), ir_const(&region, IR_I64, 10)),
          0x3000, 0);
    leave(IR_GOTO, IR_NONE, 0x2000, 0);
    const void *a = finish(0, 100);
    assert_int_equal(code.exit_count, 2);
    assert_int_equal(code.exits[0].target, 0x3000);
    struct host_exit exits[2] = {code.exits[0], code.exits[1]};

    begin(0x2000);
    count(13, 5);
    leave(IR_GOTO, IR_NONE, 0x1000, 0);
    const void *b = finish(1, 200);
    link_exit(1, 0, a);

    enter(&cpu, a);
    assert_int_equal(cpu.common.exit_reason, TRANSLATOR_LINK);
    assert_int_equal(cpu.common.exit_payload, 101);
    code.exits[1] = exits[1];
    link_exit(0, 1, b);
    enter(&cpu, b);
    assert_int_equal(cpu.common.exit_reason, TRANSLATOR_LINK);
    assert_int_equal(cpu.common.exit_payload, 100);
    assert_int_equal(cpu.x[0], 10);
    assert_int_equal(cpu.x[13], 45);

    cpu.common.interrupt = 1;
    enter(&cpu, b);
    assert_int_equal(cpu.common.exit_reason, TRANSLATOR_INTERRUPTED);
    assert_int_equal(cpu.x[13], 45);
}

/* 0x1000 calls 0x2000, which calls 0x3000 through x1; both return, to x[12] and x[14], as they are set. */
static void make_calls(uint64_t inner_return)
{
    begin(0x1000);
    ir_set(&region, 12, ir_const(&region, IR_I64, 0x1004));
    leave(IR_CALL_GUEST, IR_NONE, 0x2000, 0x1004);
    const void *outer = finish(0, 0);
    struct host_exit call = code.exits[0], back = code.exits[1];

    begin(0x2000);
    count(0, 1);
    ir_set(&region, 14, ir_const(&region, IR_I64, inner_return));
    leave(IR_CALL_REG, ir_get(&region, 1, IR_I64), 0, 0x2004);
    const void *middle = finish(1, 10);
    struct host_exit middle_back = code.exits[0];

    begin(0x3000);
    count(0, 0x10);
    leave(IR_RETURN, ir_get(&region, 14, IR_I64), 0, 0);
    const void *inner = finish(2, 20);
    jump_cache_set(0x3000, inner);

    begin(0x2004);
    count(0, 0x100);
    leave(IR_RETURN, ir_get(&region, 12, IR_I64), 0, 0);
    const void *middle_end = finish(3, 30);

    begin(0x1004);
    count(0, 0x1000);
    leave(IR_RAISE, IR_NONE, 7, 0x1008);
    const void *outer_end = finish(4, 40);

    code.exits[0] = call;
    link_exit(0, 0, middle);
    code.exits[0] = back;
    link_exit(0, 0, outer_end);
    code.exits[0] = middle_back;
    link_exit(1, 0, middle_end);
    memset(&cpu, 0, sizeof cpu);
    prepare_cpu(&cpu);
    cpu.x[1] = 0x3000;
    enter(&cpu, outer);
}

static void test_calls(void **state)
{
    (void)state;
    uint64_t empty;
    make_calls(0x2004);
    assert_int_equal(cpu.common.exit_reason, TRANSLATOR_SYSCALL);
    assert_int_equal(cpu.common.exit_payload, 7);
    assert_int_equal(cpu.pc, 0x1008);
    assert_int_equal(cpu.x[0], 0x1111);
    empty = cpu.common.return_sp;
    host_reset_return_stack(&cpu.common, cache + routines[HOST_RETURN_SENTINEL], NULL);
    assert_int_equal(cpu.common.return_sp, empty);

    make_calls(0x1004); /* past the middle one, as longjmp() does */
    assert_int_equal(cpu.common.exit_reason, TRANSLATOR_SYSCALL);
    assert_int_equal(cpu.x[0], 0x1011);
    assert_int_equal(cpu.common.return_sp, empty);

    make_calls(0x5000); /* to where nobody called from */
    assert_int_equal(cpu.common.exit_reason, TRANSLATOR_LOOKUP);
    assert_int_equal(cpu.pc, 0x5000);

    make_calls(UINT64_MAX);
    assert_int_equal(cpu.common.exit_reason, TRANSLATOR_LOOKUP);
    assert_int_equal(cpu.pc, UINT64_MAX);
    jump_cache[0x3000 >> 2 & ((1 << JUMP_CACHE_BITS) - 1)].pc = NO_PC;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_random_regions),
        cmocka_unit_test_setup_teardown(test_random_regions_behind_a_tlb, use_tlb, use_no_tlb),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
