/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Test of translator/guest/x86's decoder against Zydis: random and enumerated bytes as 64-, 32- and 16-bit
 * code. Both must agree on what is an instruction (of those that the guest's CPU has), its length, sizes and
 * operands.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "arch/x86/features.h"
#include "arch/x86/requires.h"
#include "base/error.h"
#include "base/macros.h"
#include "translator/guest/x86/lift.h"

#include "../random.h"

static struct ir_region region;
static ZydisDecoder decoders[3]; /* by enum x86_code */
static unsigned long both, refused;

/* -- what the two say ---------------------------------------------------------------------------------- */

/* The whole guest's answer: a group's function may refuse what the decoder lets pass. */
static bool is_instruction(unsigned code, const uint8_t *bytes, struct x86_insn *insn)
{
    struct error error = ERROR_INIT;

    if (x86_decode(insn, &x86_lift_opcodes, (enum x86_code)code, bytes, X86_INSTRUCTION_MAX) != X86_DECODED)
        return false;
    ir_region_reset(&region, 0x400000);
    region.mode = code;
    x86_guest.lift(&region, 0x400000, bytes, X86_INSTRUCTION_MAX, 1);
    if (ir_verify(&region, &error))
        fail_msg("%02x %02x %02x: %s", bytes[0], bytes[1], bytes[2], error.message);
    const struct ir_insn *last = &region.insns[region.count - 1];
    return last->op != IR_RAISE || last->aux != TRANSLATOR_UNDEFINED || insn->row->lift == x86_lift_ud;
}

/* Instruction sets that the guest has all of. */
static bool must_have(const ZydisDecodedInstruction *z)
{
    switch (z->meta.isa_set) {
    case ZYDIS_ISA_SET_I86:
    case ZYDIS_ISA_SET_I186:
    case ZYDIS_ISA_SET_I286PROTECTED:
    case ZYDIS_ISA_SET_I286REAL:
    case ZYDIS_ISA_SET_I386:
    case ZYDIS_ISA_SET_I486:
    case ZYDIS_ISA_SET_I486REAL:
    case ZYDIS_ISA_SET_CMOV:
    case ZYDIS_ISA_SET_CMPXCHG16B:
    case ZYDIS_ISA_SET_LAHF:
    case ZYDIS_ISA_SET_LONGMODE:
    case ZYDIS_ISA_SET_PAUSE:
    case ZYDIS_ISA_SET_POPCNT:
    case ZYDIS_ISA_SET_MOVBE:
    case ZYDIS_ISA_SET_FAT_NOP:
    case ZYDIS_ISA_SET_PPRO:
    case ZYDIS_ISA_SET_PENTIUMMMX:
    case ZYDIS_ISA_SET_SSE:
    case ZYDIS_ISA_SET_SSEMXCSR:
    case ZYDIS_ISA_SET_SSE2:
    case ZYDIS_ISA_SET_SSE2MMX:
    case ZYDIS_ISA_SET_SSE3:
    case ZYDIS_ISA_SET_SSSE3:
    case ZYDIS_ISA_SET_SSSE3MMX:
    case ZYDIS_ISA_SET_SSE4:
    case ZYDIS_ISA_SET_SSE42:
    case ZYDIS_ISA_SET_AES:
    case ZYDIS_ISA_SET_PCLMULQDQ:
    case ZYDIS_ISA_SET_SHA: return true;
    default: return false;
    }
}

/* What the two are known to see differently, and why. */
static bool is_excused(const struct x86_insn *insn, const ZydisDecodedInstruction *z)
{
    if (insn->map == X86_MAP_BASE && insn->opcode >= 0xd8 && insn->opcode <= 0xdf)
        return true; /* x87 instructions are the owner's, undefined ones as well */
    if (insn->map == X86_MAP_0F && (insn->opcode == 0x1a || insn->opcode == 0x1b))
        return true;                               /* without MPX these are NOPs */
    return z && z->mnemonic == ZYDIS_MNEMONIC_UD0; /* no ModRM for some processors */
}

/* -- comparing ----------------------------------------------------------------------------------------- */

static unsigned general_number(ZydisRegister r)
{
    if (r == ZYDIS_REGISTER_NONE)
        return X86_NO_REGISTER;
    if (r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP)
        return X86_BASE_RIP;
    return (unsigned)ZydisRegisterGetId(r);
}

static const char *compare_memory(const struct x86_insn *insn, const ZydisDecodedInstruction *z,
                                  const ZydisDecodedOperand *o)
{
    static const ZydisRegister segments[] = {ZYDIS_REGISTER_ES, ZYDIS_REGISTER_CS, ZYDIS_REGISTER_SS,
                                             ZYDIS_REGISTER_DS, ZYDIS_REGISTER_FS, ZYDIS_REGISTER_GS};
    if (!insn->memory)
        return "memory";
    /* Zydis 4.0 takes "no base" for r13d if addresses have 32 bits. */
    if (o->mem.base == ZYDIS_REGISTER_R13D && z->raw.modrm.mod == 0 && insn->base == X86_NO_REGISTER)
        return NULL;
    if (general_number(o->mem.base) != insn->base)
        return "base";
    if (general_number(o->mem.index) != insn->index)
        return "index";
    if (o->mem.index != ZYDIS_REGISTER_NONE && o->mem.scale != 1u << insn->scale)
        return "scale";
    const uint64_t mask = ~0ull >> (64 - z->address_width);
    if (((uint64_t)o->mem.disp.value & mask) != ((uint64_t)insn->disp & mask))
        return "displacement";
    if (z->attributes & ZYDIS_ATTRIB_HAS_NOTRACK)
        return NULL; /* without CET it is a segment prefix like any other */
    return o->mem.type != ZYDIS_MEMOP_TYPE_AGEN && o->mem.segment != segments[insn->segment] ? "segment"
                                                                                             : NULL;
}

/* The feature that an instruction set is; -1: it is not one, or several. */
static int feature_of(const ZydisDecodedInstruction *z)
{
    switch (z->meta.isa_set) {
    case ZYDIS_ISA_SET_CMOV: return X86_FEATURE_CMOV;
    case ZYDIS_ISA_SET_CMPXCHG16B: return X86_FEATURE_CX16;
    case ZYDIS_ISA_SET_LAHF: return z->machine_mode == ZYDIS_MACHINE_MODE_LONG_64 ? X86_FEATURE_LAHF_LM : 0;
    case ZYDIS_ISA_SET_POPCNT: return X86_FEATURE_POPCNT;
    case ZYDIS_ISA_SET_MOVBE: return X86_FEATURE_MOVBE;
    case ZYDIS_ISA_SET_FXSAVE:
    case ZYDIS_ISA_SET_FXSAVE64: return X86_FEATURE_FXSR;
    case ZYDIS_ISA_SET_XSAVE: return X86_FEATURE_XSAVE;
    case ZYDIS_ISA_SET_XSAVEOPT: return X86_FEATURE_XSAVEOPT;
    case ZYDIS_ISA_SET_CLFSH: return X86_FEATURE_CLFLUSH;
    case ZYDIS_ISA_SET_SMAP: return X86_FEATURE_SMAP;
    case ZYDIS_ISA_SET_RDTSCP: return X86_FEATURE_RDTSCP;
    case ZYDIS_ISA_SET_RDRAND: return X86_FEATURE_RDRAND;
    case ZYDIS_ISA_SET_RDSEED: return X86_FEATURE_RDSEED;
    case ZYDIS_ISA_SET_RDWRFSGS: return X86_FEATURE_FSGSBASE;
    case ZYDIS_ISA_SET_INVPCID: return X86_FEATURE_INVPCID;
    case ZYDIS_ISA_SET_PENTIUMMMX: return X86_FEATURE_MMX;
    case ZYDIS_ISA_SET_SSE:
    case ZYDIS_ISA_SET_SSEMXCSR: return X86_FEATURE_SSE;
    case ZYDIS_ISA_SET_SSE2:
    case ZYDIS_ISA_SET_SSE2MMX: return X86_FEATURE_SSE2;
    case ZYDIS_ISA_SET_SSE3: return X86_FEATURE_SSE3;
    case ZYDIS_ISA_SET_SSSE3:
    case ZYDIS_ISA_SET_SSSE3MMX: return X86_FEATURE_SSSE3;
    case ZYDIS_ISA_SET_SSE4: return X86_FEATURE_SSE4_1;
    case ZYDIS_ISA_SET_SSE42:
        return z->mnemonic == ZYDIS_MNEMONIC_POPCNT ? X86_FEATURE_POPCNT : X86_FEATURE_SSE4_2;
    case ZYDIS_ISA_SET_AES: return X86_FEATURE_AES;
    case ZYDIS_ISA_SET_PCLMULQDQ: return X86_FEATURE_PCLMULQDQ;
    case ZYDIS_ISA_SET_SHA: return X86_FEATURE_SHA;
    case ZYDIS_ISA_SET_PENTIUMREAL:
    case ZYDIS_ISA_SET_PPRO:
    case ZYDIS_ISA_SET_LONGMODE:
    case ZYDIS_ISA_SET_RDPMC: return -1;
    default: return 0;
    }
}

static const char *compare(const struct x86_insn *insn, const ZydisDecodedInstruction *z,
                           const ZydisDecodedOperand *operands)
{
    if (insn->length != z->length)
        return "length";
    if (z->address_width != 8u << insn->address_size)
        return "address size";
    const int feature = feature_of(z);
    /* What SSE added to MMX, Zydis counts as MMX. */
    if (feature == X86_FEATURE_MMX && x86_insn_feature(insn) == X86_FEATURE_SSE)
        return NULL;
    if (feature >= 0 && x86_insn_feature(insn) != (unsigned)feature)
        return "feature";
    for (unsigned i = 0; i < z->operand_count_visible; i++) {
        const char *what = NULL;
        if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            (operands[i].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM ||
             operands[i].encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64))
            what = compare_memory(insn, z, &operands[i]);
        if (what)
            return what;
    }
    if (z->raw.imm[0].size && insn->map == X86_MAP_BASE) {
        const uint64_t mask = ~0ull >> (64 - z->raw.imm[0].size);
        if ((z->raw.imm[0].value.u & mask) != (insn->imm & mask))
            return "immediate";
    }
    if (insn->map == X86_MAP_BASE && !z->raw.imm[0].is_relative && insn->opcode < 0xd8 &&
        insn->opcode != 0xd7 && !(insn->opcode == 0x63 || insn->opcode == 0x8c || insn->opcode == 0x8e) &&
        z->operand_width != 8u << insn->size)
        return "operand size";
    return NULL;
}

static void show(const char *what, unsigned code, const uint8_t *bytes, const struct x86_insn *insn,
                 const ZydisDecodedInstruction *z)
{
    char text[64];
    for (unsigned i = 0; i < X86_INSTRUCTION_MAX; i++)
        snprintf(text + 3 * i, sizeof text - 3 * i, "%02x ", bytes[i]);
    print_error("%s: %u-bit code, %s: %s, length %u, here %u\n", what, 64u >> code, text,
                z ? ZydisMnemonicGetString(z->mnemonic) : "refused", z ? z->length : 0, insn->length);
}

/* True: they agree. */
static bool check(unsigned code, const uint8_t *bytes)
{
    struct x86_insn insn;
    ZydisDecodedInstruction z;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    const bool accepted = is_instruction(code, bytes, &insn);
    const bool known =
        ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoders[code], bytes, X86_INSTRUCTION_MAX, &z, operands));
    const char *what = NULL;

    if (is_excused(&insn, known ? &z : NULL))
        return true;
    if (accepted != known) {
        refused++;
        if (accepted || must_have(&z))
            what = accepted ? "not an instruction" : "an instruction";
    } else if (accepted) {
        both++;
        what = compare(&insn, &z, operands);
    }
    if (what)
        show(what, code, bytes, &insn, known ? &z : NULL);
    return !what;
}

/* -- bytes --------------------------------------------------------------------------------------------- */

static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e,
                                   0x36, 0x3e, 0x64, 0x65, 0x40, 0x48, 0x4f};

static void make_bytes(uint8_t bytes[X86_INSTRUCTION_MAX])
{
    uint64_t low = random64(), high = random64();
    unsigned at = 0;

    memcpy(bytes, &low, 8);
    memcpy(bytes + 8, &high, 7);
    for (unsigned count = random_below(8) == 0 ? random_below(6) : random_below(3); count; count--)
        bytes[at++] = prefixes[random_below(sizeof prefixes)];
    if (random_below(2))
        bytes[at++] = 0x0f;
    if (at && bytes[at - 1] == 0x0f && random_below(8) == 0)
        bytes[at] = random_below(2) ? 0x38 : 0x3a;
}

static void test_random(void **state)
{
    uint8_t bytes[X86_INSTRUCTION_MAX];
    unsigned wrong = 0;
    (void)state;

    both = refused = 0;
    for (unsigned i = 0; i < 1000000 && wrong < 20; i++) {
        make_bytes(bytes);
        wrong += !check(i % 3, bytes);
    }
    print_message("%lu the same, %lu refused by one\n", both, refused);
    assert_int_equal(wrong, 0);
}

/* Every opcode with every ModRM byte. */
static void test_enumerated(void **state)
{
    static const struct {
        uint8_t count, bytes[4];
    } starts[] = {{0, {0}},    {1, {0x66}}, {1, {0xf3}},      {1, {0xf2}},
                  {1, {0x48}}, {1, {0xf0}}, {2, {0x66, 0xf2}}};
    unsigned wrong = 0;
    (void)state;

    for (unsigned i = 0; i < ARRAY_SIZE(starts) * 4 * 3 * 65536 && wrong < 20; i++) {
        uint8_t bytes[X86_INSTRUCTION_MAX] = {0};
        const unsigned map = i >> 16 & 3, start = (i >> 18) % ARRAY_SIZE(starts);
        unsigned at = starts[start].count;
        memcpy(bytes, starts[start].bytes, at);
        if (map)
            bytes[at++] = 0x0f;
        if (map > 1)
            bytes[at++] = map == 2 ? 0x38 : 0x3a;
        bytes[at++] = i >> 8 & 255;
        bytes[at++] = i & 255;
        wrong += !check(i / (ARRAY_SIZE(starts) << 18), bytes);
    }
    assert_int_equal(wrong, 0);
}

/* Fewer bytes than the instruction has: more are asked for, whatever lies behind. */
static void test_cut(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        uint8_t bytes[X86_INSTRUCTION_MAX];
        struct x86_insn insn;
        make_bytes(bytes);
        if (x86_decode(&insn, &x86_lift_opcodes, (enum x86_code)(i % 3), bytes, sizeof bytes) != X86_DECODED)
            continue;
        const unsigned length = insn.length;
        for (unsigned limit = 0; limit < length; limit++)
            assert_int_equal(x86_decode(&insn, &x86_lift_opcodes, (enum x86_code)(i % 3), bytes, limit),
                             X86_CUT);
        assert_int_equal(x86_decode(&insn, &x86_lift_opcodes, (enum x86_code)(i % 3), bytes, length),
                         X86_DECODED);
    }
}

static void test_too_long(void **state)
{
    struct x86_insn insn;
    uint8_t bytes[16];
    (void)state;

    memset(bytes, 0x66, sizeof bytes);
    bytes[15] = 0x90;
    assert_int_equal(x86_decode(&insn, &x86_lift_opcodes, X86_CODE_64, bytes + 1, 15), X86_DECODED);
    assert_int_equal(x86_decode(&insn, &x86_lift_opcodes, X86_CODE_64, bytes, 16), X86_TOO_LONG);
    assert_int_equal(x86_decode(&insn, &x86_lift_opcodes, X86_CODE_64, bytes, 14), X86_CUT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_enumerated),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_too_long),
    };
    ZydisDecoderInit(&decoders[X86_CODE_64], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisDecoderInit(&decoders[X86_CODE_32], ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32);
    ZydisDecoderInit(&decoders[X86_CODE_16], ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
