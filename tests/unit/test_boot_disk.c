/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernels out of disks: partition tables made up here, file systems that mke2fs makes. */
#include "boot_harness.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "boot/disk_kernel.h"
#include "boot/partition.h"

#define DISK_SIZE (64 * 1024)

static uint8_t disk[DISK_SIZE];
static struct partition partitions[PARTITIONS_MAX];

static void put_mbr(unsigned sector, unsigned entry, unsigned type, unsigned first, unsigned count)
{
    uint8_t *at = disk + sector * 512 + 446 + entry * 16;
    at[4] = (uint8_t)type;
    bytes_put(at + 8, first, 4);
    bytes_put(at + 12, count, 4);
    bytes_put(disk + sector * 512 + 510, 0xaa55, 2);
}

static void put_gpt(unsigned header_sector, unsigned sector_size, unsigned table)
{
    uint8_t *at = disk + header_sector * sector_size;
    memcpy(at, "EFI PART", 8);
    bytes_put(at + 72, table, 8);
    bytes_put(at + 80, 16, 4);
    bytes_put(at + 84, 128, 4);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t *entry = disk + table * sector_size + i * 2 * 128; /* 1, 3, 5 */
        entry[0] = 1;
        bytes_put(entry + 32, 8 + i, 8);
        bytes_put(entry + 40, i == 2 ? 1000000 : 8 + i, 8); /* the last one is too large */
    }
}

static int scan(size_t size)
{
    struct error error = ERROR_INIT;
    struct boot_file *file = boot_file_of_memory("disk", disk, size);
    assert_non_null(file);
    int count = partition_scan(file, partitions, &error);
    boot_file_close(file);
    return count;
}

static void assert_partition(unsigned i, unsigned number, uint64_t start, uint64_t size)
{
    assert_int_equal(partitions[i].number, number);
    assert_int_equal(partitions[i].start, start);
    assert_int_equal(partitions[i].size, size);
}

static void test_mbr(void **unused)
{
    (void)unused;
    memset(disk, 0, sizeof disk);
    assert_int_equal(scan(sizeof disk), 0);
    put_mbr(0, 0, 0x83, 2, 10);
    put_mbr(0, 2, 0x83, 20, 1000); /* beyond the end */
    put_mbr(0, 3, 0x05, 40, 60);
    put_mbr(40, 0, 0x83, 1, 5);
    put_mbr(40, 1, 0x05, 10, 20);
    put_mbr(50, 0, 0x83, 2, 3);
    put_mbr(50, 1, 0x05, 0, 0);
    assert_int_equal(scan(sizeof disk), 3);
    assert_partition(0, 1, 1024, 5120);
    assert_partition(1, 5, 41 * 512, 5 * 512);
    assert_partition(2, 6, 52 * 512, 3 * 512);
    put_mbr(50, 1, 0x05, 10, 20); /* a chain that goes round */
    assert_in_range(scan(sizeof disk), 3, 128);
    assert_int_equal(scan(1024), 0);
    assert_int_equal(scan(100), 0);
}

static void test_gpt(void **unused)
{
    (void)unused;
    static const struct {
        unsigned header, sector, table;
    } cases[] = {{1, 512, 2}, {1, 4096, 2}, {DISK_SIZE / 512 - 1, 512, 100}};
    for (unsigned i = 0; i < 3; i++) {
        memset(disk, 0, sizeof disk);
        put_mbr(0, 0, 0xee, 1, 100);
        put_gpt(cases[i].header, cases[i].sector, cases[i].table);
        assert_int_equal(scan(sizeof disk), 2);
        assert_partition(0, 1, 8 * cases[i].sector, cases[i].sector);
        assert_partition(1, 3, 9 * cases[i].sector, cases[i].sector);
    }
    bytes_put(disk + DISK_SIZE - 512 + 72, UINT64_MAX, 8);
    assert_int_equal(scan(sizeof disk), 1); /* the MBR's own entry is all that is left */
}

/* -- with file systems -------------------------------------------------------------------------------------
 */

static char folder[64];

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...)
{
    char command[2048], whole[2200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    snprintf(whole, sizeof whole, "export PATH=\"$PATH:/usr/sbin:/sbin\"; set -e; cd %s; %s", folder,
             command);
    assert_int_equal(system(whole), 0);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/visor-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static bool lacks_tools(void)
{
    return system("PATH=\"$PATH:/usr/sbin:/sbin\"; command -v mke2fs >/dev/null 2>&1") != 0;
}

static int open_disk(struct disk_kernel *kernel, struct boot_file **file, struct error *error)
{
    char path[128];
    snprintf(path, sizeof path, "%s/disk", folder);
    *error = (struct error)ERROR_INIT;
    assert_int_equal(boot_file_open(file, path, error), 0);
    return disk_kernel_open(kernel, *file, error);
}

static void assert_content(struct boot_file *file, const char *name)
{
    struct error error = ERROR_INIT;
    char path[256];
    struct boot_file *want;
    snprintf(path, sizeof path, "%s/root/%s", folder, name);
    assert_int_equal(boot_file_open(&want, path, &error), 0);
    assert_int_equal(file->size, want->size);
    char *a = malloc(want->size + 1), *b = malloc(want->size + 1);
    assert_true(a && b);
    assert_int_equal(boot_file_read(want, 0, a, want->size, &error), 0);
    assert_int_equal(boot_file_read(file, 0, b, want->size, &error), 0);
    assert_memory_equal(a, b, want->size);
    assert_int_equal(boot_file_read(file, want->size / 3, b, want->size / 2, &error), 0); /* from within */
    assert_memory_equal(a + want->size / 3, b, want->size / 2);
    assert_true(boot_file_read(file, want->size, b, 1, &error) < 0);
    free(a);
    free(b);
    boot_file_close(want);
}

/* A Debian's files, with links as it has them: an ext4 as a whole disk, then as second partition of an MBR.
 */
static void test_disk(void **unused)
{
    (void)unused;
    if (lacks_tools())
        skip();
    static const char *const kinds[] = {"ext4", "ext3", "ext2", "ext4 -b 1024 -O inline_data"};
    struct disk_kernel kernel;
    struct boot_file *file;
    struct error error;
    char want[256];
    shell("mkdir -p root/boot && head -c 3000000 /dev/urandom >root/boot/vmlinuz-6.1 && "
          "printf begin >root/boot/initrd.img-6.1 && truncate -s 700000 root/boot/initrd.img-6.1 && "
          "head -c 70000 /dev/urandom >>root/boot/initrd.img-6.1 && ln -s boot/vmlinuz-6.1 root/vmlinuz && "
          "ln -s boot/initrd.img-6.1 root/initrd.img");
    for (unsigned i = 0; i < 4; i++) {
        shell("rm -f disk && mke2fs -q -t %s -U 01234567-89ab-cdef-0123-456789abcdef -d root disk 16M",
              kinds[i]);
        assert_int_equal(open_disk(&kernel, &file, &error), 0);
        assert_string_equal(kernel.command_line, "root=UUID=01234567-89ab-cdef-0123-456789abcdef ro");
        assert_content(kernel.kernel, "vmlinuz");
        assert_int_equal(kernel.initrd_count, 1);
        assert_content(kernel.initrds[0], "initrd.img");
        snprintf(want, sizeof want, "%s/disk: /vmlinuz: its newest kernel", folder);
        assert_string_equal(kernel.source, want);
        disk_kernel_close(&kernel);
        boot_file_close(file);
    }

    shell(
        "mkdir -p root/boot/grub && cat >root/boot/grub/grub.cfg <<E\nset default=0\nmenuentry Debian {\n"
        "search --fs-uuid --set=root 01234567-89ab-cdef-0123-456789abcdef\nlinux /boot/vmlinuz-6.1 quiet\n"
        "initrd /boot/initrd.img-6.1\n}\nE\n"
        "rm disk; mke2fs -q -t ext4 -U 01234567-89ab-cdef-0123-456789abcdef -d root -E offset=2097152 disk 16M");
    memset(disk, 0, sizeof disk);
    put_mbr(0, 0, 0x0c, 64, 100);
    put_mbr(0, 1, 0x83, 4096, 32768);
    memcpy(disk + 64 * 512 + 82, "FAT32", 5);
    FILE *raw = fopen(strcat(strcpy(want, folder), "/disk"), "r+");
    assert_non_null(raw);
    assert_int_equal(fwrite(disk, 1, sizeof disk, raw), sizeof disk);
    assert_int_equal(fclose(raw), 0);
    assert_int_equal(open_disk(&kernel, &file, &error), 0);
    assert_string_equal(kernel.command_line, "quiet");
    assert_non_null(strstr(kernel.source, "disk: partition 2: /boot/grub/grub.cfg: Debian"));
    assert_content(kernel.kernel, "vmlinuz");
    disk_kernel_close(&kernel);
    boot_file_close(file);
}

static void test_disk_refusals(void **unused)
{
    (void)unused;
    static const struct {
        const char *make, *reason;
    } cases[] = {
        {"head -c 1000000 /dev/zero >disk",
         "no ext2, ext3 or ext4 file system to read a kernel from, and no partitions"},
        {": >disk", "no ext2, ext3 or ext4 file system"},
        {"printf XFSB >disk; head -c 100000 /dev/zero >>disk", "read a kernel from, but XFS"},
        {"mke2fs -q -t ext4 disk 8M", "no kernel in its 1 file systems: no extlinux.conf"},
        {"rm -rf root; mkdir -p root/extlinux; echo x >root/vmlinuz; printf 'label a\nkernel /vmlinuz\ninitrd /gone\n' "
         ">root/extlinux/extlinux.conf; mke2fs -q -t ext4 -d root disk 8M",
         "a: cannot open /gone: it does not exist"},
        {"rm -rf root; mkdir root; ln -s vmlinuz root/vmlinuz; mke2fs -q -t ext4 -d root disk 8M",
         "no kernel in"},
        {"mke2fs -q -t ext4 disk 8M; printf '\\377' | dd of=disk bs=1 seek=1120 conv=notrunc 2>/dev/null",
         "the ext file system of partition 0 cannot be read: "},
        {"mke2fs -q -t ext4 disk 8M; truncate -s 1500000 disk", "disk"},
    };
    struct disk_kernel kernel;
    struct boot_file *file;
    struct error error;
    if (lacks_tools())
        skip();
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        shell("rm -f disk; %s", cases[i].make);
        assert_true(open_disk(&kernel, &file, &error) < 0);
        if (!strstr(error.message, cases[i].reason))
            fail_msg("\"%s\" is not in \"%s\"", cases[i].reason, error.message);
        boot_file_close(file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mbr),
        cmocka_unit_test(test_gpt),
        cmocka_unit_test(test_disk),
        cmocka_unit_test(test_disk_refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
