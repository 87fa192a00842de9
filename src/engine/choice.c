/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/choice.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/kvm/kvm.h"

static int use(struct engine_choice *out, const struct engine *engine, struct x86_model *model, bool traces,
               struct error *error)
{
    out->engine = engine;
    if (engine == &engine_kvm && traces) {
        error_set(error, -ENOTSUP, "--trace shows what is translated, and under --engine kvm nothing is");
        error_hint(error, "use --engine translate");
        return -ENOTSUP;
    }
    const int code = engine->probe(error);
    return code || !engine->fit ? code : engine->fit(model, error);
}

/* 0: KVM it is. */
static int try_kvm(struct engine_choice *out, struct x86_model *model, bool traces, struct error *error)
{
    struct kvm_trial trial;
    int code = use(out, &engine_kvm, model, traces, error);
    if (!code)
        code = kvm_trial(&trial, error);
    if (!code && trial.software)
        code = error_set(error, -ENOTSUP, "this host's KVM is software: an instruction takes it %u ns",
                         trial.instruction);
    return code;
}

int engine_choose(struct engine_choice *out, const char *name, struct x86_model *model, bool traces,
                  struct error *error)
{
    *out = (struct engine_choice){0};
    if (strcmp(name, engine_translate.name) == 0)
        return use(out, &engine_translate, model, traces, error);
    if (strcmp(name, engine_kvm.name) == 0)
        return use(out, &engine_kvm, model, traces, error);
    struct x86_model fitted = *model;
    struct error reason = ERROR_INIT;
    if (try_kvm(out, &fitted, traces, &reason) == 0) {
        *model = fitted;
        return 0;
    }
    snprintf(out->reason, sizeof out->reason, "%.255s", reason.message);
    return use(out, &engine_translate, model, traces, error);
}

int engine_choose_irqchip(enum engine_irqchip *out, const char *name, const struct engine *engine,
                          struct error *error)
{
    *out = strcmp(name, "split") == 0  ? ENGINE_IRQCHIP_SPLIT
           : strcmp(name, "user") == 0 ? ENGINE_IRQCHIP_USER
                                       : ENGINE_IRQCHIP_AUTO;
    if (*out != ENGINE_IRQCHIP_SPLIT || engine == &engine_kvm)
        return 0;
    error_set(error, -ENOTSUP, "--irqchip split: under --engine %s local APICs are visor's", engine->name);
    error_hint(error, "leave it out, or use --engine kvm");
    return -ENOTSUP;
}
