/* SPDX-License-Identifier: GPL-2.0-or-later */
/* assembler: the encodings. Intel SDM volume 2, chapter 2 (formats) and the instruction pages. */
#include "translator/host/x86_64/assembler.h"

/* How an integer instruction is encoded, apart from its operands. */
enum {
    MAP_ONE = 0, /* one-byte opcodes */
    MAP_0F = 1,
    MAP_0F38 = 2,
    MAP_0F3A = 3,
    PREFIX_66 = 1 << 4,
    PREFIX_F2 = 2 << 4,
    PREFIX_F3 = 3 << 4,
    BYTE_REG = 1 << 8, /* reg is a byte register: spl.. need REX */
    BYTE_RM = 1 << 9,
    LOCK = 1 << 10,
};

static void modrm_mem(struct assembler *a, unsigned reg, const struct mem *m, unsigned tail)
{
    reg = (reg & 7) << 3;
    if (m->base == MEM_POOL) {
        asm_byte(a, reg | 5);
        uint32_t at = asm_offset(a);
        a->fixups[a->fixup_count++] = (struct asm_fixup){at, (uint32_t)m->disp, at + 4 + tail};
        asm_u32(a, 0);
        return;
    }
    if (m->base == MEM_NONE) {
        asm_byte(a, reg | 4);
        unsigned index = m->index == MEM_NONE ? 4 : (unsigned)m->index & 7;
        asm_byte(a, (unsigned)m->scale << 6 | index << 3 | 5);
        asm_u32(a, (uint32_t)m->disp);
        return;
    }
    unsigned base = (unsigned)m->base & 7;
    unsigned mod = m->far ? 2 : m->disp == 0 && base != 5 ? 0 : m->disp == (int8_t)m->disp ? 1 : 2;
    if (m->index == MEM_NONE && base != 4) {
        asm_byte(a, mod << 6 | reg | base);
    } else {
        unsigned index = m->index == MEM_NONE ? 4 : (unsigned)m->index & 7;
        asm_byte(a, mod << 6 | reg | 4);
        asm_byte(a, (unsigned)m->scale << 6 | index << 3 | base);
    }
    if (mod == 1)
        asm_byte(a, (uint8_t)m->disp);
    else if (mod == 2)
        asm_u32(a, (uint32_t)m->disp);
}

static inline void modrm(struct assembler *a, unsigned reg, const struct rm *rm, unsigned tail)
{
    if (rm->is_mem)
        modrm_mem(a, reg, &rm->mem, tail);
    else
        asm_byte(a, 0xc0 | (reg & 7) << 3 | (rm->reg & 7));
}

/* REX.B and REX.X of an r/m operand, as the low two bits. */
static inline unsigned rex_bx(const struct rm *rm)
{
    if (!rm->is_mem)
        return rm->reg >> 3;
    return (rm->mem.base >= 8 ? 1u : 0) | (rm->mem.index >= 8 ? 2u : 0);
}

static void legacy(struct assembler *a, unsigned how, bool wide, unsigned opcode, unsigned reg, struct rm rm,
                   unsigned tail)
{
    static const uint8_t prefixes[4] = {0, 0x66, 0xf2, 0xf3};
    if (how & LOCK)
        asm_byte(a, 0xf0);
    if (how >> 4 & 3)
        asm_byte(a, prefixes[how >> 4 & 3]);
    unsigned rex = (wide ? 8u : 0) | (reg & 8) >> 1 | rex_bx(&rm);
    if (rex || (how & BYTE_REG && reg >= 4) || (how & BYTE_RM && !rm.is_mem && rm.reg >= 4))
        asm_byte(a, 0x40 | rex);
    if (how & 3)
        asm_byte(a, 0x0f);
    if ((how & 3) >= MAP_0F38)
        asm_byte(a, (how & 3) == MAP_0F38 ? 0x38 : 0x3a);
    asm_byte(a, opcode);
    modrm(a, reg, &rm, tail);
}

void asm_nops(struct assembler *a, unsigned n)
{
    static const uint8_t nops[4][3] = {{0}, {0x90}, {0x66, 0x90}, {0x0f, 0x1f, 0x00}};
    while (n) {
        unsigned k = n < 3 ? n : 3;
        memcpy(a->p, nops[k], k);
        a->p += k;
        n -= k;
    }
}

void asm_align(struct assembler *a, unsigned alignment, unsigned ahead)
{
    asm_nops(a, -(asm_offset(a) + ahead) & (alignment - 1));
}

/* -- arithmetic -------------------------------------------------------------------------------- */

void asm_alu(struct assembler *a, enum alu op, bool wide, unsigned dst, struct rm src)
{
    legacy(a, MAP_ONE, wide, op << 3 | 3, dst, src, 0);
}

void asm_alu_imm(struct assembler *a, enum alu op, bool wide, struct rm dst, int32_t imm)
{
    if (imm == (int8_t)imm) {
        legacy(a, MAP_ONE, wide, 0x83, op, dst, 1);
        asm_byte(a, (uint8_t)imm);
    } else if (!dst.is_mem && dst.reg == RAX) {
        if (wide)
            asm_byte(a, 0x48);
        asm_byte(a, op << 3 | 5);
        asm_u32(a, (uint32_t)imm);
    } else {
        legacy(a, MAP_ONE, wide, 0x81, op, dst, 4);
        asm_u32(a, (uint32_t)imm);
    }
}

void asm_test(struct assembler *a, bool wide, struct rm left, unsigned right)
{
    legacy(a, MAP_ONE, wide, 0x85, right, left, 0);
}

void asm_test_imm(struct assembler *a, bool wide, struct rm left, uint32_t imm)
{
    if (!left.is_mem && imm < 0x80) {
        asm_test_imm8(a, left, (uint8_t)imm); /* same zero and sign (clear) as the wide form */
        return;
    }
    legacy(a, MAP_ONE, wide && (int32_t)imm < 0, 0xf7, 0, left, 4);
    asm_u32(a, imm);
}

void asm_test_imm8(struct assembler *a, struct rm left, uint8_t imm)
{
    legacy(a, MAP_ONE | BYTE_RM, false, 0xf6, 0, left, 1);
    asm_byte(a, imm);
}

void asm_cmp_sized(struct assembler *a, unsigned log2_bytes, unsigned left, unsigned right)
{
    unsigned how = log2_bytes == 0 ? BYTE_REG | BYTE_RM : log2_bytes == 1 ? PREFIX_66 : 0;
    legacy(a, MAP_ONE | how, log2_bytes == 3, log2_bytes == 0 ? 0x38 : 0x39, right, rm_reg(left), 0);
}

/* Prefix, and whether registers are bytes, of an operation of this size on reg and r/m. */
static inline unsigned size_how(unsigned log2_bytes)
{
    return log2_bytes == 0 ? MAP_ONE | BYTE_REG | BYTE_RM : log2_bytes == 1 ? MAP_ONE | PREFIX_66 : MAP_ONE;
}

/* Without a reg operand: `digit` extends the opcode. */
static inline unsigned size_how_digit(unsigned log2_bytes)
{
    return size_how(log2_bytes) & ~(unsigned)BYTE_REG;
}

static void immediate_of_size(struct assembler *a, unsigned log2_bytes, int32_t imm)
{
    if (log2_bytes == 0)
        asm_byte(a, (uint8_t)imm);
    else if (log2_bytes == 1)
        asm_u16(a, (uint16_t)imm);
    else
        asm_u32(a, (uint32_t)imm);
}

void asm_alu_sized(struct assembler *a, enum alu op, unsigned log2_bytes, unsigned dst, struct rm src)
{
    legacy(a, size_how(log2_bytes), log2_bytes == 3, op << 3 | (log2_bytes ? 3 : 2), dst, src, 0);
}

void asm_alu_imm_sized(struct assembler *a, enum alu op, unsigned log2_bytes, struct rm dst, int32_t imm)
{
    const unsigned how = size_how_digit(log2_bytes);
    const bool wide = log2_bytes == 3;
    if (log2_bytes && imm == (int8_t)imm) {
        legacy(a, how, wide, 0x83, op, dst, 1);
        asm_byte(a, (uint8_t)imm);
    } else {
        legacy(a, how, wide, log2_bytes ? 0x81 : 0x80, op, dst, log2_bytes < 2 ? 1u << log2_bytes : 4);
        immediate_of_size(a, log2_bytes, imm);
    }
}

void asm_test_sized(struct assembler *a, unsigned log2_bytes, struct rm left, unsigned right)
{
    legacy(a, size_how(log2_bytes), log2_bytes == 3, log2_bytes ? 0x85 : 0x84, right, left, 0);
}

void asm_test_imm_sized(struct assembler *a, unsigned log2_bytes, struct rm left, int32_t imm)
{
    legacy(a, size_how_digit(log2_bytes), log2_bytes == 3, log2_bytes ? 0xf7 : 0xf6, 0, left,
           log2_bytes < 2 ? 1u << log2_bytes : 4);
    immediate_of_size(a, log2_bytes, imm);
}

void asm_step_sized(struct assembler *a, bool decrement, unsigned log2_bytes, unsigned dst)
{
    legacy(a, size_how_digit(log2_bytes), log2_bytes == 3, log2_bytes ? 0xff : 0xfe, decrement, rm_reg(dst),
           0);
}

void asm_shift_sized(struct assembler *a, enum shift op, unsigned log2_bytes, unsigned dst, unsigned count)
{
    const unsigned how = size_how_digit(log2_bytes), opcode = count == 1 ? 0xd0 : 0xc0;
    legacy(a, how, log2_bytes == 3, opcode | (log2_bytes != 0), op, rm_reg(dst), 0);
    if (count != 1)
        asm_byte(a, count);
}

void asm_shift_cl_sized(struct assembler *a, enum shift op, unsigned log2_bytes, unsigned dst)
{
    legacy(a, size_how_digit(log2_bytes), log2_bytes == 3, log2_bytes ? 0xd3 : 0xd2, op, rm_reg(dst), 0);
}

void asm_imul_sized(struct assembler *a, unsigned log2_bytes, unsigned dst, struct rm src)
{
    legacy(a, MAP_0F | (log2_bytes == 1 ? PREFIX_66 : 0), log2_bytes == 3, 0xaf, dst, src, 0);
}

void asm_imul8(struct assembler *a, struct rm src)
{
    legacy(a, size_how_digit(0), false, 0xf6, GROUP3_IMUL, src, 0);
}

void asm_mov_sized(struct assembler *a, unsigned log2_bytes, unsigned dst, unsigned src)
{
    legacy(a, size_how(log2_bytes), log2_bytes == 3, log2_bytes ? 0x8b : 0x8a, dst, rm_reg(src), 0);
}

void asm_imul(struct assembler *a, bool wide, unsigned dst, struct rm src)
{
    legacy(a, MAP_0F, wide, 0xaf, dst, src, 0);
}

void asm_imul_imm(struct assembler *a, bool wide, unsigned dst, struct rm src, int32_t imm)
{
    if (imm == (int8_t)imm) {
        legacy(a, MAP_ONE, wide, 0x6b, dst, src, 1);
        asm_byte(a, (uint8_t)imm);
    } else {
        legacy(a, MAP_ONE, wide, 0x69, dst, src, 4);
        asm_u32(a, (uint32_t)imm);
    }
}

void asm_group3(struct assembler *a, enum group3 op, bool wide, struct rm operand)
{
    legacy(a, MAP_ONE, wide, 0xf7, op, operand, 0);
}

void asm_cdq(struct assembler *a, bool wide)
{
    if (wide)
        asm_byte(a, 0x48);
    asm_byte(a, 0x99);
}

void asm_shift(struct assembler *a, enum shift op, bool wide, struct rm dst, unsigned count)
{
    if (count == 1) {
        legacy(a, MAP_ONE, wide, 0xd1, op, dst, 0);
        return;
    }
    legacy(a, MAP_ONE, wide, 0xc1, op, dst, 1);
    asm_byte(a, count);
}

void asm_shift_cl(struct assembler *a, enum shift op, bool wide, struct rm dst)
{
    legacy(a, MAP_ONE, wide, 0xd3, op, dst, 0);
}

void asm_shrd(struct assembler *a, bool wide, unsigned low, unsigned high, unsigned count)
{
    legacy(a, MAP_0F, wide, 0xac, high, rm_reg(low), 1);
    asm_byte(a, count);
}

void asm_bswap(struct assembler *a, bool wide, unsigned reg)
{
    unsigned rex = (wide ? 8u : 0) | reg >> 3;
    if (rex)
        asm_byte(a, 0x40 | rex);
    asm_byte(a, 0x0f);
    asm_byte(a, 0xc8 | (reg & 7));
}

void asm_lzcnt(struct assembler *a, bool wide, unsigned dst, struct rm src)
{
    legacy(a, MAP_0F | PREFIX_F3, wide, 0xbd, dst, src, 0);
}

void asm_tzcnt(struct assembler *a, bool wide, unsigned dst, struct rm src)
{
    legacy(a, MAP_0F | PREFIX_F3, wide, 0xbc, dst, src, 0);
}

void asm_bt(struct assembler *a, bool wide, struct rm operand, unsigned bit)
{
    legacy(a, MAP_0F, wide, 0xba, 4, operand, 1);
    asm_byte(a, bit);
}

void asm_bt16(struct assembler *a, struct mem operand, unsigned bit)
{
    asm_byte(a, 0x66);
    asm_bt(a, false, rm_mem(operand), bit);
}

void asm_bt_reg(struct assembler *a, bool wide, unsigned operand, unsigned bit)
{
    legacy(a, MAP_0F, wide, 0xa3, bit, rm_reg(operand), 0);
}

void asm_crc32(struct assembler *a, unsigned log2_bytes, unsigned dst, struct rm src)
{
    if (log2_bytes == 1)
        asm_byte(a, 0x66); /* before F2: the order of legacy prefixes is free */
    legacy(a, MAP_0F38 | PREFIX_F2 | (log2_bytes == 0 ? BYTE_RM : 0), log2_bytes == 3,
           log2_bytes == 0 ? 0xf0 : 0xf1, dst, src, 0);
}

void asm_setcc(struct assembler *a, enum cc cc, unsigned dst)
{
    legacy(a, MAP_0F | BYTE_RM, false, 0x90 | cc, 0, rm_reg(dst), 0);
}

void asm_cmov(struct assembler *a, enum cc cc, bool wide, unsigned dst, struct rm src)
{
    legacy(a, MAP_0F, wide, 0x40 | cc, dst, src, 0);
}

/* -- moving ------------------------------------------------------------------------------------ */

void asm_mov(struct assembler *a, bool wide, unsigned dst, unsigned src)
{
    legacy(a, MAP_ONE, wide, 0x8b, dst, rm_reg(src), 0);
}

void asm_mov_imm(struct assembler *a, unsigned dst, uint64_t imm)
{
    if (imm <= UINT32_MAX) {
        if (dst >= 8)
            asm_byte(a, 0x41);
        asm_byte(a, 0xb8 | (dst & 7));
        asm_u32(a, (uint32_t)imm);
    } else if ((int64_t)imm == (int32_t)imm) {
        legacy(a, MAP_ONE, true, 0xc7, 0, rm_reg(dst), 4);
        asm_u32(a, (uint32_t)imm);
    } else {
        asm_byte(a, 0x48 | dst >> 3);
        asm_byte(a, 0xb8 | (dst & 7));
        asm_u64(a, imm);
    }
}

void asm_load(struct assembler *a, bool wide, unsigned dst, struct mem src)
{
    legacy(a, MAP_ONE, wide, 0x8b, dst, rm_mem(src), 0);
}

void asm_store(struct assembler *a, bool wide, struct mem dst, unsigned src)
{
    legacy(a, MAP_ONE, wide, 0x89, src, rm_mem(dst), 0);
}

void asm_store8(struct assembler *a, struct mem dst, unsigned src)
{
    legacy(a, MAP_ONE | BYTE_REG, false, 0x88, src, rm_mem(dst), 0);
}

void asm_store16(struct assembler *a, struct mem dst, unsigned src)
{
    legacy(a, MAP_ONE | PREFIX_66, false, 0x89, src, rm_mem(dst), 0);
}

void asm_store_imm(struct assembler *a, unsigned log2_bytes, struct mem dst, int32_t imm)
{
    unsigned bytes = log2_bytes < 2 ? 1u << log2_bytes : 4;
    legacy(a, log2_bytes == 1 ? MAP_ONE | PREFIX_66 : MAP_ONE, log2_bytes == 3, log2_bytes == 0 ? 0xc6 : 0xc7,
           0, rm_mem(dst), bytes);
    memcpy(a->p, &imm, 4);
    a->p += bytes;
}

void asm_x87(struct assembler *a, unsigned opcode, unsigned reg, struct mem m)
{
    legacy(a, MAP_ONE, false, 0xd8 + opcode, reg, rm_mem(m), 0);
}

void asm_mmx(struct assembler *a, unsigned map, unsigned opcode, bool wide, unsigned reg, struct rm rm,
             int imm)
{
    legacy(a, map, wide, opcode, reg, rm, imm >= 0);
    if (imm >= 0)
        asm_byte(a, (uint8_t)imm);
}

void asm_movzx(struct assembler *a, unsigned log2_bytes, unsigned dst, struct rm src)
{
    if (log2_bytes == 2)
        legacy(a, MAP_ONE, false, 0x8b, dst, src, 0);
    else
        legacy(a, MAP_0F | (log2_bytes == 0 ? BYTE_RM : 0), false, 0xb6 | log2_bytes, dst, src, 0);
}

void asm_movsx(struct assembler *a, bool wide, unsigned log2_bytes, unsigned dst, struct rm src)
{
    if (log2_bytes == 2)
        legacy(a, MAP_ONE, wide, wide ? 0x63 : 0x8b, dst, src, 0);
    else
        legacy(a, MAP_0F | (log2_bytes == 0 ? BYTE_RM : 0), wide, 0xbe | log2_bytes, dst, src, 0);
}

void asm_lea(struct assembler *a, bool wide, unsigned dst, struct mem src)
{
    legacy(a, MAP_ONE, wide, 0x8d, dst, rm_mem(src), 0);
}

/* Size prefix and opcode of instructions whose byte form is the opcode with bit 0 clear. */
static void sized(struct assembler *a, unsigned how, unsigned log2_bytes, unsigned opcode, unsigned reg,
                  struct mem m)
{
    if (log2_bytes == 0)
        how |= BYTE_REG;
    if (log2_bytes == 1)
        how |= PREFIX_66;
    legacy(a, how, log2_bytes == 3, log2_bytes == 0 ? opcode & ~1u : opcode, reg, rm_mem(m), 0);
}

void asm_xchg(struct assembler *a, unsigned log2_bytes, struct mem dst, unsigned src)
{
    sized(a, MAP_ONE, log2_bytes, 0x87, src, dst);
}

void asm_lock_cmpxchg(struct assembler *a, unsigned log2_bytes, struct mem dst, unsigned src)
{
    sized(a, MAP_0F | LOCK, log2_bytes, 0xb1, src, dst);
}

void asm_lock_cmpxchg16b(struct assembler *a, struct mem dst)
{
    legacy(a, MAP_0F | LOCK, true, 0xc7, 1, rm_mem(dst), 0);
}

void asm_lock_xadd(struct assembler *a, unsigned log2_bytes, struct mem dst, unsigned src)
{
    sized(a, MAP_0F | LOCK, log2_bytes, 0xc1, src, dst);
}

void asm_lock_alu(struct assembler *a, enum alu op, unsigned log2_bytes, struct mem dst, unsigned src)
{
    sized(a, MAP_ONE | LOCK, log2_bytes, op << 3 | 1, src, dst);
}

void asm_lahf(struct assembler *a)
{
    asm_byte(a, 0x9f);
}

void asm_sahf(struct assembler *a)
{
    asm_byte(a, 0x9e);
}

void asm_cmc(struct assembler *a)
{
    asm_byte(a, 0xf5);
}

/* -- jumps ------------------------------------------------------------------------------------- */

uint32_t asm_jcc_short(struct assembler *a, enum cc cc)
{
    asm_byte(a, 0x70 | cc);
    asm_byte(a, 0);
    return asm_offset(a) - 1;
}

uint32_t asm_jmp_short(struct assembler *a)
{
    asm_byte(a, 0xeb);
    asm_byte(a, 0);
    return asm_offset(a) - 1;
}

void asm_jcc_short_back(struct assembler *a, enum cc cc, uint32_t to)
{
    asm_byte(a, (uint8_t)(0x70 | cc));
    asm_byte(a, (uint8_t)(to - (asm_offset(a) + 1)));
}

void asm_bind_short(struct assembler *a, uint32_t at)
{
    a->start[at] = (uint8_t)(asm_offset(a) - at - 1);
}

uint32_t asm_jcc(struct assembler *a, enum cc cc)
{
    asm_byte(a, 0x0f);
    asm_byte(a, 0x80 | cc);
    asm_u32(a, 0);
    return asm_offset(a) - 4;
}

uint32_t asm_jmp(struct assembler *a)
{
    asm_byte(a, 0xe9);
    asm_u32(a, 0);
    return asm_offset(a) - 4;
}

uint32_t asm_call(struct assembler *a)
{
    asm_byte(a, 0xe8);
    asm_u32(a, 0);
    return asm_offset(a) - 4;
}

void asm_bind(struct assembler *a, uint32_t at)
{
    asm_bind_to(a, at, asm_offset(a));
}

void asm_bind_to(struct assembler *a, uint32_t at, uint32_t target)
{
    uint32_t displacement = target - at - 4;
    memcpy(a->start + at, &displacement, 4);
}

void asm_jcc_back(struct assembler *a, enum cc cc, uint32_t target)
{
    int32_t displacement = (int32_t)(target - asm_offset(a) - 2);
    if (displacement == (int8_t)displacement) {
        asm_byte(a, 0x70 | cc);
        asm_byte(a, (uint8_t)displacement);
    } else {
        asm_bind_to(a, asm_jcc(a, cc), target);
    }
}

void asm_jmp_back(struct assembler *a, uint32_t target)
{
    int32_t displacement = (int32_t)(target - asm_offset(a) - 2);
    if (displacement == (int8_t)displacement) {
        asm_byte(a, 0xeb);
        asm_byte(a, (uint8_t)displacement);
    } else {
        asm_bind_to(a, asm_jmp(a), target);
    }
}

void asm_jmp_rm(struct assembler *a, struct rm target)
{
    legacy(a, MAP_ONE, false, 0xff, 4, target, 0);
}

void asm_call_rm(struct assembler *a, struct rm target)
{
    legacy(a, MAP_ONE, false, 0xff, 2, target, 0);
}

void asm_push(struct assembler *a, unsigned reg)
{
    if (reg >= 8)
        asm_byte(a, 0x41);
    asm_byte(a, 0x50 | (reg & 7));
}

void asm_pop(struct assembler *a, unsigned reg)
{
    if (reg >= 8)
        asm_byte(a, 0x41);
    asm_byte(a, 0x58 | (reg & 7));
}

void asm_ret(struct assembler *a)
{
    asm_byte(a, 0xc3);
}

/* -- VEX --------------------------------------------------------------------------------------- */

static void vex(struct assembler *a, uint32_t insn, unsigned length, unsigned reg, unsigned vvvv,
                const struct rm *rm, unsigned tail)
{
    unsigned map = insn >> 16, w = insn >> 12 & 1, pp = insn >> 8 & 3, bx = rex_bx(rm);
    unsigned last = (~vvvv & 15) << 3 | length << 2 | pp;
    if (map == 1 && !w && !bx) {
        asm_byte(a, 0xc5);
        asm_byte(a, (~reg & 8) << 4 | last);
    } else {
        asm_byte(a, 0xc4);
        asm_byte(a, (~reg & 8) << 4 | (~bx & 2) << 5 | (~bx & 1) << 5 | map);
        asm_byte(a, w << 7 | last);
    }
    asm_byte(a, insn & 0xff);
    modrm(a, reg, rm, tail);
}

void asm_vex(struct assembler *a, uint32_t insn, unsigned reg, unsigned vvvv, struct rm rm)
{
    vex(a, insn, 0, reg, vvvv, &rm, 0);
}

void asm_vex_imm(struct assembler *a, uint32_t insn, unsigned reg, unsigned vvvv, struct rm rm, uint8_t imm)
{
    vex(a, insn, 0, reg, vvvv, &rm, 1);
    asm_byte(a, imm);
}

void asm_evex_imm(struct assembler *a, uint32_t insn, unsigned reg, unsigned vvvv, unsigned rm, uint8_t imm)
{
    asm_byte(a, 0x62);
    asm_byte(a, (~reg >> 3 & 1) << 7 | (~rm >> 3 & 1) << 5 | 0x50 | (insn >> 16 & 3));
    asm_byte(a, (insn >> 12 & 1) << 7 | (~vvvv & 15) << 3 | 4 | (insn >> 8 & 3));
    asm_byte(a, 0x08);
    asm_byte(a, insn & 0xff);
    asm_byte(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
    asm_byte(a, imm);
}

void asm_vex256(struct assembler *a, uint32_t insn, unsigned reg, unsigned vvvv, struct rm rm)
{
    vex(a, insn, 1, reg, vvvv, &rm, 0);
}

void asm_vex256_imm(struct assembler *a, uint32_t insn, unsigned reg, unsigned vvvv, struct rm rm,
                    uint8_t imm)
{
    vex(a, insn, 1, reg, vvvv, &rm, 1);
    asm_byte(a, imm);
}

void asm_shiftx(struct assembler *a, enum shiftx op, bool wide, unsigned dst, struct rm src, unsigned count)
{
    vex(a, VEX_0F38 | (wide ? VEX_W1 : 0) | (unsigned)op << 8 | 0xf7, 0, dst, count, &src, 0);
}

void asm_rorx(struct assembler *a, bool wide, unsigned dst, struct rm src, unsigned count)
{
    vex(a, VEX_0F3A | (wide ? VEX_W1 : 0) | VEX_F2 | 0xf0, 0, dst, 0, &src, 1);
    asm_byte(a, count);
}

void asm_mulx(struct assembler *a, unsigned high, unsigned low, struct rm src)
{
    vex(a, VEX_0F38 | VEX_W1 | VEX_F2 | 0xf6, 0, high, low, &src, 0);
}

void asm_andn(struct assembler *a, bool wide, unsigned dst, unsigned inverted, struct rm src)
{
    vex(a, VEX_0F38 | (wide ? VEX_W1 : 0) | 0xf2, 0, dst, inverted, &src, 0);
}

void asm_ldmxcsr(struct assembler *a, struct mem src)
{
    struct rm rm = rm_mem(src);
    vex(a, VEX_0F | 0xae, 0, 2, 0, &rm, 0);
}

void asm_stmxcsr(struct assembler *a, struct mem dst)
{
    struct rm rm = rm_mem(dst);
    vex(a, VEX_0F | 0xae, 0, 3, 0, &rm, 0);
}
