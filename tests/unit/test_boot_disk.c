/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernels out of disks: partition tables made up here, file systems that mke2fs makes. */
#include "boot_harness.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "boot/disk_kernel.h"
#include "boot/journal.h"
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

/* -- journals ---------------------------------------------------------------------------------------------
 */

#define BLOCK 1024

/* A ring of blocks 1 to 11 whose oldest transaction, number 7, is in block `start`. */
static uint8_t ring[12 * BLOCK];

static void put_big(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint8_t *put_header(unsigned block, unsigned kind, unsigned sequence)
{
    uint8_t *at = ring + block * BLOCK;
    memset(at, 0, BLOCK);
    put_big(at, 0xc03b3998);
    put_big(at + 4, kind);
    put_big(at + 8, sequence);
    return at;
}

static void put_ring(unsigned start)
{
    memset(ring, 0, sizeof ring);
    uint8_t *super = put_header(0, 4, 0);
    put_big(super + 12, BLOCK);
    put_big(super + 16, 12);
    put_big(super + 20, 1);
    put_big(super + 24, 7);
    put_big(super + 28, start);
}

static void put_tag(unsigned block, unsigned index, unsigned target, unsigned flags)
{
    uint8_t *at = ring + block * BLOCK + 12 + (index ? 16 : 0) + index * 8; /* the first has a UUID */
    put_big(at, target);
    put_big(at + 4, flags);
}

/* What the journal has instead of a block: the byte it is filled with, -1 for nothing. */
static int replaced(unsigned block)
{
    struct journal *journal = NULL;
    struct boot_file *log = boot_file_of_memory("journal", ring, sizeof ring);
    uint8_t got[8];
    assert_int_equal(journal_open(&journal, log, BLOCK), 0);
    bool has = journal_next(journal, block) == block;
    int code = journal_read(journal, block, 100, got, sizeof got);
    assert_int_equal(code, has ? 0 : -ENOENT);
    journal_close(journal);
    return has ? got[7] : -1;
}

static void test_journal_ring(void **unused)
{
    (void)unused;
    put_ring(9);
    put_header(9, 1, 7);
    put_tag(9, 0, 500, 0);
    put_tag(9, 1, 501, 2);
    put_tag(9, 2, 502, 2 | 8);
    memset(ring + 10 * BLOCK, 0xa0, BLOCK);
    memset(ring + 11 * BLOCK, 0xa1, BLOCK);
    memset(ring + 1 * BLOCK, 0xa2, BLOCK); /* round */
    assert_int_equal(replaced(500), -1);   /* not committed */
    put_header(2, 2, 7);
    assert_int_equal(replaced(500), 0xa0);
    assert_int_equal(replaced(501), 0xa1);
    assert_int_equal(replaced(502), 0xa2);
    assert_int_equal(replaced(503), -1);
    /* The next one writes 500 again, and takes 501 back: that counts for older ones only. */
    uint8_t *revoke = put_header(3, 5, 8);
    put_big(revoke + 12, 20);
    put_big(revoke + 16, 501);
    put_header(4, 1, 8);
    put_tag(4, 0, 500, 8);
    memset(ring + 5 * BLOCK, 0xb0, BLOCK);
    put_header(6, 2, 8);
    assert_int_equal(replaced(500), 0xb0);
    assert_int_equal(replaced(501), -1);
    assert_int_equal(replaced(502), 0xa2);
    put_header(6, 2, 9); /* of another transaction: not committed, and nothing is taken back */
    assert_int_equal(replaced(500), 0xa0);
    assert_int_equal(replaced(501), 0xa1);
    put_ring(0); /* all is in place */
    assert_int_equal(replaced(500), -1);
    struct journal *journal;
    struct boot_file *log = boot_file_of_memory("journal", ring, sizeof ring);
    put_big(ring + 40, 0x40); /* a feature of the future */
    assert_int_equal(journal_open(&journal, log, BLOCK), -EINVAL);
    put_ring(1);
    put_big(ring + 16, 13); /* cut off */
    assert_int_equal(journal_open(&journal, log, BLOCK), -EINVAL);
    boot_file_close(log);
}

static void assert_journaled(const char *how, const char *line)
{
    struct disk_kernel kernel;
    struct boot_file *file;
    struct error error;
    shell("cp disk before");
    assert_int_equal(open_disk(&kernel, &file, &error), 0);
    if (strcmp(kernel.command_line, line) != 0)
        fail_msg("%s: \"%s\" instead of \"%s\"", how, kernel.command_line, line);
    assert_content(kernel.kernel, "vmlinuz");
    disk_kernel_close(&kernel);
    boot_file_close(file);
    shell("cmp disk before");
}

/* What e2fsprogs' own program has put into a journal, with checksums of all kinds; the disk stays as it is.
 */
static void test_journal(void **unused)
{
    (void)unused;
    static const char *const kinds[] = {"^64bit,^metadata_csum", "^64bit,metadata_csum",
                                        "64bit,metadata_csum"};
    static const char *const checksums[] = {"", "-c -v 2", "-c -v 3"};
    const char *debug = "debugfs -w disk >/dev/null 2>&1";
    if (lacks_tools() || system("PATH=\"$PATH:/usr/sbin:/sbin\"; command -v debugfs >/dev/null 2>&1"))
        skip();
    for (unsigned i = 0; i < 9; i++) {
        const char *sums = checksums[i % 3];
        char how[100];
        snprintf(how, sizeof how, "%s %s", kinds[i / 3], sums);
        shell("rm -rf root; mkdir -p root/extlinux; head -c 300000 /dev/urandom >root/vmlinuz; "
              "printf 'label a\nkernel /vmlinuz\nappend a=1\n' >root/extlinux/extlinux.conf; rm -f disk; "
              "mke2fs -q -t ext4 -b 1024 -O %s -d root disk 16M; "
              "sed s/a=1/a=2/ root/extlinux/extlinux.conf >c2; truncate -s 1024 c2; "
              "sed s/a=1/a=3/ root/extlinux/extlinux.conf >c3; truncate -s 1024 c3",
              kinds[i / 3]);
        assert_journaled(how, "a=1");
        /* With a block of the kernel that begins as only the journal's own may. */
        shell(
            "c=$(debugfs -R 'blocks /extlinux/extlinux.conf' disk 2>/dev/null); "
            "k=$(debugfs -R 'blocks /vmlinuz' disk 2>/dev/null | cut -d' ' -f1); "
            "printf '\\300\\073\\071\\230' >k2; head -c 1020 /dev/urandom >>k2; cat c2 k2 >both; "
            "printf \"jo %s\\njw -b ${c%% },$k both\\njc\\n\" | %s; dd if=k2 of=root/vmlinuz conv=notrunc 2>/dev/null",
            sums, debug);
        assert_journaled(how, "a=2");
        shell("c=$(debugfs -R 'blocks /extlinux/extlinux.conf' disk 2>/dev/null); "
              "printf \"jo %s\\njw -b ${c%% } c3\\njc\\n\" | %s",
              sums, debug);
        assert_journaled(how, "a=3");
        shell("c=$(debugfs -R 'blocks /extlinux/extlinux.conf' disk 2>/dev/null); "
              "printf \"jo %s\\njw -r ${c%% }\\njc\\njo %s\\njw -c -b ${c%% } c2\\njc\\n\" | %s",
              sums, sums, debug);
        assert_journaled(how, "a=1");
    }
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
        cmocka_unit_test(test_mbr),          cmocka_unit_test(test_gpt),
        cmocka_unit_test(test_disk),         cmocka_unit_test(test_disk_refusals),
        cmocka_unit_test(test_journal_ring), cmocka_unit_test(test_journal),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
