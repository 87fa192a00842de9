/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Emulated instructions of user programs against the host's processor: MMX, the conversions beside it,
 * FXSAVE, XSAVE, the x87's environment. Each is executed once by both, on random registers and memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "../random.h"
#include "arch/x86/x87_state.h"
#include "base/macros.h"
#include "x86_emulate.h"

/* -- what is tried --------------------------------------------------------------------------------------- */

enum {
    MODRM_MM = 1 << 0,     /* a register operand is tried, */
    MODRM_MEMORY = 1 << 1, /* one in memory, at RSI */
    IMMEDIATE = 1 << 2,
    XSAVE = 1 << 3, /* of x87 and SSE */
    LONG = 1 << 4,  /* with REX.W as well */
    REX_R = 1 << 5, /* ... with the other halves of the registers */
    DIGIT_SHIFT = 8,
};
#define DIGIT(n) (((n) + 1) << DIGIT_SHIFT)

static const struct template
{
    uint8_t prefix;
    uint8_t map, first, last; /* map: 0 to 3 */
    unsigned flags;
}
templates[] = {
    {0, 1, 0x60, 0x6b, MODRM_MM | MODRM_MEMORY},
    {0, 1, 0x6e, 0x6e, MODRM_MM | MODRM_MEMORY | LONG},
    {0, 1, 0x6f, 0x6f, MODRM_MM | MODRM_MEMORY},
    {0, 1, 0x70, 0x70, MODRM_MM | MODRM_MEMORY | IMMEDIATE},
    {0, 1, 0x71, 0x73, MODRM_MM | IMMEDIATE | DIGIT(2)},
    {0, 1, 0x71, 0x72, MODRM_MM | IMMEDIATE | DIGIT(4)},
    {0, 1, 0x71, 0x73, MODRM_MM | IMMEDIATE | DIGIT(6)},
    {0, 1, 0x74, 0x76, MODRM_MM | MODRM_MEMORY},
    {0, 1, 0x77, 0x77, 0},
    {0, 1, 0x7e, 0x7e, MODRM_MM | MODRM_MEMORY | LONG},
    {0, 1, 0x7f, 0x7f, MODRM_MM | MODRM_MEMORY},
    {0, 1, 0xc4, 0xc4, MODRM_MM | MODRM_MEMORY | IMMEDIATE},
    {0, 1, 0xc5, 0xc5, MODRM_MM | IMMEDIATE},
    {0, 1, 0xd1, 0xd5, MODRM_MM | MODRM_MEMORY},
    {0xf3, 1, 0xd6, 0xd6, MODRM_MM},
    {0xf2, 1, 0xd6, 0xd6, MODRM_MM},
    {0, 1, 0xd7, 0xd7, MODRM_MM},
    {0, 1, 0xd8, 0xe5, MODRM_MM | MODRM_MEMORY},
    {0, 1, 0xe7, 0xe7, MODRM_MEMORY},
    {0, 1, 0xe8, 0xef, MODRM_MM | MODRM_MEMORY},
    {0, 1, 0xf1, 0xf6, MODRM_MM | MODRM_MEMORY},
    {0, 1, 0xf7, 0xf7, MODRM_MM},
    {0x66, 1, 0xf7, 0xf7, MODRM_MM},
    {0, 1, 0xf8, 0xfe, MODRM_MM | MODRM_MEMORY},
    {0, 2, 0x00, 0x0b, MODRM_MM | MODRM_MEMORY},
    {0, 2, 0x1c, 0x1e, MODRM_MM | MODRM_MEMORY},
    {0, 3, 0x0f, 0x0f, MODRM_MM | MODRM_MEMORY | IMMEDIATE},
    {0, 1, 0x2a, 0x2a, MODRM_MM}, /* from memory AMD leaves the x87 alone, unlike Intel */
    {0x66, 1, 0x2a, 0x2a, MODRM_MM | MODRM_MEMORY},
    {0, 1, 0x2c, 0x2d, MODRM_MM | MODRM_MEMORY},
    {0x66, 1, 0x2c, 0x2d, MODRM_MM | MODRM_MEMORY},
    {0, 1, 0xae, 0xae, MODRM_MEMORY | DIGIT(0) | LONG},         /* FXSAVE */
    {0, 1, 0xae, 0xae, MODRM_MEMORY | DIGIT(1) | LONG},         /* FXRSTOR */
    {0, 1, 0xae, 0xae, MODRM_MEMORY | DIGIT(2)},                /* LDMXCSR */
    {0, 1, 0xae, 0xae, MODRM_MEMORY | DIGIT(3)},                /* STMXCSR */
    {0, 1, 0xae, 0xae, MODRM_MEMORY | DIGIT(4) | LONG | XSAVE}, /* XSAVE */
    {0, 1, 0xae, 0xae, MODRM_MEMORY | DIGIT(5) | LONG | XSAVE}, /* XRSTOR */
    {0, 0, 0xd9, 0xd9, MODRM_MEMORY | DIGIT(4)},                /* FLDENV */
    {0, 0, 0xd9, 0xd9, MODRM_MEMORY | DIGIT(6)},                /* FNSTENV */
    {0, 0, 0xdd, 0xdd, MODRM_MEMORY | DIGIT(4)},                /* FRSTOR */
    {0, 0, 0xdd, 0xdd, MODRM_MEMORY | DIGIT(6)},                /* FNSAVE */
    {0x66, 0, 0xd9, 0xd9, MODRM_MEMORY | DIGIT(4)},
    {0x66, 0, 0xd9, 0xd9, MODRM_MEMORY | DIGIT(6)},
    {0x66, 0, 0xdd, 0xdd, MODRM_MEMORY | DIGIT(4)},
    {0x66, 0, 0xdd, 0xdd, MODRM_MEMORY | DIGIT(6)},
};

/* One of the template's: an opcode, a register or memory form. */
static unsigned make_code(const struct template *t, uint8_t code[16])
{
    const unsigned forms = t->flags & (MODRM_MM | MODRM_MEMORY), digit = t->flags >> DIGIT_SHIFT;
    const bool memory = forms == MODRM_MEMORY || (forms & MODRM_MEMORY && random_below(2));
    unsigned length = 0;

    if (t->prefix)
        code[length++] = t->prefix;
    if (t->flags & LONG && random_below(2))
        code[length++] = 0x48;
    if (t->map)
        code[length++] = 0x0f;
    if (t->map > 1)
        code[length++] = t->map == 2 ? 0x38 : 0x3a;
    code[length++] = (uint8_t)(t->first + random_below(t->last - t->first + 1u));
    if (!forms)
        return length;
    /* Integer registers among the operands are one of RAX, RCX, RDX, RBX: RSP is not to be written. */
    const unsigned reg = digit ? digit - 1 : random_below(4), rm = memory ? X86_RSI : random_below(4);
    code[length++] = (uint8_t)((memory ? 0 : 0xc0) | reg << 3 | rm);
    if (t->flags & IMMEDIATE)
        code[length++] = (uint8_t)(random_below(2) ? random64() : random_below(70));
    return length;
}

/* -- the host's ---------------------------------------------------------------------------------------------
 */

enum { OPERAND_BYTES = 1024, REGISTERS = 8 };

/* What an instruction changes. */
struct world {
    struct x87_area fpu; /* with XMM registers, as FXSAVE64 has it */
    uint64_t gpr[REGISTERS];
    uint8_t memory[OPERAND_BYTES] __attribute__((aligned(64)));
};

static uint8_t *page;

static uint8_t *put(uint8_t *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

/* MOV between general register n and the world at R15. */
static uint8_t *put_move(uint8_t *at, bool load, unsigned n)
{
    const uint32_t offset = (uint32_t)(offsetof(struct world, gpr) + 8 * n);
    const uint8_t bytes[] = {0x49, load ? 0x8b : 0x89, (uint8_t)(0x87 | n << 3)};
    return put(put(at, bytes, sizeof bytes), &offset, sizeof offset);
}

/* void page(struct world *) */
static void run_native(struct world *w, const uint8_t *code, unsigned length)
{
    static const uint8_t begin[] = {0x53, 0x55, 0x41, 0x57,       /* push rbx, rbp, r15 */
                                    0x49, 0x89, 0xff,             /* mov r15, rdi */
                                    0x0f, 0xae, 0x5c, 0x24, 0xf8, /* stmxcsr [rsp - 8] */
                                    0x49, 0x0f, 0xae, 0x0f};      /* fxrstor64 [r15] */
    static const uint8_t end[] = {0x49, 0x0f, 0xae, 0x07,         /* fxsave64 [r15] */
                                  0xdb, 0xe3,                     /* fninit */
                                  0x0f, 0xae, 0x54, 0x24, 0xf8,   /* ldmxcsr [rsp - 8] */
                                  0x41, 0x5f, 0x5d, 0x5b, 0xc3};  /* pop r15, rbp, rbx; ret */
    void (*call)(struct world *);
    uint8_t *at = put(page, begin, sizeof begin);
    for (unsigned n = 0; n < REGISTERS; n++)
        if (n != X86_RSP && n != X86_RBP)
            at = put_move(at, true, n);
    at = put(at, code, length);
    for (unsigned n = 0; n < REGISTERS; n++)
        if (n != X86_RSP && n != X86_RBP)
            at = put_move(at, false, n);
    put(at, end, sizeof end);
    memcpy(&call, &page, sizeof call);
    call(w);
}

/* -- worlds -------------------------------------------------------------------------------------------------
 */

static void random_bytes(void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)(random_below(3) ? random64() : random_below(2) * 0xffull);
}

/* A state that FXSAVE could have written: loaded once, so that nothing is in it that the unit does not keep.
 */
static void random_fpu(struct x87_area *a)
{
    static const uint8_t nop[] = {0x90};
    struct world w;

    memset(&w, 0, sizeof w);
    random_bytes(&w.fpu, sizeof w.fpu);
    w.fpu.mxcsr = 0x1f80 | (uint32_t)(random64() & 0xe03f);
    w.fpu.control |= X87_EXCEPTIONS;
    for (unsigned i = 0; i < 8; i++) {
        memset(w.fpu.stack[i] + X87_BYTES, 0, 6);
        if (random_below(3) == 0)
            memset(w.fpu.stack[i], 0, X87_BYTES);
    }
    run_native(&w, nop, sizeof nop);
    *a = w.fpu;
}

static void random_world(const struct template *t, struct world *w)
{
    memset(w, 0, sizeof *w);
    random_fpu(&w->fpu);
    random_bytes(w->gpr, sizeof w->gpr);
    random_bytes(w->memory, sizeof w->memory);
    if (t->map == 1 && t->first == 0x2a + 0 && t->last <= 0x2d && random_below(2))
        for (unsigned i = 0; i < 16; i++) /* numbers that integers can hold */
            ((float *)w->memory)[i] = (float)random_below(1u << 31) / 256;
    if (t->flags >> DIGIT_SHIFT) {
        struct x87_area image;
        random_fpu(&image);
        if (t->map == 1)
            memcpy(w->memory, &image, sizeof image);
        if (t->map == 1 && t->flags >> DIGIT_SHIFT == 3)
            memcpy(w->memory, &image.mxcsr, 4);
    }
    if (t->flags & XSAVE) {
        w->gpr[X86_RAX] = random_below(4);
        w->gpr[X86_RDX] = 0;
        memset(w->memory + 512, 0, 64);
        w->memory[512] = (uint8_t)random_below(4);
    }
}

/* -- comparing ----------------------------------------------------------------------------------------------
 */

enum { DATA = 0x5000 };

static void to_machine(const struct world *w)
{
    memcpy(S->x87, &w->fpu, sizeof S->x87);
    memcpy(S->xmm, w->fpu.rest, sizeof S->xmm);
    S->mxcsr = w->fpu.mxcsr;
    for (unsigned n = 0; n < REGISTERS; n++)
        S->gpr[n] = w->gpr[n];
    S->gpr[X86_RSI] = S->gpr[X86_RDI] = DATA;
    memcpy(machine.memory + DATA, w->memory, sizeof w->memory);
}

static void from_machine(struct world *w)
{
    memcpy(&w->fpu, S->x87, sizeof w->fpu);
    memcpy(w->fpu.rest, S->xmm, sizeof S->xmm);
    w->fpu.mxcsr = S->mxcsr;
    for (unsigned n = 0; n < REGISTERS; n++)
        w->gpr[n] = S->gpr[n];
    memcpy(w->memory, machine.memory + DATA, sizeof w->memory);
}

/* The pointers to the last instruction and operand are not kept. */
static void forget(struct world *w, const struct template *t)
{
    struct x87_area *a = &w->fpu;
    const unsigned digit = t->flags >> DIGIT_SHIFT;

    a->opcode = 0, a->reserved = 0, a->instruction = a->operand = 0;
    memset(a->rest + sizeof S->xmm, 0, sizeof a->rest - sizeof S->xmm);
    a->mxcsr_mask = 0;
    w->gpr[X86_RSP] = w->gpr[X86_RBP] = w->gpr[X86_RSI] = w->gpr[X86_RDI] = 0;
    if (t->map == 1 && (digit == 1 || digit == 5)) {
        memset(w->memory + 5, 0, 19);
        memset(w->memory + 28, 0, 4);
    } else if (t->map == 0 && digit == 7) {
        const unsigned field = t->prefix ? 2 : 4;
        memset(w->memory + 3 * field, 0, 4 * field);
    }
}

static const char *difference(const struct world *a, const struct world *b)
{
    if (a->fpu.control != b->fpu.control)
        return "control word";
    if (a->fpu.status != b->fpu.status)
        return "status word";
    if (a->fpu.tags != b->fpu.tags)
        return "tags";
    if (memcmp(a->fpu.stack, b->fpu.stack, sizeof a->fpu.stack))
        return "stack";
    if (a->fpu.mxcsr != b->fpu.mxcsr)
        return "MXCSR";
    if (memcmp(a->fpu.rest, b->fpu.rest, sizeof a->fpu.rest))
        return "XMM";
    if (memcmp(a->gpr, b->gpr, sizeof a->gpr))
        return "registers";
    return memcmp(a->memory, b->memory, sizeof a->memory) ? "memory" : NULL;
}

static void show(const uint8_t *code, unsigned length, const char *what, const struct world *native,
                 const struct world *ours)
{
    const uint8_t *a = (const uint8_t *)native, *b = (const uint8_t *)ours;
    size_t at = 0;
    while (at < sizeof *native && a[at] == b[at])
        at++;
    fprintf(stderr, "differs:");
    for (unsigned i = 0; i < length; i++)
        fprintf(stderr, " %02x", code[i]);
    fprintf(stderr, ": %s, byte %zu: %02x, here %02x; top %u\n", what, at, a[at], b[at],
            native->fpu.status >> 11 & 7);
}

/* Whether they are the same. */
static bool compare(const struct template *t)
{
    static struct world native, ours;
    uint8_t code[16];
    const unsigned length = make_code(t, code);

    random_world(t, &native);
    machine_long_user();
    S->cr4 |= X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE;
    S->xcr0 = X86_XCR0_ALL;
    to_machine(&native);
    native.gpr[X86_RSI] = native.gpr[X86_RDI] = (uint64_t)(uintptr_t)native.memory;
    run_native(&native, code, length);
    assert_int_equal(run_bytes(code, length), X86_EMULATED);
    from_machine(&ours);
    forget(&native, t);
    forget(&ours, t);
    const char *what = difference(&native, &ours);
    if (what)
        show(code, length, what, &native, &ours);
    return !what;
}

static void test_native(void **state)
{
    unsigned wrong = 0;
    (void)state;

    around_init("max");
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    for (unsigned i = 0; i < 300000 && wrong < 20; i++)
        wrong += !compare(&templates[i % ARRAY_SIZE(templates)]);
    munmap(page, 4096);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_native)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
