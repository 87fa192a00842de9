/* SPDX-License-Identifier: GPL-2.0-or-later */
/* choice: which engine a machine is to have, by its name, or by what this host can do. */
#ifndef VISOR_ENGINE_CHOICE_H
#define VISOR_ENGINE_CHOICE_H

#include "engine/engine.h"

#define ENGINE_NAMES "auto translate kvm"

#define ENGINE_IRQCHIPS "auto split user"

struct engine_choice {
    const struct engine *engine;
    char reason[256]; /* of "auto": why it is not KVM; else empty */
};

/* `name` is one of ENGINE_NAMES. `model` loses what the engine cannot do for it and need not, see engine.fit.
 * `traces`: whether instructions are to be traced, which the processor does not. "auto" is KVM where that is
 * there and is the processor itself, and else `translate`. */
int engine_choose(struct engine_choice *out, const char *name, struct x86_model *model, bool traces,
                  struct error *error);

/* `name` is one of ENGINE_IRQCHIPS; an error if the engine has none of its own. */
int engine_choose_irqchip(enum engine_irqchip *out, const char *name, const struct engine *engine,
                          struct error *error);

#endif
