/* SPDX-License-Identifier: GPL-2.0-or-later */
/* translate: what the fuzz targets of the guests have in common: code is lifted and emitted. */
#ifndef VISOR_TESTS_FUZZ_TRANSLATE_H
#define VISOR_TESTS_FUZZ_TRANSLATE_H

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "translator/host/host.h"

static bool flags_live(void *context, uint64_t pc)
{
    (void)context;
    (void)pc;
    return false;
}

/* Aborts if the IR breaks a rule. */
static void translate_bytes(const struct guest_isa *isa, unsigned mode, const uint8_t *bytes, size_t size)
{
    static struct ir_region region;
    static struct host_code code;
    struct guest_flags_path path = {.mode = mode};
    struct error error = ERROR_INIT;

    ir_region_reset(&region, 0x400000);
    region.mode = mode;
    isa->lift(&region, 0x400000, bytes, size, IR_REGION_GUEST_MAX);
    if (region.overflow)
        return;
    if (ir_verify(&region, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        ir_print(stderr, &region, isa->register_name);
        abort();
    }
    isa->flags_use(0x400000, bytes, size, &path);
    host_emit(isa, &region, flags_live, NULL, &code);
}

#endif
