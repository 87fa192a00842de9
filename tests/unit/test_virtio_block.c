/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-blk on a backend in memory that finishes requests when it is told to. */
#include "virtio_machine.h"

#include "device/virtio/block.h"

#define DISK_SIZE 0x10000

static struct virtio_block *disk;
static struct block_backend backend;
static uint8_t content[DISK_SIZE];
static struct block_request *first, **end;
static unsigned kicks, submitted, flushes, discards, blocks;
static bool eager;  /* requests are done within the kick */
static int outcome; /* of those that are finished now */
static struct driver card;
static struct driver *const driver = &card;

static int execute(struct block_request *request)
{
    uint64_t at = request->offset, total = 0;
    assert_true(at + request->length <= DISK_SIZE && request->length % 512 == 0 && at % 512 == 0);
    if (outcome)
        return outcome;
    if (request->operation == BLOCK_FLUSH)
        flushes++;
    if (request->operation == BLOCK_DISCARD)
        discards++;
    if (request->operation == BLOCK_WRITE_ZEROES)
        memset(content + at, request->unmap ? 0xdd : 0, request->length);
    for (unsigned i = 0; i < request->iov_count && request->operation <= BLOCK_WRITE; i++) {
        void *memory = request->iov[i].iov_base;
        size_t length = request->iov[i].iov_len;
        assert_true(length);
        if (request->operation == BLOCK_READ)
            memcpy(memory, content + at + total, length);
        else
            memcpy(content + at + total, memory, length);
        total += length;
    }
    if (request->operation <= BLOCK_WRITE)
        assert_int_equal(total, request->length);
    return 0;
}

static void finish(void)
{
    while (first) {
        struct block_request *request = first;
        first = request->next;
        if (!first)
            end = &first;
        backend.pending--;
        request->done(request, execute(request));
    }
}

static void backend_submit(struct block_backend *unused, struct block_request *request)
{
    (void)unused;
    request->next = NULL;
    *end = request;
    end = &request->next;
    backend.pending++;
    submitted++;
}

static void backend_kick(struct block_backend *unused)
{
    (void)unused;
    kicks++;
    if (eager)
        finish();
}

static const struct block_ops backend_ops = {.submit = backend_submit, .kick = backend_kick};

static void blocked(void *opaque, int error)
{
    (void)opaque;
    assert_int_equal(error, -ENOSPC);
    blocks++;
}

static unsigned failures;

static void failed(void *opaque, enum block_operation operation, int error)
{
    (void)opaque;
    assert_int_equal(operation, BLOCK_READ);
    assert_int_equal(error, -EIO);
    failures++;
}

static void make_disk(bool write_through)
{
    struct error error = ERROR_INIT;
    struct virtio_place where = place("disk0");
    struct virtio_block_options options = {.backend = &backend,
                                           .serial = "serial number",
                                           .queues = 2,
                                           .write_through = write_through,
                                           .blocked = blocked,
                                           .failed = failed};
    assert_int_equal(virtio_block_new(&disk, &where, &options, &error), 0);
    machine_power_on();
}

static int set_up(void **state)
{
    machine_set_up();
    for (unsigned i = 0; i < DISK_SIZE; i++)
        content[i] = (uint8_t)(i / 512 + i);
    first = NULL;
    end = &first;
    kicks = submitted = flushes = discards = blocks = failures = 0;
    eager = false;
    outcome = 0;
    backend = (struct block_backend){.ops = &backend_ops,
                                     .name = "fake",
                                     .size = DISK_SIZE + 100,
                                     .block_size = 4096,
                                     .can_discard = true};
    if (!*state)
        make_disk(false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    outcome = 0;
    finish();
    assert_int_equal(virtio_block_pending(disk), 0);
    machine_tear_down();
    virtio_block_free(disk);
    return 0;
}

#define HEADER (DATA)
#define STATUS (DATA + 0x80)
#define BUFFER (DATA + 0x1000)

/* Puts a request into a queue: header, two pieces of data, status. `slot` keeps several apart. */
static unsigned put(unsigned queue, unsigned slot, uint32_t type, uint64_t sector, uint32_t length)
{
    uint64_t shift = slot * 0x2000u;
    bool write = type == 0 || type == 8;
    set(HEADER + shift, 4, type);
    set(HEADER + shift + 4, 4, 0);
    set(HEADER + shift + 8, 8, sector);
    set(STATUS + shift, 1, 0xee);
    struct buffer_part parts[4] = {
        {HEADER + shift, 16, false},
        {BUFFER + shift, length / 2, write},
        {BUFFER + shift + length / 2, length - length / 2, write},
        {STATUS + shift, 1, true},
    };
    if (!length)
        parts[1] = parts[3];
    return driver_put(driver, queue, parts, length ? 4 : 2);
}

/* One request from beginning to end; its status. */
static unsigned serve(uint32_t type, uint64_t sector, uint32_t length)
{
    unsigned head = put(0, 0, type, sector, length);
    uint32_t used, written;
    driver_kick(driver, 0);
    finish();
    assert_true(driver_take(driver, 0, &used, &written));
    assert_int_equal(used, head);
    if (type == 0 && !get(STATUS, 1))
        assert_int_equal(written, length + 1);
    return (unsigned)get(STATUS, 1);
}

static void begin(void)
{
    driver_begin(driver, 1, 2, 0);
}

static void test_identity(void **state)
{
    (void)state;
    begin();
    assert_int_equal(config_get(1, 0, 4), 0x10421af4);
    assert_int_equal(config_get(1, 8, 4) >> 8, 0x010000);
    assert_int_equal(driver->features & 0x7244, 0x7244);
    assert_int_equal(driver->features & 1 << 5, 0);
    uint64_t config = driver->structures[4];
    assert_int_equal(get(config, 8), DISK_SIZE / 512);
    assert_int_equal(get(config + 12, 4), 254);
    assert_int_equal(get(config + 20, 4), 512);
    assert_int_equal(get(config + 24, 1), 3);
    assert_int_equal(get(config + 32, 1), 1);
    assert_int_equal(get(config + 34, 2), 2);
    assert_int_equal(get(config + 40, 4), 32);
    assert_int_equal(serve(8, 0, 20), 0);
    char serial[21] = "";
    memory_read(&map, BUFFER, serial, 20);
    assert_string_equal(serial, "serial number");
}

static void test_read_write(void **state)
{
    (void)state;
    begin();
    assert_int_equal(serve(0, 3, 1024), 0);
    assert_memory_equal(ram[0]->host + BUFFER, content + 3 * 512, 1024);
    assert_int_equal(kicks, 1);
    memset(ram[0]->host + BUFFER, 0x77, 512);
    assert_int_equal(serve(1, 127, 512), 0);
    assert_int_equal(content[127 * 512], 0x77);
    assert_int_equal(content[127 * 512 + 511], 0x77);
    assert_int_equal(content[127 * 512 - 1], (uint8_t)(126 + 127 * 512 - 1));
    assert_int_equal(flushes, 0);
    assert_int_equal(serve(4, 0, 0), 0);
    assert_int_equal(flushes, 1);
    /* Header and data in one buffer, data and status as well. */
    struct buffer_part parts[] = {{HEADER, 16, false}, {BUFFER, 513, true}};
    set(HEADER, 4, 0);
    set(HEADER + 8, 8, 5);
    driver_put(driver, 0, parts, 2);
    driver_kick(driver, 0);
    finish();
    assert_memory_equal(ram[0]->host + BUFFER, content + 5 * 512, 512);
    assert_int_equal(get(BUFFER + 512, 1), 0);
    set(BUFFER, 4, 1);
    set(BUFFER + 8, 8, 6);
    struct buffer_part together[] = {{BUFFER, 16 + 512, false}, {STATUS, 1, true}};
    memset(ram[0]->host + BUFFER + 16, 0x66, 512);
    driver_put(driver, 0, together, 2);
    driver_kick(driver, 0);
    finish();
    assert_int_equal(content[6 * 512], 0x66);
    assert_int_equal(content[6 * 512 + 511], 0x66);
    assert_int_not_equal(content[7 * 512], 0x66);
}

static void test_bounds(void **state)
{
    (void)state;
    begin();
    assert_int_equal(serve(0, 127, 1024), 1);
    assert_int_equal(serve(1, 128, 512), 1);
    assert_int_equal(serve(0, UINT64_MAX, 512), 1);
    assert_int_equal(serve(0, UINT64_MAX / 512, 512), 1);
    assert_int_equal(serve(0, 0, 511), 1);
    assert_int_equal(serve(1, 0, 513), 1);
    assert_int_equal(serve(77, 0, 512), 2);
    assert_int_equal(submitted, 0);
    assert_int_equal(serve(0, 0, 0), 0);
    outcome = -EIO;
    assert_int_equal(serve(0, 0, 512), 1);
    outcome = -EOPNOTSUPP;
    assert_int_equal(serve(4, 0, 0), 2);
    /* What was done is counted; what the guest should not have asked for is no failure of the host's. */
    const struct virtio_block_statistics *statistics = virtio_block_statistics(disk);
    assert_int_equal(failures, 1);
    assert_int_equal(statistics->of[BLOCK_READ].failed, 1);
    assert_int_equal(statistics->of[BLOCK_READ].done, 0);
    assert_int_equal(statistics->of[BLOCK_FLUSH].failed, 0);
    outcome = 0;
    assert_int_equal(serve(0, 0, 1024), 0);
    assert_int_equal(statistics->of[BLOCK_READ].done, 1);
    assert_int_equal(statistics->of[BLOCK_READ].bytes, 1024);
    assert_false(driver_is_broken(driver));
    /* Without header or status there is nothing to say. */
    struct buffer_part parts[] = {{HEADER, 15, false}, {STATUS, 1, true}};
    driver_put(driver, 0, parts, 2);
    driver_kick(driver, 0);
    assert_true(driver_is_broken(driver));
    begin();
    parts[0].length = 16;
    driver_put(driver, 0, parts, 1);
    driver_kick(driver, 0);
    assert_true(driver_is_broken(driver));
}

/* A batch is submitted at one kick; answers come in any order; a chain cannot come twice. */
static void test_batch(void **state)
{
    (void)state;
    begin();
    unsigned heads[3];
    for (unsigned i = 0; i < 3; i++)
        heads[i] = put(1, i, 0, i, 512);
    driver_kick(driver, 1);
    assert_int_equal(submitted, 3);
    assert_int_equal(kicks, 1);
    assert_int_equal(virtio_block_pending(disk), 3);
    struct block_request *last = first->next->next;
    first->next->next = NULL;
    end = &first->next->next;
    last->next = first; /* the third comes first */
    first = last;
    finish();
    uint32_t used;
    assert_true(driver_take(driver, 1, &used, NULL) && used == heads[2]);
    assert_true(driver_take(driver, 1, &used, NULL) && used == heads[0]);
    assert_true(driver_take(driver, 1, &used, NULL) && used == heads[1]);
    assert_true(message_counts[2] >= 1);
    heads[0] = put(0, 0, 0, 0, 512);
    driver_make_available(driver, 0, heads[0]);
    driver_kick(driver, 0);
    assert_true(driver_is_broken(driver));
}

static void test_cache(void **state)
{
    (void)state;
    begin();
    set(driver->structures[4] + 32, 1, 0);
    assert_int_equal(serve(1, 0, 512), 0);
    assert_int_equal(flushes, 1);
    set(driver->structures[4] + 32, 1, 0xff);
    assert_int_equal(get(driver->structures[4] + 32, 1), 1);
    assert_int_equal(serve(1, 0, 512), 0);
    assert_int_equal(flushes, 1);
    driver_begin(driver, 1, 2, 1 << 9 | 1 << 11); /* a driver that never flushes */
    assert_int_equal(serve(1, 0, 512), 0);
    assert_int_equal(flushes, 2);
}

static void put_range(unsigned index, uint64_t sector, uint32_t count, uint32_t flags)
{
    set(BUFFER + 16 * index, 8, sector);
    set(BUFFER + 16 * index + 8, 4, count);
    set(BUFFER + 16 * index + 12, 4, flags);
}

static void test_discard(void **state)
{
    (void)state;
    begin();
    put_range(0, 8, 8, 0);
    put_range(1, 0, 0, 0);
    put_range(2, 64, 64, 0);
    assert_int_equal(serve(11, 0, 48), 0);
    assert_int_equal(discards, 2);
    put_range(0, 8, 1, 1);
    put_range(1, 10, 1, 0);
    assert_int_equal(serve(13, 0, 32), 0);
    assert_int_equal(content[8 * 512], 0xdd);
    assert_int_equal(content[10 * 512 + 511], 0);
    assert_int_not_equal(content[11 * 512 + 1], 0);
    put_range(0, 8, 1, 1); /* "unmap" is not for discarding */
    assert_int_equal(serve(11, 0, 16), 2);
    put_range(0, 8, 1, 2);
    assert_int_equal(serve(13, 0, 16), 2);
    put_range(0, 127, 2, 0);
    assert_int_equal(serve(13, 0, 16), 1);
    assert_int_equal(serve(13, 0, 17), 1);
    assert_int_equal(serve(13, 0, 0), 1);
    assert_int_equal(serve(13, 0, 33 * 16), 1);
}

/* The host is full: requests are kept, the guest waits, nothing is lost. */
static void test_full(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 3; i++) {
        memset(ram[0]->host + BUFFER + i * 0x2000, 0x50 + (int)i, 512);
        put(0, i, 1, i, 512);
    }
    driver_kick(driver, 0);
    outcome = -ENOSPC;
    finish();
    assert_int_equal(blocks, 1);
    assert_true(virtio_block_is_blocked(disk));
    assert_false(driver_take(driver, 0, NULL, NULL));
    put(0, 3, 0, 9, 512);
    driver_kick(driver, 0);
    assert_int_equal(virtio_block_pending(disk), 0);
    virtio_block_resume(disk); /* still full */
    finish();
    assert_int_equal(blocks, 2);
    outcome = 0;
    virtio_block_resume(disk);
    finish();
    assert_false(virtio_block_is_blocked(disk));
    assert_int_equal(virtio_block_statistics(disk)->of[BLOCK_WRITE].done, 3);
    assert_int_equal(virtio_block_statistics(disk)->of[BLOCK_WRITE].failed, 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(driver_take(driver, 0, NULL, NULL));
        assert_int_equal(get(STATUS + i * 0x2000, 1), 0);
    }
    assert_int_equal(content[512], 0x51);
    assert_memory_equal(ram[0]->host + BUFFER + 3 * 0x2000, content + 9 * 512, 512);
    assert_int_equal(blocks, 2);
    /* A reset forgets what was kept. */
    put(0, 0, 1, 0, 512);
    driver_kick(driver, 0);
    outcome = -ENOSPC;
    finish();
    machine_power_on();
    outcome = 0;
    begin();
    assert_int_equal(serve(0, 0, 512), 0);
}

/* A backend that has what is asked for at hand. */
static void test_at_once(void **state)
{
    (void)state;
    begin();
    eager = true;
    for (unsigned i = 0; i < 3; i++)
        put(1, i, 0, i, 512);
    driver_kick(driver, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(driver_take(driver, 1, NULL, NULL));
        assert_int_equal(get(STATUS + i * 0x2000, 1), 0);
    }
    set(driver->structures[4] + 32, 1, 0);
    put(0, 0, 1, 3, 512);
    driver_kick(driver, 0);
    assert_true(driver_take(driver, 0, NULL, NULL));
    assert_int_equal(flushes, 1);
    put_range(0, 8, 8, 0);
    put_range(1, 64, 64, 0);
    put(0, 0, 11, 0, 32);
    driver_kick(driver, 0);
    assert_true(driver_take(driver, 0, NULL, NULL));
    assert_int_equal(discards, 2);
    outcome = -ENOSPC;
    put(0, 0, 1, 3, 512);
    put(0, 1, 1, 4, 512);
    driver_kick(driver, 0);
    virtio_block_resume(disk);
    assert_int_equal(blocks, 2);
    assert_false(driver_take(driver, 0, NULL, NULL));
    outcome = 0;
    virtio_block_resume(disk);
    assert_true(driver_take(driver, 0, NULL, NULL) && driver_take(driver, 0, NULL, NULL));
    assert_int_equal(virtio_block_pending(disk), 0);
}

/* A driver's reset waits for what is under way in its memory. */
static void test_reset(void **state)
{
    (void)state;
    begin();
    put(0, 0, 0, 0, 512);
    driver_kick(driver, 0);
    set(COMMON(0x14), 1, 0);
    assert_int_not_equal(get(COMMON(0x14), 1), 0);
    finish();
    assert_int_equal(get(COMMON(0x14), 1), 0);
    assert_int_equal(get(driver->queues[0].device + 2, 2), 0);
    begin();
    put(0, 0, 0, 0, 512);
    driver_kick(driver, 0);
    machine_power_on(); /* the machine's does not, but then the driver's */
    driver_find(driver, 1);
    assert_int_equal(get(COMMON(0x14), 1), 0);
    set(COMMON(0x14), 1, 0);
    assert_int_not_equal(get(COMMON(0x14), 1), 0);
    finish();
    begin();
    assert_false(driver_take(driver, 0, NULL, NULL));
    assert_int_equal(serve(0, 1, 512), 0);
}

static void test_save(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct buffer saved = {0};
    begin();
    memset(ram[0]->host + BUFFER, 0x42, 512);
    unsigned heads[2] = {put(0, 0, 1, 20, 512), put(1, 1, 0, 21, 512)};
    driver_kick(driver, 0);
    driver_kick(driver, 1);
    devices_save(&devices, &saved);
    machine_power_on();
    outcome = -EIO; /* the other machine has never heard of them */
    finish();
    outcome = 0;
    machine_tear_down();
    virtio_block_free(disk);
    machine_set_up(); /* and the guest's memory is the same */
    make_disk(false);
    memset(ram[0]->host + BUFFER, 0x42, 512);
    driver_begin(driver, 1, 2, 0);
    assert_int_equal(put(0, 0, 1, 20, 512), heads[0]);
    assert_int_equal(put(1, 1, 0, 21, 512), heads[1]);
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), 0);
    driver_kick(driver, 0);
    assert_int_equal(submitted, 2); /* not before the machine goes on */
    virtio_block_resume(disk);
    assert_int_equal(submitted, 4);
    finish();
    assert_true(driver_take(driver, 0, NULL, NULL) && driver_take(driver, 1, NULL, NULL));
    assert_int_equal(content[20 * 512], 0x42);
    assert_int_equal(get(STATUS, 1), 0);
    assert_int_equal(serve(0, 20, 512), 0);
    buffer_free(&saved);
}

static void test_read_only(void **state)
{
    (void)state;
    backend.read_only = true;
    make_disk(true);
    begin();
    assert_int_equal(driver->features & 0x7020, 0x1020);
    assert_int_equal(get(driver->structures[4] + 32, 1), 0);
    assert_int_equal(serve(1, 0, 512), 1);
    assert_int_equal(serve(11, 0, 16), 2);
    assert_int_equal(serve(0, 0, 512), 0);
    assert_int_equal(submitted, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define OTHER(name)                                                                                          \
    {                                                                                                        \
#name, name, set_up, tear_down, (void *)1                                                            \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_identity), TEST(test_read_write), TEST(test_bounds),     TEST(test_batch),
        TEST(test_cache),    TEST(test_discard),    TEST(test_full),       TEST(test_at_once),
        TEST(test_reset),    TEST(test_save),       OTHER(test_read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
