/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lift_atomic: instructions with LOCK. Private to this folder. */
#ifndef VISOR_TRANSLATOR_GUEST_X86_LIFT_ATOMIC_H
#define VISOR_TRANSLATOR_GUEST_X86_LIFT_ATOMIC_H

#include "translator/guest/x86/lift.h"

/* The old value, zero-extended. */
ir_value x86_atomic(struct x86_lift *l, enum ir_atomic operation, const struct x86_place *place, ir_value b);

/* [place] = new if it is still old; else the instruction begins again. Before its first SET. */
void x86_replace_locked(struct x86_lift *l, const struct x86_place *place, ir_value old, ir_value new);

/* place = place op b with the flags set; op a PART_ operation. b is not needed for INC and DEC. */
void x86_compute_locked(struct x86_lift *l, enum ir_op op, const struct x86_place *place, ir_value b);

#endif
