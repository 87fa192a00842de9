/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks: many requests at once against a model, on real files, by io_uring and by threads; what cannot be a
 * disk; who may share one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "backend/block/io.h"
#include "backend/block/options.h"
#include "base/macros.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct loop *loop;
static struct block_backend *disk;
static char directory[] = "/tmp/visor-block-XXXXXX", path[128];

static void file_make(const void *data, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    for (size_t done = 0; done < size;) {
        ssize_t more = write(fd, (const uint8_t *)data + done, size - done);
        assert_true(more > 0);
        done += (size_t)more;
    }
    close(fd);
}

static int disk_try(const char *suffix, struct error *error)
{
    struct block_options options;
    char text[300];
    snprintf(text, sizeof text, "%s%s", path, suffix);
    int code = block_options_parse(&options, text, error);
    if (code)
        return code;
    code = block_open(&disk, &options, loop, error);
    block_options_free(&options);
    return code;
}

static void disk_open(const char *suffix)
{
    struct error error = ERROR_INIT;
    if (disk_try(suffix, &error))
        fail_msg("%s: %s", suffix, error.message);
}

static int setup(void **state)
{
    (void)state;
    return loop_new(&loop, &lock, NULL, NULL);
}

static int teardown(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

/* One request, to its end. */

static int last_result;

static void one_done(struct block_request *request, int result)
{
    (void)request;
    last_result = result;
    loop_stop(loop);
}

static int transfer(enum block_operation operation, uint64_t offset, void *data, size_t size)
{
    struct iovec iov = {data, size};
    struct block_request request = {
        .operation = operation,
        .unmap = !data,
        .offset = offset,
        .length = size,
        .iov = &iov,
        .iov_count = operation == BLOCK_READ || operation == BLOCK_WRITE ? 1 : 0,
        .done = one_done,
    };
    last_result = 1;
    block_submit(disk, &request);
    assert_int_equal(disk->pending, 1);
    block_kick(disk);
    loop_run(loop);
    assert_int_equal(disk->pending, 0);
    return last_result;
}

/* Random requests, which do not overlap but for reads, and touch each other's clusters and blocks. */

#define SIZE   (3u << 20)
#define SLOTS  24
#define PIECES 6
#define SECTOR 512u

static uint8_t model[SIZE];
static bool unknown[SIZE / SECTOR]; /* discarded */
static unsigned left, under_way;
static bool unaligned_memory;

struct slot {
    struct block_request request;
    struct iovec iov[PIECES];
    uint8_t *memory;
    bool busy;
};

static struct slot slots[SLOTS];

static bool slot_conflicts(uint64_t offset, uint64_t length, bool reads)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        const struct block_request *other = &slots[i].request;
        if (slots[i].busy && offset < other->offset + other->length && other->offset < offset + length &&
            !(reads && other->operation == BLOCK_READ))
            return true;
    }
    return false;
}

static void slot_done(struct block_request *request, int result)
{
    struct slot *slot = request->opaque;
    assert_int_equal(result, 0);
    if (request->operation == BLOCK_READ) {
        const uint8_t *got = slot->memory;
        for (uint64_t i = 0; i < request->length; i += SECTOR)
            if (!unknown[(request->offset + i) / SECTOR] &&
                memcmp(got + i, model + request->offset + i, SECTOR))
                fail_msg("sector %u differs", (unsigned)((request->offset + i) / SECTOR));
    }
    slot->busy = false;
    under_way--;
    if (!left && !under_way)
        loop_stop(loop);
}

static void slot_fill(struct slot *slot)
{
    struct block_request *request = &slot->request;
    unsigned count = request->length / SECTOR < PIECES ? 1 : 1 + (unsigned)rand() % PIECES;
    uint64_t at = 0, piece = request->length / count / SECTOR * SECTOR;
    for (unsigned i = 0; i < count; i++) {
        slot->iov[i] = (struct iovec){slot->memory + at, i == count - 1 ? request->length - at : piece};
        at += piece;
    }
    request->iov = slot->iov;
    request->iov_count = count;
    if (request->operation == BLOCK_WRITE)
        for (uint64_t i = 0; i < request->length; i += 4)
            *(uint32_t *)(slot->memory + i) = (uint32_t)rand();
}

static void slot_start(struct slot *slot)
{
    static const uint64_t sizes[] = {1, 2, 8, 16, 128, 300};
    struct block_request *request = &slot->request;
    unsigned kind = (unsigned)rand() % 16;
    uint64_t length = (1 + (unsigned)rand() % sizes[(unsigned)rand() % ARRAY_SIZE(sizes)]) * SECTOR;
    uint64_t offset = (unsigned)rand() % (SIZE / SECTOR) * SECTOR;
    if (rand() % 2) { /* whole blocks */
        length = ALIGN_UP(length, 4096ul);
        offset = ALIGN_DOWN(offset, 4096ul);
    }
    length = MIN(length, SIZE - offset);
    *request = (struct block_request){.offset = offset, .length = length, .done = slot_done, .opaque = slot};
    request->operation = kind < 6    ? BLOCK_READ
                         : kind < 12 ? BLOCK_WRITE
                         : kind < 13 ? BLOCK_FLUSH
                         : kind < 14 ? BLOCK_DISCARD
                                     : BLOCK_WRITE_ZEROES;
    request->unmap = rand() % 2;
    if (request->operation == BLOCK_FLUSH)
        request->offset = request->length = 0;
    else if (slot_conflicts(offset, length, request->operation == BLOCK_READ))
        return;
    if (request->operation == BLOCK_READ || request->operation == BLOCK_WRITE)
        slot_fill(slot);
    if (request->operation == BLOCK_WRITE)
        memcpy(model + offset, slot->memory, length);
    if (request->operation == BLOCK_WRITE_ZEROES)
        memset(model + offset, 0, length);
    if (request->operation == BLOCK_WRITE || request->operation == BLOCK_WRITE_ZEROES ||
        request->operation == BLOCK_DISCARD)
        memset(&unknown[offset / SECTOR], request->operation == BLOCK_DISCARD, request->length / SECTOR);
    slot->busy = true;
    left--;
    under_way++;
    block_submit(disk, request);
}

static void random_turn(void *opaque)
{
    for (unsigned i = 0; i < SLOTS && left; i++)
        if (!slots[i].busy && rand() % 2)
            slot_start(&slots[i]);
    block_kick(disk);
    if (left)
        loop_post(loop, opaque);
}

static void random_run(unsigned count)
{
    struct loop_call turn = {.function = random_turn};
    turn.opaque = &turn;
    for (unsigned i = 0; i < SLOTS; i++) {
        void *memory = NULL;
        assert_int_equal(posix_memalign(&memory, 4096, 300 * SECTOR + 8192), 0);
        slots[i].memory = (uint8_t *)memory + (unaligned_memory && i % 2 ? 8 : 0);
    }
    left = count;
    loop_post(loop, &turn);
    loop_run(loop);
    assert_int_equal(under_way, 0);
    assert_int_equal(disk->pending, 0);
    for (unsigned i = 0; i < SLOTS; i++)
        free(slots[i].memory - (unaligned_memory && i % 2 ? 8 : 0));
}

/* In pieces that begin and end anywhere. */
static void check_at_once(void)
{
    static uint8_t got[SIZE];
    for (uint64_t at = 0, size; at < SIZE; at += size) {
        const uint64_t wish = 1 + (uint64_t)rand() % 300000;
        size = MIN(wish, SIZE - at);
        assert_int_equal(block_read_now(disk, at, got + at, size), 0);
    }
    for (unsigned i = 0; i < SIZE; i += SECTOR)
        if (!unknown[i / SECTOR])
            assert_memory_equal(got + i, model + i, SECTOR);
}

static void check_all(void)
{
    static uint8_t got[SIZE];
    assert_int_equal(transfer(BLOCK_READ, 0, got, SIZE), 0);
    for (unsigned i = 0; i < SIZE; i += SECTOR)
        if (!unknown[i / SECTOR])
            assert_memory_equal(got + i, model + i, SECTOR);
    check_at_once();
}

static void model_make(void)
{
    for (unsigned i = 0; i < SIZE; i++)
        model[i] = (uint8_t)((i * 2654435761u) >> 13);
    memset(unknown, 0, sizeof unknown);
    file_make(model, SIZE);
}

static void random_test(const char *options)
{
    struct error error = ERROR_INIT;
    model_make();
    if (disk_try(options, &error)) {
        /* What the host has not got is said, and not taken for success. */
        if (error.code != -ENOSYS && error.code != -EPERM && error.code != -EINVAL)
            fail_msg("%s: %s", options, error.message);
        print_message("%s\n", error.message);
        skip();
    }
    srand(11);
    random_run(6000);
    check_all();
    assert_int_equal(transfer(BLOCK_FLUSH, 0, NULL, 0), 0);
    block_close(disk);
    disk_open(",readonly"); /* it is in the file */
    check_all();
    block_close(disk);
}

static void test_random_uring(void **state)
{
    (void)state;
    random_test(",aio=io_uring");
}

/* The ring's descriptor, by what /proc says of it; -1: there is none. */
static int ring_find(void)
{
    char name[64], target[64];
    for (int fd = 3; fd < 256; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        const ssize_t length = readlink(name, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = '\0';
        if (!strcmp(target, "anon_inode:[io_uring]"))
            return fd;
    }
    return -1;
}

/* As who has the process: the disk's own ring is mapped once more, and given other work. */
static void test_ring_does_nothing_else(void **state)
{
    struct io_uring_params params = {.flags = IORING_SETUP_R_DISABLED};
    struct io_uring ring, twin;
    struct io_uring_cqe *done;
    struct sockaddr address = {.sa_family = AF_UNIX};
    struct error error = ERROR_INIT;
    (void)state;
    file_make("disk", 4);
    if (disk_try(",format=raw,aio=io_uring", &error)) {
        print_message("[  SKIPPED ] %s\n", error.message);
        skip();
    }
    const int fd = ring_find();
    assert_true(fd >= 0);
    assert_int_equal(io_uring_queue_init_params(128, &twin, &params), 0); /* it tells what is where */
    assert_int_equal(io_uring_queue_mmap(fd, &params, &ring), 0);
    for (unsigned i = 0; i < 7; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
        switch (i) {
        case 0: io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0); break;
        case 1: io_uring_prep_rw(IORING_OP_SOCKET, sqe, AF_INET, NULL, 0, SOCK_STREAM); break;
        case 2: io_uring_prep_connect(sqe, fd, &address, sizeof address); break;
        case 3: io_uring_prep_unlinkat(sqe, AT_FDCWD, path, 0); break;
        case 4: io_uring_prep_accept(sqe, fd, NULL, NULL, 0); break;
        case 5: io_uring_prep_close(sqe, fd); break;
        case 6: io_uring_prep_nop(sqe); break;
        }
        assert_int_equal(io_uring_submit(&ring), 1);
        assert_int_equal(io_uring_wait_cqe(&ring, &done), 0);
        assert_int_equal(done->res, -EACCES);
        io_uring_cqe_seen(&ring, done);
    }
    assert_int_equal(io_uring_register_files(&ring, &fd, 1), -EACCES);
    io_uring_queue_exit(&twin);
    block_close(disk);
}

static void test_random_threads(void **state)
{
    (void)state;
    random_test(",aio=threads");
}

static void test_random_direct(void **state)
{
    (void)state;
    random_test(",cache=none");
    unaligned_memory = true;
    random_test(",cache=none,aio=threads");
    unaligned_memory = false;
}

/* A snapshot: works like the disk, and leaves it as it is. */
static void snapshot_test(const char *options)
{
    static uint8_t before[SIZE];
    struct error error = ERROR_INIT;
    model_make();
    memcpy(before, model, SIZE);
    if (disk_try(options, &error)) {
        assert_int_equal(error.code, -EINVAL); /* no cache=none here */
        return;
    }
    srand(12);
    for (unsigned round = 0; round < 4;
         round++) { /* from the disk, from both, at last hardly from the disk */
        random_run(round ? 2500 : 60);
        check_all();
    }
    block_close(disk);
    disk_open(",readonly");
    memcpy(model, before, SIZE);
    memset(unknown, 0, sizeof unknown);
    check_all();
    block_close(disk);
}

static void test_snapshot(void **state)
{
    (void)state;
    snapshot_test(",snapshot");
    snapshot_test(",snapshot,aio=threads");
    snapshot_test(",snapshot,cache=none");
}

/* What a snapshot keeps, in another one, makes the same disk of it; and only snapshots keep something. */
static void test_snapshot_kept(void **state)
{
    (void)state;
    static uint8_t kept[SIZE];
    static bool is_kept[SIZE / 4096];
    uint64_t offset, length;
    model_make();
    disk_open(",snapshot");
    offset = 0;
    assert_true(block_keeps(disk));
    assert_false(block_next_kept(disk, &offset, &length));
    srand(13);
    random_run(150);
    unsigned runs = 0;
    for (offset = 0; block_next_kept(disk, &offset, &length); offset += length, runs++) {
        assert_true(length && !(offset % 4096) && offset + length <= SIZE);
        assert_int_equal(block_read_now(disk, offset, kept + offset, length), 0);
        memset(is_kept + offset / 4096, true, (length + 4095) / 4096);
    }
    assert_in_range(runs, 5, SIZE / 4096);
    block_close(disk);
    disk_open(",snapshot");
    for (offset = 0; offset < SIZE; offset += 4096)
        assert_int_equal(!is_kept[offset / 4096] || block_keep(disk, offset, kept + offset, 4096) == 0, 1);
    assert_int_equal(block_keep(disk, 512, kept, 4096), -EINVAL);
    assert_int_equal(block_keep(disk, 0, kept, 512), -EINVAL);
    assert_int_equal(block_keep(disk, SIZE, kept, 4096), -EINVAL);
    check_all();
    random_run(500);
    check_all();
    block_close(disk);
    disk_open("");
    assert_false(block_keeps(disk));
    block_close(disk);
}

/* The same left in a file, which it is read from until it is written, for three generations. */
static void test_snapshot_kept_in_file(void **state)
{
    enum { CLUSTERS = SIZE / 4096 };
    static uint8_t bytes[SIZE];
    static struct block_piece pieces[CLUSTERS];
    struct error error = ERROR_INIT;
    (void)state;
    model_make();
    disk_open(",snapshot");
    srand(14);
    for (unsigned generation = 0; generation < 3; generation++) {
        const int fd = memfd_create("kept", MFD_CLOEXEC);
        unsigned count = 0;
        uint64_t at = 512, offset = 0, length;
        random_run(150);
        for (; block_next_kept(disk, &offset, &length); offset += length, at += length + 512) {
            assert_int_equal(block_read_now(disk, offset, bytes, length), 0);
            assert_int_equal(pwrite(fd, bytes, length, (off_t)at), length);
            pieces[count++] = (struct block_piece){offset, length, at};
        }
        assert_in_range(count, 2, CLUSTERS);
        block_close(disk);
        disk_open(",snapshot");
        assert_int_equal(block_keep_file(disk, fd, pieces, count, &error), 0);
        close(fd);
        check_all();
    }
    random_run(500);
    check_all();
    block_close(disk);
    static const struct block_piece bad[][2] = {
        {{512, 4096, 0}, {0}},
        {{0, 512, 0}, {0}},
        {{SIZE, 4096, 0}, {0}},
        {{0, 4096, 100}, {0}},
        {{4096, 4096, 0}, {0, 4096, 0}},
        {{0, 8192, 0}, {4096, 4096, 0}},
        {{UINT64_MAX - 4095, 8192, 0}, {0}},
    };
    disk_open(",snapshot");
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(block_keep_file(disk, 0, bad[i], bad[i][1].length ? 2 : 1, &error), -EINVAL);
    block_close(disk);
}

/* Two sectors of a cluster that are written at once, as the first of it, again and again. */
static struct block_request twins[8];
static unsigned twins_left;

static void twin_done(struct block_request *request, int result)
{
    (void)request;
    assert_int_equal(result, 0);
    if (!--twins_left)
        loop_stop(loop);
}

static void test_snapshot_cluster(void **state)
{
    (void)state;
    static uint8_t data[8][512], got[4096];
    model_make();
    disk_open(",snapshot");
    for (unsigned cluster = 0; cluster < 200; cluster++) {
        struct iovec iov[8];
        for (unsigned i = 0; i < 8; i++) {
            bool zeroes = (cluster + i) % 5 == 0;
            uint64_t offset = cluster * 4096 + i * 512;
            memset(data[i], (int)(cluster * 8 + i), 512);
            iov[i] = (struct iovec){data[i], 512};
            twins[i] = (struct block_request){.operation = zeroes ? BLOCK_WRITE_ZEROES : BLOCK_WRITE,
                                              .offset = offset,
                                              .length = 512,
                                              .iov = &iov[i],
                                              .iov_count = !zeroes,
                                              .done = twin_done};
            if (zeroes)
                memset(model + offset, 0, 512);
            else
                memcpy(model + offset, data[i], 512);
        }
        twins_left = 7; /* the eighth sector remains the disk's */
        for (unsigned i = 0; i < 7; i++)
            block_submit(disk, &twins[i]);
        block_kick(disk);
        loop_run(loop);
        assert_int_equal(transfer(BLOCK_READ, cluster * 4096, got, 4096), 0);
        assert_memory_equal(got, model + cluster * 4096, 7 * 512);
        assert_int_equal(got[4095], (uint8_t)(((cluster * 4096 + 4095) * 2654435761u) >> 13));
    }
    block_close(disk);
}

/* A file that ends within a sector. */
static void test_incomplete_sector(void **state)
{
    static const char *const kinds[] = {"", ",aio=threads", ",cache=none", ",snapshot"};
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        uint8_t data[1300], got[1536];
        struct error error = ERROR_INIT;
        struct stat status;
        memset(data, 0x55, sizeof data);
        memset(got, 0xaa, sizeof got);
        file_make(data, sizeof data);
        if (disk_try(kinds[i], &error)) {
            assert_int_equal(error.code, -EINVAL); /* no cache=none here */
            continue;
        }
        assert_int_equal(disk->size, 1536);
        assert_int_equal(transfer(BLOCK_READ, 0, got, 1536), 0);
        assert_memory_equal(got, data, sizeof data);
        for (unsigned j = sizeof data; j < sizeof got; j++)
            assert_int_equal(got[j], 0);
        memset(got + 1024, 0x77, 512);
        assert_int_equal(transfer(BLOCK_WRITE, 1024, got + 1024, 512), 0);
        memset(got, 0, sizeof got);
        assert_int_equal(transfer(BLOCK_READ, 1024, got, 512), 0);
        assert_true(got[0] == 0x77 && got[511] == 0x77);
        block_close(disk);
        assert_int_equal(stat(path, &status), 0);
        assert_true(i == 3 ? status.st_size == 1300 : status.st_size >= 1536);
    }
}

/* More pieces than the kernel takes at once. */
static void test_many_pieces(void **state)
{
    (void)state;
    static uint8_t data[3000 * 512];
    static struct iovec iov[3000];
    model_make();
    disk_open("");
    for (unsigned i = 0; i < 3000; i++)
        iov[i] = (struct iovec){data + i * 512, 512};
    struct block_request request = {
        .operation = BLOCK_READ, .length = sizeof data, .iov = iov, .iov_count = 3000, .done = one_done};
    block_submit(disk, &request);
    block_kick(disk);
    loop_run(loop);
    assert_int_equal(last_result, 0);
    assert_memory_equal(data, model, sizeof data);
    block_close(disk);
}

/* What cannot be a disk. */

static void expect_error(const char *suffix, int code, const char *message)
{
    struct error error = ERROR_INIT;
    assert_int_equal(disk_try(suffix, &error), code);
    if (!strstr(error.message, message) || strchr(error.message, '\n') || !strstr(error.message, path))
        fail_msg("%s", error.message);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *data, *message;
        size_t size, offset;
    } images[] = {
        {"QFI\xfb", "qcow2 image", 4, 0},         {"KDMV", "VMDK image", 4, 0},
        {"\x7f\x10\xda\xbe", "VDI image", 4, 64}, {"vhdxfile", "VHDX image", 8, 0},
        {"\xfd\x37zXZ", "xz-compressed", 6, 0},
    };
    unlink(path);
    expect_error("", -ENOENT, "does not exist");
    expect_error(",snapshot", -ENOENT, "does not exist");
    mkdir(path, 0777);
    expect_error("", -EISDIR, "is a directory");
    expect_error(",readonly", -EISDIR, "is a directory");
    rmdir(path);
    file_make("", 0);
    expect_error("", -EINVAL, "is empty");
    for (unsigned i = 0; i < ARRAY_SIZE(images); i++) {
        char data[1024] = "";
        memcpy(data + images[i].offset, images[i].data, images[i].size);
        file_make(data, sizeof data);
        expect_error(",readonly", -EMEDIUMTYPE, images[i].message);
        disk_open(",format=raw");
        block_close(disk);
    }
    unlink(path);
    assert_int_equal(mkfifo(path, 0666), 0);
    expect_error("", -EINVAL, "neither a file nor a block device");
    unlink(path);
}

static void test_unwritable(void **state)
{
    (void)state;
    uint8_t data[512] = {1};
    file_make(data, sizeof data);
    chmod(path, 0444);
    if (geteuid()) {
        expect_error("", -EACCES, "cannot write to");
    } else {
        assert_int_equal(seteuid(65534), 0);
        chmod(path, 0444);
        expect_error("", -EACCES, "cannot write to");
        assert_int_equal(seteuid(0), 0);
    }
    disk_open(",readonly");
    assert_true(disk->read_only);
    assert_false(disk->can_discard);
    assert_int_equal(transfer(BLOCK_WRITE, 0, data, 512), -EROFS);
    assert_int_equal(transfer(BLOCK_DISCARD, 0, NULL, 512), -EROFS);
    assert_int_equal(transfer(BLOCK_FLUSH, 0, NULL, 0), 0);
    block_close(disk);
}

static void test_locks(void **state)
{
    (void)state;
    struct block_backend *first, *second;
    uint8_t data[512] = {1};
    file_make(data, sizeof data);
    disk_open("");
    first = disk;
    expect_error("", -EBUSY, "in use by another machine");
    expect_error(",readonly", -EBUSY, "being written by another machine");
    expect_error(",snapshot", -EBUSY, "being written by another machine");
    block_close(first);
    disk_open(",readonly");
    first = disk;
    disk_open(",snapshot");
    second = disk;
    expect_error("", -EBUSY, "in use by another machine");
    block_close(first);
    expect_error("", -EBUSY, "in use by another machine");
    block_close(second);
    disk_open("");
    block_close(disk);
}

/* A full file system: the request fails with -ENOSPC, and can be repeated when there is room. */
static void test_full(void **state)
{
    (void)state;
    static uint8_t data[256 << 10];
    char mount_point[80], saved[128], filler[120];
    if (geteuid() || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
        print_message("needs root, to mount a file system\n");
        skip();
    }
    snprintf(mount_point, sizeof mount_point, "%s/full", directory);
    mkdir(mount_point, 0777);
    assert_int_equal(mount("tmpfs", mount_point, "tmpfs", 0, "size=512k"), 0);
    strcpy(saved, path);
    snprintf(path, sizeof path, "%s/disk", mount_point);
    file_make(data, 4096);
    assert_int_equal(truncate(path, 1 << 20), 0);
    snprintf(filler, sizeof filler, "%s/filler", mount_point);
    int fd = open(filler, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(ftruncate(fd, 400 << 10) | fallocate(fd, 0, 0, 400 << 10), 0);
    for (unsigned threads = 0; threads < 2; threads++) {
        disk_open(threads ? ",aio=threads" : "");
        memset(data, (int)threads + 1, sizeof data);
        assert_int_equal(transfer(BLOCK_WRITE, 512 << 10, data, sizeof data), -ENOSPC);
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(transfer(BLOCK_WRITE, 512 << 10, data, sizeof data), 0);
        assert_int_equal(transfer(BLOCK_WRITE_ZEROES, 512 << 10, NULL, sizeof data), 0);
        assert_int_equal(fallocate(fd, 0, 0, 400 << 10), 0);
        block_close(disk);
    }
    close(fd);
    strcpy(path, saved);
    assert_int_equal(umount2(mount_point, MNT_DETACH), 0);
    rmdir(mount_point);
}

/* The descriptor of the disk's file. */
static int disk_descriptor(void)
{
    char link[64], target[200];
    for (int fd = 3; fd < 200; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(link, target, sizeof target - 1);
        target[MAX(size, 0)] = '\0';
        if (!strcmp(target, path))
            return fd;
    }
    fail();
    return -1;
}

/* Errors of the host, here because the file is suddenly another: each is the request's; that of a flush
 * lasts, because what was lost remains so. */
static void test_errors(void **state)
{
    (void)state;
    static uint8_t data[4096];
    int broken = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (unsigned threads = 0; threads < 2; threads++) {
        model_make();
        disk_open(threads ? ",aio=threads" : "");
        int fd = disk_descriptor(), saved = dup(fd);
        assert_int_equal(dup2(broken, fd), fd);
        assert_int_equal(transfer(BLOCK_WRITE, 0, data, 4096), -EBADF);
        assert_int_equal(dup2(saved, fd), fd);
        assert_int_equal(transfer(BLOCK_WRITE, 0, data, 4096), 0);
        assert_int_equal(transfer(BLOCK_FLUSH, 0, NULL, 0), 0);
        assert_int_equal(dup2(broken, fd), fd);
        assert_int_equal(transfer(BLOCK_FLUSH, 0, NULL, 0), -EINVAL);
        assert_int_equal(dup2(saved, fd), fd);
        assert_int_equal(transfer(BLOCK_FLUSH, 0, NULL, 0), -EINVAL);
        assert_int_equal(transfer(BLOCK_READ, 0, data, 4096), 0);
        close(saved);
        block_close(disk);
    }
    close(broken);
}

static void test_parse(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",           ",readonly",      "a,",
        "a,b",        "a,readonly=1",   "a,cache",
        "a,cache=x",  "a,format=qcow2", "a,serial=",
        "a,aio=sync", "a,readonly,,b",  "a,serial=123456789012345678901",
    };
    struct block_options options;
    struct error error;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        if (block_options_parse(&options, bad[i], &error) != -EINVAL)
            fail_msg("%s", bad[i]);
    assert_int_equal(block_options_parse(&options, "a", &error), 0);
    assert_true(!strcmp(options.path, "a") && !options.read_only && !options.snapshot && !options.direct &&
                !options.raw && options.io == BLOCK_IO_ANY && !*options.serial);
    block_options_free(&options);
    assert_int_equal(
        block_options_parse(&options,
                            "a,,b=,,,readonly,snapshot,cache=none,serial=12345678901234567890,format=raw,"
                            "aio=threads",
                            &error),
        0);
    assert_true(!strcmp(options.path, "a,b=,") && options.read_only && options.snapshot && options.direct &&
                options.raw && options.io == BLOCK_IO_THREADS &&
                !strcmp(options.serial, "12345678901234567890"));
    block_options_free(&options);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_parse),
        TEST(test_random_uring),
        TEST(test_ring_does_nothing_else),
        TEST(test_random_threads),
        TEST(test_random_direct),
        TEST(test_snapshot),
        TEST(test_snapshot_kept),
        TEST(test_snapshot_kept_in_file),
        TEST(test_snapshot_cluster),
        TEST(test_incomplete_sector),
        TEST(test_many_pieces),
        TEST(test_refused),
        TEST(test_unwritable),
        TEST(test_locks),
        TEST(test_errors),
        TEST(test_full),
    };
    if (!mkdtemp(directory))
        return 1;
    chmod(directory, 0777);
    snprintf(path, sizeof path, "%s/disk", directory);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(directory);
    return failed;
}
