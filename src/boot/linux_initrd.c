/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot/linux_initrd.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "boot/unpack.h"

/* What unpacked ones may take. */
#define PART_OF_MEMORY 8
#define MOST           (UINT64_C(1) << 30)

static void free_memory(struct boot_file *file)
{
    free(file->opaque);
}

/* NULL: it stays as it is. */
static struct boot_file *unpack_file(struct boot_file *packed, size_t most)
{
    size_t size = 0;
    uint8_t *in = packed->size && packed->size <= most ? malloc(packed->size) : NULL, *out = NULL;
    if (in && !boot_file_read(packed, 0, in, packed->size, NULL))
        out = unpack_any(in, packed->size, most, &size);
    free(in);
    struct boot_file *file = out ? boot_file_of_memory(packed->name, out, size) : NULL;
    if (file)
        file->close = free_memory;
    else
        free(out);
    return file;
}

void linux_initrds_open(struct linux_initrds *initrds, const struct boot_config *config)
{
    uint64_t left = MIN(config->layout.size / PART_OF_MEMORY, MOST);
    *initrds = (struct linux_initrds){.config = *config};
    initrds->modules = calloc(config->module_count + 1, sizeof *initrds->modules);
    for (unsigned i = 0; initrds->modules && i < config->module_count; i++) {
        struct boot_file *file = unpack_file(config->modules[i].file, left);
        initrds->modules[i] = config->modules[i];
        if (!file)
            continue;
        initrds->modules[i].file = file;
        left -= file->size;
    }
    if (initrds->modules)
        initrds->config.modules = initrds->modules;
}

void linux_initrds_close(struct linux_initrds *initrds)
{
    for (unsigned i = 0; initrds->modules && i < initrds->config.module_count; i++) {
        if (initrds->modules[i].file->close == free_memory)
            boot_file_close(initrds->modules[i].file);
    }
    free(initrds->modules);
}
