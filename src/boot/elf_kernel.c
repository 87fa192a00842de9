/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot/elf_kernel.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "boot/bytes.h"

#define NOTES_MAX 0x10000 /* bytes of a segment of notes */

/* A field of a header, which has the same name in both classes. */
#define FIELD_OF(at, type, name) bytes_get((at) + offsetof(type, name), sizeof(((type *)0)->name))
#define HEADER_FIELD(name)       (wide ? FIELD_OF(head, Elf64_Ehdr, name) : FIELD_OF(head, Elf32_Ehdr, name))
#define SEGMENT_FIELD(name)      (wide ? FIELD_OF(at, Elf64_Phdr, name) : FIELD_OF(at, Elf32_Phdr, name))

static struct elf_segment read_segment(const uint8_t *at, bool wide)
{
    return (struct elf_segment){
        .type = bytes_get32(at),
        .offset = SEGMENT_FIELD(p_offset),
        .file_size = SEGMENT_FIELD(p_filesz),
        .address = SEGMENT_FIELD(p_paddr),
        .memory_size = SEGMENT_FIELD(p_memsz),
        .virtual_address = SEGMENT_FIELD(p_vaddr),
        .align = SEGMENT_FIELD(p_align),
    };
}

bool elf_kernel_read(struct boot_file *file, const uint8_t *head, size_t size, struct elf_kernel *image)
{
    uint8_t table[ELF_SEGMENTS_MAX * sizeof(Elf64_Phdr)];
    if (size < sizeof(Elf64_Ehdr) || memcmp(head, ELFMAG, SELFMAG) || head[EI_DATA] != ELFDATA2LSB ||
        (head[EI_CLASS] != ELFCLASS32 && head[EI_CLASS] != ELFCLASS64))
        return false;
    bool wide = head[EI_CLASS] == ELFCLASS64;
    size_t entry_size = wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    uint64_t sections = HEADER_FIELD(e_shoff);
    *image = (struct elf_kernel){
        .wide = wide,
        .machine = (unsigned)HEADER_FIELD(e_machine),
        .entry = HEADER_FIELD(e_entry),
        .count = (unsigned)HEADER_FIELD(e_phnum),
    };
    image->sections_end =
        sections > UINT64_MAX / 2 ? UINT64_MAX : sections + HEADER_FIELD(e_shentsize) * HEADER_FIELD(e_shnum);
    if ((image->machine != EM_386 && image->machine != EM_X86_64) ||
        HEADER_FIELD(e_phentsize) != entry_size || image->count > ELF_SEGMENTS_MAX ||
        boot_file_read(file, HEADER_FIELD(e_phoff), table, image->count * entry_size, NULL))
        return false;
    for (unsigned i = 0; i < image->count; i++)
        image->segments[i] = read_segment(table + i * entry_size, wide);
    return true;
}

static int load_segment(struct loader *load, const struct elf_segment *segment)
{
    const char *again = "copy or download it again";
    if (segment->file_size > segment->memory_size)
        return loader_refuse(load, again, "an ELF segment has more in the file than in memory");
    if (!loader_claim(load, segment->address, segment->memory_size))
        return loader_refuse(
            load, "give the machine more with --memory",
            "it wants to be at %llxh to %llxh, where there is no free memory in a machine with %llu MiB",
            (unsigned long long)segment->address,
            (unsigned long long)(segment->address + segment->memory_size - 1),
            (unsigned long long)load->config->layout.size >> 20);
    int result =
        loader_read_file(load, load->config->kernel, segment->offset, segment->address, segment->file_size);
    return result ? result
                  : loader_zero(load, segment->address + segment->file_size,
                                segment->memory_size - segment->file_size);
}

int elf_kernel_load(struct loader *load, const struct elf_kernel *image, uint64_t *start, uint64_t *end)
{
    *start = UINT64_MAX;
    *end = 0;
    for (unsigned i = 0; i < image->count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (segment->type != PT_LOAD || !segment->memory_size)
            continue;
        int result = load_segment(load, segment);
        if (result)
            return result;
        *start = MIN(*start, segment->address);
        *end = MAX(*end, segment->address + segment->memory_size);
    }
    return *end ? 0 : loader_refuse(load, NULL, "the ELF file has nothing to load");
}

uint64_t elf_kernel_entry(const struct elf_kernel *image)
{
    for (unsigned i = 0; i < image->count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (segment->type == PT_LOAD && image->entry >= segment->virtual_address &&
            image->entry - segment->virtual_address < segment->memory_size)
            return image->entry - segment->virtual_address + segment->address;
    }
    return image->entry;
}

/* Each note: sizes of name and value, type, name, value, the last two padded. */
static bool find_in(const uint8_t *notes, size_t size, size_t align, const char *name, uint32_t type,
                    uint64_t *value)
{
    const size_t header = 12, name_size = strlen(name) + 1;
    size_t at = 0;
    while (size - at >= header) {
        size_t its_name = bytes_get32(notes + at), its_value = bytes_get32(notes + at + 4);
        size_t value_at = at + ALIGN_UP(header + its_name, align);
        size_t next = value_at + ALIGN_UP(its_value, align);
        if (value_at > size || its_value > size - value_at)
            return false;
        if (bytes_get32(notes + at + 8) == type && its_name == name_size &&
            !memcmp(notes + at + header, name, name_size) && (its_value == 4 || its_value == 8)) {
            *value = bytes_get(notes + value_at, (unsigned)its_value);
            return true;
        }
        if (next > size)
            return false;
        at = next;
    }
    return false;
}

bool elf_kernel_note(struct boot_file *file, const struct elf_kernel *image, const char *name, uint32_t type,
                     uint64_t *value)
{
    bool found = false;
    for (unsigned i = 0; i < image->count && !found; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (segment->type != PT_NOTE || segment->file_size > NOTES_MAX)
            continue;
        uint8_t *notes = malloc(segment->file_size + 1);
        found = notes && !boot_file_read(file, segment->offset, notes, segment->file_size, NULL) &&
                find_in(notes, segment->file_size, segment->align == 8 ? 8 : 4, name, type, value);
        free(notes);
    }
    return found;
}
