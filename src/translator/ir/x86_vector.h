/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x86_vector: the rows of x86_vector.def, what aux of the X86V operations says. */
#ifndef VISOR_TRANSLATOR_IR_X86_VECTOR_H
#define VISOR_TRANSLATOR_IR_X86_VECTOR_H

#include <stdbool.h>
#include <stdint.h>

enum x86_vector {
#define X86V(name, shape, prefix, map, opcode, bytes, status, mnemonic) X86V_##name,
#include "translator/ir/x86_vector.def"
#undef X86V
    X86V_COUNT
};

/* See x86_vector.def. */
enum x86_shape {
    X86_SHAPE_RM,
    X86_SHAPE_RMI,
    X86_SHAPE_RVM,
    X86_SHAPE_RVMI,
    X86_SHAPE_RVMR,
    X86_SHAPE_SHIFT,
    X86_SHAPE_LEGACY,
    X86_SHAPE_LEGACY_I,
    X86_SHAPE_LEGACY_XMM0,
    X86_SHAPE_MASK,
    X86_SHAPE_MASK_OF,
    X86_SHAPE_INDEX,
    X86_SHAPE_INDEX_OF,
    X86_SHAPE_TEST,
    X86_SHAPE_TO_INT,
    X86_SHAPE_FROM_INT,
};

struct x86_vector_info {
    const char *name;   /* lower case but for the "v" of VEX */
    uint8_t shape;      /* enum x86_shape */
    uint8_t prefix;     /* 0 none, 1 66, 2 F3, 3 F2 */
    uint8_t map;        /* 1 0F, 2 0F38, 3 0F3A */
    uint8_t opcode;     /* of VEX */
    uint8_t digit;      /* SHIFT: of the group */
    uint8_t bytes;      /* of an operand in memory, 0: it cannot be in memory */
    bool raises_status; /* exception flags */
};
extern const struct x86_vector_info x86_vector_info[X86V_COUNT];

/* Whether this host's processor has the instruction: AES, PCLMULQDQ and SHA need not be there. */
bool x86_vector_available(enum x86_vector row);

#endif
