/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nzcv: condition flags as they are kept in a CPU's state, 16 bits.
 *
 * The layout is what an x86-64 host saves with two instructions, LAHF and SETO. Bits that have no
 * name here are unspecified: ignore them when reading. B (borrow) is the inverse of Arm's C, and x86's CF. P
 * and A are x86's PF and AF; other guests' flags leave them unspecified.
 */
#ifndef VISOR_ARCH_NZCV_H
#define VISOR_ARCH_NZCV_H

enum {
    NZCV_N = 1 << 15,
    NZCV_Z = 1 << 14,
    NZCV_A = 1 << 12,
    NZCV_P = 1 << 10,
    NZCV_B = 1 << 8,
    NZCV_V = 1 << 0,
    NZCV_MASK = NZCV_N | NZCV_Z | NZCV_B | NZCV_V,
    NZCVPA_MASK = NZCV_MASK | NZCV_P | NZCV_A,
};

#endif
