/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of personality/linux/convert.c: flags and structures of AArch64 Linux against the host's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/sem.h>

#include "base/macros.h"
#include "personality/linux/convert.h"

/* The arm64 kernel's numbers, from its headers, beside the host's. */
static const struct {
    uint64_t guest, host;
} open_pairs[] = {
    {0, O_RDONLY},         {1, O_WRONLY},          {2, O_RDWR},
    {0100, O_CREAT},       {0200, O_EXCL},         {0400, O_NOCTTY},
    {01000, O_TRUNC},      {02000, O_APPEND},      {04000, O_NONBLOCK},
    {010000, O_DSYNC},     {020000, O_ASYNC},      {040000, O_DIRECTORY},
    {0100000, O_NOFOLLOW}, {0200000, O_DIRECT},    {0400000, 0100000 /* the kernel's O_LARGEFILE */},
    {01000000, O_NOATIME}, {02000000, O_CLOEXEC},  {04010000, O_SYNC},
    {010000000, O_PATH},   {020040000, O_TMPFILE},
};

static void test_open_flags(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(open_pairs); i++) {
        assert_int_equal(linux_open_flags_to_host(open_pairs[i].guest), open_pairs[i].host);
        assert_int_equal(linux_open_flags_from_host(open_pairs[i].host), open_pairs[i].guest);
    }
}

/* The conversion permutes bits: nothing is lost or made, also not of unknown and high bits. */
static void test_open_flags_are_permuted(void **state)
{
    (void)state;
    uint64_t seen = 0;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t host = linux_open_flags_to_host(1ull << bit);
        assert_int_equal(__builtin_popcountll(host), 1);
        assert_int_equal(linux_open_flags_from_host(host), 1ull << bit);
        seen |= host;
    }
    assert_true(seen == ~0ull);
    assert_true(linux_open_flags_to_host(~0ull) == ~0ull);
}

/* Offsets of arm64's struct stat (asm-generic/stat.h). */
static void test_stat(void **state)
{
    (void)state;
    assert_int_equal(offsetof(struct arm64_stat, mode), 16);
    assert_int_equal(offsetof(struct arm64_stat, nlink), 20);
    assert_int_equal(offsetof(struct arm64_stat, rdev), 32);
    assert_int_equal(offsetof(struct arm64_stat, size), 48);
    assert_int_equal(offsetof(struct arm64_stat, blksize), 56);
    assert_int_equal(offsetof(struct arm64_stat, blocks), 64);
    assert_int_equal(offsetof(struct arm64_stat, atime), 72);
    assert_int_equal(offsetof(struct arm64_stat, ctime_nsec), 112);

    struct stat host;
    struct arm64_stat guest;
    memset(&host, 0xa5, sizeof host);
    memset(&guest, 0x5a, sizeof guest);
    host.st_dev = 0x123456789;
    host.st_ino = 0xfedcba9876543210;
    host.st_mode = S_IFREG | 04755;
    host.st_nlink = 3;
    host.st_uid = 1000;
    host.st_gid = 0xffffffff;
    host.st_rdev = 0x501;
    host.st_size = 1ll << 40;
    host.st_blksize = 4096;
    host.st_blocks = 1ll << 33;
    host.st_atim = (struct timespec){-1, 1};
    host.st_mtim = (struct timespec){1ll << 34, 999999999};
    host.st_ctim = (struct timespec){5, 6};
    linux_stat_from_host(&guest, &host);
    assert_true(guest.dev == 0x123456789 && guest.ino == 0xfedcba9876543210 && guest.rdev == 0x501);
    assert_true(guest.mode == (S_IFREG | 04755) && guest.nlink == 3);
    assert_true(guest.uid == 1000 && guest.gid == 0xffffffff);
    assert_true(guest.size == 1ll << 40 && guest.blksize == 4096 && guest.blocks == 1ll << 33);
    assert_true(guest.atime == -1 && guest.atime_nsec == 1);
    assert_true(guest.mtime == 1ll << 34 && guest.mtime_nsec == 999999999);
    assert_true(guest.ctime == 5 && guest.ctime_nsec == 6);
    assert_true(guest.pad1 == 0 && guest.pad2 == 0 && guest.unused[0] == 0 && guest.unused[1] == 0);
}

static void test_epoll_event(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct epoll_event), 12);
    assert_int_equal(offsetof(struct arm64_epoll_event, data), 8);

    struct arm64_epoll_event guest = {EPOLLIN | EPOLLET, 0xdead, 0x0123456789abcdef}, back;
    struct epoll_event host;
    linux_epoll_event_to_host(&host, &guest);
    assert_true(host.events == (EPOLLIN | EPOLLET) && host.data.u64 == 0x0123456789abcdef);
    linux_epoll_event_from_host(&back, &host);
    assert_true(back.events == guest.events && back.data == guest.data && back.pad == 0);
}

static void test_semid(void **state)
{
    (void)state;
    /* The host's layout is what its own headers say. */
    assert_int_equal(sizeof(struct host_semid_ds), sizeof(struct semid_ds));
    assert_int_equal(offsetof(struct host_semid_ds, otime), offsetof(struct semid_ds, sem_otime));
    assert_int_equal(offsetof(struct host_semid_ds, ctime), offsetof(struct semid_ds, sem_ctime));
    assert_int_equal(offsetof(struct host_semid_ds, nsems), offsetof(struct semid_ds, sem_nsems));
    assert_int_equal(offsetof(struct linux_ipc_perm, mode), offsetof(struct ipc_perm, mode));
    assert_int_equal(offsetof(struct arm64_semid_ds, ctime), 56);
    assert_int_equal(offsetof(struct arm64_semid_ds, nsems), 64);

    struct host_semid_ds host = {.perm = {.key = 7, .uid = 8, .mode = 0600, .sequence = 9},
                                 .otime = 10,
                                 .unused1 = 11,
                                 .ctime = 12,
                                 .unused2 = 13,
                                 .nsems = 14};
    struct host_semid_ds back;
    struct arm64_semid_ds guest;
    linux_semid_from_host(&guest, &host);
    assert_true(guest.otime == 10 && guest.ctime == 12 && guest.nsems == 14);
    assert_true(guest.perm.key == 7 && guest.perm.uid == 8 && guest.perm.mode == 0600 &&
                guest.perm.sequence == 9);
    linux_semid_to_host(&back, &guest);
    assert_true(back.otime == 10 && back.ctime == 12 && back.nsems == 14 && back.perm.uid == 8);
}

static void test_loop_info(void **state)
{
    (void)state;
    assert_int_equal(offsetof(struct arm64_loop_info, rest), 36);
    assert_int_equal(offsetof(struct arm64_loop_info, init), 136);

    struct loop_info host = {.lo_number = 1,
                             .lo_device = 2,
                             .lo_inode = 3,
                             .lo_rdevice = 4,
                             .lo_offset = 5,
                             .lo_flags = 6,
                             .lo_name = "name",
                             .lo_encrypt_key = "key",
                             .lo_init = {7, 8},
                             .reserved = "abc"};
    struct loop_info back;
    struct arm64_loop_info guest;
    linux_loop_info_from_host(&guest, &host);
    assert_true(guest.number == 1 && guest.device == 2 && guest.inode == 3 && guest.rdevice == 4);
    assert_true(guest.offset == 5 && guest.flags == 6 && guest.init[0] == 7 && guest.init[1] == 8);
    assert_string_equal(guest.rest, "name");
    assert_string_equal(guest.rest + LO_NAME_SIZE, "key");
    linux_loop_info_to_host(&back, &guest);
    assert_int_equal(back.lo_rdevice, 4);
    assert_string_equal(back.lo_name, "name");
    assert_string_equal((char *)back.lo_encrypt_key, "key");
    assert_string_equal(back.reserved, "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_flags), cmocka_unit_test(test_open_flags_are_permuted),
        cmocka_unit_test(test_stat),       cmocka_unit_test(test_epoll_event),
        cmocka_unit_test(test_semid),      cmocka_unit_test(test_loop_info),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
