/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parser of ELF program files: what it takes, what it refuses, and with which words. And address ranges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "personality/linux/elf.h"
#include "personality/linux/ranges.h"

#define FILE_SIZE 0x3000

struct program {
    uint8_t bytes[FILE_SIZE];
};

static Elf64_Ehdr *header(struct program *p)
{
    return (Elf64_Ehdr *)p->bytes;
}

static Elf64_Phdr *segment(struct program *p, unsigned i)
{
    return (Elf64_Phdr *)(p->bytes + sizeof(Elf64_Ehdr)) + i;
}

/* Interpreter, text, data with bss, stack. */
static void make_program(struct program *p)
{
    memset(p, 0, sizeof *p);
    Elf64_Ehdr *h = header(p);
    memcpy(h->e_ident, ELFMAG, SELFMAG);
    h->e_ident[EI_CLASS] = ELFCLASS64;
    h->e_ident[EI_DATA] = ELFDATA2LSB;
    h->e_type = ET_DYN;
    h->e_machine = EM_AARCH64;
    h->e_entry = 0x400;
    h->e_phoff = sizeof *h;
    h->e_phentsize = sizeof(Elf64_Phdr);
    h->e_phnum = 4;
    *segment(p, 0) = (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = 0x300, .p_filesz = 16, .p_memsz = 16};
    *segment(p, 1) = (Elf64_Phdr){
        .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = 0x1000, .p_memsz = 0x1000, .p_align = 0x10000};
    *segment(p, 2) = (Elf64_Phdr){.p_type = PT_LOAD,
                                  .p_flags = PF_R | PF_W,
                                  .p_offset = 0x1e00,
                                  .p_vaddr = 0x11e00,
                                  .p_filesz = 0x400,
                                  .p_memsz = 0x5000,
                                  .p_align = 0x10000};
    *segment(p, 3) = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W};
}

static int parse(struct program *p, struct elf_image *image, struct error *error)
{
    /* A copy of exactly this size: the sanitizers see a read behind its end. */
    uint8_t *copy = malloc(FILE_SIZE);
    memcpy(copy, p->bytes, FILE_SIZE);
    int code = elf_parse_for(copy, FILE_SIZE, FILE_SIZE, EM_AARCH64, image, error);
    free(copy);
    return code;
}

static void test_good(void **state)
{
    struct program p;
    struct elf_image image;
    struct error error = ERROR_INIT;
    (void)state;

    make_program(&p);
    assert_int_equal(parse(&p, &image, &error), 0);
    assert_int_equal(image.machine, EM_AARCH64);
    assert_true(image.relocatable);
    assert_int_equal(image.entry, 0x400);
    assert_int_equal(image.program_headers, sizeof(Elf64_Ehdr));
    assert_int_equal(image.program_header_count, 4);
    assert_int_equal(image.interpreter_offset, 0x300);
    assert_int_equal(image.interpreter_size, 16);
    assert_false(image.executable_stack);
    assert_int_equal(image.low, 0);
    assert_int_equal(image.high, 0x17000);
    assert_int_equal(image.alignment, 0x10000);
    assert_int_equal(image.segment_count, 2);
    assert_int_equal(image.segments[0].protection, PROT_READ | PROT_EXEC);
    assert_int_equal(image.segments[1].protection, PROT_READ | PROT_WRITE);
    assert_int_equal(image.segments[1].address, 0x11e00);
    assert_int_equal(image.segments[1].file_size, 0x400);
    assert_int_equal(image.segments[1].memory_size, 0x5000);

    header(&p)->e_type = ET_EXEC;
    segment(&p, 3)->p_flags |= PF_X;
    segment(&p, 0)->p_type = PT_NULL;
    assert_int_equal(parse(&p, &image, &error), 0);
    assert_false(image.relocatable);
    assert_true(image.executable_stack);
    assert_int_equal(image.interpreter_size, 0);
}

static void expect(struct program *p, const char *words)
{
    struct elf_image image;
    struct error error = ERROR_INIT;
    int code = parse(p, &image, &error);
    assert_int_equal(code, -ENOEXEC);
    if (!strstr(error.message, words))
        fail_msg("\"%s\" does not say \"%s\"", error.message, words);
}

/* A 32-bit program: data with bss at the end of the address space that its fields can say. */
static void test_small(void **state)
{
    const Elf32_Ehdr h = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB},
                          .e_type = ET_EXEC,
                          .e_machine = EM_386,
                          .e_entry = 0x8048400,
                          .e_phoff = sizeof h,
                          .e_phentsize = sizeof(Elf32_Phdr),
                          .e_phnum = 3};
    const Elf32_Phdr segments[] = {
        {.p_type = PT_INTERP, .p_offset = 0x300, .p_filesz = 16, .p_memsz = 16},
        {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = 0x8048000, .p_filesz = 4096, .p_memsz = 4096},
        {.p_type = PT_LOAD,
         .p_flags = PF_R | PF_W,
         .p_vaddr = 0xfffff000,
         .p_offset = 0x1000,
         .p_memsz = 4096},
    };
    struct program p = {0};
    struct elf_image image;
    struct error error = ERROR_INIT;
    (void)state;

    memcpy(p.bytes, &h, sizeof h);
    memcpy(p.bytes + sizeof h, segments, sizeof segments);
    assert_int_equal(elf_parse(p.bytes, FILE_SIZE, FILE_SIZE, &image, &error), 0);
    assert_int_equal(image.machine, EM_386);
    assert_int_equal(image.entry, 0x8048400);
    assert_int_equal(image.program_headers, 0x8048000 + sizeof h);
    assert_int_equal(image.program_header_count, 3);
    assert_int_equal(image.program_header_size, sizeof(Elf32_Phdr));
    assert_int_equal(image.interpreter_offset, 0x300);
    assert_int_equal(image.segment_count, 2);
    assert_int_equal(image.low, 0x8048000);
    assert_int_equal(image.high, 0x100000000);

    expect(&p, "an i386 program"); /* where another one is wanted */
    p.bytes[EI_CLASS] = ELFCLASS64;
    assert_int_equal(elf_parse(p.bytes, FILE_SIZE, FILE_SIZE, &image, &error), -ENOEXEC);
    assert_non_null(strstr(error.message, "a 64-bit ELF file"));
    p.bytes[EI_CLASS] = ELFCLASS32;
    for (size_t size = 0; size < sizeof h + sizeof segments; size++) {
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, p.bytes, size);
        assert_int_equal(elf_parse(copy, size, FILE_SIZE, &image, &error), -ENOEXEC);
        free(copy);
    }
}

static void test_wrong_kind(void **state)
{
    struct program p;
    (void)state;

    make_program(&p);
    p.bytes[1] = 'X';
    expect(&p, "not an ELF program");
    make_program(&p);
    header(&p)->e_machine = EM_RISCV;
    expect(&p, "a RISC-V program");
    make_program(&p);
    header(&p)->e_machine = EM_X86_64;
    expect(&p, "an x86-64 program");
    make_program(&p);
    header(&p)->e_machine = EM_ARM;
    header(&p)->e_ident[EI_CLASS] = ELFCLASS32;
    expect(&p, "a 32-bit Arm program");
    make_program(&p);
    header(&p)->e_ident[EI_CLASS] = ELFCLASS32;
    expect(&p, "32-bit");
    make_program(&p);
    header(&p)->e_ident[EI_DATA] = ELFDATA2MSB;
    header(&p)->e_machine = EM_S390 << 8;
    expect(&p, "an s390x program");
    make_program(&p);
    header(&p)->e_ident[EI_DATA] = ELFDATA2MSB;
    header(&p)->e_machine = (EM_AARCH64 & 0xff) << 8 | EM_AARCH64 >> 8;
    expect(&p, "big-endian");
    make_program(&p);
    header(&p)->e_type = ET_REL;
    expect(&p, "not a program");
}

static void test_damaged(void **state)
{
    struct program p;
    (void)state;

    make_program(&p);
    header(&p)->e_phentsize = 32;
    expect(&p, "program headers of 32 bytes");
    make_program(&p);
    header(&p)->e_phnum = 0;
    expect(&p, "no program headers");
    make_program(&p);
    header(&p)->e_phoff = FILE_SIZE - 8;
    expect(&p, "cut off in its program headers");
    make_program(&p);
    header(&p)->e_phoff = UINT64_MAX - 8;
    expect(&p, "cut off in its program headers");
    make_program(&p);
    segment(&p, 2)->p_filesz = 0x6000;
    expect(&p, "larger in the file");
    make_program(&p);
    segment(&p, 2)->p_filesz = 0x2000;
    expect(&p, "behind its end");
    make_program(&p);
    segment(&p, 2)->p_offset = UINT64_MAX - 0xfff;
    expect(&p, "behind its end");
    make_program(&p);
    segment(&p, 2)->p_vaddr = UINT64_MAX - 0xfff;
    expect(&p, "cannot be mapped");
    make_program(&p);
    segment(&p, 2)->p_memsz = UINT64_MAX;
    expect(&p, "cannot be mapped");
    make_program(&p);
    segment(&p, 2)->p_vaddr += 8;
    expect(&p, "not aligned");
    make_program(&p);
    segment(&p, 0)->p_filesz = 1;
    expect(&p, "the name of its loader has 1 bytes");
    make_program(&p);
    segment(&p, 0)->p_offset = FILE_SIZE - 3;
    expect(&p, "the name of its loader is missing");
    make_program(&p);
    segment(&p, 1)->p_type = segment(&p, 2)->p_type = PT_NULL;
    expect(&p, "nothing to load");
}

/* Every length of the file, and every value of each byte of the headers, ends in a result. */
static void test_hostile(void **state)
{
    struct program p;
    struct elf_image image;
    (void)state;

    make_program(&p);
    size_t head = sizeof(Elf64_Ehdr) + 4 * sizeof(Elf64_Phdr);
    for (size_t size = 0; size < head; size++) {
        struct error error = ERROR_INIT;
        uint8_t *copy = malloc(size ? size : 1);
        memcpy(copy, p.bytes, size);
        assert_int_equal(elf_parse(copy, size, size, &image, &error), -ENOEXEC);
        assert_true(error.message[0]);
        free(copy);
    }
    for (size_t at = 0; at < head; at++) {
        for (unsigned value = 0; value < 256; value++) {
            struct error error = ERROR_INIT;
            make_program(&p);
            p.bytes[at] = (uint8_t)value;
            int code = parse(&p, &image, &error);
            assert_true(code == 0 || (code == -ENOEXEC && error.message[0]));
            for (unsigned i = 0; code == 0 && i < image.segment_count; i++) {
                assert_true(image.segments[i].file_size <= image.segments[i].memory_size);
                assert_true(image.segments[i].offset + image.segments[i].file_size <= FILE_SIZE);
                assert_true(image.segments[i].address >= image.low);
                assert_true(image.segments[i].address + image.segments[i].memory_size <= image.high);
            }
        }
    }
}

static void test_ranges(void **state)
{
    struct address_ranges set = {0};
    (void)state;

    assert_int_equal(ranges_reserve(&set), 0);
    ranges_add(&set, 10, 20);
    ranges_add(&set, 30, 40);
    ranges_add(&set, 20, 25); /* touches the first */
    assert_int_equal(set.count, 2);
    assert_int_equal(ranges_end(&set, 10), 25);
    assert_int_equal(ranges_end(&set, 24), 25);
    assert_int_equal(ranges_end(&set, 25), 0);
    assert_int_equal(ranges_end(&set, 9), 0);
    assert_true(ranges_overlap(&set, 0, 11));
    assert_false(ranges_overlap(&set, 0, 10));
    assert_false(ranges_overlap(&set, 25, 30));
    assert_true(ranges_overlap(&set, 25, 31));
    ranges_remove(&set, 12, 35); /* cuts both */
    assert_int_equal(set.count, 2);
    assert_int_equal(ranges_end(&set, 11), 12);
    assert_int_equal(ranges_end(&set, 34), 0);
    assert_int_equal(ranges_end(&set, 35), 40);
    ranges_remove(&set, 36, 37); /* splits */
    assert_int_equal(set.count, 3);
    assert_int_equal(ranges_end(&set, 35), 36);
    assert_int_equal(ranges_end(&set, 37), 40);
    ranges_add(&set, 0, 100);
    assert_int_equal(set.count, 1);
    assert_int_equal(ranges_end(&set, 0), 100);
    ranges_remove(&set, 0, 100);
    assert_int_equal(set.count, 0);
    ranges_free(&set);
}

/* The highest place that is free in both sets, against one bit per address. */
static void test_ranges_room(void **state)
{
    struct address_ranges sets[2] = {0};
    bool in[64] = {0};
    uint32_t random = 7;
    (void)state;

    for (unsigned round = 0; round < 20000; round++) {
        random = random * 1664525u + 1013904223u;
        struct address_ranges *set = &sets[random >> 31];
        unsigned at = random >> 24 & 63, end = at + (random >> 20 & 7) > 64 ? 64 : at + (random >> 20 & 7);
        if (random >> 10 & 15) {
            assert_int_equal(ranges_reserve(set), 0);
            ranges_add(set, at, end);
            for (unsigned i = at; i < end; i++)
                in[i] = true;
        } else {
            ranges_free(&sets[0]);
            ranges_free(&sets[1]);
            memset(in, 0, sizeof in);
        }
        unsigned low = random >> 4 & 31, size = 1 + (random >> 14 & 15), alignment = 1 << (random >> 18 & 3);
        unsigned expected = 0;
        for (unsigned start = low; start + size <= 60; start++) {
            bool free_place = start % alignment == 0;
            for (unsigned i = start; i < start + size; i++)
                free_place &= !in[i];
            if (free_place)
                expected = start;
        }
        assert_int_equal(ranges_find_room(&sets[0], &sets[1], low, 60, size, alignment), expected);
    }
    ranges_free(&sets[0]);
    ranges_free(&sets[1]);
}

/* Against one bit per address. */
static void test_ranges_random(void **state)
{
    struct address_ranges set = {0};
    bool in[64] = {0};
    uint32_t random = 1;
    (void)state;

    for (unsigned round = 0; round < 20000; round++) {
        random = random * 1664525u + 1013904223u;
        unsigned a = random >> 26, b = (random >> 20) & 63, low = a < b ? a : b, high = a < b ? b : a;
        bool adds = random >> 8 & 1;
        assert_int_equal(ranges_reserve(&set), 0);
        if (adds)
            ranges_add(&set, low, high);
        else
            ranges_remove(&set, low, high);
        for (unsigned i = low; i < high; i++)
            in[i] = adds;
        bool any = false;
        for (unsigned i = 0; i < 64; i++) {
            unsigned end = i;
            while (end < 64 && in[end])
                end++;
            assert_int_equal(ranges_end(&set, i), in[i] ? end : 0);
            any |= in[i] && i >= low && i < high;
        }
        assert_int_equal(ranges_overlap(&set, low, high), any);
    }
    ranges_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),          cmocka_unit_test(test_small),
        cmocka_unit_test(test_wrong_kind),    cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_hostile),       cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_ranges_random), cmocka_unit_test(test_ranges_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
