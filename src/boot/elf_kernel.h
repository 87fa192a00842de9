/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elf_kernel: kernels that are ELF files (System V ABI, "Object Files"), of 32 or 64 bits, put at their
 * segments' physical addresses. */
#ifndef VISOR_BOOT_ELF_KERNEL_H
#define VISOR_BOOT_ELF_KERNEL_H

#include "boot/loader.h"

#define ELF_SEGMENTS_MAX 64

struct elf_segment {
    uint32_t type;
    uint64_t offset, file_size, address, memory_size, virtual_address, align;
};

struct elf_kernel {
    bool wide;
    unsigned machine;
    uint64_t entry;
    uint64_t sections_end; /* in the file: where the table of sections ends, which is often the last thing */
    struct elf_segment segments[ELF_SEGMENTS_MAX];
    unsigned count;
};

/* False: no ELF file for x86, or one whose headers cannot be. */
bool elf_kernel_read(struct boot_file *file, const uint8_t *head, size_t size, struct elf_kernel *image);
/* Claims and fills all that is to be loaded; *start and *end are of it all. */
int elf_kernel_load(struct loader *load, const struct elf_kernel *image, uint64_t *start, uint64_t *end);
/* The entry as a physical address: of files whose entry is virtual, the segment says where that is. */
uint64_t elf_kernel_entry(const struct elf_kernel *image);
/* The value of the note of this name and type; false: there is none. */
bool elf_kernel_note(struct boot_file *file, const struct elf_kernel *image, const char *name, uint32_t type,
                     uint64_t *value);

#endif
