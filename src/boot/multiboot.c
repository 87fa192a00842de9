/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multiboot: kernels with a header of the Multiboot Specification 0.6.96, either ELF files or with addresses
 * in the header. Entered in 32 bits without paging, EBX at the multiboot information.
 */
#include <string.h>

#include "base/macros.h"
#include "boot/bytes.h"
#include "boot/elf_kernel.h"

enum { SEARCH = 8192, MAGIC = 0x1badb002, LOADED_MAGIC = 0x2badb002, ALIGN = 4 };
enum {
    WANTS_PAGE_ALIGN = 1 << 0,
    WANTS_MEMORY = 1 << 1,
    WANTS_VIDEO = 1 << 2, /* a wish: there is no graphics adapter */
    HAS_ADDRESSES = 1 << 16,
    MUST_KNOW = 0xffff,
};
enum {
    HAS_MEMORY = 1 << 0,
    HAS_COMMAND_LINE = 1 << 2,
    HAS_MODULES = 1 << 3,
    HAS_MEMORY_MAP = 1 << 6,
    HAS_NAME = 1 << 9
};
enum { INFO_SIZE = 88, MODULE_SIZE = 16, MEMORY_SIZE = 24 };

/* The header's offset, or `size`. */
static size_t find_header(const uint8_t *head, size_t size)
{
    size_t end = MIN(size, SEARCH);
    for (size_t at = 0; at + 12 <= end; at += ALIGN)
        if (bytes_get32(head + at) == MAGIC &&
            (uint32_t)(MAGIC + bytes_get32(head + at + 4) + bytes_get32(head + at + 8)) == 0)
            return at;
    return size;
}

bool multiboot_detect(struct boot_file *kernel, const uint8_t *head, size_t size)
{
    (void)kernel;
    return find_header(head, size) < size;
}

enum boot_protocol multiboot_protocol(const uint8_t *head, size_t size)
{
    (void)head, (void)size;
    return BOOT_MULTIBOOT;
}

int multiboot_load_raw(struct loader *load, const struct raw_image *raw, uint64_t offset, uint64_t *end)
{
    struct boot_file *file = load->config->kernel;
    uint64_t before =
        (uint64_t)raw->header - raw->load; /* what of the image is in the file before the header */
    if (raw->load > raw->header || before > offset)
        return loader_refuse(load, NULL, "the addresses in its multiboot header cannot be");
    uint64_t start = offset - before,
             size = raw->load_end ? (uint64_t)raw->load_end - raw->load : file->size - start;
    uint64_t all = raw->bss_end ? (uint64_t)raw->bss_end - raw->load : size;
    if ((raw->load_end && raw->load_end < raw->load) || (raw->bss_end && raw->bss_end < raw->load) ||
        all < size)
        return loader_refuse(load, NULL, "the addresses in its multiboot header cannot be");
    if (!all || !loader_claim(load, raw->load, all))
        return loader_refuse(
            load, "give the machine more with --memory",
            "it wants to be at %xh, %llu bytes, where there is no free memory in a machine with %llu MiB",
            raw->load, (unsigned long long)all, (unsigned long long)load->config->layout.size >> 20);
    int result = loader_read_file(load, file, start, raw->load, size);
    *end = raw->load + all;
    return result ? result : loader_zero(load, raw->load + size, all - size);
}

static int load_image(struct loader *load, const uint8_t *head, size_t size, size_t header, uint64_t *entry)
{
    uint64_t start, end;
    struct elf_kernel image;
    int result;
    if (bytes_get32(head + header + 4) & HAS_ADDRESSES) {
        const uint8_t *at = head + header + 12;
        if (size - header < 32)
            return loader_refuse(load, NULL, "its multiboot header is cut off");
        const struct raw_image raw = {bytes_get32(at), bytes_get32(at + 4), bytes_get32(at + 8),
                                      bytes_get32(at + 12)};
        *entry = bytes_get32(at + 16);
        start = raw.load;
        result = multiboot_load_raw(load, &raw, header, &end);
    } else {
        if (!elf_kernel_read(load->config->kernel, head, size, &image))
            return loader_refuse(load, NULL,
                                 "its multiboot header has no addresses, and it is no ELF file for x86");
        result = elf_kernel_load(load, &image, &start, &end);
        *entry = elf_kernel_entry(&image);
    }
    if (!result && (*entry < start || *entry >= end || *entry >= LAYOUT_ABOVE))
        result = loader_refuse(load, NULL, "its entry %llxh is outside of it", (unsigned long long)*entry);
    return result;
}

static void put_memory_map(struct loader_info *info)
{
    struct e820_entry entries[E820_MAX];
    unsigned count = ram_layout_e820(&info->load->config->layout, entries);
    for (unsigned i = 0; i < count; i++) {
        info_put(info, MEMORY_SIZE - 4, 4);
        info_put(info, entries[i].start, 8);
        info_put(info, entries[i].size, 8);
        info_put(info, entries[i].type, 4);
    }
}

/* The lists come right after the information, the texts after them. The command line begins with the kernel's
 * name, as kernels expect that have a main(). */
static int write_info(struct loader *load, const struct loader_module *modules)
{
    const struct boot_config *config = load->config;
    const char *name = config->kernel->name, *line = config->command_line ? config->command_line : "";
    struct loader_info info = {.load = load};
    struct e820_entry entries[E820_MAX];
    unsigned areas = ram_layout_e820(&config->layout, entries);
    uint64_t list = LOADER_INFO + INFO_SIZE, map = list + (uint64_t)config->module_count * MODULE_SIZE,
             own_name = map + (uint64_t)areas * MEMORY_SIZE, text = own_name + sizeof "visor";
    uint64_t module_text = text + strlen(name) + 1 + strlen(line) + 1;

    info_put(&info, HAS_MEMORY | HAS_COMMAND_LINE | HAS_MODULES | HAS_MEMORY_MAP | HAS_NAME, 4);
    info_put(&info, LAYOUT_LOW_END >> 10, 4);
    info_put(&info, (config->layout.below - LAYOUT_HIGH_START) >> 10, 4);
    info_put(&info, 0, 4);
    info_put(&info, text, 4);
    info_put(&info, config->module_count, 4);
    info_put(&info, list, 4);
    info_put(&info, 0, 8); /* symbols */
    info_put(&info, 0, 8);
    info_put(&info, areas * MEMORY_SIZE, 4);
    info_put(&info, map, 4);
    info_put(&info, 0, 8); /* drives */
    info_put(&info, 0, 4);
    info_put(&info, own_name, 4);
    info_put(&info, 0, 4);
    info_put(&info, 0, 8); /* VESA */
    info_put(&info, 0, 8);
    for (unsigned i = 0; i < config->module_count; i++) {
        info_put(&info, modules[i].start, 4);
        info_put(&info, modules[i].end, 4);
        info_put(&info, module_text, 4);
        info_put(&info, 0, 4);
        module_text += loader_module_text_size(load, i);
    }
    put_memory_map(&info);
    info_put_text(&info, "visor");
    buffer_append(&info.bytes, name, strlen(name));
    info_put(&info, ' ', 1);
    info_put_text(&info, line);
    for (unsigned i = 0; i < config->module_count; i++)
        info_put_module_text(&info, i);
    return info_write(&info);
}

int multiboot_load(struct loader *load, const uint8_t *head, size_t size)
{
    struct loader_module modules[LOADER_MODULES];
    size_t header = find_header(head, size);
    uint64_t entry = 0;
    unsigned unknown = bytes_get32(head + header + 4) & MUST_KNOW &
                       ~(unsigned)(WANTS_PAGE_ALIGN | WANTS_MEMORY | WANTS_VIDEO);
    if (unknown)
        return loader_refuse(
            load, NULL, "its multiboot header asks for what the specification does not have: %xh", unknown);
    int result = load_image(load, head, size, header, &entry);
    if (!result)
        result = loader_load_modules(load, true, modules);
    if (!result)
        result = write_info(load, modules);
    if (!result)
        result = loader_enter32(load, (uint32_t)entry);
    load->state->gpr[X86_RAX] = LOADED_MAGIC;
    load->state->gpr[X86_RBX] = LOADER_INFO;
    return result;
}
