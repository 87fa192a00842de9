/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-net on a backend that keeps what it is given. */
#include "virtio_machine.h"

#include "device/virtio/net.h"

static struct virtio_net *card;
static struct net_backend backend;
static uint8_t sent[NET_FRAME_MAX];
static size_t sent_size;
static unsigned frames, refusals, flushes, ready, pieces, offloads;
static struct driver guest;
static struct driver *const driver = &guest;

static bool backend_send(struct net_backend *unused, const struct iovec *iov, unsigned count, size_t size)
{
    (void)unused;
    if (refusals) {
        refusals--;
        return false;
    }
    sent_size = 0;
    for (unsigned i = 0; i < count; i++) {
        memcpy(sent + sent_size, iov[i].iov_base, iov[i].iov_len);
        sent_size += iov[i].iov_len;
    }
    assert_int_equal(sent_size, size);
    frames++;
    pieces = count;
    return true;
}

static void backend_flush(struct net_backend *unused)
{
    (void)unused;
    flushes++;
}

static void backend_ready(struct net_backend *unused)
{
    (void)unused;
    ready++;
}

static void backend_offloads(struct net_backend *unused, unsigned value)
{
    (void)unused;
    offloads = value;
}

static const struct net_ops backend_ops = {
    .send = backend_send,
    .flush = backend_flush,
    .receive_ready = backend_ready,
    .set_offloads = backend_offloads,
};

/* Of the card. */
static uint8_t last_byte = 3;
static bool shares;

static int set_up(void **state)
{
    struct error error = ERROR_INIT;
    machine_set_up();
    frames = refusals = flushes = ready = pieces = 0;
    offloads = 99;
    backend = (struct net_backend){.ops = &backend_ops, .link_up = true};
    if (*state) {
        backend.offloads = NET_OFFLOAD_CHECKSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6;
        backend.mtu = 9000;
    }
    struct virtio_place where = place("net0");
    struct virtio_net_options options = {
        .backend = &backend, .mac = {0x52, 0x54, 0, 1, 2, last_byte}, .shared = shares};
    assert_int_equal(virtio_net_new(&card, &where, &options, &error), 0);
    machine_power_on();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    machine_tear_down();
    virtio_net_free(card);
    assert_null(backend.client);
    return 0;
}

static bool receive(size_t size)
{
    static uint8_t frame[NET_FRAME_MAX];
    memset(frame, 0, NET_HEADER_SIZE);
    for (size_t i = NET_HEADER_SIZE; i < size; i++)
        frame[i] = (uint8_t)(i * 7 + i / 256);
    struct iovec iov[3] = {{frame, 5}, {frame + 5, size / 2 - 5}, {frame + size / 2, size - size / 2}};
    return backend.client->receive(backend.client->opaque, iov, 3, size);
}

static void assert_frame(uint64_t address, size_t from, size_t size)
{
    for (size_t i = from; i < from + size; i++)
        if (i >= NET_HEADER_SIZE)
            assert_int_equal(get(address + i - from, 1), (uint8_t)(i * 7 + i / 256));
}

static void test_identity(void **state)
{
    (void)state;
    assert_true(receive(100)); /* lost: nobody is there */
    driver_begin(driver, 1, 3, 0);
    assert_int_equal(config_get(1, 0, 4), 0x10411af4);
    assert_int_equal(config_get(1, 8, 4) >> 8, 0x020000);
    assert_int_equal(driver->features & 0xffffff, 0xa78020);
    assert_int_equal(get(driver->structures[4], 4), 0x01005452);
    assert_int_equal(get(driver->structures[4] + 4, 4), 0x00010302);
    assert_int_equal(offloads, 0);
    backend.link_up = false;
    virtio_net_link_changed(card);
    assert_int_equal(get(driver->structures[4] + 6, 2), 0);
    assert_int_equal(message_counts[0], 1);
}

static void test_send(void **state)
{
    (void)state;
    driver_begin(driver, 1, 3, 0);
    const struct buffer_part parts[] = {{DATA, 12, false}, {DATA + 0x100, 60, false}};
    const struct buffer_part together[] = {{DATA + 0x200, 74, false}};
    set(DATA, 8, UINT64_MAX); /* what was not agreed on does not get through */
    set(DATA + 8, 4, UINT32_MAX);
    memory_write(&map, DATA + 0x100, "frame", 5);
    driver_put(driver, 1, parts, 2);
    driver_put(driver, 1, together, 1);
    driver_kick(driver, 1);
    assert_int_equal(frames, 2);
    assert_int_equal(flushes, 1);
    assert_int_equal(sent_size, 74);
    assert_int_equal(pieces, 2);
    driver_put(driver, 1, parts, 2);
    driver_kick(driver, 1);
    static const uint8_t zeros[12];
    assert_memory_equal(sent, zeros, 12);
    assert_memory_equal(sent + 12, "frame", 6);
    assert_int_equal(sent_size, 72);
    for (unsigned i = 0; i < 3; i++)
        assert_true(driver_take(driver, 1, NULL, NULL));
    /* The backend is busy. */
    refusals = 1;
    driver_put(driver, 1, parts, 2);
    driver_kick(driver, 1);
    assert_int_equal(frames, 3);
    assert_false(driver_take(driver, 1, NULL, NULL));
    backend.client->send_ready(backend.client->opaque);
    assert_int_equal(frames, 4);
    assert_true(driver_take(driver, 1, NULL, NULL));
    /* Only a header: nothing to send. Less: broken. */
    driver_put(driver, 1, parts, 1);
    driver_kick(driver, 1);
    assert_int_equal(frames, 4);
    assert_int_equal(virtio_net_statistics(card).sent_frames, 4);
    assert_int_equal(virtio_net_statistics(card).sent_bytes, 60 + 62 + 60 + 60);
    assert_true(driver_take(driver, 1, NULL, NULL));
    driver_put(driver, 1, (struct buffer_part[]){{DATA, 11, false}}, 1);
    driver_kick(driver, 1);
    assert_true(driver_is_broken(driver));
}

static void test_receive(void **state)
{
    (void)state;
    driver_begin(driver, 1, 3, 0);
    ready = 0;
    assert_false(receive(100));
    const struct buffer_part parts[] = {{DATA, 10, true}, {DATA + 0x100, 90, true}};
    driver_put(driver, 0, parts, 2);
    driver_kick(driver, 0);
    assert_int_equal(ready, 1);
    assert_true(receive(80));
    uint32_t length;
    assert_true(driver_take(driver, 0, NULL, &length));
    assert_int_equal(length, 80);
    assert_int_equal(get(DATA + 0x100, 2), 1); /* buffers */
    assert_frame(DATA + 0x102, 12, 68);
    assert_int_equal(message_counts[1], 1);
    /* Over three buffers, of which there are two: nothing happens before the third is there. */
    const struct buffer_part small = {DATA + 0x1000, 40, true}, other = {DATA + 0x2000, 30, true};
    driver_put(driver, 0, &small, 1);
    driver_put(driver, 0, &other, 1);
    driver_kick(driver, 0);
    assert_false(receive(100));
    assert_false(driver_take(driver, 0, NULL, NULL));
    driver_put(driver, 0, parts, 2);
    driver_kick(driver, 0);
    assert_true(receive(100));
    assert_true(driver_take(driver, 0, NULL, &length) && length == 40);
    assert_true(driver_take(driver, 0, NULL, &length) && length == 30);
    assert_true(driver_take(driver, 0, NULL, &length) && length == 30);
    assert_int_equal(get(DATA + 0x1000 + 10, 2), 3);
    assert_frame(DATA + 0x1000, 0, 10);
    assert_frame(DATA + 0x2000, 40, 30);
    assert_frame(DATA, 70, 10);
    assert_frame(DATA + 0x100, 80, 20);
    assert_int_equal(message_counts[1], 2);
    assert_int_equal(virtio_net_statistics(card).received_frames, 2);
    assert_int_equal(virtio_net_statistics(card).received_bytes, 68 + 88);
    driver_put(driver, 0, (struct buffer_part[]){{DATA, 11, true}}, 1);
    assert_true(receive(20));
    assert_true(driver_is_broken(driver));
}

static void test_one_buffer(void **state)
{
    (void)state;
    driver_begin(driver, 1, 3, 1 << 15);
    const struct buffer_part part = {DATA, 80, true};
    driver_put(driver, 0, &part, 1);
    assert_true(receive(81)); /* dropped */
    assert_false(driver_take(driver, 0, NULL, NULL));
    assert_true(receive(80));
    assert_true(driver_take(driver, 0, NULL, NULL));
    assert_int_equal(get(DATA + 10, 2), 1);
    assert_false(receive(60));
    /* A queue that is full and has no room for the frame never will have. */
    driver_begin(driver, 1, 3, 0);
    for (unsigned i = 0; i < 16; i++)
        driver_put(driver, 0, &part, 1);
    assert_true(receive(80 * 16 + 1));
    assert_true(receive(80 * 16));
    for (unsigned i = 0; i < 16; i++)
        assert_true(driver_take(driver, 0, NULL, NULL));
}

static unsigned command(unsigned class, unsigned number, unsigned size)
{
    set(DATA, 1, class);
    set(DATA + 1, 1, number);
    set(DATA + 0x40, 1, 0xee);
    const struct buffer_part parts[] = {{DATA, 2, false}, {DATA + 0x10, size, false}, {DATA + 0x40, 1, true}};
    const struct buffer_part few[] = {{DATA, 2, false}, {DATA + 0x40, 1, true}};
    driver_put(driver, 2, size ? parts : few, size ? 3 : 2);
    driver_kick(driver, 2);
    assert_true(driver_take(driver, 2, NULL, NULL));
    return (unsigned)get(DATA + 0x40, 1);
}

static void test_commands(void **state)
{
    (void)state;
    driver_begin(driver, 1, 3, 0);
    assert_int_equal(command(0, 0, 1), 0);
    assert_int_equal(command(0, 9, 1), 1);
    assert_int_equal(command(1, 0, 8), 0);
    memory_write(&map, DATA + 0x10, "\x02\x11\x22\x33\x44\x55", 6);
    assert_int_equal(command(1, 1, 5), 1);
    assert_int_equal(command(1, 1, 6), 0);
    assert_int_equal(get(driver->structures[4], 4), 0x33221102);
    assert_int_equal(command(4, 0, 2), 1);
    virtio_net_announce(card);
    assert_int_equal(get(driver->structures[4] + 6, 2), 3);
    assert_int_equal(message_counts[0], 1);
    assert_int_equal(command(3, 0, 0), 0);
    assert_int_equal(get(driver->structures[4] + 6, 2), 1);
    driver_put(driver, 2, (struct buffer_part[]){{DATA, 2, false}}, 1);
    driver_kick(driver, 2);
    assert_true(driver_is_broken(driver));
}

/* The copy of a machine on a shared network has no link while its guest uses the first one's address. */
static void test_another_card(void **state)
{
    struct error error = ERROR_INIT;
    struct buffer saved = {0};
    const struct buffer_part parts[] = {{DATA, 12, false}, {DATA + 0x100, 60, false}};
    for (unsigned shared = 0; shared < 2; shared++) {
        shares = shared;
        tear_down(state);
        last_byte = 3;
        set_up(state);
        driver_begin(driver, 1, 3, 0);
        devices_save(&devices, &saved);
        tear_down(state);
        last_byte = 4;
        set_up(state);
        frames = 0;
        assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), 0);
        saved.size = 0;
        virtio_net_announce(card);
        assert_int_equal(get(driver->structures[4] + 4, 2), 0x0302); /* the one that it knows */
        assert_int_equal(get(driver->structures[4] + 6, 2) & 1, !shared);
        driver_put(driver, 1, parts, 2);
        driver_kick(driver, 1);
        assert_int_equal(frames, !shared);
        devices_save(&devices, &saved); /* and so on, for the copy that goes on */
        assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), 0);
        saved.size = 0;
        assert_int_equal(get(driver->structures[4] + 6, 2) & 1, !shared);
        memory_write(&map, DATA + 0x10, "\x52\x54\0\1\2\4", 6);
        assert_int_equal(command(1, 1, 6), 0);
        assert_int_equal(get(driver->structures[4] + 6, 2) & 1, 1);
        driver_put(driver, 1, parts, 2);
        driver_kick(driver, 1);
        assert_int_equal(frames, 2 - shared);
    }
    shares = false;
    last_byte = 3;
    buffer_free(&saved);
}

static void test_offloads(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct buffer saved = {0};
    driver_begin(driver, 1, 3, 1 << 8);
    assert_int_equal(driver->features & 0x7fff, 0x18ab);
    assert_int_equal(get(driver->structures[4] + 10, 2), 9000);
    assert_int_equal(offloads, NET_OFFLOAD_CHECKSUM | NET_OFFLOAD_TSO4);
    const struct buffer_part parts[] = {{DATA, 12, false}, {DATA + 0x100, 60, false}};
    set(DATA, 8, UINT64_C(0x0010002200420301));
    set(DATA + 8, 4, 0xffff0006);
    driver_put(driver, 1, parts, 2);
    driver_kick(driver, 1);
    assert_memory_equal(sent, "\x01\x03\x42\0\x22\0\x10\0\x06\0\0\0", 12);
    devices_save(&devices, &saved);
    set(COMMON(0x14), 1, 0);
    assert_int_equal(offloads, 0);
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), 0);
    assert_int_equal(offloads, NET_OFFLOAD_CHECKSUM | NET_OFFLOAD_TSO4);
    driver_put(driver, 1, parts, 2);
    driver_kick(driver, 1);
    assert_int_equal(frames, 2);
    buffer_free(&saved);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define OTHER(name)                                                                                          \
    {                                                                                                        \
#name, name, set_up, tear_down, (void *)1                                                            \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_identity), TEST(test_send),         TEST(test_receive),   TEST(test_one_buffer),
        TEST(test_commands), TEST(test_another_card), OTHER(test_offloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
