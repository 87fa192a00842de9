/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A network card whose queues a kernel that is made up serves: when it does, and that nothing is lost, or
 * told twice, when it begins and ends. */
#include "virtio_machine.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device/virtio/net.h"

#define F_MERGE (UINT64_C(1) << 15)
#define TAP     77

/* -- the machine's signals ------------------------------------------------------------------------------- */

struct signal {
    bool used, lent, of_guest;
    int fd;
    void (*rung)(void *device, unsigned number);
    void *device;
    unsigned number;
};

static struct signal all_signals[16];

static struct signal *signal_open(void *opaque, struct memory_region *region, uint64_t offset,
                                  void (*rung)(void *device, unsigned number), void *device, unsigned number)
{
    (void)opaque, (void)offset;
    struct signal *signal = all_signals;
    while (signal->used)
        signal++;
    assert_true(signal < all_signals + ARRAY_SIZE(all_signals));
    *signal = (struct signal){true, false,  region != NULL, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                              rung, device, number};
    return signal;
}

static void signal_close(void *opaque, struct signal *signal)
{
    (void)opaque;
    close(signal->fd);
    signal->used = false;
}

static int signal_descriptor(void *opaque, struct signal *signal)
{
    (void)opaque;
    return signal->fd;
}

static void signal_lend(void *opaque, struct signal *signal, bool lent)
{
    (void)opaque;
    signal->lent = lent;
}

static const struct signal_host signal_host = {signal_open, signal_close, signal_descriptor, signal_lend,
                                               NULL};

/* What the loop would do; how many it has called. */
static unsigned serve_signals(void)
{
    unsigned count = 0;
    uint64_t value;
    for (unsigned i = 0; i < ARRAY_SIZE(all_signals); i++) {
        struct signal *signal = &all_signals[i];
        if (!signal->used || signal->lent || read(signal->fd, &value, sizeof value) != sizeof value)
            continue;
        signal->rung(signal->device, signal->number);
        count++;
    }
    return count;
}

static void add_count(int fd)
{
    const uint64_t one = 1;
    assert_int_equal(write(fd, &one, sizeof one), sizeof one);
}

/* -- the engine's messages ------------------------------------------------------------------------------- */

static struct {
    int fd; /* -1: it is free */
    uint32_t data;
} lines_of_engine[4];
static bool engine_refuses;

static bool engine_connect(void *opaque, int fd, uint64_t address, uint32_t data)
{
    unsigned i = 0;
    (void)opaque;
    assert_int_equal(address, 0xfee00000);
    while (lines_of_engine[i].fd >= 0)
        i++;
    if (!engine_refuses) {
        lines_of_engine[i].fd = fd;
        lines_of_engine[i].data = data;
    }
    return !engine_refuses;
}

static void engine_disconnect(void *opaque, int fd)
{
    (void)opaque;
    for (unsigned i = 0; i < ARRAY_SIZE(lines_of_engine); i++) {
        if (lines_of_engine[i].fd != fd)
            continue;
        lines_of_engine[i].fd = -1;
        return;
    }
    fail_msg("%d is not connected", fd);
}

/* The data of what the eventfd sends; 0: nothing by itself. */
static uint32_t connected(int fd)
{
    for (unsigned i = 0; i < ARRAY_SIZE(lines_of_engine); i++)
        if (lines_of_engine[i].fd == fd)
            return lines_of_engine[i].data;
    return 0;
}

/* -- the kernel ------------------------------------------------------------------------------------------ */

static struct {
    bool runs, owned;
    unsigned starts, stops;
    int code; /* of the next start */
    struct vhost_queue queues[VHOST_QUEUES];
    uint64_t features;
    unsigned pieces;
    int errors, target;
} kernel;

static int kernel_own(struct vhost *vhost)
{
    (void)vhost;
    kernel.owned = true;
    return 0;
}

static int kernel_start(struct vhost *vhost, uint64_t features, const struct memory_pieces *pieces,
                        struct vhost_queue queues[VHOST_QUEUES], int errors, int target)
{
    (void)vhost;
    assert_false(kernel.runs);
    if (kernel.code)
        return kernel.code;
    memcpy(kernel.queues, queues, sizeof kernel.queues);
    kernel.runs = true;
    kernel.starts++;
    kernel.features = features;
    kernel.pieces = pieces->count;
    kernel.errors = errors;
    kernel.target = target;
    return 0;
}

static void kernel_stop(struct vhost *vhost, struct vhost_queue queues[VHOST_QUEUES])
{
    (void)vhost;
    assert_true(kernel.runs);
    kernel.runs = false;
    kernel.stops++;
    for (unsigned i = 0; i < VHOST_QUEUES; i++)
        queues[i].available = kernel.queues[i].available;
}

static const struct vhost_ops kernel_ops = {kernel_own, kernel_start, kernel_stop, NULL};
static struct vhost vhost = {&kernel_ops, ~UINT64_C(0)};

/* It takes the next chain, whose head is its number, returns it, and interrupts. */
static void kernel_serve(unsigned number)
{
    struct vhost_queue *queue = &kernel.queues[number];
    uint16_t used;
    assert_true(kernel.runs);
    memcpy(&used, queue->device + 2, 2);
    const uint32_t element[2] = {queue->available % queue->size, 0};
    memcpy(queue->device + 4 + 8 * (used % queue->size), element, sizeof element);
    used++;
    memcpy(queue->device + 2, &used, 2);
    queue->available++;
    add_count(queue->call);
}

/* -- the card -------------------------------------------------------------------------------------------- */

static struct virtio_net *card;
static unsigned sent, lends;
static bool lent;

static bool backend_send(struct net_backend *unused, const struct iovec *iov, unsigned count, size_t size)
{
    (void)unused, (void)iov, (void)count, (void)size;
    assert_false(lent);
    sent++;
    return true;
}

static void backend_prepare(struct net_backend *unused)
{
    (void)unused;
}

static int backend_lend(struct net_backend *unused, bool on)
{
    (void)unused;
    assert_true(on != lent);
    lent = on;
    lends++;
    return TAP;
}

static bool backend_count(const struct net_backend *unused, struct net_counts *counts)
{
    (void)unused;
    *counts = (struct net_counts){1, 60, 2, 120};
    return true;
}

static const struct net_ops backend_ops = {
    .send = backend_send, .prepare_lend = backend_prepare, .lend = backend_lend, .count = backend_count};
static struct net_backend backend = {.ops = &backend_ops, .link_up = true};
static struct driver guest;
static struct driver *const driver = &guest;

static int set_up(void **state)
{
    struct error error = ERROR_INIT;
    (void)state;
    machine_set_up();
    bus.wiring.messages.connect = engine_connect;
    bus.wiring.messages.disconnect = engine_disconnect;
    for (unsigned i = 0; i < ARRAY_SIZE(lines_of_engine); i++)
        lines_of_engine[i].fd = -1;
    memset(&kernel, 0, sizeof kernel);
    engine_refuses = lent = false;
    sent = lends = 0;
    signals = &signal_host;
    const struct virtio_place where = place("net0");
    const struct virtio_net_options options = {.backend = &backend, .mac = {0x52, 0x54, 0, 1, 2, 3}};
    assert_int_equal(virtio_net_new(&card, &where, &options, &error), 0);
    assert_int_equal(virtio_net_use_vhost(card, &vhost, ram[0], &error), 0);
    machine_power_on();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    virtio_net_free(card);
    assert_false(kernel.runs || lent);
    for (unsigned i = 0; i < ARRAY_SIZE(lines_of_engine); i++)
        assert_int_equal(lines_of_engine[i].fd, -1);
    for (unsigned i = 0; i < ARRAY_SIZE(all_signals); i++)
        if (all_signals[i].used)
            assert_true(all_signals[i].of_guest); /* the machine's to close */
    machine_tear_down();
    for (unsigned i = 0; i < ARRAY_SIZE(all_signals); i++)
        if (all_signals[i].used)
            signal_close(NULL, &all_signals[i]);
    return 0;
}

static void begin(void)
{
    virtio_net_stand(card, false);
    driver_begin(driver, 1, 3, 0);
}

static void put_frame(void)
{
    const struct buffer_part parts[] = {{DATA, 74, false}};
    driver_put(driver, 1, parts, 1);
}

static void mask(unsigned vector, bool on)
{
    const uint64_t table = (config_get(1, 0x10, 4) & ~15u) + (config_get(1, driver->msix + 4, 4) & ~7u);
    set(table + 16 * vector + 12, 4, on);
}

/* -- tests ----------------------------------------------------------------------------------------------- */

static void test_kernel_serves_once_the_driver_is_ready_and_the_machine_runs(void **state)
{
    (void)state;
    driver_begin(driver, 1, 3, 0);
    assert_int_equal(kernel.starts, 0);
    assert_false(kernel.owned);
    virtio_net_stand(card, false);
    assert_true(kernel.owned);
    assert_true(kernel.runs && lent);
    assert_true(virtio_net_in_kernel(card));
    assert_int_equal(kernel.target, TAP);
    assert_int_equal(kernel.pieces, 1);
    assert_int_equal(kernel.features & (VIRTIO_F_VERSION_1 | F_MERGE), VIRTIO_F_VERSION_1 | F_MERGE);
    assert_int_equal(kernel.queues[1].size, 16);
    assert_ptr_equal(kernel.queues[1].device, memory_pointer(&map, driver->queues[1].device, 4, true));
}

static void test_notifications_go_to_the_kernel(void **state)
{
    uint64_t count = 0;
    (void)state;
    begin();
    assert_int_equal(read(kernel.queues[1].kick, &count, sizeof count), sizeof count); /* the first look */
    put_frame();
    driver_kick(driver, 1); /* of an engine that makes no signal of it */
    assert_int_equal(read(kernel.queues[1].kick, &count, sizeof count), sizeof count);
    assert_int_equal(count, 1);
    assert_int_equal(serve_signals(), 0);
    assert_int_equal(sent, 0);
}

static void test_interrupts_go_past_visor(void **state)
{
    (void)state;
    begin();
    assert_int_equal(connected(kernel.queues[0].call), 1);
    assert_int_equal(connected(kernel.queues[1].call), 2);
    kernel_serve(1);
    assert_int_equal(serve_signals(), 0);
    assert_int_equal(messages, 0);
}

static void test_masked_interrupts_wait_in_visors_hands(void **state)
{
    (void)state;
    begin();
    mask(1, true);
    assert_int_equal(connected(kernel.queues[1].call), 0);
    assert_int_equal(connected(kernel.queues[0].call), 1);
    kernel_serve(1);
    assert_int_equal(serve_signals(), 1);
    assert_int_equal(messages, 0);
    mask(1, false);
    assert_int_equal(message_counts[2], 1); /* which was pending */
    assert_int_equal(connected(kernel.queues[1].call), 2);
}

static void test_an_engine_without_messages_leaves_them_to_the_loop(void **state)
{
    (void)state;
    engine_refuses = true;
    begin();
    kernel_serve(0);
    assert_int_equal(serve_signals(), 1);
    assert_int_equal(message_counts[1], 1);
}

static void test_a_wire_is_asserted_by_the_loop(void **state)
{
    (void)state;
    begin();
    config_set(1, driver->msix + 2, 2, 0); /* no MSI-X */
    assert_int_equal(connected(kernel.queues[0].call), 0);
    kernel_serve(0);
    assert_int_equal(serve_signals(), 1);
    assert_int_equal(get(driver->structures[3], 1), 1);
}

static void test_a_stop_takes_indices_and_interrupts_back(void **state)
{
    (void)state;
    begin();
    put_frame();
    put_frame();
    put_frame();
    kernel_serve(1);
    kernel_serve(1);
    virtio_net_stand(card, true);
    assert_false(kernel.runs || lent);
    assert_int_equal(message_counts[2], 1); /* what nobody has sent yet */
    assert_true(serve_signals() > 0);       /* of the guest's notifications */
    assert_int_equal(sent, 1);              /* the third */
    for (unsigned i = 0; i < 3; i++)
        assert_true(driver_take(driver, 1, NULL, NULL));
    assert_false(driver_take(driver, 1, NULL, NULL));
    virtio_net_stand(card, false);
    assert_int_equal(kernel.starts, 2);
    assert_int_equal(kernel.queues[1].available, 3);
}

static void test_saved_without_the_kernel_it_is_the_same(void **state)
{
    struct buffer saved = {0};
    struct error error = ERROR_INIT;
    (void)state;
    begin();
    put_frame();
    put_frame();
    kernel_serve(1);
    virtio_net_stand(card, true);
    serve_signals();
    devices_save(&devices, &saved);
    set(COMMON(0x14), 1, 0);
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), 0);
    buffer_free(&saved);
    put_frame();
    driver_kick(driver, 1);
    assert_int_equal(sent, 2);
    virtio_net_stand(card, false);
    assert_int_equal(kernel.queues[1].available, 3);
    assert_true(kernel.runs);
}

static void test_a_reset_ends_it(void **state)
{
    (void)state;
    begin();
    kernel_serve(0); /* a chain that was never put: the guest's index is what it is */
    set(COMMON(0x14), 1, 0);
    assert_false(kernel.runs || lent);
    messages = 0;
    assert_int_equal(serve_signals(), 0);
    assert_int_equal(messages, 0);
    driver_begin(driver, 1, 3, 0);
    assert_int_equal(kernel.starts, 2);
    assert_int_equal(kernel.queues[0].available, 0);
}

static void test_without_the_right_to_memory_it_ends(void **state)
{
    (void)state;
    begin();
    config_set(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    assert_false(kernel.runs);
    config_set(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    assert_true(kernel.runs);
}

static void test_while_written_pages_are_kept_visor_writes_them(void **state)
{
    uint64_t pages[HALF / 4096 / 64] = {0};
    (void)state;
    begin();
    assert_int_equal(memory_backing_track_dirty(ram[0], true), 0);
    assert_false(kernel.runs);
    put_frame();
    serve_signals();
    assert_int_equal(sent, 1);
    assert_int_equal(memory_backing_take_dirty(ram[0], pages), 0);
    assert_true(pages[0] >> (driver->queues[1].device >> 12) & 1);
    assert_int_equal(memory_backing_track_dirty(ram[0], false), 0);
    assert_true(kernel.runs);
}

static void test_another_memory_is_told(void **state)
{
    struct error error = ERROR_INIT;
    (void)state;
    begin();
    struct memory_region *more = memory_add_ram(&map, "more", 0x10000000, 0x10000, 0, ram[0], 0, &error);
    assert_non_null(more);
    assert_int_equal(kernel.starts, 2);
    assert_int_equal(kernel.pieces, 2);
    assert_int_equal(memory_region_place(more, 0x10000000, false, &error), 0);
    assert_int_equal(kernel.starts, 3);
    assert_int_equal(kernel.pieces, 1);
    config_set(1, PCI_BAR0, 4, 0xc8000000); /* registers are no memory */
    assert_int_equal(kernel.starts, 3);
}

static void test_what_the_kernel_cannot_do_visor_does_or_refuses(void **state)
{
    (void)state;
    begin();
    const struct buffer_part empty[] = {{DATA, 0, false}};
    driver_put(driver, 1, empty, 1);
    add_count(kernel.errors);
    serve_signals();
    assert_false(kernel.runs);
    serve_signals(); /* the notification that the kernel had */
    assert_string_equal(broken_reason, "a buffer is empty");
    driver_begin(driver, 1, 3, 0);
    assert_int_equal(kernel.starts, 2);
}

static void test_a_kernel_that_refuses_is_asked_again_by_the_next_driver(void **state)
{
    (void)state;
    kernel.code = -EOPNOTSUPP;
    begin();
    assert_false(kernel.runs || lent);
    put_frame();
    driver_kick(driver, 1);
    assert_int_equal(sent, 1);
    virtio_net_stand(card, true);
    kernel.code = 0;
    virtio_net_stand(card, false);
    assert_false(kernel.runs);
    driver_begin(driver, 1, 3, 0);
    assert_true(kernel.runs);
}

static void test_frames_are_counted_whoever_carries_them(void **state)
{
    (void)state;
    begin();
    assert_int_equal(virtio_net_statistics(card).sent_bytes, 60);
    virtio_net_stand(card, true);
    put_frame();
    driver_kick(driver, 1);
    assert_int_equal(virtio_net_statistics(card).sent_frames, 2);
    assert_int_equal(virtio_net_statistics(card).sent_bytes, 122);
    assert_int_equal(virtio_net_statistics(card).received_frames, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_kernel_serves_once_the_driver_is_ready_and_the_machine_runs),
        TEST(test_notifications_go_to_the_kernel),
        TEST(test_interrupts_go_past_visor),
        TEST(test_masked_interrupts_wait_in_visors_hands),
        TEST(test_an_engine_without_messages_leaves_them_to_the_loop),
        TEST(test_a_wire_is_asserted_by_the_loop),
        TEST(test_a_stop_takes_indices_and_interrupts_back),
        TEST(test_saved_without_the_kernel_it_is_the_same),
        TEST(test_a_reset_ends_it),
        TEST(test_without_the_right_to_memory_it_ends),
        TEST(test_while_written_pages_are_kept_visor_writes_them),
        TEST(test_another_memory_is_told),
        TEST(test_what_the_kernel_cannot_do_visor_does_or_refuses),
        TEST(test_a_kernel_that_refuses_is_asked_again_by_the_next_driver),
        TEST(test_frames_are_counted_whoever_carries_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
