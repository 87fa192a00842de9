/* SPDX-License-Identifier: GPL-2.0-or-later */
/* requires: which instructions a model of a CPU has. */
#ifndef VISOR_ARCH_X86_REQUIRES_H
#define VISOR_ARCH_X86_REQUIRES_H

#include "arch/x86/decode.h"
#include "arch/x86/model.h"

/* The feature that a decoded instruction needs, as for x86_has(); 0: none. */
unsigned x86_insn_feature(const struct x86_insn *insn);

/* False: it is undefined for this model. */
static inline bool x86_model_has_insn(const struct x86_model *model, const struct x86_insn *insn)
{
    const unsigned feature = x86_insn_feature(insn);
    return !feature || x86_has(model, feature);
}

#endif
