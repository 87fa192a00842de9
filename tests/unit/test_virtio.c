/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all virtio devices have in common: structures, features, status, queues, and what guests do wrong. The
 * device notes the chains that it gets and answers as told. */
#include "virtio_machine.h"

#define QUEUES 3

static struct virtio_device device;
static struct virtio_chain chain;
static struct driver card;
static struct driver *const driver = &card;
static unsigned notified[QUEUES], taken, resets, started, config_writes, config_reads;
static unsigned batch; /* chains to take at a notification; 0: none */
static bool slow_reset;
static char read_text[256];
static unsigned out_counts[8], in_counts[8];

static void dummy_notify(struct virtio_device *unused, unsigned queue)
{
    (void)unused;
    notified[queue]++;
    for (unsigned i = 0; i < batch && virtio_pop(&device, queue, &chain); i++) {
        out_counts[taken % 8] = chain.out_count;
        in_counts[taken % 8] = chain.in_count;
        memset(read_text, 0, sizeof read_text);
        virtio_copy_out(&chain, 0, read_text, sizeof read_text - 1);
        virtio_push(&device, queue, &chain, virtio_copy_in(&chain, 0, "answer to it", 12));
        taken++;
    }
    virtio_publish(&device, queue);
}

static void dummy_started(struct virtio_device *unused)
{
    (void)unused;
    started++;
}

static void dummy_config_reading(struct virtio_device *unused)
{
    (void)unused;
    config_reads++;
}

static void dummy_config_written(struct virtio_device *unused, unsigned offset, unsigned size)
{
    (void)unused;
    config_writes += offset * 16 + size;
}

static bool dummy_reset(struct virtio_device *unused)
{
    (void)unused;
    resets++;
    return !slow_reset;
}

static const struct virtio_ops ops = {
    .id = 42,
    .pci_class = 0x078000,
    .notify = dummy_notify,
    .started = dummy_started,
    .config_reading = dummy_config_reading,
    .config_written = dummy_config_written,
    .reset = dummy_reset,
};

static void type_reset(void *opaque)
{
    virtio_reset(opaque);
}

static int type_loaded(void *opaque, struct error *error)
{
    return virtio_loaded(opaque, error);
}

static const struct device_type type = {
    .name = "dummy",
    .version = 1,
    .fields = virtio_device_fields,
    .field_count = VIRTIO_DEVICE_FIELDS,
    .reset = type_reset,
    .loaded = type_loaded,
};

/* -- signals --------------------------------------------------------------------------------------------- */

#define NOTIFICATIONS 0x3000

static struct signal {
    void (*rung)(void *device, unsigned number);
    unsigned number;
    bool open;
} bells[QUEUES];
static unsigned bells_most; /* so many can be */

static struct signal *bell_open(void *opaque, struct memory_region *region, uint64_t offset,
                                void (*rung)(void *device, unsigned number), void *which, unsigned number)
{
    (void)opaque;
    assert_ptr_equal(which, &device);
    assert_ptr_equal(region, device.pci.bars[0].region);
    assert_int_equal(offset, NOTIFICATIONS + 4 * number);
    if (number >= bells_most)
        return NULL;
    assert_false(bells[number].open);
    bells[number] = (struct signal){rung, number, true};
    return &bells[number];
}

static void bell_close(void *opaque, struct signal *signal)
{
    (void)opaque;
    assert_true(signal->open);
    signal->open = false;
}

static const struct signal_host bell_host = {.open = bell_open, .close = bell_close};

static unsigned bells_open(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < QUEUES; i++)
        count += bells[i].open;
    return count;
}

static int set_up(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    machine_set_up();
    memset(notified, 0, sizeof notified);
    taken = resets = started = config_writes = config_reads = 0;
    batch = 1000;
    slow_reset = false;
    device = (struct virtio_device){0};
    struct virtio_place where = place("dummy0");
    struct virtio_parameters parameters = {
        .ops = &ops,
        .features = 5,
        .queue_count = QUEUES,
        .queue_size = 64,
        .config = "configuration",
        .config_size = 13,
    };
    assert_int_equal(virtio_add(&device, &where, &parameters, &type, &device, &error), 0);
    device.writable[4] = 0xff;
    machine_power_on();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    machine_tear_down();
    return 0;
}

static void begin(void)
{
    driver_begin(driver, 1, QUEUES, 0);
    memset(notified, 0, sizeof notified);
}

static void text(uint64_t address, const char *words)
{
    assert_int_equal(memory_write(&map, address, words, strlen(words)), 0);
}

static void test_identity(void **state)
{
    (void)state;
    assert_int_equal(config_get(1, 0, 4), 0x106a1af4);
    assert_int_equal(config_get(1, 8, 4), 0x07800001);
    driver_find(driver, 1);
    for (unsigned i = 1; i <= 5; i++)
        assert_int_not_equal(driver->structures[i], 0);
    assert_int_equal(driver_features(driver), UINT64_C(0x130000005));
    set(COMMON(0), 4, 2);
    assert_int_equal(get(COMMON(4), 4), 0);
    assert_int_equal(get(COMMON(0x12), 2), QUEUES);
    assert_int_equal(get(COMMON(0x16), 2), 0);
    assert_int_equal(get(COMMON(0x18), 2), 64);
    assert_int_equal(get(COMMON(0x1a), 2), 0xffff);
    assert_int_equal(get(COMMON(0x14), 4), 0); /* status, generation, selected queue at once */
    set(COMMON(0x16), 2, QUEUES);
    assert_int_equal(get(COMMON(0x18), 2), 0);
    set(COMMON(0x18), 2, 16);
    set(COMMON(0x1c), 2, 1);
    assert_int_equal(get(COMMON(0x1c), 2), 0);
}

static void test_features(void **state)
{
    (void)state;
    driver_find(driver, 1);
    driver_agree(driver, UINT64_C(0x100000002)); /* not offered */
    assert_int_equal(get(COMMON(0x14), 1), 3);
    driver_agree(driver, 5); /* a legacy driver */
    assert_int_equal(get(COMMON(0x14), 1), 3);
    driver_agree(driver, UINT64_C(0x100000004));
    assert_int_equal(get(COMMON(0x14), 1), 11);
    set(COMMON(0xc), 4, 0); /* too late */
    assert_int_equal(get(COMMON(0xc), 4), 1);
    driver_start(driver);
    assert_int_equal(started, 1);
    assert_true(virtio_has(&device, 4) && !virtio_has(&device, 1));
    set(COMMON(0x14), 1, 0);
    assert_int_equal(get(COMMON(0xc), 4), 0);
    set(COMMON(0x14), 1, 7); /* without having agreed on features */
    assert_true(driver_is_broken(driver));
    assert_int_equal(started, 1);
    assert_non_null(broken_reason);
}

static void test_config(void **state)
{
    (void)state;
    driver_find(driver, 1);
    assert_int_equal(get(driver->structures[4], 4), 0x666e6f63);
    assert_int_equal(get(driver->structures[4] + 12, 4), 'n');
    assert_true(config_reads >= 2);
    set(driver->structures[4] + 4, 4, 0x64636261);
    assert_int_equal(get(driver->structures[4] + 4, 4), 0x72756761);
    assert_int_equal(config_writes, 4 * 16 + 4);
    set(driver->structures[4] + 8, 4, 0);
    assert_int_equal(config_writes, 4 * 16 + 4);
    begin();
    assert_int_equal(get(driver->structures[4] + 4, 1), 'i'); /* as after each reset */
    virtio_config_update(&device, 0, "K", 1);
    assert_int_equal(get(COMMON(0x15), 1), 1);
    assert_int_equal(message_counts[0], 1);
    virtio_config_update(&device, 0, "K", 1);
    assert_int_equal(message_counts[0], 1);
    begin();
    assert_int_equal(get(driver->structures[4], 1), 'K');
}

/* Everything can also be reached by configuration space. */
static void test_window(void **state)
{
    (void)state;
    driver_find(driver, 1);
    unsigned at = (unsigned)driver->structures[5];
    config_set(1, at + 4, 1, 0);
    config_set(1, at + 8, 4, 0x2000);
    config_set(1, at + 12, 4, 2);
    assert_int_equal(config_get(1, at + 16, 4), 0x6f63);
    config_set(1, at + 12, 4, 1);
    config_set(1, at + 8, 4, 0x2004);
    config_set(1, at + 16, 4, 'x');
    assert_int_equal(get(driver->structures[4] + 4, 1), 'x');
    config_set(1, at + 8, 4, 0x2005); /* not aligned, no size, no such BAR, outside: nothing */
    config_set(1, at + 12, 4, 4);
    config_get(1, at + 16, 4);
    config_set(1, at + 12, 4, 3);
    config_get(1, at + 16, 4);
    config_set(1, at + 8, 4, 0x8000);
    config_set(1, at + 12, 4, 4);
    config_set(1, at + 16, 4, 1);
    config_set(1, at + 4, 1, 1);
    config_set(1, at + 8, 4, 0);
    config_set(1, at + 16, 4, 1);
    config_get(1, at + 16, 4);
}

static void test_chain(void **state)
{
    (void)state;
    begin();
    text(DATA, "Hello, ");
    text(DATA + 0x100, "world");
    const struct buffer_part parts[] = {
        {DATA, 7, false}, {DATA + 0x100, 5, false}, {DATA + 0x200, 5, true}, {DATA + 0x300, 100, true}};
    unsigned head = driver_put(driver, 1, parts, 4);
    uint32_t used, length;
    assert_false(driver_take(driver, 1, &used, &length));
    driver_kick(driver, 1);
    assert_int_equal(notified[1], 1);
    assert_string_equal(read_text, "Hello, world");
    assert_true(driver_take(driver, 1, &used, &length));
    assert_int_equal(used, head);
    assert_int_equal(length, 12);
    assert_memory_equal(ram[0]->host + DATA + 0x200, "answe", 5);
    assert_memory_equal(ram[0]->host + DATA + 0x300, "r to it", 8);
    assert_int_equal(message_counts[2], 1);
    assert_false(driver_take(driver, 1, &used, &length));
}

/* More chains than the queue has places, over the end of indices. */
static void test_wrap(void **state)
{
    (void)state;
    begin();
    /* As if there had been many. */
    struct driver_queue *queue = &driver->queues[0];
    for (unsigned i = 0; i < 70000; i++) {
        const struct buffer_part parts[] = {{DATA, 1, false}, {DATA + 16, 4, true}};
        driver_put(driver, 0, parts, 2);
        if (i % 3)
            continue;
        driver_kick(driver, 0);
        uint32_t head;
        while (driver_take(driver, 0, &head, NULL))
            assert_true(head < 16);
    }
    assert_int_equal(taken, 70000);
    assert_int_equal(queue->used, (uint16_t)70000);
    assert_false(driver_is_broken(driver));
}

static void test_indirect(void **state)
{
    (void)state;
    begin();
    text(DATA, "direct ");
    text(DATA + 0x100, "indirect");
    uint64_t table = DATA + 0x1008;
    driver_descriptor(table, 0, DATA + 0x100, 8, 1, 2);
    driver_descriptor(table, 2, DATA + 0x200, 20, 3, 1);
    driver_descriptor(table, 1, DATA + 0x300, 20, 2, 0);
    uint64_t descriptors = driver->queues[0].descriptors;
    driver_descriptor(descriptors, 0, DATA, 7, 1, 5);
    driver_descriptor(descriptors, 5, table, 48, 4, 0);
    driver_make_available(driver, 0, 0);
    driver_kick(driver, 0);
    assert_int_equal(taken, 1);
    assert_string_equal(read_text, "direct indirect");
    assert_int_equal(in_counts[0], 2);
    assert_memory_equal(ram[0]->host + DATA + 0x200, "answer to it", 12);
}

/* A buffer in two regions of memory. */
static void test_split(void **state)
{
    (void)state;
    begin();
    text(HALF - 3, "two regions");
    const struct buffer_part parts[] = {{HALF - 3, 11, false}, {HALF - 6, 12, true}};
    driver_put(driver, 0, parts, 2);
    ram[0]->tracks_dirty = ram[1]->tracks_dirty = true;
    driver_kick(driver, 0);
    assert_string_equal(read_text, "two regions");
    assert_int_equal(out_counts[0], 2);
    assert_int_equal(in_counts[0], 2);
    assert_memory_equal(ram[0]->host + HALF - 6, "answer", 6);
    assert_memory_equal(ram[1]->host, " to it", 6);
    assert_int_equal(ram[0]->page_flags[HALF / 4096 - 1], MEMORY_PAGE_DIRTY);
    assert_int_equal(ram[1]->page_flags[0], MEMORY_PAGE_DIRTY);
    assert_int_equal(ram[1]->page_flags[1], 0);
    assert_int_equal(ram[0]->page_flags[1], MEMORY_PAGE_DIRTY); /* the used ring */
    assert_int_equal(ram[0]->page_flags[DATA / 4096], 0);
}

static void test_event_index(void **state)
{
    (void)state;
    begin();
    const struct buffer_part part = {DATA, 16, true};
    struct driver_queue *queue = &driver->queues[0];
    uint64_t avail_event = queue->device + 4 + 8 * 16, used_event = queue->driver + 4 + 2 * 16;
    assert_int_equal(get(avail_event, 2), 0);
    set(used_event, 2, 2); /* at the third */
    for (unsigned i = 0; i < 2; i++)
        driver_put(driver, 0, &part, 1);
    driver_kick(driver, 0);
    assert_int_equal(get(avail_event, 2), 2);
    assert_int_equal(message_counts[1], 0);
    driver_put(driver, 0, &part, 1);
    driver_kick(driver, 0);
    assert_int_equal(message_counts[1], 1);
    driver_put(driver, 0, &part, 1);
    driver_kick(driver, 0);
    assert_int_equal(message_counts[1], 1);
    /* Taken one by one, while there is more, the device asks for no notification. */
    batch = 1;
    driver_put(driver, 0, &part, 1);
    driver_put(driver, 0, &part, 1);
    driver_kick(driver, 0);
    assert_int_equal(taken, 5);
    assert_int_equal(get(avail_event, 2), 4);
    assert_true(virtio_has_work(&device, 0));
    driver_kick(driver, 0);
    assert_false(virtio_has_work(&device, 0));
    assert_int_equal(get(avail_event, 2), 6);
}

/* Without EVENT_IDX, and with the wire instead of messages. */
static void test_wire(void **state)
{
    (void)state;
    driver_find(driver, 1);
    driver_agree(driver, VIRTIO_F_VERSION_1);
    driver_queue(driver, 0, 16);
    driver_start(driver);
    const struct buffer_part part = {DATA, 16, true};
    driver_put(driver, 0, &part, 1);
    driver_kick(driver, 0);
    assert_true(lines[17]);
    assert_int_equal(get(driver->structures[3], 1), 1);
    assert_false(lines[17]);
    assert_int_equal(get(driver->structures[3], 1), 0);
    set(driver->queues[0].driver, 2, 1); /* no interrupts */
    driver_put(driver, 0, &part, 1);
    driver_kick(driver, 0);
    assert_int_equal(taken, 2);
    assert_false(lines[17]);
    virtio_config_changed(&device);
    assert_true(lines[17]);
    set(COMMON(0x14), 1, 0);
    assert_false(lines[17]);
    assert_int_equal(get(driver->structures[3], 1), 0);
    assert_int_equal(messages, 0);
}

static void test_unpop(void **state)
{
    (void)state;
    begin();
    batch = 0;
    const struct buffer_part part = {DATA, 16, true};
    unsigned first = driver_put(driver, 0, &part, 1);
    driver_put(driver, 0, &part, 1);
    assert_true(virtio_pop(&device, 0, &chain));
    assert_true(virtio_pop(&device, 0, &chain));
    assert_false(virtio_pop(&device, 0, &chain));
    virtio_unpop(&device, 0, 2);
    assert_true(virtio_pop(&device, 0, &chain));
    assert_int_equal(chain.head, first);
}

/* Who may not access memory does not; what waits is found when he may. */
static void test_bus_master(void **state)
{
    (void)state;
    begin();
    const struct buffer_part part = {DATA, 16, true};
    config_set(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    driver_put(driver, 0, &part, 1);
    driver_kick(driver, 0);
    assert_int_equal(taken, 0);
    config_set(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    assert_int_equal(taken, 1);
}

static void test_slow_reset(void **state)
{
    (void)state;
    begin();
    slow_reset = true;
    set(COMMON(0x14), 1, 0);
    assert_int_not_equal(get(COMMON(0x14), 1), 0);
    const struct buffer_part part = {DATA, 16, true};
    driver_put(driver, 0, &part, 1);
    driver_kick(driver, 0);
    set(COMMON(0x14), 1, 3);
    assert_int_equal(taken, 0);
    virtio_reset_done(&device);
    assert_int_equal(get(COMMON(0x14), 1), 0);
    set(COMMON(0x14), 1, 1);
    assert_int_equal(get(COMMON(0x14), 1), 1);
    machine_power_on(); /* waits for nothing */
    driver_find(driver, 1);
    assert_int_equal(get(COMMON(0x14), 1), 0);
}

/* Makes the device take what a function has put into queue 0, and expects it broken, until a reset. */
static void assert_breaks(void (*make)(struct driver_queue *queue), const char *reason)
{
    begin();
    broken_reason = NULL;
    unsigned before = taken, interrupts = message_counts[0];
    make(&driver->queues[0]);
    driver_kick(driver, 0);
    assert_true(driver_is_broken(driver));
    assert_string_equal(broken_reason, reason);
    assert_int_equal(taken, before);
    assert_int_equal(message_counts[0], interrupts + 1);
    const struct buffer_part part = {DATA, 16, true};
    driver_put(driver, 1, &part, 1);
    driver_kick(driver, 1); /* neither does anything else */
    assert_int_equal(taken, before);
    begin();
    driver_put(driver, 0, &part, 1);
    driver_kick(driver, 0);
    assert_int_equal(taken, before + 1);
}

static void one(const struct driver_queue *queue, uint64_t address, uint32_t length, unsigned flags,
                unsigned next)
{
    driver_descriptor(queue->descriptors, 0, address, length, flags, next);
    driver_make_available(driver, 0, 0);
}

static void make_loop(struct driver_queue *queue)
{
    driver_descriptor(queue->descriptors, 1, DATA, 4, 1, 0);
    one(queue, DATA, 4, 1, 1);
}

static void make_indirect_loop(struct driver_queue *queue)
{
    driver_descriptor(DATA, 0, DATA, 4, 1, 1);
    driver_descriptor(DATA, 1, DATA, 4, 1, 0);
    one(queue, DATA, 32, 4, 0);
}

static void make_next_outside(struct driver_queue *queue)
{
    one(queue, DATA, 4, 1, 16);
}

static void make_head_outside(struct driver_queue *queue)
{
    (void)queue;
    driver_make_available(driver, 0, 0xffff);
}

static void make_empty(struct driver_queue *queue)
{
    one(queue, DATA, 0, 0, 0);
}

static void make_nowhere(struct driver_queue *queue)
{
    one(queue, 0x7fffffff0000, 16, 2, 0);
}

static void make_over_the_end(struct driver_queue *queue)
{
    one(queue, RAM_SIZE - 8, 9, 0, 0);
}

static void make_huge(struct driver_queue *queue)
{
    one(queue, UINT64_MAX - 3, UINT32_MAX, 2, 0);
}

static void make_device_memory(struct driver_queue *queue)
{
    one(queue, WINDOW, 16, 2, 0);
}

static void make_wrong_order(struct driver_queue *queue)
{
    driver_descriptor(queue->descriptors, 1, DATA, 4, 0, 0);
    one(queue, DATA, 4, 3, 1);
}

static void make_nested_indirect(struct driver_queue *queue)
{
    driver_descriptor(DATA, 0, DATA, 16, 4, 0);
    one(queue, DATA, 16, 4, 0);
}

static void make_indirect_with_next(struct driver_queue *queue)
{
    one(queue, DATA, 16, 5, 1);
}

static void make_indirect_of_no_size(struct driver_queue *queue)
{
    one(queue, DATA, 17, 4, 1);
}

static void make_indirect_nowhere(struct driver_queue *queue)
{
    one(queue, RAM_SIZE - 16, 32, 4, 1);
}

static void make_too_many(struct driver_queue *queue)
{
    set(queue->driver + 2, 2, 17);
}

static void make_long(struct driver_queue *queue)
{
    for (unsigned i = 0; i < VIRTIO_CHAIN_MAX + 1; i++)
        driver_descriptor(DATA, i, DATA, 4, i < VIRTIO_CHAIN_MAX, i + 1);
    one(queue, DATA, 16 * (VIRTIO_CHAIN_MAX + 1), 4, 0);
}

static void test_malformed(void **state)
{
    (void)state;
    assert_breaks(make_loop, "a chain is a loop");
    assert_breaks(make_indirect_loop, "a chain is a loop");
    assert_breaks(make_next_outside, "a chain leads out of its table");
    assert_breaks(make_head_outside, "a chain leads out of its table");
    assert_breaks(make_empty, "a buffer is empty");
    assert_breaks(make_nowhere, "a buffer is not in memory");
    assert_breaks(make_over_the_end, "a buffer is not in memory");
    assert_breaks(make_huge, "a buffer is not in memory");
    assert_breaks(make_device_memory, "a buffer is not in memory");
    assert_breaks(make_wrong_order, "a buffer to read comes after one to write");
    assert_breaks(make_nested_indirect, "an indirect descriptor is where none may be");
    assert_breaks(make_indirect_with_next, "an indirect descriptor is where none may be");
    assert_breaks(make_indirect_of_no_size, "an indirect table has no valid size");
    assert_breaks(make_indirect_nowhere, "an indirect table is not in memory");
    assert_breaks(make_too_many, "a queue has more chains than descriptors");
    assert_breaks(make_long, "a chain is too long");
}

static void test_malformed_queues(void **state)
{
    (void)state;
    driver_find(driver, 1);
    static const struct {
        unsigned offset, width;
        uint32_t value;
    } wrongs[] = {{0x18, 2, 0}, {0x18, 2, 3}, {0x18, 2, 128}, {0x20, 4, 8}, {0x28, 4, 1}, {0x30, 4, 2}};
    for (unsigned i = 0; i < ARRAY_SIZE(wrongs); i++) {
        driver_agree(driver, VIRTIO_F_VERSION_1);
        set(COMMON(0x16), 2, 0);
        set(COMMON(wrongs[i].offset), wrongs[i].width, wrongs[i].value);
        set(COMMON(0x1c), 2, 1);
        assert_true(driver_is_broken(driver));
    }
    /* Nowhere. */
    driver_agree(driver, VIRTIO_F_VERSION_1);
    driver_queue(driver, 0, 16);
    driver_start(driver);
    assert_false(driver_is_broken(driver));
    driver_agree(driver, VIRTIO_F_VERSION_1);
    set(COMMON(0x24), 4, 5);
    set(COMMON(0x1c), 2, 1);
    driver_start(driver);
    assert_true(driver_is_broken(driver));
    assert_string_equal(broken_reason, "a queue is not in memory");
    /* A queue that is on cannot be changed; one that is not there is not notified. */
    begin();
    set(COMMON(0x16), 2, 0);
    set(COMMON(0x20), 4, 0x5000);
    set(COMMON(0x18), 2, 8);
    assert_int_equal(get(COMMON(0x20), 4), 0);
    assert_int_equal(get(COMMON(0x18), 2), 16);
    driver_kick(driver, QUEUES);
    driver_kick(driver, 900);
    assert_int_equal(notified[0] + notified[1] + notified[2], 0);
}

/* A queue whose memory goes away under it. */
static void test_memory_goes(void **state)
{
    (void)state;
    begin();
    const struct buffer_part part = {DATA, 16, true};
    driver_put(driver, 0, &part, 1);
    driver_kick(driver, 0);
    assert_int_equal(taken, 1);
    struct memory_region *region = memory_find(&map, 0)->region;
    memory_region_place(region, UINT64_C(1) << 36, true, NULL);
    driver_kick(driver, 0);
    assert_true(driver_is_broken(driver));
    virtio_push(&device, 0, &chain, 4);
    virtio_publish(&device, 0);
}

static void test_save(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct buffer saved = {0};
    begin();
    const struct buffer_part part = {DATA, 16, true};
    batch = 1;
    driver_put(driver, 2, &part, 1);
    driver_put(driver, 2, &part, 1);
    driver_kick(driver, 2);
    devices_save(&devices, &saved);
    machine_power_on();
    assert_int_equal(device.status, 0);
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), 0);
    driver_kick(driver, 2);
    assert_int_equal(taken, 2);
    uint32_t head;
    assert_true(driver_take(driver, 2, &head, NULL));
    assert_true(driver_take(driver, 2, &head, NULL));
    assert_int_equal(message_counts[3], 1);
    /* Of a device that can more than this one. */
    device.driver_features |= 8;
    saved.size = 0;
    devices_save(&devices, &saved);
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), -EINVAL);
    /* Of another form. */
    begin();
    device.queues[1].size = 48;
    saved.size = 0;
    devices_save(&devices, &saved);
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), -EINVAL);
    /* What was refused leaves nothing behind. */
    device.queues[QUEUES].size = 16;
    saved.size = 0;
    devices_save(&devices, &saved);
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), -EINVAL);
    saved.size = 0;
    devices_save(&devices, &saved);
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), 0);
    buffer_free(&saved);
}

/* Notifications are signals while the driver runs, and only then. */
static void test_signals(void **state)
{
    struct error error = ERROR_INIT;
    struct buffer saved = {0};
    (void)state;
    bells_most = QUEUES;
    device.signals = &bell_host;
    driver_find(driver, 1);
    driver_agree(driver, driver_features(driver));
    driver_queue(driver, 0, 16);
    driver_queue(driver, 2, 16);
    assert_int_equal(bells_open(), 0);
    driver_start(driver);
    assert_true(bells[0].open && !bells[1].open && bells[2].open);
    memset(notified, 0, sizeof notified);
    bells[2].rung(&device, bells[2].number);
    assert_int_equal(notified[2], 1);
    devices_save(&devices, &saved);
    set(COMMON(0x14), 1, 0);
    assert_int_equal(bells_open(), 0);
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), 0);
    assert_true(bells[0].open && !bells[1].open && bells[2].open);
    devices_reset(&devices);
    assert_int_equal(bells_open(), 0);
    assert_int_equal(pci_assign(&bus, &error), 0);
    /* Where the host has no more of them, accesses do as ever. */
    bells_most = 1;
    begin();
    assert_int_equal(bells_open(), 1);
    set(driver->structures[2] + 4, 2, 1);
    assert_int_equal(notified[1], 1);
    devices_reset(&devices);
    buffer_free(&saved);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_identity),    TEST(test_features),  TEST(test_config),
        TEST(test_window),      TEST(test_chain),     TEST(test_wrap),
        TEST(test_indirect),    TEST(test_split),     TEST(test_event_index),
        TEST(test_wire),        TEST(test_unpop),     TEST(test_bus_master),
        TEST(test_slow_reset),  TEST(test_malformed), TEST(test_malformed_queues),
        TEST(test_memory_goes), TEST(test_save),      TEST(test_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
