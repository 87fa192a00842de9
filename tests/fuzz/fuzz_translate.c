/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_translate: any bytes as AArch64 code are decoded, lifted to IR that obeys the IR's rules, and emitted
 * as host code within its workspace.
 */
#include <string.h>

#include "base/macros.h"
#include "translate.h"
#include "translator/guest/arm64/arm64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t words[IR_REGION_GUEST_MAX];
    size_t length = MIN(size & ~(size_t)3, sizeof words);

    if (length == 0)
        return 0;
    memcpy(words, data, length);
    translate_bytes(&arm64_guest, 0, (const uint8_t *)words, length);
    return 0;
}
