/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rows: opcodes.def, sse.def, what is emulated and the instructions of ir/x86_vector.def as a table. */
#include "translator/guest/x86/lift_sse.h"

/* Rows of x86_vector.def by shape. */
#define VECTOR(map, prefix, opcode, flags, name)                                                             \
    [map][prefix][opcode] = {{x86_lift_vector}, (uint16_t)(flags), X86V_##name},
#define PLAIN(map, prefix, opcode, bytes, name)                                                              \
    VECTOR(map, prefix, opcode, (bytes) ? X86_MODRM : X86_REGISTER, name)
#define WITH_IMMEDIATE(map, prefix, opcode, bytes, name)                                                     \
    VECTOR(map, prefix, opcode, X86_MODRM | X86_IMM_8, name)
#define ELSEWHERE(map, prefix, opcode, bytes, name) /* sse.def has them */
#define VECTOR_RM                                   PLAIN
#define VECTOR_RMI                                  WITH_IMMEDIATE
#define VECTOR_RVM                                  PLAIN
#define VECTOR_RVMI                                 WITH_IMMEDIATE
#define VECTOR_RVMR                                 ELSEWHERE
#define VECTOR_SHIFT                                ELSEWHERE
#define VECTOR_LEGACY                               PLAIN
#define VECTOR_LEGACY_I                             WITH_IMMEDIATE
#define VECTOR_LEGACY_XMM0                          PLAIN
#define VECTOR_MASK                                 WITH_IMMEDIATE
#define VECTOR_MASK_OF                              WITH_IMMEDIATE
#define VECTOR_INDEX                                WITH_IMMEDIATE
#define VECTOR_INDEX_OF                             WITH_IMMEDIATE
#define VECTOR_TEST                                 PLAIN
#define VECTOR_TO_INT                               PLAIN
#define VECTOR_FROM_INT                             PLAIN

/* The numbers of maps and prefixes are x86_vector.def's. */
_Static_assert(X86_MAP_0F == 1 && X86_MAP_0F3A == 3 && X86_NP == 0 && X86_66 == 1 && X86_F3 == 2 &&
                   X86_F2 == 3,
               "");

const struct x86_opcodes x86_lift_opcodes = {{
#define OP(map, prefix, first, last, flags, function, argument)                                              \
    [X86_MAP_##map][X86_##prefix][first... last] = {{x86_lift_##function}, (uint16_t)(flags), (argument)},
#define EMULATE(map, prefix, first, last, flags, function) OP(map, prefix, first, last, flags, emulate, 0)
#define SHARED(...)
#include "arch/x86/emulate.def"
#undef EMULATE
#undef SHARED
#include "translator/guest/x86/opcodes.def"
#include "translator/guest/x86/sse.def"
#undef OP
#define X86V(name, shape, prefix, map, opcode, bytes, status, mnemonic)                                      \
    VECTOR_##shape(map, prefix, opcode, bytes, name)
#include "translator/ir/x86_vector.def"
#undef X86V
}};
