/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_translate_x86: any bytes as x86 code, in the mode that the first byte says, are decoded, lifted to IR
 * that obeys the IR's rules, and emitted as host code within its workspace.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "translator/guest/x86/x86.h"
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

    if (size < 2)
        return 0;
    ir_region_reset(&region, 0x400000);
    region.mode = data[0] & 31;
    if ((region.mode & X86_MODE_CODE) > X86_CODE_16)
        return 0;
    if ((region.mode & X86_MODE_CODE) == X86_CODE_64)
        region.mode &= X86_MODE_CODE | X86_MODE_SYSTEM;
    x86_guest.lift(&region, 0x400000, data + 1, size - 1, IR_REGION_GUEST_MAX);
    if (region.overflow)
        return 0;
    struct error error = ERROR_INIT;
    if (ir_verify(&region, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        ir_print(stderr, &region, x86_guest.register_name);
        abort();
    }
    struct guest_flags_path path = {.mode = region.mode};
    x86_guest.flags_use(0x400000, data + 1, size - 1, &path);
    host_emit(&x86_guest, &region, flags_live, NULL, &code);
    return 0;
}
