/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pvh: ELF kernels with a PVH entry (Xen, "x86/HVM direct boot ABI"): entered in 32 bits without paging, with
 * EBX at a hvm_start_info. Linux's vmlinux has such an entry if it was configured with CONFIG_PVH.
 */
#include "boot/bytes.h"
#include "boot/elf_kernel.h"

enum { NOTE_PHYS32_ENTRY = 18 };
enum { MAGIC = 0x336ec578, VERSION = 1, START_INFO_SIZE = 56, MODULE_SIZE = 32, MEMORY_SIZE = 24 };

static bool find_entry(struct boot_file *kernel, const uint8_t *head, size_t size, struct elf_kernel *image,
                       uint64_t *entry)
{
    return elf_kernel_read(kernel, head, size, image) &&
           elf_kernel_note(kernel, image, "Xen", NOTE_PHYS32_ENTRY, entry);
}

bool pvh_detect(struct boot_file *kernel, const uint8_t *head, size_t size)
{
    struct elf_kernel image;
    uint64_t entry;
    return find_entry(kernel, head, size, &image, &entry);
}

static int write_start_info(struct loader *load, const struct loader_module *modules)
{
    const struct boot_config *config = load->config;
    struct loader_info info = {.load = load};
    struct e820_entry entries[E820_MAX];
    unsigned count = ram_layout_e820(&config->layout, entries);
    uint64_t lists = LOADER_INFO + START_INFO_SIZE,
             memory_map = lists + (uint64_t)config->module_count * MODULE_SIZE,
             texts = memory_map + (uint64_t)count * MEMORY_SIZE;

    info_put(&info, MAGIC, 4);
    info_put(&info, VERSION, 4);
    info_put(&info, 0, 4);
    info_put(&info, config->module_count, 4);
    info_put(&info, config->module_count ? lists : 0, 8);
    info_put(&info, LOADER_COMMAND_LINE, 8);
    info_put(&info, config->acpi_rsdp, 8);
    info_put(&info, memory_map, 8);
    info_put(&info, count, 4);
    info_put(&info, 0, 4);
    for (unsigned i = 0; i < config->module_count; i++) {
        info_put(&info, modules[i].start, 8);
        info_put(&info, modules[i].end - modules[i].start, 8);
        info_put(&info, texts, 8);
        info_put(&info, 0, 8);
        texts += loader_module_text_size(load, i);
    }
    for (unsigned i = 0; i < count; i++) {
        info_put(&info, entries[i].start, 8);
        info_put(&info, entries[i].size, 8);
        info_put(&info, entries[i].type, 4);
        info_put(&info, 0, 4);
    }
    for (unsigned i = 0; i < config->module_count; i++)
        info_put_module_text(&info, i);
    return info_write(&info);
}

int pvh_load(struct loader *load, const uint8_t *head, size_t size)
{
    struct loader_module modules[LOADER_MODULES];
    struct elf_kernel image;
    uint64_t entry, start, end;
    if (!find_entry(load->config->kernel, head, size, &image, &entry))
        return loader_refuse(load, NULL, "its PVH entry is gone");
    int result = elf_kernel_load(load, &image, &start, &end);
    if (!result && (entry < start || entry >= end || entry >= LAYOUT_ABOVE))
        result = loader_refuse(load, NULL, "its PVH entry %llxh is outside of it", (unsigned long long)entry);
    if (!result)
        result = loader_load_modules(load, false, modules);
    if (!result)
        result = loader_command_line(load, LOADER_COMMAND_MAX);
    if (!result)
        result = write_start_info(load, modules);
    if (!result)
        result = loader_enter32(load, (uint32_t)entry);
    load->state->gpr[X86_RBX] = LOADER_INFO;
    return result;
}

enum boot_protocol pvh_protocol(const uint8_t *head, size_t size)
{
    (void)head, (void)size;
    return BOOT_PVH;
}
