/* SPDX-License-Identifier: GPL-2.0-or-later */
/* part_flags: what Intel's manual (SDM volume 2) defines of the flags of PART_* operations. */
#ifndef VISOR_TESTS_PART_FLAGS_H
#define VISOR_TESTS_PART_FLAGS_H

#include "translator/ir/ir.h"

/* `count` is the operand b of shifts. */
static inline uint16_t part_defined_flags(enum ir_op op, unsigned size, uint64_t count)
{
    const unsigned width = 8u << size;
    count &= size == 3 ? 63 : 31;

    switch (op) {
    case IR_PART_AND:
    case IR_PART_OR:
    case IR_PART_XOR: return NZCVPA_MASK & ~NZCV_A;
    case IR_PART_MUL: return NZCV_B | NZCV_V;
    case IR_PART_SHL:
    case IR_PART_SHR:
    case IR_PART_SAR:
        if (count == 0)
            return NZCVPA_MASK;
        return (uint16_t)(NZCV_N | NZCV_Z | NZCV_P | (count <= width || op == IR_PART_SAR ? NZCV_B : 0) |
                          (count == 1 ? NZCV_V : 0));
    case IR_PART_ROL:
    case IR_PART_ROR:
    case IR_PART_RCL:
    case IR_PART_RCR: return (uint16_t)(NZCVPA_MASK & ~(count > 1 ? NZCV_V : 0));
    default: return NZCVPA_MASK;
    }
}

#endif
