/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rows: opcodes.def and sse.def as a table. */
#include "translator/guest/x86/lift.h"

const struct x86_row x86_rows[X86_MAP_COUNT][X86_PREFIX_COUNT][256] = {
#define OP(map, prefix, first, last, flags, function, argument)                                              \
    [X86_MAP_##map][X86_##prefix][first... last] = {x86_lift_##function, (uint16_t)(flags), (argument)},
#include "translator/guest/x86/opcodes.def"
#include "translator/guest/x86/sse.def"
#undef OP
};
