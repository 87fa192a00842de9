/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_binfmt: any text as an entry of the kernel's table of interpreters gives an entry within its bounds,
 * which can be compared with any file's head. The text ends at the first zero byte; the head follows.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/binfmt_misc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct binfmt_entry entry = {0};
    char *text = malloc(size + 1); /* of its exact size, for the sanitizer */
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    size_t length = strlen(text), rest = length < size ? length + 1 : size;
    char *exact = strdup(text);
    free(text);
    if (!exact)
        return 0;
    binfmt_misc_parse(exact, &entry);
    free(exact);
    if (entry.size > BINFMT_MAGIC_MAX || !memchr(entry.interpreter, '\0', sizeof entry.interpreter) ||
        !memchr(entry.flags, '\0', sizeof entry.flags))
        abort();
    if (binfmt_misc_matches(&entry, data + rest, size - rest) &&
        (!entry.size || entry.offset > size - rest || entry.size > size - rest - entry.offset))
        abort();
    return 0;
}
