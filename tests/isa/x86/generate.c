/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * generate: random instructions and registers. In a sequence three registers are left alone by all
 * instructions: two point into the data, one is a small index. What needs registers or memory of its own is a
 * sequence alone.
 */
#include <string.h>

#include "base/macros.h"
#include "compare.h"

/* Shapes of rows. */
enum {
    RM = 1 << 0,   /* ModRM: a register and a register or memory */
    BYTE = 1 << 1, /* of bytes */
    LOCK = 1 << 2, /* may be locked */
    IMM8 = 1 << 3, /* immediates */
    IMMZ = 1 << 4,
    IMMV = 1 << 5,
    IMM16 = 1 << 6,
    OFFSET = 1 << 7,    /* an absolute address */
    NO_MEMORY = 1 << 8, /* what r/m is not */
    NO_REGISTER = 1 << 9,
    OPCODE_REGISTER = 1 << 10, /* a register in the opcode */
    WIDE = 1 << 11,            /* not of 16 bits */
    NO_WIDE = 1 << 12,         /* without REX.W */
    NO_SIZE = 1 << 13,         /* of one size only */
    BYTE_RM = 1 << 14,         /* r/m is a byte, the register is not */
    CONDITION = 1 << 15,       /* reads the flags of the condition in the opcode */
    COUNT = 1 << 16,           /* a shift: what is undefined depends on the count, the immediate or CL */
    DIVIDE = 1 << 17,
    BRANCH8 = 1 << 18,
    BRANCH32 = 1 << 19,
    SMALL_COUNT = 1 << 20,
    ALONE = 1 << 21, /* the rest needs registers or memory of its own */
    BITS = 1 << 22,
    XLAT = 1 << 23,
    POPF = 1 << 24,
    ENTER = 1 << 25,
    LEAVE = 1 << 26,
    PAIR = 1 << 27,
    STRING = 1 << 28,
    TARGET = 1 << 29,
    RETURN = 1 << 30,
};

enum {
    FC = X86_EFLAGS_CF,
    FP = X86_EFLAGS_PF,
    FA = X86_EFLAGS_AF,
    FZ = X86_EFLAGS_ZF,
    FS = X86_EFLAGS_SF,
    FO = X86_EFLAGS_OF,
    ALL = X86_EFLAGS_CONDITIONS,
};

struct template
{
    uint8_t codes; /* a bit for each enum x86_code */
    const char *class;
    uint8_t map, prefix, first, last, groups;
    uint32_t shape;
    uint32_t reads, writes, undefined;
};

static const struct template templates[] = {
#define T(...)   {3, __VA_ARGS__},
#define T64(...) {1 << X86_CODE_64, __VA_ARGS__},
#define T32(...) {1 << X86_CODE_32, __VA_ARGS__},
#include "templates.def"
#undef T
#undef T64
#undef T32
};

_Static_assert(ARRAY_SIZE(templates) <= 256, "instruction.row");

static unsigned chosen[ARRAY_SIZE(templates)], chosen_count;

unsigned template_count(void)
{
    return ARRAY_SIZE(templates);
}

const char *template_name(unsigned row)
{
    return templates[row].class;
}

static bool narrow, words;   /* 32- or 16-bit code; 16-bit code */
static uint64_t data_origin; /* the address of data for the code: in 16-bit code segments begin there */

bool generate_choose(const char *only, enum x86_code code)
{
    narrow = code != X86_CODE_64;
    words = code == X86_CODE_16;
    data_origin = words ? 0 : DATA_START;
    chosen_count = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(templates); i++) {
        if (templates[i].codes >> (narrow ? X86_CODE_32 : X86_CODE_64) & 1 &&
            (!only || strncmp(templates[i].class, only, strlen(only)) == 0))
            chosen[chosen_count++] = i;
    }
    return chosen_count > 0;
}

/* -- random numbers: xorshift64* ----------------------------------------------------------------------- */

static uint64_t random_state = 1;

void random_seed(uint64_t seed)
{
    random_state = (seed + 1) * 0x9e3779b97f4a7c15ull;
    if (!random_state)
        random_state = 1;
}

uint64_t random_bits(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1dull;
}

unsigned random_below(unsigned n)
{
    return (unsigned)((random_bits() >> 32) * n >> 32);
}

static bool one_in(unsigned n)
{
    return random_below(n) == 0;
}

/* Numbers at which things change, and repeated ones. */
static uint64_t random_value(void)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     ~0ull,
                                     0x7f,
                                     0x80,
                                     0xff,
                                     0x7fff,
                                     0x8000,
                                     0xffff,
                                     0x7fffffff,
                                     0x80000000,
                                     0xffffffff,
                                     0x7fffffffffffffff,
                                     0x8000000000000000,
                                     0x100,
                                     0x10000};
    switch (random_below(6)) {
    case 0: return edges[random_below(ARRAY_SIZE(edges))];
    case 1: return random_below(256);
    case 2: return (uint64_t) - (int64_t)random_below(256);
    case 3: return random_bits() >> random_below(64);
    default: return random_bits();
    }
}

/* -- machines ------------------------------------------------------------------------------------------ */

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

static struct {
    unsigned base[2], index;
    uint16_t reserved;
} use;

static void reserve_registers(void)
{
    static const uint8_t wide[] = {RBX, RBP, 8, 9, 10, 11, 12, 13, 14, 15}, old[] = {RBX, RBP, RSI, RDI};
    use.reserved = 1 << RSP;
    for (unsigned i = 0; i < 3; i++) {
        unsigned n;
        do
            n = !narrow ? wide[random_below(ARRAY_SIZE(wide))]
                : words ? old[random_below(2) + (i == 2 ? 2 : 0)] /* as 16-bit addresses take them */
                        : old[random_below(ARRAY_SIZE(old))];
        while (use.reserved >> n & 1);
        use.reserved |= (uint16_t)(1u << n);
        if (i < 2)
            use.base[i] = n;
        else
            use.index = n;
    }
}

static void random_machine(struct machine *m)
{
    const uint64_t repeated = random_value();

    for (unsigned n = 0; n < 16; n++)
        m->gpr[n] = one_in(4) ? repeated : random_value();
    for (unsigned n = 0; n < 16; n++) {
        m->xmm[n].d[0] = random_value();
        m->xmm[n].d[1] = random_value();
    }
    for (unsigned i = 0; i < DATA_SIZE / 8; i++) {
        uint64_t v = one_in(3) ? repeated : random_bits();
        memcpy(m->data + 8 * i, &v, 8);
    }
    m->gpr[use.base[0]] = data_origin + 1024 + random_below(64);
    m->gpr[use.base[1]] = data_origin + 2048 + 16 * random_below(4);
    m->gpr[use.index] = random_below(32);
    m->gpr[RSP] = data_origin + STACK_TOP - DATA_START - 8 * random_below(4);
    for (unsigned n = 0; n < 16 && narrow; n++)
        m->gpr[n] = n < 8 ? (uint32_t)m->gpr[n] : 0;
    m->rip = CODE_START + CODE_BEFORE;
    m->eflags = (random_bits() & (ALL | (one_in(8) ? X86_EFLAGS_DF : 0))) | X86_EFLAGS_ONE | X86_EFLAGS_IF;
    m->mxcsr = 0x1f80;
}

/* -- one instruction ----------------------------------------------------------------------------------- */

struct maker {
    struct sequence *s;
    struct instruction *to;
    const struct template *t;
    bool memory, wide, word, other_address, lock, gs;
    unsigned rex; /* 0, or 0x40 with bits */
    unsigned reg, rm, base, index, scale;
    bool rm_is_high;
    uint64_t imm;
};

static void put(struct maker *m, uint64_t value, unsigned size)
{
    memcpy(m->to->bytes + m->to->length, &value, size);
    m->to->length = (uint8_t)(m->to->length + size);
}

static bool is_reserved(unsigned n)
{
    return use.reserved >> n & 1;
}

/* A register that is not reserved; of bytes without REX, 4 to 7 are AH and so on. */
static unsigned free_register(bool byte, bool rex)
{
    for (;;) {
        const unsigned n = random_below(rex ? 16 : 8);
        const bool high = byte && !rex && n >= 4;
        if (!is_reserved(high ? n - 4 : n))
            return n;
    }
}

static void choose_operands(struct maker *m)
{
    const struct template *t = m->t;
    const bool byte = t->shape & BYTE, byte_rm = t->shape & (BYTE | BYTE_RM);

    m->word = t->shape & NO_SIZE ? words : !(t->shape & WIDE) && one_in(4) != words;
    m->wide = !narrow && !(t->shape & (NO_WIDE | NO_SIZE)) && one_in(3);
    if (m->wide || (!narrow && one_in(2)))
        m->rex = 0x40 | (m->wide ? 8 : 0);
    m->memory = t->shape & RM && !(t->shape & NO_MEMORY) && (t->shape & NO_REGISTER || one_in(2));
    m->reg = free_register(byte, m->rex);
    m->rm = free_register(byte_rm, m->rex);
    if (t->groups) {
        do
            m->reg = random_below(8);
        while (!(t->groups >> m->reg & 1));
    }
    m->lock = m->memory && t->shape & LOCK && one_in(2);
    m->other_address =
        (words ? one_in(4) : !narrow && one_in(16)) && (m->memory || t->shape & (STRING | XLAT));
    m->gs = !narrow && m->memory && !(t->shape & (BITS | PAIR | TARGET)) && one_in(16);
    m->imm = random_value();
}

static void put_prefixes(struct maker *m)
{
    /* In 32-bit code they mean segments that are the same; CS cannot be written to, and comes last. */
    static const uint8_t ignored[] = {0x26, 0x36, 0x3e, 0x2e};
    uint8_t prefixes[7];
    unsigned count = 0;

    if (m->word != words)
        prefixes[count++] = 0x66;
    if (m->other_address)
        prefixes[count++] = 0x67;
    if (m->gs)
        prefixes[count++] = 0x65;
    if (m->lock)
        prefixes[count++] = 0xf0;
    if (m->t->prefix)
        prefixes[count++] = m->t->prefix;
    if (m->t->shape & STRING && !one_in(3))
        prefixes[count++] = one_in(2) ? 0xf3 : 0xf2;
    if (one_in(16))
        prefixes[count++] = ignored[random_below(narrow ? 3 : 4)];
    while (count) { /* in any order */
        const unsigned i = random_below(count);
        put(m, prefixes[i], 1);
        prefixes[i] = prefixes[--count];
    }
}

static void put_opcode(struct maker *m, unsigned opcode)
{
    static const uint8_t escapes[][2] = {{0}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}};
    if (m->rex)
        put(m, m->rex, 1);
    for (unsigned i = 0; i < (m->t->map > 1 ? 2u : m->t->map); i++)
        put(m, escapes[m->t->map][i], 1);
    put(m, opcode, 1);
}

/* -- memory operands ----------------------------------------------------------------------------------- */

enum form { FORM_BASE, FORM_BASE_INDEX, FORM_RIP, FORM_ABSOLUTE, FORM_INDEX, FORM_COUNT };

static void put_sib(struct maker *m, unsigned mod, unsigned base, unsigned index, unsigned scale)
{
    put(m, mod << 6 | (m->reg & 7) << 3 | 4, 1);
    put(m, scale << 6 | (index & 7) << 3 | (base & 7), 1);
}

static int32_t random_offset(unsigned mod)
{
    return mod == 0 ? 0 : mod == 1 ? (int8_t)random_below(256) : (int32_t)random_below(800) - 400;
}

static void put_based(struct maker *m, unsigned base, bool indexed)
{
    const unsigned mod = (base & 7) == RBP ? 1 + random_below(2) : random_below(3);

    if (indexed || (base & 7) == RSP)
        put_sib(m, mod, base, indexed ? use.index : RSP, random_below(4));
    else
        put(m, mod << 6 | (m->reg & 7) << 3 | (base & 7), 1);
    if (mod)
        put(m, (uint32_t)random_offset(mod), mod == 1 ? 1 : 4);
}

/* Only forms for which the REX prefix has been made: see choose_form(). */
static void put_memory(struct maker *m, enum form form, unsigned base)
{
    const uint64_t address = (m->gs ? 0 : data_origin) + 512 + random_below(1024);

    switch (form) {
    case FORM_BASE: put_based(m, base, false); break;
    case FORM_BASE_INDEX: put_based(m, base, true); break;
    case FORM_RIP:
        if (narrow) { /* the same encoding is an absolute address */
            put(m, (m->reg & 7) << 3 | 5, 1);
            put(m, address, 4);
            break;
        }
        put(m, (m->reg & 7) << 3 | 5, 1);
        m->to->relative =
            (struct relative){.at = m->to->length, .size = 4, .is_data = true, .target = address};
        put(m, 0, 4);
        break;
    case FORM_ABSOLUTE:
        put_sib(m, 0, 5, 4, 0);
        put(m, address, 4);
        break;
    default:
        put_sib(m, 0, 5, use.index, random_below(4));
        put(m, address, 4);
        break;
    }
}

/* Table 2-1 of volume 2. */
static void put_memory_16(struct maker *m, enum form form, unsigned base)
{
    static const uint8_t alone[] = {[RBX] = 7, [RBP] = 6, [RSI] = 4, [RDI] = 5};
    const bool plain = m->t->shape & (PAIR | TARGET), indexed = form == FORM_BASE_INDEX;
    const uint64_t address = 512 + random_below(1024);
    unsigned mod = plain ? base == RBP : base == RBP ? 1 + random_below(2) : random_below(3);
    unsigned rm = indexed ? (base == RBP ? 2 : 0) + (use.index == RDI) : alone[base];

    if (form == FORM_RIP || form == FORM_ABSOLUTE)
        mod = 0, rm = 6;
    else if (form == FORM_INDEX)
        mod = 2, rm = alone[use.index];
    put(m, mod << 6 | (m->reg & 7) << 3 | rm, 1);
    if (form == FORM_RIP || form == FORM_ABSOLUTE || form == FORM_INDEX)
        put(m, address, 2);
    else if (mod)
        put(m, plain ? 0 : (uint32_t)random_offset(mod), mod);
}

/* REX bits for the operands, which may need a REX prefix where there was none. */
static enum form choose_form(struct maker *m, unsigned *base)
{
    enum form form = (enum form)random_below(FORM_COUNT);
    unsigned bits = 0;

    if (m->t->shape & (PAIR | TARGET))
        form = FORM_BASE;
    *base = use.base[m->t->shape & (PAIR | BITS) ? 1 : random_below(2)];
    if (m->t->shape & BITS)
        form = FORM_BASE;
    if (m->gs) /* whose base is DATA_START */
        form = one_in(2) ? FORM_ABSOLUTE : FORM_INDEX;
    if ((form == FORM_BASE || form == FORM_BASE_INDEX) && *base >= 8)
        bits |= 1;
    if ((form == FORM_BASE_INDEX || form == FORM_INDEX) && use.index >= 8)
        bits |= 2;
    if (bits && !m->rex) {
        /* Then 4 to 7 are no longer AH and so on. */
        m->rex = 0x40;
        if (!m->t->groups)
            m->reg = free_register(m->t->shape & BYTE, true);
    }
    m->rex |= bits;
    return form;
}

/* -- special needs ------------------------------------------------------------------------------------- */

static void set_data(struct maker *m, uint64_t address, uint64_t value)
{
    memcpy(m->s->start.data + (address - data_origin), &value, 8);
}

static uint64_t random_target(void)
{
    return (words ? 0 : CODE_START) + CODE_BEHIND + random_below(1024);
}

/* Registers and memory of an instruction that is alone. */
static void prepare(struct maker *m)
{
    struct machine *start = &m->s->start;
    const uint32_t shape = m->t->shape;
    const uint64_t popped =
        random_bits() & (ALL | X86_EFLAGS_DF | X86_EFLAGS_IF | X86_EFLAGS_IOPL | X86_EFLAGS_ID);

    if (shape & BITS)
        start->gpr[m->reg] = (uint64_t)((int64_t)random_below(20000) - 10000);
    if (shape & XLAT)
        start->gpr[RBX] = data_origin + 1024;
    if (shape & POPF)
        set_data(m, start->gpr[RSP], popped);
    if (shape & LEAVE)
        start->gpr[RBP] = data_origin + 1024 + random_below(512);
    if (shape & STRING) {
        start->gpr[RSI] = data_origin + 1024 + random_below(1024);
        start->gpr[RDI] =
            one_in(2) ? start->gpr[RSI] + random_below(16) : data_origin + 1024 + random_below(1024);
        start->gpr[RCX] = random_below(20);
    }
    if (shape & RETURN)
        set_data(m, start->gpr[RSP], random_target());
    if (shape & TARGET && !m->memory)
        start->gpr[m->rm] = random_target();
}

/* A memory operand at [base] with something special in it. */
static void prepare_memory(struct maker *m, unsigned base)
{
    struct machine *start = &m->s->start;
    if (m->t->shape & TARGET)
        set_data(m, start->gpr[base], random_target());
    if (m->t->shape & PAIR && one_in(2)) {
        set_data(m, start->gpr[base],
                 m->wide ? start->gpr[RAX] : (uint32_t)start->gpr[RAX] | start->gpr[RDX] << 32);
        if (m->wide)
            set_data(m, start->gpr[base] + 8, start->gpr[RDX]);
    }
}

/* -- all of an instruction ----------------------------------------------------------------------------- */

static unsigned address_bytes(const struct maker *m)
{
    if (words)
        return m->other_address ? 4 : 2;
    return narrow || m->other_address ? 4 : 8;
}

static void put_immediate(struct maker *m)
{
    const uint32_t shape = m->t->shape;
    const bool word = m->word && !m->wide;

    if (shape & IMM8)
        put(m, m->imm, 1);
    if (shape & IMM16)
        put(m, m->imm & 0x1f8, 2);
    if (shape & IMMZ)
        put(m, m->imm, word ? 2 : 4);
    if (shape & IMMV)
        put(m, m->imm, m->wide ? 8 : word ? 2 : 4);
    if (shape & ENTER)
        put(m, m->imm & 0x1ff, 3);
    if (shape & OFFSET)
        put(m, data_origin + 512 + random_below(1024), address_bytes(m));
    if (shape & (BRANCH8 | BRANCH32)) {
        const unsigned size = shape & BRANCH8 ? 1 : words ? 2 : 4;
        const uint64_t behind = 1 + (uint64_t)(m->to - m->s->instructions);
        m->to->relative = (struct relative){.at = m->to->length, .size = (uint8_t)size, .target = behind};
        put(m, 0, size);
    }
}

static void put_operands(struct maker *m, unsigned opcode)
{
    unsigned base = 0;
    enum form form = FORM_BASE;

    if (m->memory)
        form = choose_form(m, &base);
    if (m->rex) {
        m->rex |= m->t->groups ? 0 : (m->reg & 8) >> 1;
        if (!m->memory)
            m->rex |= (m->rm & 8) >> 3;
    }
    put_opcode(m, opcode);
    if (!(m->t->shape & RM))
        return;
    if (m->memory && m->t->shape & (PAIR | TARGET)) {
        prepare_memory(m, base);
        if (words && !m->other_address) {
            put_memory_16(m, form, base);
            return;
        }
        if ((base & 7) == RSP)
            put_sib(m, 0, base, RSP, 0);
        else
            put(m, ((base & 7) == RBP ? 0x40 : 0) | (m->reg & 7) << 3 | (base & 7), 1);
        if ((base & 7) == RBP)
            put(m, 0, 1);
    } else if (m->memory && words && !m->other_address) {
        put_memory_16(m, form, base);
    } else if (m->memory) {
        put_memory(m, form, base);
    } else {
        put(m, 0xc0 | (m->reg & 7) << 3 | (m->rm & 7), 1);
    }
}

static uint32_t condition_reads(unsigned code)
{
    static const uint32_t reads[] = {FO, FC, FZ, FC | FZ, FS, FP, FS | FO, FZ | FS | FO};
    return reads[code >> 1 & 7];
}

/* What a shift leaves undefined; `first`: CL is as the machine starts. */
static uint32_t shift_undefined(const struct maker *m, bool first)
{
    const unsigned width = m->t->shape & BYTE ? 8 : m->wide ? 64 : m->word ? 16 : 32;
    uint64_t count = m->imm;

    if (!(m->t->shape & IMM8)) {
        if (!first)
            return m->t->undefined;
        count = m->s->start.gpr[RCX];
    }
    count &= width == 64 ? 63 : 31;
    if (count == 0)
        return 0;
    uint32_t undefined = m->t->undefined;
    if (count == 1)
        undefined &= ~(uint32_t)FO;
    if (count < width)
        undefined &= ~(uint32_t)FC;
    return undefined;
}

/* False: it reads what is undefined. */
static bool make_instruction(struct sequence *s, const struct template *t, uint64_t undefined)
{
    struct instruction *to = &s->instructions[s->count];
    struct maker m = {.s = s, .to = to, .t = t};
    unsigned opcode = t->first + random_below(t->last - t->first + 1u);
    uint32_t reads = t->reads;

    memset(to, 0, sizeof *to);
    to->row = (uint8_t)(t - templates);
    if (t->shape & CONDITION)
        reads |= condition_reads(opcode);
    if (reads & undefined)
        return false;
    choose_operands(&m);
    if (t->shape & OPCODE_REGISTER)
        opcode = (opcode & ~7u) | (m.rm & 7);
    if (t->shape & OFFSET)
        m.other_address = (words || !narrow) && one_in(4);
    put_prefixes(&m);
    put_operands(&m, opcode);
    prepare(&m);
    put_immediate(&m);
    if (t->shape & SMALL_COUNT && s->count == 0)
        s->start.gpr[RCX] = random_below(3);
    if (t->shape & DIVIDE && s->count == 0 && !one_in(4))
        s->start.gpr[RDX] = one_in(2) ? 0 : ~0ull;
    const uint32_t left = t->shape & COUNT ? shift_undefined(&m, s->count == 0) : t->undefined;
    to->writes = t->shape & COUNT ? (uint32_t)ALL : t->writes | t->undefined;
    to->undefined = (undefined & ~(uint64_t)t->writes) | left;
    return true;
}

void generate_sequence(struct sequence *s)
{
    const unsigned wanted = 1 + random_below(SEQUENCE_MAX);
    uint64_t undefined = 0;

    s->count = 0;
    reserve_registers();
    random_machine(&s->start);
    for (unsigned attempts = 0; s->count < wanted && attempts < 64; attempts++) {
        const struct template *t = &templates[chosen[random_below(chosen_count)]];
        if (t->shape & ALONE && s->count > 0)
            continue;
        if (!make_instruction(s, t, undefined))
            continue;
        undefined = s->instructions[s->count++].undefined;
        if (t->shape & ALONE)
            break;
    }
}
