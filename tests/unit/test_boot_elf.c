/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ELF kernels: PVH, multiboot 1 and 2, and images with addresses in a multiboot header. */
#include "boot_harness.h"

#include <elf.h>
#include <errno.h>

#include "arch/x86/paging.h"
#include "base/macros.h"

#define IMAGE_SIZE 0x4000
#define CODE       0x2000 /* offset of what is loaded */
#define LOADED_AT  0x200000u

static uint8_t image[IMAGE_SIZE];

static void put_segment(bool wide, unsigned index, uint32_t type, uint64_t offset, uint64_t address,
                        uint64_t size, uint64_t memory)
{
    uint8_t *at = image + (wide ? sizeof(Elf64_Ehdr) + index * sizeof(Elf64_Phdr)
                                : sizeof(Elf32_Ehdr) + index * sizeof(Elf32_Phdr));
    if (wide) {
        Elf64_Phdr phdr = {type, 5, offset, address + 0xffffffff80000000, address, size, memory, 4};
        memcpy(at, &phdr, sizeof phdr);
    } else {
        Elf32_Phdr phdr = {
            type, (uint32_t)offset, (uint32_t)address, (uint32_t)address, (uint32_t)size, (uint32_t)memory, 5,
            4};
        memcpy(at, &phdr, sizeof phdr);
    }
}

/* One segment with code and 1000h zeros after it, and one of notes without any. */
static void make_elf(bool wide)
{
    memset(image, 0, sizeof image);
    for (unsigned i = CODE; i < IMAGE_SIZE; i++)
        image[i] = (uint8_t)(i * 7);
    if (wide) {
        Elf64_Ehdr header = {.e_type = ET_EXEC,
                             .e_machine = EM_X86_64,
                             .e_version = 1,
                             .e_entry = 0xffffffff80000000 + LOADED_AT + 0x10,
                             .e_phoff = sizeof header,
                             .e_phentsize = sizeof(Elf64_Phdr),
                             .e_phnum = 2};
        memcpy(header.e_ident, "\177ELF\2\1\1", 7);
        memcpy(image, &header, sizeof header);
    } else {
        Elf32_Ehdr header = {.e_type = ET_EXEC,
                             .e_machine = EM_386,
                             .e_version = 1,
                             .e_entry = LOADED_AT + 0x10,
                             .e_phoff = sizeof header,
                             .e_phentsize = sizeof(Elf32_Phdr),
                             .e_phnum = 2};
        memcpy(header.e_ident, "\177ELF\1\1\1", 7);
        memcpy(image, &header, sizeof header);
    }
    put_segment(wide, 0, PT_LOAD, CODE, LOADED_AT, IMAGE_SIZE - CODE, IMAGE_SIZE - CODE + 0x1000);
    put_segment(wide, 1, PT_NOTE, 0x400, 0, 0, 0);
}

static size_t put_note(size_t at, const char *name, uint32_t type, uint64_t value, unsigned size)
{
    bytes_put(image + at, strlen(name) + 1, 4);
    bytes_put(image + at + 4, size, 4);
    bytes_put(image + at + 8, type, 4);
    strcpy((char *)image + at + 12, name);
    at += 12 + ((strlen(name) + 4) & ~3ull);
    bytes_put(image + at, value, size);
    return at + ((size + 3) & ~3u);
}

static void make_pvh(bool wide)
{
    make_elf(wide);
    size_t end = put_note(0x400, "GNU", 18, 0x1234, 4);
    end = put_note(end, "Xen", 6, 1, 2);
    end = put_note(end, "Xen", 18, LOADED_AT + 0x20, wide ? 8 : 4);
    put_segment(wide, 1, PT_NOTE, 0x400, 0, end - 0x400, end - 0x400);
}

static void assert_entered(const struct boot_machine *m, uint64_t entry)
{
    assert_int_equal(m->state.rip, entry);
    assert_int_equal(m->state.cr0 & (X86_CR0_PE | X86_CR0_PG), X86_CR0_PE);
    assert_int_equal(m->state.cr4, 0);
    assert_int_equal(m->state.efer, 0);
    assert_int_equal(x86_eflags_get(&m->state), 2);
    assert_int_equal(m->state.segment[X86_CS].attributes, 0xc09b);
    assert_int_equal(m->state.segment[X86_DS].attributes, 0xc093);
    assert_int_equal(m->state.tr.attributes & 0xff, 0x8b);
    assert_int_equal(m->state.tr.limit, 0x67);
}

static void assert_loaded(struct boot_machine *m)
{
    static const uint8_t zeros[0x1000];
    machine_has(m, LOADED_AT, image + CODE, IMAGE_SIZE - CODE);
    machine_has(m, LOADED_AT + IMAGE_SIZE - CODE, zeros, sizeof zeros);
}

static void test_pvh(void **unused)
{
    (void)unused;
    for (unsigned wide = 0; wide < 2; wide++) {
        struct boot_machine m;
        make_pvh(wide);
        machine_set_up(&m, 32 * MIB);
        memset(m.backing->host + LOADED_AT, 0xff, 0x10000);
        machine_kernel(&m, image, sizeof image);
        machine_module(&m, "first", 5, "one");
        machine_module(&m, "second", 6, NULL);
        m.config.command_line = "console=ttyS0";
        m.config.acpi_rsdp = 0xe0000;
        memset(&m.state, 0xff, sizeof m.state);
        assert_int_equal(boot_detect(m.config.kernel, &m.error), BOOT_PVH);
        assert_int_equal(machine_boot(&m), 0);
        assert_entered(&m, LOADED_AT + 0x20);
        assert_loaded(&m);
        uint64_t info = m.state.gpr[X86_RBX];
        assert_int_equal(machine_get(&m, info, 8), 0x1336ec578);
        assert_int_equal(machine_get(&m, info + 8, 8), UINT64_C(2) << 32);
        machine_has(&m, machine_get(&m, info + 24, 8), "console=ttyS0", 14);
        assert_int_equal(machine_get(&m, info + 32, 8), 0xe0000);
        uint64_t list = machine_get(&m, info + 16, 8), map = machine_get(&m, info + 40, 8);
        machine_has(&m, machine_get(&m, list, 8), "first", 5);
        assert_int_equal(machine_get(&m, list + 8, 8), 5);
        machine_has(&m, machine_get(&m, list + 16, 8), "one", 4);
        machine_has(&m, machine_get(&m, list + 32, 8), "second", 6);
        machine_has(&m, machine_get(&m, list + 48, 8), "", 1);
        assert_int_equal(machine_get(&m, info + 48, 4), 4);
        assert_int_equal(machine_get(&m, map + 2 * 24, 8), MIB);
        assert_int_equal(machine_get(&m, map + 2 * 24 + 8, 8), 31 * MIB);
        assert_int_equal(machine_get(&m, map + 2 * 24 + 16, 8), 1);
        machine_tear_down(&m);
    }
}

static void test_elf_refusals(void **unused)
{
    (void)unused;
    struct boot_machine m;
    machine_set_up(&m, 32 * MIB);
    make_elf(true);
    machine_kernel(&m, image, sizeof image);
    machine_refuses(&m, "neither a multiboot header nor a PVH entry");
    make_pvh(true);
    machine_kernel(&m, image, sizeof image - 1);
    machine_refuses(&m, "test.kernel is too short: 16383 bytes, its headers speak of 16384");
    machine_kernel(&m, image, sizeof image);
    put_segment(true, 0, PT_LOAD, CODE, 31 * MIB, 16, 2 * MIB);
    machine_refuses(
        &m, "it wants to be at 1f00000h to 20fffffh, where there is no free memory in a machine with 32 MiB");
    put_segment(true, 0, PT_LOAD, CODE, UINT64_MAX - 8, 16, UINT64_MAX);
    machine_refuses(&m, "no free memory");
    put_segment(true, 0, PT_LOAD, CODE, 0x1000, 16, 16); /* the loader's own */
    machine_refuses(&m, "no free memory");
    put_segment(true, 0, PT_LOAD, CODE, LOADED_AT, 32, 16);
    machine_refuses(&m, "more in the file than in memory");
    put_segment(true, 0, PT_LOAD, CODE, LOADED_AT, 16, 0x20);
    machine_refuses(&m, "its PVH entry 200020h is outside of it");
    put_segment(true, 0, PT_NULL, CODE, LOADED_AT, 16, 16);
    machine_refuses(&m, "nothing to load");
    image[offsetof(Elf64_Ehdr, e_phnum)] = 200;
    machine_refuses(&m, "neither");
    make_pvh(true);
    machine_module(&m, image, 16, NULL);
    m.modules[0].file->size = 31 * MIB;
    machine_refuses(&m, "initrd test.initrd: its 31 MiB do not fit");
    m.modules[0].file->size = 0;
    static char text[0x11000];
    memset(text, 'x', sizeof text - 1);
    m.modules[0].command_line = text;
    machine_refuses(&m, "the command lines take");
    m.config.command_line = text;
    machine_refuses(&m, "the command line has 69631 bytes");
    machine_tear_down(&m);
}

static void put_header(unsigned at, uint32_t flags)
{
    bytes_put(image + at, 0x1badb002, 4);
    bytes_put(image + at + 4, flags, 4);
    bytes_put(image + at + 8, (uint64_t)0 - 0x1badb002 - flags, 4);
}

static void test_multiboot(void **unused)
{
    (void)unused;
    for (unsigned wide = 0; wide < 2; wide++) {
        struct boot_machine m;
        make_elf(wide);
        put_header(0x1ff4, 3);
        machine_set_up(&m, 32 * MIB);
        memset(m.backing->host + LOADED_AT, 0xff, 0x10000);
        machine_kernel(&m, image, sizeof image);
        machine_module(&m, "first", 5, "one");
        machine_module(&m, "second", 6, "two");
        m.config.command_line = "a b";
        assert_int_equal(boot_detect(m.config.kernel, &m.error), BOOT_MULTIBOOT);
        assert_int_equal(machine_boot(&m), 0);
        assert_entered(&m, LOADED_AT + 0x10);
        assert_loaded(&m);
        assert_int_equal(m.state.gpr[X86_RAX], 0x2badb002);
        uint64_t info = m.state.gpr[X86_RBX];
        assert_int_equal(machine_get(&m, info, 4), 0x24d);
        assert_int_equal(machine_get(&m, info + 4, 4), 640);
        assert_int_equal(machine_get(&m, info + 8, 4), 31 * 1024);
        machine_has(&m, machine_get(&m, info + 16, 4), "test.kernel a b", 16);
        assert_int_equal(machine_get(&m, info + 20, 4), 2);
        uint64_t list = machine_get(&m, info + 24, 4), map = machine_get(&m, info + 48, 4);
        for (unsigned i = 0; i < 2; i++) {
            uint64_t start = machine_get(&m, list + 16 * i, 4), end = machine_get(&m, list + 16 * i + 4, 4);
            assert_int_equal(start, LOADED_AT + IMAGE_SIZE - CODE + 0x1000 + 0x1000 * i);
            assert_int_equal(end - start, 5 + i);
            machine_has(&m, start, i ? "second" : "first", 5 + i);
            machine_has(&m, machine_get(&m, list + 16 * i + 8, 4), i ? "two" : "one", 4);
        }
        machine_has(&m, machine_get(&m, info + 64, 4), "visor", 6);
        assert_int_equal(machine_get(&m, info + 44, 4), 4 * 24);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(machine_get(&m, map + 24 * i, 4), 20);
        assert_int_equal(machine_get(&m, map + 48 + 4, 8), MIB);
        assert_int_equal(machine_get(&m, map + 48 + 12, 8), 31 * MIB);
        assert_int_equal(machine_get(&m, map + 48 + 20, 4), 1);
        machine_tear_down(&m);
    }
}

/* Below 640 KiB, all but interrupt vectors and what is written for the kernel. */
static void test_multiboot_low(void **unused)
{
    static const struct {
        uint32_t address, size;
        bool fits;
    } cases[] = {
        {0x8000, 0x2000, true},    {0x2000, 0x2e000, true},  {0x40000, 0x60000, true},
        {0x40000, 0x60001, false}, {0x2000, 0x2e001, false}, {0x3fff0, 0x100, false},
        {0, 0x100, false},         {0x1ff0, 0x100, false},
    };
    (void)unused;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct boot_machine m;
        make_elf(false);
        put_header(0x1000, 3);
        put_segment(false, 0, PT_LOAD, CODE, cases[i].address, 0x100, cases[i].size);
        bytes_put(image + offsetof(Elf32_Ehdr, e_entry), cases[i].address + 0x10, 4);
        machine_set_up(&m, 32 * MIB);
        machine_kernel(&m, image, sizeof image);
        if (cases[i].fits) {
            assert_int_equal(machine_boot(&m), 0);
            assert_entered(&m, cases[i].address + 0x10);
            machine_has(&m, cases[i].address, image + CODE, 0x100);
            machine_has(&m, machine_get(&m, m.state.gpr[X86_RBX] + 16, 4), "test.kernel ", 13);
        } else {
            machine_refuses(&m, "no free memory");
        }
        machine_tear_down(&m);
    }
}

static void put_addresses(unsigned at, uint32_t header, uint32_t load, uint32_t load_end, uint32_t bss_end,
                          uint32_t entry)
{
    const uint32_t values[] = {header, load, load_end, bss_end, entry};
    for (unsigned i = 0; i < 5; i++)
        bytes_put(image + at + 12 + 4 * i, values[i], 4);
}

static void test_addresses(void **unused)
{
    (void)unused;
    struct boot_machine m;
    memset(image, 0x5a, sizeof image);
    put_header(0x104, 0x10000);
    machine_set_up(&m, 32 * MIB);
    machine_kernel(&m, image, sizeof image);
    put_addresses(0x104, 0x300004, 0x300000, 0x300800, 0x302000, 0x300080);
    assert_int_equal(machine_boot(&m), 0);
    assert_entered(&m, 0x300080);
    machine_has(&m, 0x300000, image + 0x100, 0x800);
    assert_int_equal(machine_get(&m, 0x300800, 8), 0);
    put_addresses(0x104, 0x300104, 0x300000, 0, 0, 0x300080); /* all of the file */
    assert_int_equal(machine_boot(&m), 0);
    machine_has(&m, 0x300000, image, sizeof image);

    put_addresses(0x104, 0x300004, 0x300008, 0, 0, 0x300080);
    machine_refuses(&m, "the addresses in its multiboot header cannot be");
    put_addresses(0x104, 0x301000, 0x300000, 0, 0, 0x300080);
    machine_refuses(&m, "cannot be");
    put_addresses(0x104, 0x300004, 0x300000, 0x300800, 0x300400, 0x300080);
    machine_refuses(&m, "cannot be");
    put_addresses(0x104, 0x300004, 0x300000, 0x308000, 0, 0x300080);
    machine_refuses(&m, "too short");
    put_addresses(0x104, 0x300004, 0x300000, 0x300800, 0xf0000000, 0x300080);
    machine_refuses(&m, "no free memory");
    put_addresses(0x104, 0x300004, 0x300000, 0x300800, 0, 0x300800);
    machine_refuses(&m, "its entry 300800h is outside of it");
    put_header(0x104, 0x10008);
    machine_refuses(&m, "8h");
    put_header(0x104, 0);
    machine_refuses(&m, "no addresses, and it is no ELF file");
    machine_kernel(&m, image, 0x110);
    put_header(0x104, 0x10000);
    machine_refuses(&m, "cut off");
    machine_tear_down(&m);
}

/* -- multiboot 2 -------------------------------------------------------------------------------------------
 */

static unsigned put_tag(unsigned at, unsigned type, unsigned flags, unsigned count, const uint32_t *values)
{
    bytes_put(image + at, type | flags << 16, 4);
    bytes_put(image + at + 4, 8 + 4 * count, 4);
    for (unsigned i = 0; i < count; i++)
        bytes_put(image + at + 8 + 4 * i, values[i], 4);
    return at + ((8 + 4 * count + 7) & ~7u);
}

static void put_header2(unsigned at, unsigned end)
{
    unsigned size = put_tag(end, 0, 0, 0, NULL) - at;
    bytes_put(image + at, 0xe85250d6, 4);
    bytes_put(image + at + 4, 0, 4);
    bytes_put(image + at + 8, size, 4);
    bytes_put(image + at + 12, (uint64_t)0 - 0xe85250d6 - size, 4);
}

/* The tag's address in the information, or 0; all tags are within it. */
static uint64_t find_info(struct boot_machine *m, unsigned type, unsigned skip)
{
    uint64_t info = m->state.gpr[X86_RBX], end = info + machine_get(m, info, 4), at = info + 8, found = 0;
    assert_int_equal(info & 7, 0);
    for (;;) {
        uint64_t size = machine_get(m, at + 4, 4), its_type = machine_get(m, at, 4);
        assert_in_range(size, 8, end - at);
        if (its_type == type && skip-- == 0)
            found = at;
        if (!its_type)
            break;
        at = (at + size + 7) & ~7ull;
    }
    assert_int_equal(at + 8, end);
    return found;
}

static void test_multiboot2(void **unused)
{
    (void)unused;
    struct boot_machine m;
    const uint32_t wanted[] = {1, 4, 6, 15}, other = 8;
    make_elf(true);
    unsigned end = put_tag(0x200, 1, 0, 4, wanted);
    end = put_tag(end, 1, 1, 1, &other);
    end = put_tag(end, 6, 0, 0, NULL);
    end = put_tag(end, 77, 1, 0, NULL);
    put_header2(0x1f0, end);
    machine_set_up(&m, 32 * MIB);
    machine_kernel(&m, image, sizeof image);
    machine_module(&m, "first", 5, "one");
    machine_module(&m, "second", 6, "two");
    m.config.command_line = "a b";
    m.config.acpi_rsdp = 0xe0000;
    memory_write(&m.map, 0xe0000, "RSD PTR ", 8);
    assert_int_equal(boot_detect(m.config.kernel, &m.error), BOOT_MULTIBOOT2);
    assert_int_equal(machine_boot(&m), 0);
    assert_entered(&m, LOADED_AT + 0x10);
    assert_loaded(&m);
    assert_int_equal(m.state.gpr[X86_RAX], 0x36d76289);
    machine_has(&m, find_info(&m, 1, 0) + 8, "a b", 4);
    machine_has(&m, find_info(&m, 2, 0) + 8, "visor", 6);
    uint64_t module = find_info(&m, 3, 1);
    machine_has(&m, machine_get(&m, module + 8, 4), "second", 6);
    assert_int_equal(machine_get(&m, module + 12, 4) - machine_get(&m, module + 8, 4), 6);
    machine_has(&m, module + 16, "two", 4);
    assert_int_equal(machine_get(&m, find_info(&m, 4, 0) + 8, 8), 31ull * 1024 << 32 | 640);
    uint64_t map = find_info(&m, 6, 0);
    assert_int_equal(machine_get(&m, map + 4, 4), 16 + 4 * 24);
    assert_int_equal(machine_get(&m, map + 16 + 48 + 8, 8), 31 * MIB);
    machine_has(&m, find_info(&m, 15, 0) + 8, "RSD PTR ", 8);
    assert_int_equal(machine_get(&m, find_info(&m, 21, 0) + 8, 4), LOADED_AT);

    m.config.acpi_rsdp = 0;
    machine_refuses(&m, "information 15, which there is not");
    put_header2(0x1f0, put_tag(0x200, 5, 0, 3, wanted));
    machine_refuses(&m, "graphics");
    put_header2(0x1f0, put_tag(0x200, 78, 0, 0, NULL));
    machine_refuses(&m, "what is not known");
    put_header2(0x1f0, put_tag(0x200, 2, 0, 1, wanted));
    machine_refuses(&m, "damaged");
    put_header2(0x1f0, 0x200);
    bytes_put(image + 0x200, 6, 4); /* without an end */
    machine_refuses(&m, "damaged");
    put_header2(0x1f0, 0x200);
    bytes_put(image + 0x1f4, 4, 4);
    bytes_put(image + 0x1fc, (uint64_t)0 - 0xe85250d6 - 4 - 24, 4);
    machine_refuses(&m, "another processor");

    const uint32_t addresses[] = {0x3001f0, 0x300000, 0x301000, 0x302000}, entry = 0x300444;
    put_header2(0x1f0, put_tag(0x200, 2, 0, 4, addresses));
    machine_refuses(&m, "addresses and no entry");
    put_header2(0x1f0, put_tag(put_tag(0x200, 2, 0, 4, addresses), 3, 0, 1, &entry));
    assert_int_equal(machine_boot(&m), 0);
    assert_entered(&m, 0x300444);
    machine_has(&m, 0x300000, image, 0x1000);
    machine_tear_down(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pvh),        cmocka_unit_test(test_elf_refusals),
        cmocka_unit_test(test_multiboot),  cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_multiboot2), cmocka_unit_test(test_multiboot_low),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
