/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * elf: reads ELF program files and maps them into the guest's address space.
 *
 * elf_parse() looks at bytes only and is safe with any; elf_load() maps what it described.
 */
#ifndef VISOR_PERSONALITY_LINUX_ELF_H
#define VISOR_PERSONALITY_LINUX_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct linux_process;

#define ELF_SEGMENTS_MAX 64
/* elf_parse() needs at most this much of the start of a file. */
#define ELF_HEAD_SIZE (64 * 1024)

struct elf_segment {
    uint64_t address;     /* as in the file, before relocation */
    uint64_t memory_size; /* >= file_size */
    uint64_t offset;      /* in the file; equals `address` modulo the page size */
    uint64_t file_size;
    unsigned protection; /* PROT_* */
};

/* A little-endian executable or shared object for Linux: of 32 bits for i386, else of 64. */
struct elf_image {
    uint16_t machine;
    bool relocatable; /* position-independent: ET_DYN */
    uint64_t entry;
    uint64_t program_headers; /* their address in memory, 0 if no segment holds them */
    uint16_t program_header_count, program_header_size;
    uint64_t interpreter_offset,
        interpreter_size; /* of PT_INTERP in the file; size 0: none. The NUL counts */
    bool executable_stack;
    uint64_t low, high; /* all segments lie in [low, high), page-aligned */
    uint64_t alignment; /* that the load address needs, a power of two */
    unsigned segment_count;
    struct elf_segment segments[ELF_SEGMENTS_MAX]; /* as ordered in the file */
};

/*
 * Describes the program whose first `size` bytes are given, of a file of `file_size` bytes.
 *
 * Errors: -ENOEXEC, with what is wrong in *error. `image->machine` is set as soon as the header says so:
 * a program for another CPU fails with that CPU's name in the message.
 * `machine` is the CPU wanted.
 */
int elf_parse_for(const uint8_t *bytes, size_t size, uint64_t file_size, uint16_t machine,
                  struct elf_image *image, struct error *error);

/* The same for any CPU. */
int elf_parse(const uint8_t *bytes, size_t size, uint64_t file_size, struct elf_image *image,
              struct error *error);

/* e_machine of an ELF file of any class and byte order, or -1 if the bytes are not ELF. */
int elf_machine_of(const uint8_t *bytes, size_t size);

/* "a RISC-V program"; for messages. */
const char *elf_machine_name(int machine);

/* Reads the start of the file and parses it: as elf_parse_for(), and -EIO. */
int elf_read(int fd, uint16_t machine, struct elf_image *image, struct error *error);

/* The path in PT_INTERP. 0, -ENOEXEC, -EIO. */
int elf_read_interpreter(int fd, const struct elf_image *image, char *path, size_t size, struct error *error);

/*
 * Maps the image. A relocatable one goes near `hint` if that is not 0, else where the kernel likes. *bias is
 * what is to be added to the image's addresses.
 */
int elf_load(struct linux_process *process, int fd, const struct elf_image *image, uint64_t hint,
             uint64_t *bias, struct error *error);

#endif
