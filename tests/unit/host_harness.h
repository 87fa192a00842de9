/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host_harness: an invented guest, and what it takes to run blocks of the host code generator for it. */
#ifndef VISOR_TESTS_HOST_HARNESS_H
#define VISOR_TESTS_HOST_HARNESS_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/host/host.h"
#include "translator/ir/eval.h"
#include "translator/tlb.h"

/* -- the guest --------------------------------------------------------------------------------- */

enum { INTEGERS = 16, VECTORS = 14, DATA = 15 /* points to the data page, never set */ };

struct test_cpu {
    struct translator_cpu common;
    uint64_t x[INTEGERS];
    uint64_t pc;
    uint16_t flags;
    uint32_t qc;
    union vector128 v[VECTORS];
    struct tlb tlb[2];
};

static struct guest_register registers[INTEGERS + VECTORS];

static struct guest_isa isa = {
    .name = "test",
    .registers = registers,
    .register_count = INTEGERS + VECTORS,
    .pc_shift = 2,
    .cpu_size = sizeof(struct test_cpu),
    .pc_offset = offsetof(struct test_cpu, pc),
    .flags_offset = offsetof(struct test_cpu, flags),
    .qc_offset = offsetof(struct test_cpu, qc),
};

#define NO_PC 0x0dd0dd0ddull /* odd, and no corner value */

enum { REGION_START = 0x40001000, DATA_SIZE = 4096 };

static struct ir_region region;
static struct host_code code;
static uint8_t *cache;
static uint32_t routines[HOST_ROUTINE_COUNT];
static size_t routines_size;
static uint8_t *data;
static uint8_t return_stack[65536] __attribute__((aligned(4096)));
static struct jump_cache_entry jump_cache[1 << JUMP_CACHE_BITS];

/* The invented rule: flags are dead at targets with bit 3. */
static bool exit_flags_dead(void *context, uint64_t pc)
{
    (void)context;
    return pc & 8;
}

static int setup(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    if (host_probe(&error)) {
        error_report(&error);
        return -1;
    }
    for (unsigned i = 0; i < INTEGERS; i++)
        registers[i] = (struct guest_register){"x", IR_I64, (uint8_t)(i < 12 ? i + 1 : 0),
                                               (uint16_t)(offsetof(struct test_cpu, x) + 8 * i)};
    for (unsigned i = 0; i < VECTORS; i++)
        registers[INTEGERS + i] = (struct guest_register){"v", IR_V128, (uint8_t)(i < 12 ? i + 1 : 0),
                                                          (uint16_t)(offsetof(struct test_cpu, v) + 16 * i)};
    cache = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    data = mmap(NULL, DATA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(jump_cache); i++)
        jump_cache[i].pc = NO_PC;
    routines_size = host_emit_routines(&isa, cache, 65536, routines);
    return cache == MAP_FAILED || data == MAP_FAILED || !routines_size;
}

static uint8_t *block_at(unsigned index)
{
    return cache + 65536 + index * 65536;
}

/* Puts the code into the cache with exits numbered from `first`. */
static const void *place(unsigned index, uint32_t first)
{
    uint8_t *to = block_at(index);
    memcpy(to, code.bytes, code.size);
    for (unsigned i = 0; i < code.reloc_count; i++) {
        const struct host_reloc *r = &code.relocs[i];
        int32_t displacement = (int32_t)(cache + routines[r->routine] - (to + r->offset + 4));
        memcpy(to + r->offset, &displacement, 4);
    }
    for (unsigned i = 0; i < code.exit_count; i++) {
        uint32_t number = first + i;
        assert_true((code.exits[i].probe || code.exits[i].slot % 8 <= 4) && code.exits[i].direct % 8 <= 4);
        memcpy(to + code.exits[i].stub + HOST_STUB_NUMBER, &number, 4);
    }
    return to;
}

static void prepare_cpu(struct test_cpu *cpu)
{
    cpu->common.jump_cache = jump_cache;
    cpu->common.return_stack = return_stack;
    cpu->common.return_stack_top = return_stack + sizeof return_stack;
    cpu->common.fp_control = 0x1f80;
    cpu->common.exclusive_address = ~0ull;
    host_reset_return_stack(&cpu->common, cache + routines[HOST_RETURN_SENTINEL], NULL);
}

static void enter(struct test_cpu *cpu, const void *block)
{
    void (*routine)(struct translator_cpu *, const void *);
    uintptr_t address = (uintptr_t)cache + routines[HOST_ENTER];
    memcpy(&routine, &address, sizeof routine);
    routine(&cpu->common, block);
}

/* -- random numbers ---------------------------------------------------------------------------- */

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static unsigned below(unsigned n)
{
    return (unsigned)((random64() >> 20) % n);
}

static uint64_t random_value(void)
{
    static const uint64_t corners[] = {
        0,
        1,
        2,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0xffff,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x100000000,
        0x7fffffffffffffff,
        0x8000000000000000,
        0xffffffffffffffff,
        0xffffffff80000000,
        0xffffffff7fffffff,
    };
    switch (below(5)) {
    case 0: return corners[below(ARRAY_SIZE(corners))];
    case 1: return corners[below(ARRAY_SIZE(corners))] + below(3) - 1;
    case 2: return random64() >> below(64);
    case 3: return ~(random64() >> below(64));
    default: return random64();
    }
}

#endif
