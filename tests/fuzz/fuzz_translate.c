/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_translate: any bytes as AArch64 code are decoded, lifted to IR that obeys the IR's rules, and emitted
 * as host code within its workspace.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "translator/guest/arm64/arm64.h"
#include "translator/host/host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool flags_live(void *context, uint64_t pc)
{
    (void)context;
    (void)pc;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ir_region region;
    static struct host_code code;
    uint32_t words[IR_REGION_GUEST_MAX];

    size_t length = size & ~(size_t)3;
    if (length == 0)
        return 0;
    if (length > sizeof words)
        length = sizeof words;
    memcpy(words, data, length);

    ir_region_reset(&region, 0x400000);
    arm64_guest.lift(&region, 0x400000, (const uint8_t *)words, length, IR_REGION_GUEST_MAX);
    if (region.overflow)
        return 0;
    struct error error = ERROR_INIT;
    if (ir_verify(&region, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        ir_print(stderr, &region, arm64_guest.register_name);
        abort();
    }
    struct guest_flags_path path;
    arm64_guest.flags_use(0x400000, (const uint8_t *)words, length, &path);
    host_emit(&arm64_guest, &region, flags_live, NULL, &code);
    return 0;
}
