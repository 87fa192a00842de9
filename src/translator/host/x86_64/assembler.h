/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * assembler: encodes x86-64 instructions (x86-64-v3) into a buffer. Intel SDM volume 2.
 *
 * Vector instructions are VEX-encoded only. Operand width of integer instructions is `wide`: false =
 * 32 bits (the upper half of a destination register becomes zero), true = 64 bits. Byte registers
 * are always the low bytes (spl, bpl, sil, dil with REX).
 *
 * The caller checks for room between instructions, not here: see asm_room().
 */
#ifndef VISOR_TRANSLATOR_HOST_X86_64_ASSEMBLER_H
#define VISOR_TRANSLATOR_HOST_X86_64_ASSEMBLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/* Condition codes; XOR with 1 negates. */
enum cc {
    CC_O,
    CC_NO,
    CC_B,
    CC_AE,
    CC_E,
    CC_NE,
    CC_BE,
    CC_A,
    CC_S,
    CC_NS,
    CC_P,
    CC_NP,
    CC_L,
    CC_GE,
    CC_LE,
    CC_G
};

/* -- operands ---------------------------------------------------------------------------------- */

enum {
    MEM_NONE = -1, /* no base, no index */
    MEM_POOL = -2, /* as base: the block's constant pool, disp = byte offset in it (no index) */
};

struct mem {
    int8_t base;   /* enum gpr, MEM_NONE or MEM_POOL */
    int8_t index;  /* enum gpr (not RSP) or MEM_NONE */
    uint8_t scale; /* index << scale, 0..3 */
    int32_t disp;
    bool far; /* the displacement takes four bytes, whatever it is */
};

/* The r/m operand of an instruction: a register (GPR or XMM as the instruction says) or memory. */
struct rm {
    bool is_mem;
    uint8_t reg;
    struct mem mem;
};

static inline struct mem mem_base(unsigned base, int32_t disp)
{
    return (struct mem){(int8_t)base, MEM_NONE, 0, disp, false};
}

static inline struct mem mem_index(unsigned base, unsigned index, unsigned scale, int32_t disp)
{
    return (struct mem){(int8_t)base, (int8_t)index, (uint8_t)scale, disp, false};
}

static inline struct mem mem_pool(uint32_t offset)
{
    return (struct mem){MEM_POOL, MEM_NONE, 0, (int32_t)offset, false};
}

static inline struct rm rm_reg(unsigned reg)
{
    return (struct rm){.is_mem = false, .reg = (uint8_t)reg};
}

static inline struct rm rm_mem(struct mem mem)
{
    return (struct rm){.is_mem = true, .mem = mem};
}

/* -- the buffer -------------------------------------------------------------------------------- */

#define ASM_FIXUPS_MAX 4096

/* A rip-relative displacement that leads into the constant pool. */
struct asm_fixup {
    uint32_t at;   /* offset of the displacement */
    uint32_t pool; /* offset in the pool */
    uint32_t next; /* offset of the next instruction */
};

struct assembler {
    uint8_t *start, *p, *end;
    unsigned fixup_count;
    struct asm_fixup fixups[ASM_FIXUPS_MAX];
};

static inline uint32_t asm_offset(const struct assembler *a)
{
    return (uint32_t)(a->p - a->start);
}

/* Whether `bytes` more and some constants of the pool surely fit. */
static inline bool asm_room(const struct assembler *a, size_t bytes)
{
    return (size_t)(a->end - a->p) > bytes && a->fixup_count < ASM_FIXUPS_MAX - 256;
}

static inline void asm_byte(struct assembler *a, unsigned byte)
{
    *a->p++ = (uint8_t)byte;
}

static inline void asm_u16(struct assembler *a, uint16_t v)
{
    memcpy(a->p, &v, 2);
    a->p += 2;
}

static inline void asm_u32(struct assembler *a, uint32_t v)
{
    memcpy(a->p, &v, 4);
    a->p += 4;
}

static inline void asm_u64(struct assembler *a, uint64_t v)
{
    memcpy(a->p, &v, 8);
    a->p += 8;
}

/* `n` bytes without effect. */
void asm_nops(struct assembler *a, unsigned n);
/* Nops until the offset of the byte `ahead` bytes further on is a multiple of `alignment`. */
void asm_align(struct assembler *a, unsigned alignment, unsigned ahead);

/* -- integer instructions ---------------------------------------------------------------------- */

enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
enum shift { SHIFT_ROL, SHIFT_ROR, SHIFT_RCL, SHIFT_RCR, SHIFT_SHL = 4, SHIFT_SHR = 5, SHIFT_SAR = 7 };

void asm_alu(struct assembler *a, enum alu op, bool wide, unsigned dst, struct rm src);
void asm_alu_imm(struct assembler *a, enum alu op, bool wide, struct rm dst, int32_t imm);
void asm_test(struct assembler *a, bool wide, struct rm left, unsigned right);
void asm_test_imm(struct assembler *a, bool wide, struct rm left, uint32_t imm); /* sign-extended if wide */
void asm_test_imm8(struct assembler *a, struct rm left, uint8_t imm);            /* byte operand */

void asm_mov(struct assembler *a, bool wide, unsigned dst, unsigned src); /* always emits */
void asm_mov_imm(struct assembler *a, unsigned dst, uint64_t imm);        /* 64 bits, shortest, no flags */
void asm_load(struct assembler *a, bool wide, unsigned dst, struct mem src);
void asm_store(struct assembler *a, bool wide, struct mem dst, unsigned src);
void asm_store8(struct assembler *a, struct mem dst, unsigned src);
void asm_store16(struct assembler *a, struct mem dst, unsigned src);
void asm_store_imm(struct assembler *a, unsigned log2_bytes, struct mem dst, int32_t imm);
/* From log2_bytes 0, 1 or 2; movzx always writes all 64 bits. */
void asm_x87(struct assembler *a, unsigned opcode, unsigned reg, struct mem m); /* opcode: D8 + so many */
/* An instruction on MMX registers: map 1 to 3 for 0F, 0F38, 0F3A; imm < 0: it has none. */
void asm_mmx(struct assembler *a, unsigned map, unsigned opcode, bool wide, unsigned reg, struct rm rm,
             int imm);
void asm_movzx(struct assembler *a, unsigned log2_bytes, unsigned dst, struct rm src);
void asm_movsx(struct assembler *a, bool wide, unsigned log2_bytes, unsigned dst, struct rm src);
void asm_lea(struct assembler *a, bool wide, unsigned dst, struct mem src);
void asm_xchg(struct assembler *a, unsigned log2_bytes, struct mem dst, unsigned src);

void asm_imul(struct assembler *a, bool wide, unsigned dst, struct rm src);
void asm_imul_imm(struct assembler *a, bool wide, unsigned dst, struct rm src, int32_t imm);
/* Group 3 on r/m: not neg mul imul div idiv (rdx:rax for the last four). */
enum group3 { GROUP3_NOT = 2, GROUP3_NEG, GROUP3_MUL, GROUP3_IMUL, GROUP3_DIV, GROUP3_IDIV };
void asm_group3(struct assembler *a, enum group3 op, bool wide, struct rm operand);
void asm_cdq(struct assembler *a, bool wide); /* cdq / cqo */

void asm_shift(struct assembler *a, enum shift op, bool wide, struct rm dst, unsigned count);
void asm_shift_cl(struct assembler *a, enum shift op, bool wide, struct rm dst);
void asm_shrd(struct assembler *a, bool wide, unsigned low, unsigned high, unsigned count);
enum shiftx { SHIFTX_SHL = 1, SHIFTX_SAR, SHIFTX_SHR }; /* flags untouched */
void asm_shiftx(struct assembler *a, enum shiftx op, bool wide, unsigned dst, struct rm src, unsigned count);
void asm_rorx(struct assembler *a, bool wide, unsigned dst, struct rm src, unsigned count);
void asm_mulx(struct assembler *a, unsigned high, unsigned low,
              struct rm src); /* 64 bits, of rdx; flags untouched */
void asm_andn(struct assembler *a, bool wide, unsigned dst, unsigned inverted, struct rm src);
void asm_bswap(struct assembler *a, bool wide, unsigned reg);
void asm_lzcnt(struct assembler *a, bool wide, unsigned dst, struct rm src);
void asm_tzcnt(struct assembler *a, bool wide, unsigned dst, struct rm src);
void asm_bt(struct assembler *a, bool wide, struct rm operand, unsigned bit);
void asm_bt16(struct assembler *a, struct mem operand, unsigned bit);
void asm_bt_reg(struct assembler *a, bool wide, unsigned operand, unsigned bit); /* modulo the width */
void asm_crc32(struct assembler *a, unsigned log2_bytes, unsigned dst, struct rm src);
void asm_setcc(struct assembler *a, enum cc cc, unsigned dst); /* the low byte only */
void asm_cmov(struct assembler *a, enum cc cc, bool wide, unsigned dst, struct rm src);

/* The same on the low 2^log2_bytes bytes, all of which sizes they have. What is above in a register stays,
 * but for log2_bytes = 2. */
void asm_alu_sized(struct assembler *a, enum alu op, unsigned log2_bytes, unsigned dst, struct rm src);
void asm_alu_imm_sized(struct assembler *a, enum alu op, unsigned log2_bytes, struct rm dst, int32_t imm);
void asm_test_sized(struct assembler *a, unsigned log2_bytes, struct rm left, unsigned right);
void asm_test_imm_sized(struct assembler *a, unsigned log2_bytes, struct rm left, int32_t imm);
void asm_step_sized(struct assembler *a, bool decrement, unsigned log2_bytes, unsigned dst); /* inc, dec */
void asm_shift_sized(struct assembler *a, enum shift op, unsigned log2_bytes, unsigned dst, unsigned count);
void asm_shift_cl_sized(struct assembler *a, enum shift op, unsigned log2_bytes, unsigned dst);
void asm_imul_sized(struct assembler *a, unsigned log2_bytes, unsigned dst,
                    struct rm src);                 /* from 2 bytes on */
void asm_imul8(struct assembler *a, struct rm src); /* ax := al * src */
void asm_mov_sized(struct assembler *a, unsigned log2_bytes, unsigned dst, unsigned src);

/* cmp of the low bytes of two registers */
void asm_cmp_sized(struct assembler *a, unsigned log2_bytes, unsigned left, unsigned right);

/* lock-prefixed where it is not implied */
void asm_lock_cmpxchg(struct assembler *a, unsigned log2_bytes, struct mem dst, unsigned src);
void asm_lock_cmpxchg16b(struct assembler *a, struct mem dst);
void asm_lock_xadd(struct assembler *a, unsigned log2_bytes, struct mem dst, unsigned src);
void asm_lock_alu(struct assembler *a, enum alu op, unsigned log2_bytes, struct mem dst, unsigned src);

void asm_lahf(struct assembler *a);
void asm_sahf(struct assembler *a);
void asm_cmc(struct assembler *a);
void asm_ldmxcsr(struct assembler *a, struct mem src); /* VEX form */
void asm_stmxcsr(struct assembler *a, struct mem dst);

/* -- jumps ------------------------------------------------------------------------------------- */

/* Forward jumps return the offset of the displacement, for asm_bind*() when the target is reached. */
uint32_t asm_jcc_short(struct assembler *a, enum cc cc);
uint32_t asm_jmp_short(struct assembler *a);
void asm_jcc_short_back(struct assembler *a, enum cc cc, uint32_t to); /* at most 126 bytes back */
void asm_bind_short(struct assembler *a, uint32_t at);                 /* here; at most 127 bytes on */
uint32_t asm_jcc(struct assembler *a, enum cc cc);                     /* rel32 */
uint32_t asm_jmp(struct assembler *a);
uint32_t asm_call(struct assembler *a);
void asm_bind(struct assembler *a, uint32_t at);
void asm_bind_to(struct assembler *a, uint32_t at, uint32_t target);
/* Backward jumps to an offset. */
void asm_jcc_back(struct assembler *a, enum cc cc, uint32_t target);
void asm_jmp_back(struct assembler *a, uint32_t target);
void asm_jmp_rm(struct assembler *a, struct rm target);
void asm_call_rm(struct assembler *a, struct rm target);
void asm_push(struct assembler *a, unsigned reg);
void asm_pop(struct assembler *a, unsigned reg);
void asm_ret(struct assembler *a);

/* -- vector instructions ----------------------------------------------------------------------- */

/* An instruction's constant: map << 16 | W << 12 | prefix << 8 | opcode. */
#define VEX_0F   (1u << 16)
#define VEX_0F38 (2u << 16)
#define VEX_0F3A (3u << 16)
#define VEX_W1   (1u << 12)
#define VEX_NP   (0u << 8)
#define VEX_66   (1u << 8)
#define VEX_F3   (2u << 8)
#define VEX_F2   (3u << 8)

/* 128-bit: reg, vvvv (0 where the instruction has no second source) and r/m, in Intel's operand order for
 * loads and computations; where the r/m operand is the destination (stores, vpextr, shifts by immediate: reg
 * = /digit, vvvv = destination, r/m = source) in the order of the encoding. */
void asm_vex(struct assembler *a, uint32_t insn, unsigned reg, unsigned vvvv, struct rm rm);
void asm_vex_imm(struct assembler *a, uint32_t insn, unsigned reg, unsigned vvvv, struct rm rm, uint8_t imm);
/* The same with VEX.L = 1 (256-bit). */
void asm_vex256(struct assembler *a, uint32_t insn, unsigned reg, unsigned vvvv, struct rm rm);
void asm_vex256_imm(struct assembler *a, uint32_t insn, unsigned reg, unsigned vvvv, struct rm rm,
                    uint8_t imm);
/* EVEX-encoded, 128 bits, registers only. */
void asm_evex_imm(struct assembler *a, uint32_t insn, unsigned reg, unsigned vvvv, unsigned rm, uint8_t imm);

/* The instructions that the core needs; add more in vex.h. */
enum {
    V_MOVDQA_LOAD = VEX_0F | VEX_66 | 0x6f,
    V_MOVDQA_STORE = VEX_0F | VEX_66 | 0x7f,
    V_MOVDQU_LOAD = VEX_0F | VEX_F3 | 0x6f,
    V_MOVDQU_STORE = VEX_0F | VEX_F3 | 0x7f,
    V_MOVUPS_LOAD = VEX_0F | 0x10,
    V_MOVUPS_STORE = VEX_0F | 0x11,
    V_MOVAPS_STORE = VEX_0F | 0x29,
    V_MOVAPS_LOAD = VEX_0F | 0x28,
    V_MOVSS_LOAD = VEX_0F | VEX_F3 | 0x10, /* from memory: zeroes the rest; r,r: needs vvvv */
    V_MOVSS_STORE = VEX_0F | VEX_F3 | 0x11,
    V_MOVSD_LOAD = VEX_0F | VEX_F2 | 0x10,
    V_MOVSD_STORE = VEX_0F | VEX_F2 | 0x11,
    V_MOVD_FROM_GPR = VEX_0F | VEX_66 | 0x6e, /* xmm <- r/m32, rest zero */
    V_MOVD_TO_GPR = VEX_0F | VEX_66 | 0x7e,   /* r/m32 <- xmm (reg = xmm) */
    V_MOVQ_FROM_GPR = VEX_0F | VEX_66 | VEX_W1 | 0x6e,
    V_MOVQ_TO_GPR = VEX_0F | VEX_66 | VEX_W1 | 0x7e,
    V_MOVQ_LOAD = VEX_0F | VEX_F3 | 0x7e, /* xmm <- xmm/m64, rest zero */
    V_MOVQ_STORE = VEX_0F | VEX_66 | 0xd6,
    V_PXOR = VEX_0F | VEX_66 | 0xef,
    V_XORPS = VEX_0F | 0x57,
    V_UCOMISS = VEX_0F | 0x2e,
    V_UCOMISD = VEX_0F | VEX_66 | 0x2e,
    V_COMISS = VEX_0F | 0x2f,
    V_COMISD = VEX_0F | VEX_66 | 0x2f,
    V_PEXTRB = VEX_0F3A | VEX_66 | 0x14, /* r/m8 <- xmm (reg = xmm), imm = lane */
    V_PEXTRW = VEX_0F3A | VEX_66 | 0x15,
    V_PEXTRQ = VEX_0F3A | VEX_66 | VEX_W1 | 0x16,
    V_PINSRQ = VEX_0F3A | VEX_66 | VEX_W1 | 0x22,
};

#endif
