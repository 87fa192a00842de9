/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bzImages that are unpacked by the host: formats, places, relocations, and what is left to the kernel. */
#include "boot_harness.h"

#include <elf.h>
#include <lzma.h>
#include <stdio.h>
#include <zlib.h>
#include <zstd.h>

#include "boot/unpack.h"

/* -- formats -----------------------------------------------------------------------------------------------
 */

#define PLAIN_SIZE 300000
static uint8_t plain[PLAIN_SIZE], packed[2 * PLAIN_SIZE], again[PLAIN_SIZE];

static size_t pack_gzip(const uint8_t *data, size_t size)
{
    z_stream stream = {.next_in = (uint8_t *)(uintptr_t)data,
                       .avail_in = (unsigned)size,
                       .next_out = packed,
                       .avail_out = sizeof packed};
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t packed_size = stream.total_out;
    deflateEnd(&stream);
    return packed_size;
}

static size_t pack_xz(const uint8_t *data, size_t size)
{
    size_t packed_size = 0;
    assert_int_equal(
        lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, data, size, packed, &packed_size, sizeof packed),
        LZMA_OK);
    return packed_size;
}

static size_t pack_zstd(const uint8_t *data, size_t size)
{
    return ZSTD_compress(packed, sizeof packed, data, size, 1);
}

/* Literals only: a block with one sequence. */
static size_t pack_lz4(const uint8_t *data, size_t size)
{
    size_t at = 8, rest = size - 15;
    memcpy(packed, "\x02\x21\x4c\x18", 4);
    packed[at++] = 0xf0;
    for (; rest >= 255; rest -= 255)
        packed[at++] = 255;
    packed[at++] = (uint8_t)rest;
    memcpy(packed + at, data, size);
    bytes_put(packed + 4, at + size - 8, 4);
    return at + size;
}

static size_t (*const packers[])(const uint8_t *data, size_t size) = {pack_gzip, pack_xz, pack_zstd,
                                                                      pack_lz4};

static void test_formats(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < PLAIN_SIZE; i++)
        plain[i] = (uint8_t)(i * i >> (i >> 12 & 7));
    for (unsigned i = 0; i < 4; i++) {
        size_t size = packers[i](plain, PLAIN_SIZE);
        assert_true(unpack(packed, size, again, PLAIN_SIZE));
        assert_memory_equal(plain, again, PLAIN_SIZE);
        assert_false(unpack(packed, size, again, PLAIN_SIZE - 1));
        assert_false(unpack(packed, size / 2, again, PLAIN_SIZE));
        for (size_t left = 0; left < 12; left++)
            assert_false(unpack(packed, left, again, PLAIN_SIZE));
    }
    assert_false(unpack((const uint8_t *)"nothing of that kind", 20, again, 10));
}

static void test_lz4(void **unused)
{
    (void)unused;
    /* "abc", then 4 + 15 + 2 bytes from 3 before, then "Z"; a second block that reaches back by 1. */
    static const uint8_t good[] = "\x02\x21\x4c\x18\x09\0\0\0\x3f"
                                  "abc\x03\0\x02\x10Z\x06\0\0\0\x10"
                                  "y\x01\0\x10"
                                  "e";
    static const uint8_t want[] = "abcabcabcabcabcabcabcabcZyyyyye";
    static const struct {
        size_t size;
        const char *bytes;
    } bad[] = {
        {12, "\x02\x21\x4c\x18\x04\0\0\0\xf0\xff\xff\xff"}, {12, "\x02\x21\x4c\x18\x04\0\0\0\x10z\x01"},
        {13, "\x02\x21\x4c\x18\x05\0\0\0\x10z\x02\0\0"},    {13, "\x02\x21\x4c\x18\x05\0\0\0\x10z\0\0\0"},
        {12, "\x02\x21\x4c\x18\xff\xff\xff\xff\x10zzz"},
    };
    uint8_t out[64];
    assert_true(unpack(good, 27, out, 31));
    assert_memory_equal(out, want, 31);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(unpack((const uint8_t *)bad[i].bytes, bad[i].size, out, sizeof out));
}

/* -- kernels -----------------------------------------------------------------------------------------------
 */

#define SEGMENT   0x1000 /* offset in the ELF file */
#define LINKED    0x1000000u
#define VIRTUAL   0xffffffff81000000
#define ENTRY     0x440u
#define INIT_SIZE 0x800000u

/* An ELF file with a segment that has the values 32-bit, inverse, 64-bit at 100h, 108h, 110h; and the words
 * of relocations after it. */
static size_t make_vmlinux(bool wide, unsigned count, const uint32_t *relocations)
{
    uint8_t *code = plain + SEGMENT;
    size_t end = 0x3000 + (wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr));
    memset(plain, 0, sizeof plain);
    if (wide) {
        Elf64_Ehdr header = {.e_type = ET_EXEC,
                             .e_machine = EM_X86_64,
                             .e_entry = LINKED + ENTRY,
                             .e_phoff = sizeof header,
                             .e_phentsize = sizeof(Elf64_Phdr),
                             .e_phnum = 1,
                             .e_shoff = 0x3000,
                             .e_shentsize = sizeof(Elf64_Shdr),
                             .e_shnum = 1};
        Elf64_Phdr segment = {PT_LOAD, 7, SEGMENT, VIRTUAL, LINKED, 0x1800, 0x4000, 0x200000};
        memcpy(header.e_ident, "\177ELF\2\1\1", 7);
        memcpy(plain, &header, sizeof header);
        memcpy(plain + sizeof header, &segment, sizeof segment);
    } else {
        Elf32_Ehdr header = {.e_type = ET_EXEC,
                             .e_machine = EM_386,
                             .e_entry = LINKED + ENTRY,
                             .e_phoff = sizeof header,
                             .e_phentsize = sizeof(Elf32_Phdr),
                             .e_phnum = 1,
                             .e_shoff = 0x3000,
                             .e_shentsize = sizeof(Elf32_Shdr),
                             .e_shnum = 1};
        Elf32_Phdr segment = {PT_LOAD, SEGMENT, 0xc1000000, LINKED, 0x1800, 0x4000, 7, 0x1000};
        memcpy(header.e_ident, "\177ELF\1\1\1", 7);
        memcpy(plain, &header, sizeof header);
        memcpy(plain + sizeof header, &segment, sizeof segment);
    }
    for (unsigned i = 0; i < 0x1800; i++)
        code[i] = (uint8_t)(i * 3);
    bytes_put(code + 0x100, wide ? 0x81000200 : 0xc1000200, 4);
    bytes_put(code + 0x108, 0x10, 4);
    bytes_put(code + 0x110, VIRTUAL + 0x300, 8);
    for (unsigned i = 0; i < count; i++)
        bytes_put(plain + end + 4 * i, relocations[i], 4);
    return end + 4 * count;
}

static uint8_t *image;

/* The bzImage of what make_vmlinux() made. */
static void make_kernel(struct boot_machine *m, bool wide, size_t size, unsigned packer)
{
    size_t packed_size = packers[packer](plain, size);
    if (packer > 0) {
        bytes_put(packed + packed_size, size, 4);
        packed_size += 4;
    }
    size_t code_size = (0x400 + packed_size + 15) & ~15ull;
    free(image);
    image = make_bzimage(code_size);
    memcpy(image + TEST_SETUP_SIZE + 0x300, packed, packed_size);
    bytes_put(image + 0x248, 0x300, 4);
    bytes_put(image + 0x24c, packed_size, 4);
    bytes_put(image + 0x260, INIT_SIZE, 4);
    if (!wide)
        bytes_put(image + 0x236, 0, 2);
    machine_kernel(m, image, TEST_SETUP_SIZE + code_size);
}

static unsigned load_flags(struct boot_machine *m)
{
    return (unsigned)machine_get(m, m->state.gpr[X86_RSI] + 0x211, 1);
}

/* Boots, unpacked; by how much the addresses have been moved. */
static uint64_t boot_moved(struct boot_machine *m, bool wide, bool inverse)
{
    assert_int_equal(machine_boot(m), 0);
    uint64_t start = m->state.rip - ENTRY;
    assert_int_equal(start & 0x1fffff, 0);
    assert_in_range(start, LINKED, m->config.layout.below - INIT_SIZE);
    assert_int_equal(load_flags(m) & 2, 2);
    machine_has(m, start, plain + SEGMENT, 0x100);
    machine_has(m, start + 0x118, plain + SEGMENT + 0x118, 0x1800 - 0x118);
    if (!wide) {
        assert_int_equal(machine_get(m, start + 0x100, 4), 0xc1000200 + start - LINKED);
        return start - LINKED;
    }
    uint64_t delta = machine_get(m, start + 0x110, 8) - VIRTUAL - 0x300;
    assert_int_equal(delta & 0x1fffff, 0);
    assert_in_range(delta, 0, (1ull << 30) - LINKED - INIT_SIZE);
    assert_int_equal(machine_get(m, start + 0x100, 4), 0x81000200 + delta);
    assert_int_equal(machine_get(m, start + 0x108, 4), (uint32_t)(0x10 - (inverse ? delta : 0)));
    return delta;
}

static const uint32_t three_lists[] = {0, 0x81000110, 0, 0x81000108, 0, 0x81000100};
static const uint32_t two_lists[] = {0, 0x81000110, 0, 0x81000100};
static const uint32_t one_list[] = {0, 0xc1000100};

static void test_random(void **unused)
{
    (void)unused;
    static const struct {
        bool wide, inverse;
        const uint32_t *lists;
        unsigned count;
    } cases[] = {{true, true, three_lists, 6}, {true, false, two_lists, 4}, {false, false, one_list, 2}};
    for (unsigned i = 0; i < 3; i++) {
        struct boot_machine m;
        uint64_t delta = 0, places = 0, place = 0;
        machine_set_up(&m, 128 * MIB);
        make_kernel(&m, cases[i].wide, make_vmlinux(cases[i].wide, cases[i].count, cases[i].lists), i);
        for (unsigned turn = 0; turn < 40; turn++) {
            delta |= boot_moved(&m, cases[i].wide, cases[i].inverse);
            places += m.state.rip != place;
            place = m.state.rip;
        }
        assert_true(delta && places > 1);

        m.config.command_line = "quiet nokaslr";
        assert_int_equal(machine_boot(&m), 0);
        assert_int_equal(m.state.rip, LINKED + ENTRY);
        assert_int_equal(load_flags(&m) & 2, 0);
        machine_has(&m, LINKED, plain + SEGMENT, 0x1800);
        m.config.command_line = "nokaslrx";
        assert_int_equal(machine_boot(&m), 0);
        assert_int_equal(load_flags(&m) & 2, 2);
        machine_tear_down(&m);
    }
}

/* However the kernel is placed, the initial RAM disk has room. */
static void test_room(void **unused)
{
    (void)unused;
    struct boot_machine m;
    uint8_t *initrd = calloc(1, 36 * MIB);
    assert_non_null(initrd);
    machine_set_up(&m, 64 * MIB);
    make_kernel(&m, true, make_vmlinux(true, 6, three_lists), 3);
    machine_module(&m, initrd, 36 * MIB, NULL);
    for (unsigned turn = 0; turn < 20; turn++)
        boot_moved(&m, true, true);
    machine_tear_down(&m);
    free(initrd);
}

/* The kernel is to unpack itself. */
static void assert_packed(struct boot_machine *m)
{
    assert_int_equal(machine_boot(m), 0);
    assert_int_equal(m->state.rip, LINKED + 0x200);
    assert_int_equal(load_flags(m) & 2, 0);
    machine_has(m, LINKED, image + TEST_SETUP_SIZE, 0x400);
}

static void test_left_to_kernel(void **unused)
{
    (void)unused;
    static const uint32_t outside[] = {0, 0x81000110, 0, 0x81000108, 0, 0x81001800};
    static const uint32_t before[] = {0, 0x80fffffc, 0, 0x81000108, 0, 0x81000100};
    static const uint32_t four_lists[] = {0, 0, 0x81000110, 0, 0x81000108, 0, 0x81000100};
    struct boot_machine m;
    machine_set_up(&m, 64 * MIB);
    make_kernel(&m, true, make_vmlinux(true, 6, outside), 1);
    assert_packed(&m);
    make_kernel(&m, true, make_vmlinux(true, 6, before), 1);
    assert_packed(&m);
    make_kernel(&m, true, make_vmlinux(true, 7, four_lists), 1);
    assert_packed(&m);
    make_kernel(&m, true, make_vmlinux(true, 0, NULL), 1);
    assert_packed(&m);
    m.config.command_line = "nokaslr"; /* then none are needed */
    assert_int_equal(machine_boot(&m), 0);
    assert_int_equal(m.state.rip, LINKED + ENTRY);
    m.config.command_line = NULL;

    make_kernel(&m, true, make_vmlinux(true, 6, three_lists), 3);
    m.config.command_line = "quiet mem=32M"; /* it is to find its place itself */
    assert_packed(&m);
    m.config.command_line = "memmap=exactmap";
    assert_packed(&m);
    m.config.command_line = "xmem=32M";
    boot_moved(&m, true, true);
    m.config.command_line = NULL;
    make_kernel(&m, true, make_vmlinux(true, 6, three_lists), 0);
    boot_moved(&m, true, true);
    image[TEST_SETUP_SIZE + 0x300 + 400] ^= 1; /* damaged */
    assert_packed(&m);
    make_kernel(&m, true, make_vmlinux(true, 6, three_lists), 2);
    bytes_put(image + 0x24c, 0, 4); /* no payload */
    assert_packed(&m);
    bytes_put(image + 0x24c, UINT32_MAX, 4);
    assert_packed(&m);
    size_t size = make_vmlinux(true, 6, three_lists);
    plain[18] = EM_AARCH64;
    make_kernel(&m, true, size, 3);
    assert_packed(&m);
    size = make_vmlinux(true, 6, three_lists);
    bytes_put(plain + sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, p_filesz), INIT_SIZE, 8);
    make_kernel(&m, true, size, 3);
    assert_packed(&m);
    machine_tear_down(&m);
    free(image);
    image = NULL;
}

/* -- initial RAM disks ------------------------------------------------------------------------------------
 */

/* What the kernel finds, after a boot with this as initial RAM disk. */
static void assert_initrd(struct boot_machine *m, const void *disk, size_t disk_size, const void *want,
                          size_t want_size)
{
    machine_module(m, disk, disk_size, NULL);
    assert_int_equal(machine_boot(m), 0);
    assert_int_equal(machine_get(m, m->state.gpr[X86_RSI] + 0x21c, 4), want_size);
    machine_has(m, machine_get(m, m->state.gpr[X86_RSI] + 0x218, 4), want, want_size);
    boot_file_close(m->modules[--m->config.module_count].file);
}

/* The host unpacks what it knows and what is not large; the kernel gets the rest as it is. */
static void test_initrds(void **unused)
{
    (void)unused;
    const size_t large = 9 * MIB;
    struct boot_machine m;
    uint8_t *disk = calloc(1, large);
    assert_non_null(disk);
    machine_set_up(&m, 64 * MIB);
    make_kernel(&m, true, make_vmlinux(true, 6, three_lists), 2);
    for (size_t i = 0; i < PLAIN_SIZE; i++)
        disk[i] = (uint8_t)(i * i >> (i >> 12 & 7));
    for (unsigned i = 0; i < 4; i++) {
        size_t size = packers[i](disk, PLAIN_SIZE);
        if (i == 3) { /* lz4 is quick enough */
            assert_initrd(&m, packed, size, packed, size);
            continue;
        }
        assert_initrd(&m, packed, size, disk, PLAIN_SIZE);
        assert_initrd(&m, packed, size - 9, packed, size - 9); /* cut off */
        memset(packed + size, 0, 512);
        assert_initrd(&m, packed, size + 512, disk, PLAIN_SIZE); /* filled up */
        packed[size + 3] = 1;                                    /* something else follows */
        assert_initrd(&m, packed, size + 4, packed, size + 4);
        size = packers[i](disk, large); /* more than an eighth */
        assert_initrd(&m, packed, size, packed, size);
        size = packers[i](disk, 7 * MIB);
        assert_initrd(&m, packed, size, disk, 7 * MIB);
    }
    assert_initrd(&m, "070701", 6, "070701", 6);
    machine_tear_down(&m);
    free(disk);
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),        cmocka_unit_test(test_lz4),
        cmocka_unit_test(test_random),         cmocka_unit_test(test_room),
        cmocka_unit_test(test_left_to_kernel), cmocka_unit_test(test_initrds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
