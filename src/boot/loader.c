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
    out[0] = (struct ram_piece){0, LAYOUT_LOW_END, 0};
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

uint64_t loader_mib(uint64_t size)
{
    return (size >> 20) + ((size & 0xfffff) != 0);
}

int loader_no_room(struct loader *load, uint64_t size, const struct boot_file *file)
{
    int result = error_set(load->error, -ENOMEM,
                           "initrd %s: its %llu MiB do not fit beside the kernel into %llu MiB of memory",
                           file->name, (unsigned long long)loader_mib(size),
                           (unsigned long long)loader_mib(load->config->layout.size));
    error_hint(load->error, "give the machine more with --memory");
    return result;
}

int loader_load_modules(struct loader *load, bool low, struct loader_module modules[LOADER_MODULES])
{
    const struct boot_config *config = load->config;
    const uint64_t page = 0x1000;
    uint64_t end = 0;
    for (unsigned i = 0; i < load->claim_count; i++)
        end = MAX(end, load->claims[i].end);
    if (config->module_count > LOADER_MODULES)
        return loader_refuse(load, NULL, "%u modules are too many: at most %u", config->module_count,
                             LOADER_MODULES);
    for (unsigned i = 0; i < config->module_count; i++) {
        struct boot_file *file = config->modules[i].file;
        uint64_t at = low ? loader_find_lowest(load, end, file->size, page)
                          : loader_find_highest(load, LAYOUT_ABOVE, file->size, page, false);
        if (!at || !loader_claim(load, at, file->size))
            return loader_no_room(load, file->size, file);
        int result = loader_read_file(load, file, 0, at, file->size);
        if (result)
            return result;
        modules[i] = (struct loader_module){at, at + file->size};
        end = at + file->size;
    }
    return 0;
}

static const char *module_text(const struct loader *load, unsigned index)
{
    const char *text = load->config->modules[index].command_line;
    return text ? text : "";
}

size_t loader_module_text_size(const struct loader *load, unsigned index)
{
    return strlen(module_text(load, index)) + 1;
}

void info_put(struct loader_info *info, uint64_t value, unsigned size)
{
    buffer_append_integer(&info->bytes, value, size);
}

void info_put_text(struct loader_info *info, const char *text)
{
    buffer_append(&info->bytes, text, strlen(text) + 1);
}

void info_put_module_text(struct loader_info *info, unsigned index)
{
    info_put_text(info, module_text(info->load, index));
}

uint64_t info_address(const struct loader_info *info)
{
    return LOADER_INFO + info->bytes.size;
}

int info_write(struct loader_info *info)
{
    struct loader *load = info->load;
    int result;
    if (info->bytes.failed)
        result = error_set(load->error, -ENOMEM, "kernel %s: out of memory", load->config->kernel->name);
    else if (info->bytes.size > LOADER_INFO_SIZE)
        result = loader_refuse(load, "shorten them", "the command lines take %zu bytes together, of %u",
                               info->bytes.size, LOADER_INFO_SIZE);
    else
        result = loader_write(load, LOADER_INFO, info->bytes.data, info->bytes.size);
    buffer_free(&info->bytes);
    return result;
}
