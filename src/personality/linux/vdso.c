/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vdso: the shared object that the kernel maps into every program, here made by visor: an ELF image of one
 * page, with the guest architecture's functions (struct linux_vdso) and what programs look them up by:
 * dynamic section, symbols with a version, a hash table, and unwind tables for those functions that have no
 * frame. The return from a signal handler has none: unwinders know its instructions, and find all registers
 * in the frame.
 */
#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/memory.h"
#include "personality/linux/start.h"

#define SONAME       "linux-vdso.so.1"
#define SYMBOLS_MAX  8
#define SYMBOL_COUNT (1 + SYMBOLS_MAX) /* the first is none */
#define STRINGS_SIZE 192
#define TEXT_WORDS   256

/* DWARF's pointer encodings: 32 bits, absolute; relative to themselves; relative to the header. */
#define POINTER_UDATA4        0x03
#define POINTER_PCREL_SDATA4  0x1b
#define POINTER_HEADER_SDATA4 0x3b

/* DWARF's instructions: the frame's address is a register and a number; a register is at that address less a
 * multiple of data_align. */
#define CFA_DEFINE 0x0c
#define CFA_OFFSET 0x80

struct version_definition {
    Elf64_Verdef definition;
    Elf64_Verdaux name;
};

/* DWARF: all functions together, whose canonical frame address is their stack pointer all the time. */
struct unwind_entry {
    uint32_t cie_length, cie_id;
    uint8_t version, augmentation[3], code_align, data_align, return_register, augmentation_length, pointers;
    uint8_t rules[7];
    uint32_t fde_length, cie_offset;
    int32_t start;
    uint32_t size;
    uint8_t fde_augmentation_length, nops[3];
    uint32_t end;
} __attribute__((packed));
_Static_assert(offsetof(struct unwind_entry, fde_length) == 24, "whole words");

/* The table that unwinders search, of one member. */
struct unwind_header {
    uint8_t version, table_encoding, count_encoding, member_encoding;
    int32_t frame;
    uint32_t count;
    int32_t start, fde;
} __attribute__((packed));

enum { LOAD, DYNAMIC, UNWIND, HEADER_COUNT };

struct image {
    Elf64_Ehdr header;
    Elf64_Phdr program[HEADER_COUNT];
    Elf64_Dyn dynamic[10];
    Elf64_Sym symbols[SYMBOL_COUNT];
    struct version_definition versions[2]; /* of the object itself, and of its symbols */
    Elf32_Word hash[2 + 1 + SYMBOL_COUNT]; /* one bucket */
    Elf64_Half symbol_versions[SYMBOL_COUNT];
    char strings[STRINGS_SIZE];
    struct unwind_header unwind_header;
    struct unwind_entry unwind;
    _Alignas(16) uint32_t text[TEXT_WORDS];
};
_Static_assert(sizeof(struct image) <= GUEST_PAGE_SIZE, "one page");

#define AT(member) offsetof(struct image, member)

/* -- names --------------------------------------------------------------------------------------------- */

static uint32_t add_string(struct image *image, const char *string)
{
    size_t at = 1;
    while (image->strings[at])
        at += strlen(image->strings + at) + 1;
    if (at + strlen(string) + 1 >= STRINGS_SIZE)
        return 0;
    memcpy(image->strings + at, string, strlen(string));
    return (uint32_t)at;
}

/* The hash function of the System V ABI. */
static uint32_t hash_name(const char *name)
{
    uint32_t hash = 0;
    for (; *name; name++) {
        hash = (hash << 4) + (uint8_t)*name;
        hash = (hash ^ (hash >> 24 & 0xf0)) & 0x0fffffff;
    }
    return hash;
}

static void fill_version(struct image *image, unsigned index, const char *name, unsigned flags)
{
    struct version_definition *version = &image->versions[index];
    version->definition = (Elf64_Verdef){
        .vd_version = VER_DEF_CURRENT,
        .vd_flags = (Elf64_Half)flags,
        .vd_ndx = (Elf64_Half)(index + 1),
        .vd_cnt = 1,
        .vd_hash = hash_name(name),
        .vd_aux = sizeof version->definition,
        .vd_next = index + 1 < ARRAY_SIZE(image->versions) ? sizeof *version : 0,
    };
    version->name.vda_name = add_string(image, name);
}

/* With one bucket the chain goes through all symbols. */
static void fill_symbols(struct image *image, const struct linux_vdso *vdso)
{
    image->hash[0] = 1;
    image->hash[1] = SYMBOL_COUNT;
    image->hash[2] = 1;
    for (unsigned i = 0; i < vdso->symbol_count && i < SYMBOLS_MAX; i++) {
        const struct linux_vdso_symbol *symbol = &vdso->symbols[i];
        image->symbols[i + 1] = (Elf64_Sym){
            .st_name = add_string(image, symbol->name),
            .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
            .st_shndx = 1, /* defined, in no section that is there */
            .st_value = AT(text) + symbol->start,
            .st_size = symbol->size,
        };
        image->symbol_versions[i + 1] = 2;
        image->hash[3 + i + 1] = i + 1 < vdso->symbol_count ? i + 2 : 0;
    }
}

/* -- headers ------------------------------------------------------------------------------------------- */

static void fill_dynamic(struct image *image)
{
    const Elf64_Dyn entries[] = {
        {DT_SONAME, {add_string(image, SONAME)}},
        {DT_HASH, {AT(hash)}},
        {DT_STRTAB, {AT(strings)}},
        {DT_STRSZ, {STRINGS_SIZE}},
        {DT_SYMTAB, {AT(symbols)}},
        {DT_SYMENT, {sizeof(Elf64_Sym)}},
        {DT_VERSYM, {AT(symbol_versions)}},
        {DT_VERDEF, {AT(versions)}},
        {DT_VERDEFNUM, {ARRAY_SIZE(image->versions)}},
        {DT_NULL, {0}},
    };
    _Static_assert(sizeof entries == sizeof image->dynamic, "all of them");
    memcpy(image->dynamic, entries, sizeof entries);
}

static void fill_program_header(struct image *image, unsigned index, uint32_t type, uint32_t flags,
                                uint64_t at, uint64_t size, uint64_t alignment)
{
    image->program[index] = (Elf64_Phdr){.p_type = type,
                                         .p_flags = flags,
                                         .p_offset = at,
                                         .p_vaddr = at,
                                         .p_paddr = at,
                                         .p_filesz = size,
                                         .p_memsz = size,
                                         .p_align = alignment};
}

static void fill_headers(struct image *image, uint16_t machine)
{
    static const uint8_t identity[EI_NIDENT] = {ELFMAG0,    ELFMAG1,     ELFMAG2,   ELFMAG3,
                                                ELFCLASS64, ELFDATA2LSB, EV_CURRENT};
    image->header = (Elf64_Ehdr){
        .e_type = ET_DYN,
        .e_machine = machine,
        .e_version = EV_CURRENT,
        .e_phoff = AT(program),
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = HEADER_COUNT,
        .e_shentsize = sizeof(Elf64_Shdr),
    };
    memcpy(image->header.e_ident, identity, sizeof identity);
    fill_program_header(image, LOAD, PT_LOAD, PF_R | PF_X, 0, sizeof *image, GUEST_PAGE_SIZE);
    fill_program_header(image, DYNAMIC, PT_DYNAMIC, PF_R, AT(dynamic), sizeof image->dynamic, 8);
    fill_program_header(image, UNWIND, PT_GNU_EH_FRAME, PF_R, AT(unwind_header), sizeof image->unwind_header,
                        4);
}

static void fill_unwinding(struct image *image, const struct linux_vdso *vdso)
{
    const size_t fde = AT(unwind) + offsetof(struct unwind_entry, fde_length);
    image->unwind = (struct unwind_entry){
        .cie_length = offsetof(struct unwind_entry, fde_length) - 4,
        .version = 1,
        .augmentation = "zR",
        .code_align = 4,
        .data_align = 0x78, /* -8 */
        .return_register = vdso->return_register,
        .augmentation_length = 1,
        .pointers = POINTER_PCREL_SDATA4,
        .rules = {CFA_DEFINE, vdso->stack_register, vdso->return_address_size},
        .fde_length = offsetof(struct unwind_entry, end) - offsetof(struct unwind_entry, cie_offset),
        .cie_offset = offsetof(struct unwind_entry, cie_offset),
        .start = (int32_t)(AT(text) - (AT(unwind) + offsetof(struct unwind_entry, start))),
        .size = vdso->frameless_size,
    };
    if (vdso->return_address_size) { /* behind it, going down; the rest does nothing */
        image->unwind.rules[3] = CFA_OFFSET | vdso->return_register;
        image->unwind.rules[4] = 1;
    }
    image->unwind_header = (struct unwind_header){
        .version = 1,
        .table_encoding = POINTER_PCREL_SDATA4,
        .count_encoding = POINTER_UDATA4,
        .member_encoding = POINTER_HEADER_SDATA4,
        .frame = (int32_t)(AT(unwind) - (AT(unwind_header) + offsetof(struct unwind_header, frame))),
        .count = 1,
        .start = (int32_t)(AT(text) - AT(unwind_header)),
        .fde = (int32_t)(fde - AT(unwind_header)),
    };
}

int linux_vdso_new(struct linux_process *process, struct error *error)
{
    const struct linux_vdso *vdso = process->arch->vdso;
    struct image image = {0};

    if (!vdso && process->arch->map_trampolines && process->arch->map_trampolines(process) < 0)
        return error_set(error, -ENOMEM, "cannot map the code that signal handlers return to: out of memory");
    if (!vdso)
        return 0;
    fill_headers(&image, process->arch->elf_machine);
    fill_version(&image, 0, SONAME, VER_FLG_BASE);
    fill_version(&image, 1, vdso->version, 0);
    fill_symbols(&image, vdso);
    fill_dynamic(&image);
    fill_unwinding(&image, vdso);
    memcpy(image.text, vdso->code, vdso->code_size);

    int64_t at = linux_memory_map(process, 0, GUEST_PAGE_SIZE, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at < 0 || guest_write((uint64_t)at, &image, sizeof image) < 0 ||
        linux_memory_protect(process, (uint64_t)at, GUEST_PAGE_SIZE, PROT_READ | PROT_EXEC) < 0)
        return error_set(error, -ENOMEM, "cannot map the vDSO: out of memory");
    process->vdso = (uint64_t)at;
    process->trampoline = (uint64_t)at + AT(text) + vdso->trampoline;
    return 0;
}
