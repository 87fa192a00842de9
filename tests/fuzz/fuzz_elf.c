/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_elf: any bytes as a program file give an image whose segments lie within the file and its own bounds,
 * or an error that says something. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"
#include "personality/linux/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf_image image;
    struct error error = ERROR_INIT;

    int code = elf_parse(data, size < ELF_HEAD_SIZE ? size : ELF_HEAD_SIZE, size, &image, &error);
    if (code != 0) {
        if (code != -ENOEXEC || !error.message[0])
            abort();
        return 0;
    }
    if (!image.segment_count || image.low >= image.high || image.interpreter_size > size)
        abort();
    for (unsigned i = 0; i < image.segment_count; i++) {
        const struct elf_segment *segment = &image.segments[i];
        if (segment->file_size > segment->memory_size || segment->offset > size ||
            segment->file_size > size - segment->offset || segment->address < image.low ||
            segment->memory_size > image.high - segment->address)
            abort();
    }
    return 0;
}
