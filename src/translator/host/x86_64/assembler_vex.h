/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * assembler_vex: the VEX-encoded instructions that floating-point and vector code is made of, beyond those of
 * assembler.h, whose encoding constants these are: map (1 = 0F, 2 = 0F38, 3 = 0F3A), mandatory prefix (0 =
 * none, 1 = 66, 2 = F3, 3 = F2), W, opcode. The shift groups also hold their /digit, see asm_vex_shift().
 *
 * Floating-point instructions are named by their packed-single form; vex_float() makes the other three.
 */
#ifndef VISOR_TRANSLATOR_HOST_X86_64_ASSEMBLER_VEX_H
#define VISOR_TRANSLATOR_HOST_X86_64_ASSEMBLER_VEX_H

#include "translator/host/x86_64/assembler.h"

#define VEX(map, prefix, w, opcode) ((opcode) | (prefix) << 8 | (w) << 12 | (map) << 16)
#define VEX_GROUP(opcode, digit)    (VEX(1, 1, 0, opcode) | (digit) << 20)

enum vex {
    /* moves */
    VMOVSS = VEX(1, 2, 0, 0x10), /* registers: lane 0 of the last, the rest of the middle one */
    VMOVSD = VEX(1, 3, 0, 0x10),
    VINSERTPS = VEX(3, 1, 0, 0x21),
    VPINSRB = VEX(3, 1, 0, 0x20),
    VPINSRW = VEX(1, 1, 0, 0xc4),
    VPINSRD = VEX(3, 1, 0, 0x22),
    VPEXTRD = VEX(3, 1, 0, 0x16),
    VPBROADCASTB = VEX(2, 1, 0, 0x78),
    VPBROADCASTW = VEX(2, 1, 0, 0x79),
    VPBROADCASTD = VEX(2, 1, 0, 0x58),
    VPBROADCASTQ = VEX(2, 1, 0, 0x59),
    VMOVDDUP = VEX(1, 3, 0, 0x12),

    /* shuffles */
    VPSHUFB = VEX(2, 1, 0, 0x00),
    VPSHUFD = VEX(1, 1, 0, 0x70),
    VPSHUFLW = VEX(1, 3, 0, 0x70),
    VPSHUFHW = VEX(1, 2, 0, 0x70),
    VSHUFPS = VEX(1, 0, 0, 0xc6),
    VSHUFPD = VEX(1, 1, 0, 0xc6),
    VEXTRACTI128 = VEX(3, 1, 0, 0x39), /* 256 bits; the source is the reg operand */
    VPALIGNR = VEX(3, 1, 0, 0x0f),
    VPBLENDW = VEX(3, 1, 0, 0x0e),
    VPBLENDD = VEX(3, 1, 0, 0x02),
    VPBLENDVB = VEX(3, 1, 0, 0x4c),
    VBLENDVPS = VEX(3, 1, 0, 0x4a),
    VBLENDVPD = VEX(3, 1, 0, 0x4b),
    VPUNPCKLBW = VEX(1, 1, 0, 0x60),
    VPUNPCKLWD = VEX(1, 1, 0, 0x61),
    VPUNPCKLDQ = VEX(1, 1, 0, 0x62),
    VPUNPCKLQDQ = VEX(1, 1, 0, 0x6c),
    VPUNPCKHBW = VEX(1, 1, 0, 0x68),
    VPUNPCKHWD = VEX(1, 1, 0, 0x69),
    VPUNPCKHDQ = VEX(1, 1, 0, 0x6a),
    VPUNPCKHQDQ = VEX(1, 1, 0, 0x6d),
    VPACKSSWB = VEX(1, 1, 0, 0x63),
    VPACKUSWB = VEX(1, 1, 0, 0x67),
    VPACKSSDW = VEX(1, 1, 0, 0x6b),
    VPACKUSDW = VEX(2, 1, 0, 0x2b),
    VPMOVZXBW = VEX(2, 1, 0, 0x30),
    VPMOVZXWD = VEX(2, 1, 0, 0x33),
    VPMOVZXDQ = VEX(2, 1, 0, 0x35),
    VPMOVSXBW = VEX(2, 1, 0, 0x20),
    VPMOVSXWD = VEX(2, 1, 0, 0x23),
    VPMOVSXDQ = VEX(2, 1, 0, 0x25),
    VPSLLDQ = VEX_GROUP(0x73, 7),
    VPSRLDQ = VEX_GROUP(0x73, 3),
    VPMOVMSKB = VEX(1, 1, 0, 0xd7),
    VMOVMSKPS = VEX(1, 0, 0, 0x50),
    VMOVMSKPD = VEX(1, 1, 0, 0x50),
    VPTEST = VEX(2, 1, 0, 0x17),
    VTESTPS = VEX(2, 1, 0, 0x0e),
    VTESTPD = VEX(2, 1, 0, 0x0f),

    /* integers */
    VPAND = VEX(1, 1, 0, 0xdb),
    VPANDN = VEX(1, 1, 0, 0xdf), /* ~a & b */
    VPOR = VEX(1, 1, 0, 0xeb),
    VPADDB = VEX(1, 1, 0, 0xfc),
    VPADDW = VEX(1, 1, 0, 0xfd),
    VPADDD = VEX(1, 1, 0, 0xfe),
    VPADDQ = VEX(1, 1, 0, 0xd4),
    VPSUBB = VEX(1, 1, 0, 0xf8),
    VPSUBW = VEX(1, 1, 0, 0xf9),
    VPSUBD = VEX(1, 1, 0, 0xfa),
    VPSUBQ = VEX(1, 1, 0, 0xfb),
    VPADDSB = VEX(1, 1, 0, 0xec),
    VPADDSW = VEX(1, 1, 0, 0xed),
    VPADDUSB = VEX(1, 1, 0, 0xdc),
    VPADDUSW = VEX(1, 1, 0, 0xdd),
    VPSUBSB = VEX(1, 1, 0, 0xe8),
    VPSUBSW = VEX(1, 1, 0, 0xe9),
    VPSUBUSB = VEX(1, 1, 0, 0xd8),
    VPSUBUSW = VEX(1, 1, 0, 0xd9),
    VPMULLW = VEX(1, 1, 0, 0xd5),
    VPMULHW = VEX(1, 1, 0, 0xe5),
    VPMULHUW = VEX(1, 1, 0, 0xe4),
    VPMULLD = VEX(2, 1, 0, 0x40),
    VPMULUDQ = VEX(1, 1, 0, 0xf4),
    VPMULDQ = VEX(2, 1, 0, 0x28),
    VPMULHRSW = VEX(2, 1, 0, 0x0b),
    VPMADDWD = VEX(1, 1, 0, 0xf5),
    VPMADDUBSW = VEX(2, 1, 0, 0x04), /* unsigned bytes of a, signed bytes of b */
    VPHADDW = VEX(2, 1, 0, 0x01),
    VPHADDD = VEX(2, 1, 0, 0x02),
    VPHMINPOSUW = VEX(2, 1, 0, 0x41),
    VPSADBW = VEX(1, 1, 0, 0xf6),
    VPAVGB = VEX(1, 1, 0, 0xe0),
    VPAVGW = VEX(1, 1, 0, 0xe3),
    VPABSB = VEX(2, 1, 0, 0x1c),
    VPABSW = VEX(2, 1, 0, 0x1d),
    VPABSD = VEX(2, 1, 0, 0x1e),
    VPMINSB = VEX(2, 1, 0, 0x38),
    VPMINSW = VEX(1, 1, 0, 0xea),
    VPMINSD = VEX(2, 1, 0, 0x39),
    VPMINUB = VEX(1, 1, 0, 0xda),
    VPMINUW = VEX(2, 1, 0, 0x3a),
    VPMINUD = VEX(2, 1, 0, 0x3b),
    VPMAXSB = VEX(2, 1, 0, 0x3c),
    VPMAXSW = VEX(1, 1, 0, 0xee),
    VPMAXSD = VEX(2, 1, 0, 0x3d),
    VPMAXUB = VEX(1, 1, 0, 0xde),
    VPMAXUW = VEX(2, 1, 0, 0x3e),
    VPMAXUD = VEX(2, 1, 0, 0x3f),
    VPCMPEQB = VEX(1, 1, 0, 0x74),
    VPCMPEQW = VEX(1, 1, 0, 0x75),
    VPCMPEQD = VEX(1, 1, 0, 0x76),
    VPCMPEQQ = VEX(2, 1, 0, 0x29),
    VPCMPGTB = VEX(1, 1, 0, 0x64),
    VPCMPGTW = VEX(1, 1, 0, 0x65),
    VPCMPGTD = VEX(1, 1, 0, 0x66),
    VPCMPGTQ = VEX(2, 1, 0, 0x37),
    VPSLLW_IMM = VEX_GROUP(0x71, 6),
    VPSLLD_IMM = VEX_GROUP(0x72, 6),
    VPSLLQ_IMM = VEX_GROUP(0x73, 6),
    VPSRLW_IMM = VEX_GROUP(0x71, 2),
    VPSRLD_IMM = VEX_GROUP(0x72, 2),
    VPSRLQ_IMM = VEX_GROUP(0x73, 2),
    VPSRAW_IMM = VEX_GROUP(0x71, 4),
    VPSRAD_IMM = VEX_GROUP(0x72, 4),
    VPSLLVD = VEX(2, 1, 0, 0x47),
    VPSLLVQ = VEX(2, 1, 1, 0x47),
    VPSRLVD = VEX(2, 1, 0, 0x45),
    VPSRLVQ = VEX(2, 1, 1, 0x45),
    VPSRAVD = VEX(2, 1, 0, 0x46),

    /* floating point */
    VADDPS = VEX(1, 0, 0, 0x58),
    VMULPS = VEX(1, 0, 0, 0x59),
    VSUBPS = VEX(1, 0, 0, 0x5c),
    VMINPS = VEX(1, 0, 0, 0x5d),
    VDIVPS = VEX(1, 0, 0, 0x5e),
    VMAXPS = VEX(1, 0, 0, 0x5f),
    VSQRTPS = VEX(1, 0, 0, 0x51),
    VRSQRTPS = VEX(1, 0, 0, 0x52),
    VRCPPS = VEX(1, 0, 0, 0x53),
    VANDPS = VEX(1, 0, 0, 0x54),
    VANDNPS = VEX(1, 0, 0, 0x55),
    VORPS = VEX(1, 0, 0, 0x56),
    VCMPPS = VEX(1, 0, 0, 0xc2),
    VROUNDPS = VEX(3, 1, 0, 0x08),
    VROUNDPD = VEX(3, 1, 0, 0x09),
    VROUNDSS = VEX(3, 1, 0, 0x0a),
    VROUNDSD = VEX(3, 1, 0, 0x0b),
    VCVTSS2SD = VEX(1, 2, 0, 0x5a),
    VCVTSD2SS = VEX(1, 3, 0, 0x5a),
    VCVTPS2PD = VEX(1, 0, 0, 0x5a),
    VCVTPD2PS = VEX(1, 1, 0, 0x5a),
    VCVTTSS2SI = VEX(1, 2, 0, 0x2c),
    VCVTTSD2SI = VEX(1, 3, 0, 0x2c),
    VCVTSS2SI = VEX(1, 2, 0, 0x2d),
    VCVTSD2SI = VEX(1, 3, 0, 0x2d),
    VCVTSI2SS = VEX(1, 2, 0, 0x2a),
    VCVTSI2SD = VEX(1, 3, 0, 0x2a),
    VCVTDQ2PS = VEX(1, 0, 0, 0x5b),
    VCVTPS2DQ = VEX(1, 1, 0, 0x5b),
    VCVTTPS2DQ = VEX(1, 2, 0, 0x5b),
    VCVTPH2PS = VEX(2, 1, 0, 0x13),
    VCVTPS2PH = VEX(3, 1, 0, 0x1d), /* the source is the reg operand */
    VFMADD213PS = VEX(2, 1, 0, 0xa8),
    VFMADD231PS = VEX(2, 1, 0, 0xb8),
    VFNMADD231PS = VEX(2, 1, 0, 0xbc),

    /* cryptography */
    VAESENC = VEX(2, 1, 0, 0xdc),
    VAESENCLAST = VEX(2, 1, 0, 0xdd),
    VAESDEC = VEX(2, 1, 0, 0xde),
    VAESDECLAST = VEX(2, 1, 0, 0xdf),
    VAESIMC = VEX(2, 1, 0, 0xdb),
    VPCLMULQDQ = VEX(3, 1, 0, 0x44),
};

/* EVEX-encoded ones, of AVX-512VL: for asm_evex_imm() */
enum evex {
    EVEX_VPRORQ = VEX(1, 1, 1, 0x72), /* /0; the result is the middle operand */
    EVEX_VPTERNLOGQ = VEX(3, 1, 1, 0x25),
};

/* A VxxxPS instruction as one on doubles, and on lane 0 only. */
static inline uint32_t vex_float(uint32_t packed_single, bool is_double, bool scalar)
{
    return packed_single + ((unsigned)is_double << 8) + ((unsigned)scalar << 9);
}

/* The same for VFMADDxxxPS. */
static inline uint32_t vex_fma(uint32_t packed_single, bool is_double, bool scalar)
{
    return packed_single + (is_double ? VEX_W1 : 0) + scalar;
}

/* Shifts by immediate: d = s OP count. */
static inline void asm_vex_shift(struct assembler *a, uint32_t insn, unsigned d, unsigned s, unsigned count)
{
    asm_vex_imm(a, insn & 0xfffff, insn >> 20, d, rm_reg(s), (uint8_t)count);
}

#endif
