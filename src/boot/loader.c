/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot/loader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"

int loader_refuse(struct loader *load, const char *hint, const char *format, ...)
{
    char reason[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    int result = error_set(load->error, -ENOEXEC, "kernel %s: %s", load->config->kernel->name, reason);
    if (hint)
        error_hint(load->error, "%s", hint);
    return result;
}

/* The pieces of RAM in which kernels and modules may be. */
#define PLACES 3

static void places(const struct loader *load, struct ram_piece out[PLACES])
{
    const struct ram_layout *layout = &load->config->layout;
    out[0] = (struct ram_piece){LOADER_LOW_KERNEL, LAYOUT_LOW_END - LOADER_LOW_KERNEL, 0};
    out[1] = (struct ram_piece){LAYOUT_HIGH_START, layout->below - LAYOUT_HIGH_START, 0};
    out[2] = (struct ram_piece){LAYOUT_ABOVE, layout->above, 0};
}

/* A claim that overlaps, or -1. */
static int find_overlap(const struct loader *load, uint64_t start, uint64_t size)
{
    for (unsigned i = 0; i < load->claim_count; i++)
        if (start < load->claims[i].end && load->claims[i].start < start + size)
            return (int)i;
    return -1;
}

bool loader_claim(struct loader *load, uint64_t start, uint64_t size)
{
    struct ram_piece piece[PLACES];
    bool inside = false;
    places(load, piece);
    for (unsigned i = 0; i < PLACES; i++)
        inside |=
            start >= piece[i].base && size <= piece[i].size && start - piece[i].base <= piece[i].size - size;
    if (!inside || load->claim_count == LOADER_CLAIMS || find_overlap(load, start, size) >= 0)
        return false;
    if (size) {
        load->claims[load->claim_count].start = start;
        load->claims[load->claim_count++].end = start + size;
    }
    return true;
}

uint64_t loader_find_lowest(const struct loader *load, uint64_t from, uint64_t size, uint64_t align)
{
    uint64_t end = load->config->layout.below, at = MAX(from, LAYOUT_HIGH_START);
    for (;;) {
        if (at > end)
            return 0;
        at = ALIGN_UP(at, align);
        if (at > end || size > end - at)
            return 0;
        int other = find_overlap(load, at, size);
        if (other < 0)
            return at;
        at = load->claims[other].end;
    }
}

uint64_t loader_find_highest(const struct loader *load, uint64_t limit, uint64_t size, uint64_t align,
                             bool above)
{
    const struct ram_layout *layout = &load->config->layout;
    uint64_t start = above ? LAYOUT_ABOVE : LAYOUT_HIGH_START;
    uint64_t end = MIN(limit, above ? LAYOUT_ABOVE + layout->above : layout->below);
    for (;;) {
        if (end < start || size > end - start)
            return 0;
        uint64_t at = ALIGN_DOWN(end - size, align);
        if (at < start)
            return 0;
        int other = find_overlap(load, at, size);
        if (other < 0)
            return at;
        end = load->claims[other].start;
    }
}

static int no_memory(struct loader *load, uint64_t address)
{
    return error_set(load->error, -EFAULT, "kernel %s: the machine has no memory at %llxh",
                     load->config->kernel->name, (unsigned long long)address);
}

int loader_write(struct loader *load, uint64_t address, const void *data, size_t size)
{
    return memory_write(load->memory, address, data, size) ? no_memory(load, address) : 0;
}

int loader_zero(struct loader *load, uint64_t address, uint64_t size)
{
    if (!size)
        return 0;
    uint8_t *host = memory_pointer(load->memory, address, size, true);
    if (!host)
        return no_memory(load, address);
    memset(host, 0, size);
    memory_written(load->memory, address, size);
    return 0;
}

int loader_read_file(struct loader *load, struct boot_file *file, uint64_t offset, uint64_t address,
                     uint64_t size)
{
    if (!size)
        return 0;
    uint8_t *host = memory_pointer(load->memory, address, size, true);
    if (!host)
        return no_memory(load, address);
    int result = boot_file_read(file, offset, host, size, load->error);
    memory_written(load->memory, address, size);
    return result;
}

int loader_command_line(struct loader *load, uint64_t most)
{
    const char *text = load->config->command_line ? load->config->command_line : "";
    size_t length = strlen(text);
    most = MIN(most, LOADER_COMMAND_MAX - 1);
    if (length > most)
        return loader_refuse(load, "shorten it", "the command line has %zu bytes, the kernel takes %llu",
                             length, (unsigned long long)most);
    return loader_write(load, LOADER_COMMAND_LINE, text, length + 1);
}
