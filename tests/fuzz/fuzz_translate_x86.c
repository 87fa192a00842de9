/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_translate_x86: any bytes as x86 code, in the mode that the first byte says, are decoded, lifted to IR
 * that obeys the IR's rules, and emitted as host code within its workspace.
 */
#include "translate.h"
#include "translator/guest/x86/x86.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    unsigned mode = data[0] & 31;
    if ((mode & X86_MODE_CODE) > X86_CODE_16)
        return 0;
    if ((mode & X86_MODE_CODE) == X86_CODE_64)
        mode &= X86_MODE_CODE | X86_MODE_SYSTEM;
    translate_bytes(&x86_guest, mode, data + 1, size - 1);
    return 0;
}
