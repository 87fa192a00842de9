/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vector_harness: an invented guest for tests of single operations on floating point and vectors. */
#ifndef VISOR_TESTS_VECTOR_HARNESS_H
#define VISOR_TESTS_VECTOR_HARNESS_H

#include <sys/mman.h>

#include "base/macros.h"
#include "translator/host/host.h"
#include "translator/ir/eval.h"

/* -- the guest: X0 .. X3 and V0 .. V3 in host registers, V4 .. V7 in memory ---------------- */

struct test_cpu {
    struct translator_cpu common;
    uint64_t x[4];
    uint64_t pc;
    uint16_t flags;
    uint32_t qc;
    uint32_t control; /* GUEST_FP_* */
    union vector128 v[8];
};

enum { X0, X1, X2, X3, V0, V3 = V0 + 3, V4, V5, V6, V7 };

#define X(n)                                                                                                 \
    {                                                                                                        \
        "x" #n, IR_I64, n + 1, offsetof(struct test_cpu, x) + 8 * n                                          \
    }
#define V(n)                                                                                                 \
    {                                                                                                        \
        "v" #n, IR_V128, n < 4 ? n + 1 : 0, offsetof(struct test_cpu, v) + 16 * n                            \
    }
static const struct guest_register registers[] = {X(0), X(1), X(2), X(3), V(0), V(1),
                                                  V(2), V(3), V(4), V(5), V(6), V(7)};

static unsigned fp_control(const struct translator_cpu *cpu)
{
    return ((const struct test_cpu *)cpu)->control;
}

static const struct guest_isa isa = {
    .name = "test",
    .registers = registers,
    .register_count = ARRAY_SIZE(registers),
    .cpu_size = sizeof(struct test_cpu),
    .pc_offset = offsetof(struct test_cpu, pc),
    .flags_offset = offsetof(struct test_cpu, flags),
    .qc_offset = offsetof(struct test_cpu, qc),
    .fp_control = fp_control,
};

static struct test_cpu cpu;
static struct ir_region region;
static struct host_code code;
static uint8_t *cache;
static uint32_t routines[HOST_ROUTINE_COUNT];
static size_t routines_size;
static uint64_t return_stack[64];

static int setup(void **state)
{
    (void)state;
    cache = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (cache == MAP_FAILED)
        return -1;
    routines_size = ALIGN_UP(host_emit_routines(&isa, cache, 1 << 16, routines), 64);
    cpu.common.return_sp = (uint64_t)(uintptr_t)&return_stack[32];
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return munmap(cache, 1 << 20);
}

/* Nobody reads flags behind a region. */
static bool flags_live(void *context, uint64_t pc)
{
    (void)context;
    (void)pc;
    return false;
}

static void translate(void)
{
    host_emit(&isa, &region, flags_live, NULL, &code);
    assert_false(code.overflow);
    for (unsigned i = 0; i < code.reloc_count; i++) {
        uint32_t at = code.relocs[i].offset;
        uint32_t displacement = routines[code.relocs[i].routine] - ((uint32_t)routines_size + at + 4);
        memcpy(code.bytes + at, &displacement, 4);
    }
    memcpy(cache + routines_size, code.bytes, code.size);
}

static void run(void)
{
    void (*enter)(struct translator_cpu *, const void *);
    void *address = cache + routines[HOST_ENTER];
    memcpy(&enter, &address, sizeof enter);
    enter(&cpu.common, cache + routines_size);
    assert_int_equal(cpu.common.exit_reason, TRANSLATOR_BREAKPOINT);
}

#endif
