/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elf: the parser of elf.h. Specification: System V ABI, chapters 4 and 5. Nothing in the file is trusted. */
#include "personality/linux/elf.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/macros.h"
#include "personality/linux/process.h"

#define MACHINE_ANY       0xffff
#define ALIGNMENT_MAX     (1ull << 30)
#define PROGRAM_PATH_SIZE 4096

/* -- names ----------------------------------------------------------------------------------------------- */

int elf_machine_of(const uint8_t *bytes, size_t size)
{
    if (size < 20 || memcmp(bytes, ELFMAG, SELFMAG) != 0)
        return -1;
    return bytes[EI_DATA] == ELFDATA2MSB ? bytes[18] << 8 | bytes[19] : bytes[19] << 8 | bytes[18];
}

const char *elf_machine_name(int machine)
{
    static const struct {
        int machine;
        const char *name;
    } names[] = {
        {EM_386, "an i386 program"},
        {EM_X86_64, "an x86-64 program"},
        {EM_AARCH64, "an arm64 program"},
        {EM_ARM, "a 32-bit Arm program"},
        {EM_RISCV, "a RISC-V program"},
        {EM_PPC64, "a 64-bit PowerPC program"},
        {EM_PPC, "a PowerPC program"},
        {EM_S390, "an s390x program"},
        {EM_MIPS, "a MIPS program"},
        {EM_SPARC, "a SPARC program"},
        {EM_SPARCV9, "a SPARC program"},
        {EM_ALPHA, "an Alpha program"},
        {0x9026, "an Alpha program"},
        {EM_68K, "an m68k program"},
        {EM_PARISC, "a PA-RISC program"},
        {EM_SH, "a SuperH program"},
        {EM_IA_64, "an Itanium program"},
        {258, "a LoongArch program"},
        {EM_MICROBLAZE, "a MicroBlaze program"},
        {EM_CRIS, "a CRIS program"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (names[i].machine == machine)
            return names[i].name;
    }
    return "a program for an unknown CPU";
}

/* -- parsing --------------------------------------------------------------------------------------------- */

static int check_identification(const uint8_t *bytes, size_t size, uint16_t machine, struct error *error)
{
    if (size < SELFMAG || memcmp(bytes, ELFMAG, SELFMAG) != 0)
        return error_set(error, -ENOEXEC, "not an ELF program");
    if (size < 20)
        return error_set(error, -ENOEXEC, "the file is cut off in its ELF header");

    int found = elf_machine_of(bytes, size);
    if (machine != MACHINE_ANY && found != machine)
        return error_set(error, -ENOEXEC, "%s, but %s is needed", elf_machine_name(found),
                         elf_machine_name(machine));
    if (bytes[EI_CLASS] != ELFCLASS32 && bytes[EI_CLASS] != ELFCLASS64)
        return error_set(error, -ENOEXEC, "an ELF file of unknown class %u", bytes[EI_CLASS]);
    if (bytes[EI_CLASS] == ELFCLASS32 && found != EM_386)
        return error_set(error, -ENOEXEC, "a 32-bit ELF file, but a 64-bit one is needed");
    if (bytes[EI_CLASS] == ELFCLASS64 && found == EM_386)
        return error_set(error, -ENOEXEC, "a 64-bit ELF file, but a 32-bit one is needed");
    if (bytes[EI_DATA] == ELFDATA2MSB)
        return error_set(error, -ENOEXEC, "a big-endian ELF file, but a little-endian one is needed");
    if (bytes[EI_DATA] != ELFDATA2LSB)
        return error_set(error, -ENOEXEC, "an ELF file of unknown byte order %u", bytes[EI_DATA]);
    return 0;
}

/* Both classes as the larger one: false if not all of it is there. */
static bool read_header(const uint8_t *bytes, size_t size, Elf64_Ehdr *header)
{
    Elf32_Ehdr small;
    const bool is_small = size > EI_CLASS && bytes[EI_CLASS] == ELFCLASS32;
    if (size < (is_small ? sizeof small : sizeof *header))
        return false;
    if (!is_small) {
        memcpy(header, bytes, sizeof *header);
        return true;
    }
    memcpy(&small, bytes, sizeof small);
    *header = (Elf64_Ehdr){.e_type = small.e_type,
                           .e_machine = small.e_machine,
                           .e_entry = small.e_entry,
                           .e_phoff = small.e_phoff,
                           .e_phentsize = small.e_phentsize,
                           .e_phnum = small.e_phnum};
    memcpy(header->e_ident, bytes, EI_NIDENT);
    return true;
}

static size_t program_header_size(const Elf64_Ehdr *header)
{
    return header->e_ident[EI_CLASS] == ELFCLASS32 ? sizeof(Elf32_Phdr) : sizeof(Elf64_Phdr);
}

static void read_program_header(const Elf64_Ehdr *header, const uint8_t *bytes, unsigned index,
                                Elf64_Phdr *ph)
{
    Elf32_Phdr small;
    const uint8_t *at = bytes + header->e_phoff + index * program_header_size(header);
    if (header->e_ident[EI_CLASS] != ELFCLASS32) {
        memcpy(ph, at, sizeof *ph);
        return;
    }
    memcpy(&small, at, sizeof small);
    *ph = (Elf64_Phdr){.p_type = small.p_type,
                       .p_flags = small.p_flags,
                       .p_offset = small.p_offset,
                       .p_vaddr = small.p_vaddr,
                       .p_paddr = small.p_paddr,
                       .p_filesz = small.p_filesz,
                       .p_memsz = small.p_memsz,
                       .p_align = small.p_align};
}

static int check_header(const Elf64_Ehdr *header, size_t size, uint64_t file_size, struct error *error)
{
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
        return error_set(error, -ENOEXEC, "an ELF file that is not a program (type %u)", header->e_type);
    if (header->e_phentsize != program_header_size(header))
        return error_set(error, -ENOEXEC, "damaged: program headers of %u bytes", header->e_phentsize);
    if (!header->e_phnum)
        return error_set(error, -ENOEXEC, "no program headers");

    uint64_t table = (uint64_t)header->e_phnum * program_header_size(header);
    if (header->e_phoff > file_size || table > file_size - header->e_phoff)
        return error_set(error, -ENOEXEC, "the file is cut off in its program headers");
    if (header->e_phoff > size || table > size - header->e_phoff)
        return error_set(error, -ENOEXEC, "the program headers are too far from the start of the file");
    return 0;
}

static int add_segment(struct elf_image *image, const Elf64_Phdr *ph, uint64_t file_size, struct error *error)
{
    if (!ph->p_memsz)
        return 0;
    if (image->segment_count == ELF_SEGMENTS_MAX)
        return error_set(error, -ENOEXEC, "more than %d segments", ELF_SEGMENTS_MAX);
    if (ph->p_filesz > ph->p_memsz)
        return error_set(error, -ENOEXEC, "damaged: a segment is larger in the file than in memory");
    if (ph->p_memsz > GUEST_ADDRESS_END || ph->p_vaddr > GUEST_ADDRESS_END - ph->p_memsz)
        return error_set(error, -ENOEXEC, "a segment at %#llx that cannot be mapped",
                         (unsigned long long)ph->p_vaddr);
    if (ph->p_offset > file_size || ph->p_filesz > file_size - ph->p_offset)
        return error_set(error, -ENOEXEC, "the file is cut off: a segment ends behind its end");
    if ((ph->p_offset ^ ph->p_vaddr) & (GUEST_PAGE_SIZE - 1) && ph->p_filesz)
        return error_set(error, -ENOEXEC, "damaged: a segment is not aligned to pages");

    struct elf_segment *segment = &image->segments[image->segment_count++];
    segment->address = ph->p_vaddr;
    segment->memory_size = ph->p_memsz;
    segment->offset = ph->p_offset;
    segment->file_size = ph->p_filesz;
    segment->protection = (ph->p_flags & PF_R ? PROT_READ : 0) | (ph->p_flags & PF_W ? PROT_WRITE : 0) |
                          (ph->p_flags & PF_X ? PROT_EXEC : 0);

    image->low = MIN(image->low, ALIGN_DOWN(ph->p_vaddr, GUEST_PAGE_SIZE));
    image->high = MAX(image->high, ALIGN_UP(ph->p_vaddr + ph->p_memsz, GUEST_PAGE_SIZE));
    bool power = ph->p_align && !(ph->p_align & (ph->p_align - 1));
    if (power && ph->p_align <= ALIGNMENT_MAX)
        image->alignment = MAX(image->alignment, ph->p_align);
    return 0;
}

static int add_program_header(struct elf_image *image, const Elf64_Phdr *ph, uint64_t file_size,
                              struct error *error)
{
    switch (ph->p_type) {
    case PT_LOAD: return add_segment(image, ph, file_size, error);
    case PT_INTERP:
        if (image->interpreter_size)
            return 0; /* the first counts */
        if (ph->p_filesz < 2 || ph->p_filesz > PROGRAM_PATH_SIZE)
            return error_set(error, -ENOEXEC, "damaged: the name of its loader has %llu bytes",
                             (unsigned long long)ph->p_filesz);
        if (ph->p_offset > file_size || ph->p_filesz > file_size - ph->p_offset)
            return error_set(error, -ENOEXEC, "the file is cut off: the name of its loader is missing");
        image->interpreter_offset = ph->p_offset;
        image->interpreter_size = ph->p_filesz;
        return 0;
    case PT_GNU_STACK: image->executable_stack = ph->p_flags & PF_X; return 0;
    default: return 0;
    }
}

/* Where the program headers are in memory: the segment that covers them in the file says so. */
static void find_program_headers(struct elf_image *image, uint64_t offset)
{
    for (unsigned i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (offset >= segment->offset && offset - segment->offset < segment->file_size) {
            image->program_headers = segment->address + (offset - segment->offset);
            return;
        }
    }
}

int elf_parse_for(const uint8_t *bytes, size_t size, uint64_t file_size, uint16_t machine,
                  struct elf_image *image, struct error *error)
{
    Elf64_Ehdr header;

    memset(image, 0, sizeof *image);
    int code = check_identification(bytes, size, machine, error);
    if (elf_machine_of(bytes, size) > 0)
        image->machine = (uint16_t)elf_machine_of(bytes, size);
    if (code < 0)
        return code;
    if (!read_header(bytes, size, &header))
        return error_set(error, -ENOEXEC, "the file is cut off in its ELF header");
    code = check_header(&header, size, file_size, error);
    if (code < 0)
        return code;

    image->relocatable = header.e_type == ET_DYN;
    image->entry = header.e_entry;
    image->program_header_count = header.e_phnum;
    image->program_header_size = header.e_phentsize;
    image->low = UINT64_MAX;
    image->alignment = GUEST_PAGE_SIZE;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr ph;
        read_program_header(&header, bytes, i, &ph);
        code = add_program_header(image, &ph, file_size, error);
        if (code < 0)
            return code;
    }
    if (!image->segment_count)
        return error_set(error, -ENOEXEC, "nothing to load");
    find_program_headers(image, header.e_phoff);
    return 0;
}

int elf_parse(const uint8_t *bytes, size_t size, uint64_t file_size, struct elf_image *image,
              struct error *error)
{
    return elf_parse_for(bytes, size, file_size, MACHINE_ANY, image, error);
}

/* -- reading --------------------------------------------------------------------------------------------- */

static int read_at(int fd, void *buffer, size_t size, uint64_t offset, struct error *error)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, (char *)buffer + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(error, -EIO, "cannot read: %s", strerror(errno));
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int)done;
}

int elf_read(int fd, uint16_t machine, struct elf_image *image, struct error *error)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set(error, -errno, "cannot look at the file: %s", strerror(errno));

    /* Program headers nearly always follow the header: read more only if they do not. */
    uint8_t first[4096], *more = NULL;
    int code = read_at(fd, first, sizeof first, 0, error);
    Elf64_Ehdr header;
    if (code == sizeof first && read_header(first, sizeof first, &header) &&
        header.e_phoff > sizeof first - header.e_phnum * sizeof(Elf64_Phdr)) {
        more = malloc(ELF_HEAD_SIZE);
        if (!more)
            return error_set(error, -ENOMEM, "out of memory");
        code = read_at(fd, more, ELF_HEAD_SIZE, 0, error);
    }
    if (code >= 0)
        code =
            elf_parse_for(more ? more : first, (size_t)code, (uint64_t)status.st_size, machine, image, error);
    free(more);
    return code;
}

int elf_read_interpreter(int fd, const struct elf_image *image, char *path, size_t size, struct error *error)
{
    if (image->interpreter_size > size)
        return error_set(error, -ENOEXEC, "the name of its loader is too long");
    int code = read_at(fd, path, (size_t)image->interpreter_size, image->interpreter_offset, error);
    if (code < 0)
        return code;
    if ((uint64_t)code < image->interpreter_size || path[code - 1] != '\0')
        return error_set(error, -ENOEXEC, "damaged: the name of its loader has no end");
    return 0;
}
