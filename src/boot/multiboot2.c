/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multiboot2: kernels with a header of the Multiboot2 Specification 2.0: tags say what the kernel wants, and
 * what it is told. Entered in 32 bits without paging, EBX at the information.
 */
#include <string.h>

#include "base/macros.h"
#include "boot/bytes.h"
#include "boot/elf_kernel.h"

enum { SEARCH = 32768, LOADED_MAGIC = 0x36d76289, ALIGN = 8, HEADER_SIZE = 16, ARCHITECTURE_I386 = 0 };
#define MAGIC UINT32_C(0xe85250d6)

enum {
    TAG_END = 0,
    TAG_REQUEST = 1,
    TAG_ADDRESS = 2,
    TAG_ENTRY = 3,
    TAG_CONSOLE = 4,
    TAG_FRAMEBUFFER = 5,
    TAG_ALIGN = 6,
    TAG_EFI_SERVICES = 7, /* the last three are for who starts from EFI */
    TAG_EFI_ENTRY32 = 8,
    TAG_EFI_ENTRY64 = 9,
    TAG_RELOCATABLE = 10,
    TAG_OPTIONAL = 1, /* a flag */
};
enum {
    INFO_END = 0,
    INFO_COMMAND_LINE = 1,
    INFO_LOADER = 2,
    INFO_MODULE = 3,
    INFO_MEMORY = 4,
    INFO_MEMORY_MAP = 6,
    INFO_ACPI = 15,
    INFO_BASE = 21,
};

struct multiboot2 {
    struct raw_image raw;
    bool has_raw, has_entry;
    uint32_t entry, base;
};

static size_t find_header(const uint8_t *head, size_t size)
{
    size_t end = MIN(size, SEARCH);
    for (size_t at = 0; at + HEADER_SIZE <= end; at += ALIGN)
        if (bytes_get32(head + at) == MAGIC &&
            (uint32_t)(MAGIC + bytes_get32(head + at + 4) + bytes_get32(head + at + 8) +
                       bytes_get32(head + at + 12)) == 0)
            return at;
    return size;
}

bool multiboot2_detect(struct boot_file *kernel, const uint8_t *head, size_t size)
{
    (void)kernel;
    return find_header(head, size) < size;
}

enum boot_protocol multiboot2_protocol(const uint8_t *head, size_t size)
{
    (void)head, (void)size;
    return BOOT_MULTIBOOT2;
}

static bool can_tell(const struct loader *load, uint32_t type)
{
    static const uint32_t types[] = {INFO_END,    INFO_COMMAND_LINE, INFO_LOADER, INFO_MODULE,
                                     INFO_MEMORY, INFO_MEMORY_MAP,   INFO_BASE};
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
        if (type == types[i])
            return true;
    return type == INFO_ACPI && load->config->acpi_rsdp;
}

static int read_tag(struct loader *load, const uint8_t *tag, size_t size, struct multiboot2 *want)
{
    unsigned type = bytes_get16(tag);
    bool optional = bytes_get16(tag + 2) & TAG_OPTIONAL;
    switch (type) {
    case TAG_REQUEST:
        for (size_t at = 8; at + 4 <= size && !optional; at += 4)
            if (!can_tell(load, bytes_get32(tag + at)))
                return loader_refuse(load, NULL,
                                     "it asks by multiboot 2 for information %u, which there is not",
                                     bytes_get32(tag + at));
        return 0;
    case TAG_ADDRESS:
        if (size < 24)
            break;
        want->raw = (struct raw_image){bytes_get32(tag + 8), bytes_get32(tag + 12), bytes_get32(tag + 16),
                                       bytes_get32(tag + 20)};
        want->has_raw = true;
        return 0;
    case TAG_ENTRY:
        if (size < 12)
            break;
        want->entry = bytes_get32(tag + 8);
        want->has_entry = true;
        return 0;
    case TAG_CONSOLE:
    case TAG_ALIGN:
    case TAG_EFI_SERVICES:
    case TAG_EFI_ENTRY32:
    case TAG_EFI_ENTRY64:
    case TAG_RELOCATABLE: return 0; /* it is put where it was linked for */
    default:
        if (optional)
            return 0;
        return loader_refuse(load, NULL, "its multiboot 2 header asks for %s",
                             type == TAG_FRAMEBUFFER ? "graphics, which there is not" : "what is not known");
    }
    return loader_refuse(load, "copy or download it again", "its multiboot 2 header is damaged");
}

static int read_header(struct loader *load, const uint8_t *header, size_t left, struct multiboot2 *want)
{
    size_t end = MIN(left, bytes_get32(header + 8)), at = HEADER_SIZE;
    if (bytes_get32(header + 4) != ARCHITECTURE_I386)
        return loader_refuse(load, "a kernel for x86 is needed",
                             "it is a multiboot 2 kernel for another processor");
    while (end >= 8 && at <= end - 8) {
        size_t size = bytes_get32(header + at + 4);
        if (bytes_get16(header + at) == TAG_END)
            return 0;
        if (size < 8 || size > end - at)
            break;
        int result = read_tag(load, header + at, size, want);
        if (result)
            return result;
        at = ALIGN_UP(at + size, ALIGN);
    }
    return loader_refuse(load, "copy or download it again", "its multiboot 2 header is damaged");
}

static int load_image(struct loader *load, const uint8_t *head, size_t size, size_t header,
                      struct multiboot2 *want)
{
    uint64_t start, end, entry;
    struct elf_kernel image;
    int result;
    if (want->has_raw) {
        if (!want->has_entry)
            return loader_refuse(load, NULL, "its multiboot 2 header has addresses and no entry");
        start = want->raw.load;
        entry = want->entry;
        result = multiboot_load_raw(load, &want->raw, header, &end);
    } else {
        if (!elf_kernel_read(load->config->kernel, head, size, &image))
            return loader_refuse(load, NULL,
                                 "its multiboot 2 header has no addresses, and it is no ELF file for x86");
        result = elf_kernel_load(load, &image, &start, &end);
        entry = want->has_entry ? want->entry : elf_kernel_entry(&image);
    }
    if (!result && (entry < start || entry >= end || entry >= LAYOUT_ABOVE))
        result = loader_refuse(load, NULL, "its entry %llxh is outside of it", (unsigned long long)entry);
    want->entry = (uint32_t)entry;
    want->base = (uint32_t)start;
    return result;
}

static void begin_tag(struct loader_info *info, unsigned type, size_t content)
{
    while (info->bytes.size % ALIGN)
        info_put(info, 0, 1);
    info_put(info, type, 4);
    info_put(info, 8 + content, 4);
}

static void put_memory(struct loader_info *info)
{
    const struct ram_layout *layout = &info->load->config->layout;
    struct e820_entry entries[E820_MAX];
    unsigned count = ram_layout_e820(layout, entries);
    begin_tag(info, INFO_MEMORY, 8);
    info_put(info, LAYOUT_LOW_END >> 10, 4);
    info_put(info, (layout->below - LAYOUT_HIGH_START) >> 10, 4);
    begin_tag(info, INFO_MEMORY_MAP, 8 + count * 24);
    info_put(info, 24, 4);
    info_put(info, 0, 4);
    for (unsigned i = 0; i < count; i++) {
        info_put(info, entries[i].start, 8);
        info_put(info, entries[i].size, 8);
        info_put(info, entries[i].type, 4);
        info_put(info, 0, 4);
    }
}

/* A copy of the root pointer. */
static void put_acpi(struct loader_info *info)
{
    uint8_t rsdp[36];
    uint64_t at = info->load->config->acpi_rsdp;
    if (!at || memory_read(info->load->memory, at, rsdp, sizeof rsdp))
        return;
    begin_tag(info, INFO_ACPI, sizeof rsdp);
    buffer_append(&info->bytes, rsdp, sizeof rsdp);
}

static int write_info(struct loader *load, const struct multiboot2 *want, const struct loader_module *modules)
{
    const struct boot_config *config = load->config;
    const char *line = config->command_line ? config->command_line : "";
    struct loader_info info = {.load = load};
    info_put(&info, 0, 8); /* the size, later */
    begin_tag(&info, INFO_COMMAND_LINE, strlen(line) + 1);
    info_put_text(&info, line);
    begin_tag(&info, INFO_LOADER, sizeof "visor");
    info_put_text(&info, "visor");
    for (unsigned i = 0; i < config->module_count; i++) {
        begin_tag(&info, INFO_MODULE, 8 + loader_module_text_size(load, i));
        info_put(&info, modules[i].start, 4);
        info_put(&info, modules[i].end, 4);
        info_put_module_text(&info, i);
    }
    put_memory(&info);
    put_acpi(&info);
    begin_tag(&info, INFO_BASE, 4);
    info_put(&info, want->base, 4);
    begin_tag(&info, INFO_END, 0);
    buffer_patch_integer(&info.bytes, 0, info.bytes.size, 4);
    return info_write(&info);
}

int multiboot2_load(struct loader *load, const uint8_t *head, size_t size)
{
    struct loader_module modules[LOADER_MODULES];
    struct multiboot2 want = {0};
    size_t header = find_header(head, size);
    int result = read_header(load, head + header, size - header, &want);
    if (!result)
        result = load_image(load, head, size, header, &want);
    if (!result)
        result = loader_load_modules(load, true, modules);
    if (!result)
        result = write_info(load, &want, modules);
    if (!result)
        result = loader_enter32(load, want.entry);
    load->state->gpr[X86_RAX] = LOADED_MAGIC;
    load->state->gpr[X86_RBX] = LOADER_INFO;
    return result;
}
