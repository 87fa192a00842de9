/* SPDX-License-Identifier: GPL-2.0-or-later */
/* emit_table: the core's emitters by operation. */
#include "translator/host/x86_64/emit_core.h"

/* clang-format off */
const emit_function emit_op_core[IR_OP_COUNT] = {
    [IR_SET] = emit_set,
#define ROW(op, name) [IR_##op] = emit_op_##name,
    CORE_OPERATIONS(ROW)
#undef ROW
};
