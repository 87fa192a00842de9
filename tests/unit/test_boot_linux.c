/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bzImage by the Linux/x86 boot protocol: what is where, what the registers are, what is refused. */
#include "boot_harness.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <unistd.h>

#include "arch/x86/paging.h"

#define CODE_SIZE             0x10000
#define PAGE(m, offset, size) machine_get(m, (m)->state.gpr[X86_RSI] + (offset), size)

static void test_linux64(void **unused)
{
    (void)unused;
    struct boot_machine m;
    uint8_t *image = make_bzimage(CODE_SIZE);
    machine_set_up(&m, 64 * MIB);
    machine_kernel(&m, image, TEST_SETUP_SIZE + CODE_SIZE);
    m.config.command_line = "console=ttyS0 quiet";
    m.config.acpi_rsdp = 0xe0000;
    memset(&m.state, 0xff, sizeof m.state);
    assert_int_equal(boot_detect(m.config.kernel, &m.error), BOOT_LINUX64);
    assert_int_equal(machine_boot(&m), 0);
    const struct x86_state *s = &m.state;

    assert_int_equal(s->rip, 0x1000200);
    machine_has(&m, 0x1000000, image + TEST_SETUP_SIZE, CODE_SIZE);
    assert_int_equal(s->cr0 & (X86_CR0_PE | X86_CR0_PG | X86_CR0_CD | X86_CR0_NW | X86_CR0_EM | X86_CR0_TS),
                     X86_CR0_PE | X86_CR0_PG);
    assert_int_equal(s->cr4, X86_CR4_PAE);
    assert_int_equal(s->efer, X86_EFER_LME | X86_EFER_LMA);
    assert_int_equal(x86_eflags_get(s), X86_EFLAGS_ONE);
    assert_int_equal(s->segment[X86_CS].selector, 0x10);
    assert_int_equal(s->segment[X86_CS].attributes, 0xa09b);
    for (enum x86_segment i = X86_ES; i < X86_SEGMENT_COUNT; i++) {
        assert_int_equal(s->segment[i].selector, i == X86_CS ? 0x10 : 0x18);
        assert_int_equal(s->segment[i].attributes, i == X86_CS ? 0xa09b : 0xc093);
        assert_int_equal(s->segment_base[i], 0);
        assert_int_equal(s->segment[i].limit, 0xffffffff);
        assert_in_range(s->segment[i].selector + 7u, 0, s->gdtr.limit);
    }
    assert_int_equal(machine_get(&m, s->gdtr.base + 0x10, 8), 0x00af9b000000ffff);
    assert_int_equal(machine_get(&m, s->gdtr.base + 0x18, 8), 0x00cf93000000ffff);

    assert_int_equal(PAGE(&m, 0x202, 4), 0x53726448);
    assert_int_equal(PAGE(&m, 0x1f1, 1), TEST_SETUP_SIZE / 512 - 1);
    assert_int_equal(PAGE(&m, 0x210, 1), 0xff);
    assert_int_equal(PAGE(&m, 0x70, 8), 0xe0000);
    machine_has(&m, PAGE(&m, 0x228, 4), m.config.command_line, strlen(m.config.command_line) + 1);
    assert_int_equal(PAGE(&m, 0x218, 4), 0);
    assert_int_equal(PAGE(&m, 0x21c, 4), 0);
    assert_int_equal(PAGE(&m, 0x26c, 4), 0); /* the header's end */
    machine_tear_down(&m);
    free(image);
}

static void test_identity_map(void **unused)
{
    (void)unused;
    struct boot_machine m;
    uint8_t *image = make_bzimage(CODE_SIZE);
    machine_set_up(&m, 64 * MIB);
    machine_kernel(&m, image, TEST_SETUP_SIZE + CODE_SIZE);
    assert_int_equal(machine_boot(&m), 0);
    for (uint64_t address = 0x1234; address < 4 * GIB; address += 0x12345678) {
        uint64_t entry = m.state.cr3;
        for (unsigned level = 3; level > 0; level--) {
            entry = machine_get(&m, (entry & ~0xfffull) + (address >> (12 + 9 * level) & 511) * 8, 8);
            assert_int_equal(entry & 3, 3);
        }
        assert_int_equal(entry & 0x80, 0x80);
        assert_int_equal((entry & ~0x1fffffull) + (address & 0x1fffff), address);
    }
    machine_tear_down(&m);
    free(image);
}

static void test_e820(void **unused)
{
    (void)unused;
    struct boot_machine m;
    uint8_t *image = make_bzimage(CODE_SIZE);
    static const struct e820_entry want[] = {
        {0, 0xa0000, 1},
        {0xe0000, 0x20000, 2},
        {0x100000, 0xaff00000, 1},
        {0xb0000000, 256 * MIB, 2},
        {4 * GIB, 5 * GIB - 0xb0000000, 1},
    };
    machine_set_up(&m, 5 * GIB);
    machine_kernel(&m, image, TEST_SETUP_SIZE + CODE_SIZE);
    assert_int_equal(machine_boot(&m), 0);
    assert_int_equal(PAGE(&m, 0x1e8, 1), 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(PAGE(&m, 0x2d0 + 20 * i, 8), want[i].start);
        assert_int_equal(PAGE(&m, 0x2d8 + 20 * i, 8), want[i].size);
        assert_int_equal(PAGE(&m, 0x2e0 + 20 * i, 4), want[i].type);
    }
    machine_tear_down(&m);
    free(image);
}

static void test_layout(void **unused)
{
    (void)unused;
    static const struct {
        uint64_t size, below, above;
        unsigned pieces;
    } cases[] = {
        {2 * MIB, 2 * MIB, 0, 2},
        {0xb0000000, 0xb0000000, 0, 2},
        {0xb0001000, 0xb0000000, 0x1000, 3},
        {512 * GIB, 0xb0000000, 512 * GIB - 0xb0000000, 3},
    };
    struct ram_layout layout;
    struct ram_piece pieces[RAM_PIECES_MAX];
    struct error error = ERROR_INIT;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t sum = 0x20000; /* what is left out below 1 MiB */
        assert_int_equal(ram_layout_init(&layout, cases[i].size, &error), 0);
        assert_int_equal(layout.below, cases[i].below);
        assert_int_equal(layout.above, cases[i].above);
        unsigned count = ram_layout_pieces(&layout, pieces);
        assert_int_equal(count, cases[i].pieces);
        for (unsigned k = 0; k < count; k++) {
            assert_int_equal(pieces[k].backing_offset, k < 2 ? pieces[k].base : 0xb0000000);
            sum += pieces[k].size;
        }
        assert_int_equal(sum, cases[i].size);
    }
    assert_int_equal(ram_layout_init(&layout, 2 * MIB - 0x1000, &error), -EINVAL);
    assert_int_equal(ram_layout_init(&layout, 512 * GIB + 0x1000, &error), -EINVAL);
    assert_int_equal(ram_layout_init(&layout, 3 * MIB + 1, &error), -EINVAL);
    assert_non_null(strstr(error.message, "no multiple of 4 KiB"));
}

static void test_initrd(void **unused)
{
    (void)unused;
    struct boot_machine m;
    uint8_t *image = make_bzimage(CODE_SIZE);
    machine_set_up(&m, 64 * MIB);
    machine_kernel(&m, image, TEST_SETUP_SIZE + CODE_SIZE);
    machine_module(&m, "first", 5, NULL);
    machine_module(&m, "second!", 7, NULL);
    bytes_put(image + 0x22c, 0x2ffffff, 4);
    assert_int_equal(machine_boot(&m), 0);
    uint64_t at = PAGE(&m, 0x218, 4);
    assert_int_equal(at, 0x2fff000); /* the highest page below the kernel's limit */
    assert_int_equal(PAGE(&m, 0x21c, 4), 15);
    assert_int_equal(PAGE(&m, 0xc0, 4), 0);
    machine_has(&m, at, "first\0\0\0second!", 15);

    /* The kernel is in the way: 10h to 18h MiB. */
    bytes_put(image + 0x22c, 0x13fffff, 4);
    assert_int_equal(machine_boot(&m), 0);
    assert_int_equal(PAGE(&m, 0x218, 4), 0xfff000);
    machine_tear_down(&m);
    free(image);
}

static void test_initrd_above(void **unused)
{
    (void)unused;
    struct boot_machine m;
    uint8_t *image = make_bzimage(CODE_SIZE), *initrd = calloc(1, 8 * MIB);
    assert_non_null(initrd);
    initrd[0] = 'a';
    initrd[8 * MIB - 1] = 'z';
    machine_set_up(&m, 4 * GIB);
    machine_kernel(&m, image, TEST_SETUP_SIZE + CODE_SIZE);
    machine_module(&m, initrd, 8 * MIB, NULL);
    bytes_put(image + 0x22c, 0x6fffff, 4); /* no room below */
    assert_int_equal(machine_boot(&m), 0);
    uint64_t at = PAGE(&m, 0x218, 4) | PAGE(&m, 0xc0, 4) << 32;
    assert_int_equal(at, 4 * GIB + (4 * GIB - 0xb0000000) - 8 * MIB);
    machine_has(&m, at, initrd, 8 * MIB);
    bytes_put(image + 0x236, 1, 2); /* a kernel that cannot reach it */
    machine_refuses(&m, "do not fit");
    machine_tear_down(&m);
    free(image);
    free(initrd);
}

static void test_linux32(void **unused)
{
    (void)unused;
    struct boot_machine m;
    uint8_t *image = make_bzimage(CODE_SIZE);
    bytes_put(image + 0x236, 0, 2);
    machine_set_up(&m, 64 * MIB);
    machine_kernel(&m, image, TEST_SETUP_SIZE + CODE_SIZE);
    m.config.no_long_mode = true;
    memset(&m.state, 0xff, sizeof m.state);
    assert_int_equal(boot_detect(m.config.kernel, &m.error), BOOT_LINUX32);
    assert_int_equal(machine_boot(&m), 0);
    assert_int_equal(m.state.rip, 0x1000000);
    assert_int_equal(PAGE(&m, 0x214, 4), 0x1000000);
    assert_int_equal(m.state.cr0 & (X86_CR0_PE | X86_CR0_PG), X86_CR0_PE);
    assert_int_equal(m.state.cr4, 0);
    assert_int_equal(m.state.efer, 0);
    assert_int_equal(m.state.segment[X86_CS].attributes, 0xc09b);
    for (unsigned i = 0; i < X86_GPR_COUNT; i++)
        if (i != X86_RSI)
            assert_int_equal(m.state.gpr[i], 0);

    /* 2.4's protocol: fixed at 1 MiB, a command line of 255 bytes. */
    char text[300] = {0};
    memset(text, 'x', 256);
    bytes_put(image + 0x206, 0x202, 2);
    m.config.command_line = text;
    machine_refuses(&m, "the command line has 256 bytes, the kernel takes 255");
    text[255] = '\0';
    assert_int_equal(machine_boot(&m), 0);
    assert_int_equal(m.state.rip, 0x100000);
    machine_tear_down(&m);
    free(image);
}

static void test_placing(void **unused)
{
    (void)unused;
    struct boot_machine m;
    uint8_t *image = make_bzimage(CODE_SIZE);
    machine_set_up(&m, 16 * MIB);
    machine_kernel(&m, image, TEST_SETUP_SIZE + CODE_SIZE);
    assert_int_equal(machine_boot(&m), 0);
    assert_int_equal(m.state.rip, 0x200200); /* not where it likes to be, but aligned */
    image[0x234] = 0;
    machine_refuses(&m, "it takes 8 MiB at 1000000h, and the machine has 16 MiB of memory");
    image[0x234] = 1;
    bytes_put(image + 0x260, 16 * MIB, 4);
    machine_refuses(&m, "it takes 16 MiB");
    machine_tear_down(&m);
    free(image);
}

static void test_refusals(void **unused)
{
    (void)unused;
    struct boot_machine m;
    uint8_t *image = make_bzimage(CODE_SIZE);
    static char text[0x20000];
    machine_set_up(&m, 32 * MIB);
    machine_kernel(&m, image, TEST_SETUP_SIZE + CODE_SIZE - 1);
    machine_refuses(&m, "kernel test.kernel: the bzImage is cut off: 66559 bytes of 66560");
    machine_kernel(&m, image, 100);
    machine_refuses(&m, "kernel test.kernel: it is too short to be a kernel");
    machine_kernel(&m, image, 0x280);
    machine_refuses(&m, "the bzImage is cut off: 640 bytes");
    machine_kernel(&m, image, TEST_SETUP_SIZE + CODE_SIZE);
    m.config.no_long_mode = true;
    machine_refuses(&m, "64-bit");
    m.config.no_long_mode = false;

    memset(text, 'x', sizeof text - 1);
    m.config.command_line = text;
    machine_refuses(&m, "the command line has 131071 bytes, the kernel takes 2047");
    m.config.command_line = NULL;

    machine_module(&m, image, 0, NULL);
    m.modules[0].file->size = 64 * MIB;
    machine_refuses(&m, "initrd test.initrd: its 64 MiB do not fit beside the kernel into 32 MiB of memory");
    m.modules[0].file->size = UINT64_MAX;
    machine_refuses(&m, "do not fit");
    m.modules[0].file->size = 0;
    assert_int_equal(machine_boot(&m), 0);

    bytes_put(image + 0x230, 0x300000, 4);
    machine_refuses(&m, "alignment");
    bytes_put(image + 0x1f4, 0, 4);
    machine_refuses(&m, "no code");
    image[0x211] = 0;
    machine_refuses(&m, "zImage");
    bytes_put(image + 0x206, 0x201, 2);
    machine_refuses(&m, "2.01");
    machine_tear_down(&m);
    free(image);
}

static void test_foreign(void **unused)
{
    (void)unused;
    static const struct {
        unsigned offset, size;
        const char *bytes, *reason;
    } cases[] = {
        {0x38, 4, "ARM\x64", "arm64"},
        {0x24, 4, "\x18\x28\x6f\x01", "32-bit ARM"},
        {0, 20, "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\267\0", "arm64"},
        {0, 20, "\177ELF\2\2\1\0\0\0\0\0\0\0\0\0\0\2\0\26", "another kind of processor"},
        {0, 20, "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\76\0", "neither a multiboot header nor a PVH entry"},
        {0, 70,
         "MZ\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
         "\0\0\0\0\0\0\0\0\0\0\x40\0\0\0PE\0\0\x64\xaa",
         "arm64"},
        {0, 2, "MZ", "EFI"},
        {0, 2, "\x1f\x8b", "compressed"},
        {0, 4, "QFI\xfb", "disk image"},
        {0x1fe, 2, "\x55\xaa", "boot sector"},
        {0, 0, "", "no kernel that can be started"},
    };
    struct boot_machine m;
    machine_set_up(&m, 32 * MIB);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t file[1024] = {0};
        memcpy(file + cases[i].offset, cases[i].bytes, cases[i].size);
        machine_kernel(&m, file, sizeof file);
        machine_refuses(&m, cases[i].reason);
        assert_true(boot_detect(m.config.kernel, &m.error) < 0);
    }
    machine_kernel(&m, "", 0);
    machine_refuses(&m, "the file is empty");
    machine_kernel(&m, "x", 1);
    machine_refuses(&m, "too short");
    machine_tear_down(&m);
}

/* Debian's kernels, if the environment says where there are any. */
static void test_debian(void **unused)
{
    (void)unused;
    const char *folder = getenv("VISOR_TEST_KERNELS");
    char pattern[512];
    glob_t found;
    if (!folder)
        skip();
    snprintf(pattern, sizeof pattern, "%s/vmlinuz-*", folder);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct boot_machine m;
        machine_set_up(&m, 256 * MIB);
        assert_int_equal(boot_file_open(&m.config.kernel, found.gl_pathv[i], &m.error), 0);
        assert_int_equal(machine_boot(&m), 0);
        int protocol = boot_detect(m.config.kernel, &m.error);
        assert_true(protocol == BOOT_LINUX64 || protocol == BOOT_LINUX32);
        assert_in_range(m.state.rip, 16 * MIB, 256 * MIB);
        assert_int_equal(PAGE(&m, 0x211, 1) & 2, 2); /* unpacked here: its addresses are random */
        machine_tear_down(&m);
    }
    globfree(&found);
}

static void test_files(void **unused)
{
    (void)unused;
    struct error error = ERROR_INIT;
    struct boot_file *file = NULL;
    char path[] = "/tmp/visor-test-XXXXXX", buffer[8];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    assert_int_equal(boot_file_open(&file, path, &error), 0);
    assert_int_equal(boot_file_read(file, 4, buffer, 6, &error), 0);
    assert_memory_equal(buffer, "456789", 6);
    assert_int_equal(boot_file_read(file, 4, buffer, 7, &error), -EINVAL);
    assert_int_equal(boot_file_read(file, UINT64_MAX, buffer, 7, &error), -EINVAL);
    assert_int_equal(ftruncate(fd, 5), 0);
    assert_int_equal(boot_file_read(file, 4, buffer, 6, &error), -EIO);
    assert_non_null(strstr(error.message, "shorter"));
    boot_file_close(file);
    close(fd);
    unlink(path);
    assert_int_equal(boot_file_open(&file, path, &error), -ENOENT);
    assert_int_equal(boot_file_open(&file, "/tmp", &error), -EINVAL);
    assert_non_null(strstr(error.message, "/tmp: neither a file nor a block device"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linux64),  cmocka_unit_test(test_identity_map),
        cmocka_unit_test(test_e820),     cmocka_unit_test(test_layout),
        cmocka_unit_test(test_initrd),   cmocka_unit_test(test_initrd_above),
        cmocka_unit_test(test_linux32),  cmocka_unit_test(test_placing),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_debian),   cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
