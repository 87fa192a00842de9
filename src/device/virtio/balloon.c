/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queue 0 has numbers of pages that the guest gives away, queue 1 those that it takes back, which costs the
 * host nothing until they are touched. Queue 2 has one buffer with statistics, which stays here until
 * somebody asks for new ones. The last has free memory that the guest reports; the one before (hints for a
 * migration) is there because drivers that leave it out disagree on the number of the last, and starts
 * nothing.
 */
#include "device/virtio/balloon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE 128
enum { INFLATE, DEFLATE, STATISTICS, HINTS, REPORTS, QUEUES };

#define F_STATISTICS     (UINT64_C(1) << 1)
#define F_DEFLATE_ON_OOM (UINT64_C(1) << 2)
#define F_HINTS          (UINT64_C(1) << 3)
#define F_POISON         (UINT64_C(1) << 4)
#define F_REPORTS        (UINT64_C(1) << 5)

#define PAGE_SHIFT 12 /* of the numbers, whatever pages the guest has */

/* Offsets in the configuration. */
#define CONFIG_TARGET 0
#define CONFIG_ACTUAL 4
#define CONFIG_POISON 12
#define CONFIG_SIZE   16

#define STATISTIC_SIZE 10 /* a tag of two bytes, a value of eight */

struct virtio_balloon {
    struct virtio_device virtio;
    bool waits;    /* a buffer with statistics is here */
    uint16_t head; /* of that */
    uint32_t interval;
    struct timer timer;
    struct virtio_balloon_statistics statistics;
    const struct clock *clock;
    void (*changed)(void *opaque);
    void *opaque;
    struct virtio_chain chain; /* what a function is at */
};

static const struct device_field balloon_fields[] = {
    DEVICE_PART(struct virtio_balloon, virtio, virtio_device_fields),
    DEVICE_FIELD(struct virtio_balloon, waits),
    DEVICE_LIMITED(struct virtio_balloon, head, VIRTIO_QUEUE_SIZE_MAX - 1),
    DEVICE_FIELD(struct virtio_balloon, interval),
    DEVICE_TIMER_FIELD(struct virtio_balloon, timer),
};

static const size_t statistic_places[] = {
    offsetof(struct virtio_balloon_statistics, swap_in),
    offsetof(struct virtio_balloon_statistics, swap_out),
    offsetof(struct virtio_balloon_statistics, major_faults),
    offsetof(struct virtio_balloon_statistics, minor_faults),
    offsetof(struct virtio_balloon_statistics, free_memory),
    offsetof(struct virtio_balloon_statistics, total_memory),
    offsetof(struct virtio_balloon_statistics, available_memory),
    offsetof(struct virtio_balloon_statistics, disk_caches),
    offsetof(struct virtio_balloon_statistics, hugetlb_allocations),
    offsetof(struct virtio_balloon_statistics, hugetlb_failures),
};

static uint32_t config_get(const struct virtio_balloon *balloon, unsigned offset)
{
    uint32_t value;
    memcpy(&value, &balloon->virtio.config[offset], sizeof value);
    return value;
}

/* The pages of one chain, neighbours together. */
static void give_pages(struct virtio_balloon *balloon)
{
    uint64_t start = 0, count = 0;
    uint32_t pages[64];
    size_t size;
    for (size_t offset = 0; (size = virtio_copy_out(&balloon->chain, offset, pages, sizeof pages)) >= 4;
         offset += size) {
        for (size_t i = 0; i < size / 4; i++) {
            if (count && pages[i] == start + count) {
                count++;
                continue;
            }
            memory_discard(balloon->virtio.memory, start << PAGE_SHIFT, count << PAGE_SHIFT);
            start = pages[i];
            count = 1;
        }
    }
    memory_discard(balloon->virtio.memory, start << PAGE_SHIFT, count << PAGE_SHIFT);
}

/* Free memory is given back unless the guest relies on what it has written there. */
static void give_reported(struct virtio_balloon *balloon)
{
    const struct virtio_chain *chain = &balloon->chain;
    if (virtio_has(&balloon->virtio, F_POISON) && config_get(balloon, CONFIG_POISON))
        return;
    for (unsigned i = 0; i < chain->in_count; i++)
        memory_discard(balloon->virtio.memory, chain->in_addresses[i], chain->in[i].iov_len);
}

static void forget_statistics(struct virtio_balloon *balloon)
{
    memset(&balloon->statistics, 0xff, sizeof balloon->statistics);
    balloon->statistics.time = 0;
}

static void read_statistics(struct virtio_balloon *balloon)
{
    uint8_t bytes[STATISTIC_SIZE];
    forget_statistics(balloon);
    for (size_t offset = 0;
         virtio_copy_out(&balloon->chain, offset, bytes, sizeof bytes) == sizeof bytes && offset < 4096;
         offset += sizeof bytes) {
        unsigned tag = bytes[0] | bytes[1] << 8;
        if (tag < ARRAY_SIZE(statistic_places))
            memcpy((uint8_t *)&balloon->statistics + statistic_places[tag], bytes + 2, 8);
    }
    balloon->statistics.time = clock_now(balloon->clock);
}

/* Returns the buffer that is here: the guest fills it again. */
static void ask_statistics(struct virtio_balloon *balloon)
{
    struct virtio_chain *chain = &balloon->chain;
    if (!balloon->waits || !virtio_running(&balloon->virtio))
        return;
    balloon->waits = false;
    chain->head = balloon->head;
    chain->in_count = 0;
    virtio_push(&balloon->virtio, STATISTICS, chain, 0);
    virtio_publish(&balloon->virtio, STATISTICS);
}

static void take_statistics(struct virtio_balloon *balloon)
{
    while (virtio_pop(&balloon->virtio, STATISTICS, &balloon->chain)) {
        struct virtio_chain *chain = &balloon->chain;
        uint16_t head = chain->head;
        read_statistics(balloon);
        ask_statistics(balloon); /* a second one: the first goes back */
        balloon->head = head;
        balloon->waits = true;
    }
}

static void balloon_due(void *opaque)
{
    struct virtio_balloon *balloon = opaque;
    ask_statistics(balloon);
    if (balloon->interval)
        timer_set(&balloon->timer, clock_now(balloon->clock) + balloon->interval * TIMER_SECOND);
}

static void balloon_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_balloon *balloon = (struct virtio_balloon *)device;
    bool hints = queue == HINTS && virtio_has(device, F_HINTS);
    if (queue == STATISTICS) {
        take_statistics(balloon);
        return;
    }
    while (virtio_pop(device, queue, &balloon->chain)) {
        if (queue == INFLATE)
            give_pages(balloon);
        else if (queue >= HINTS && !hints)
            give_reported(balloon);
        virtio_push(device, queue, &balloon->chain, 0);
    }
    virtio_publish(device, queue);
}

static void balloon_config_written(struct virtio_device *device, unsigned offset, unsigned size)
{
    struct virtio_balloon *balloon = (struct virtio_balloon *)device;
    if (balloon->changed && offset < CONFIG_ACTUAL + 4 && offset + size > CONFIG_ACTUAL)
        balloon->changed(balloon->opaque);
}

void virtio_balloon_observe(struct virtio_balloon *balloon, void (*changed)(void *opaque), void *opaque)
{
    balloon->changed = changed;
    balloon->opaque = opaque;
}

bool virtio_balloon_is_used(const struct virtio_balloon *balloon)
{
    return virtio_running(&balloon->virtio);
}

static bool balloon_forget(struct virtio_device *device)
{
    struct virtio_balloon *balloon = (struct virtio_balloon *)device;
    balloon->waits = false;
    forget_statistics(balloon);
    return true;
}

void virtio_balloon_set_target(struct virtio_balloon *balloon, uint64_t bytes)
{
    uint32_t pages = (uint32_t)MIN(bytes >> PAGE_SHIFT, UINT32_MAX);
    virtio_config_update(&balloon->virtio, CONFIG_TARGET, &pages, sizeof pages);
}

uint64_t virtio_balloon_target(const struct virtio_balloon *balloon)
{
    return (uint64_t)config_get(balloon, CONFIG_TARGET) << PAGE_SHIFT;
}

uint64_t virtio_balloon_size(const struct virtio_balloon *balloon)
{
    return (uint64_t)config_get(balloon, CONFIG_ACTUAL) << PAGE_SHIFT;
}

void virtio_balloon_set_interval(struct virtio_balloon *balloon, unsigned seconds)
{
    balloon->interval = seconds;
    timer_set(&balloon->timer, seconds ? clock_now(balloon->clock) + seconds * TIMER_SECOND : TIMER_NEVER);
}

void virtio_balloon_ask(struct virtio_balloon *balloon)
{
    ask_statistics(balloon);
}

const struct virtio_balloon_statistics *virtio_balloon_statistics(const struct virtio_balloon *balloon)
{
    return &balloon->statistics;
}

static void balloon_reset(void *opaque)
{
    struct virtio_balloon *balloon = opaque;
    virtio_reset(&balloon->virtio);
}

static int balloon_loaded(void *opaque, struct error *error)
{
    struct virtio_balloon *balloon = opaque;
    forget_statistics(balloon);
    return virtio_loaded(&balloon->virtio, error);
}

static const struct device_type balloon_type = {
    .name = "virtio-balloon",
    .version = 1,
    .fields = balloon_fields,
    .field_count = ARRAY_SIZE(balloon_fields),
    .reset = balloon_reset,
    .loaded = balloon_loaded,
};

static const struct virtio_ops balloon_ops = {
    .id = 5,
    .pci_class = 0x00ff00,
    .notify = balloon_notify,
    .config_written = balloon_config_written,
    .reset = balloon_forget,
};

int virtio_balloon_new(struct virtio_balloon **out, const struct virtio_place *place, struct timers *timers,
                       struct error *error)
{
    struct virtio_balloon *balloon = calloc(1, sizeof *balloon);
    if (!balloon)
        return error_set(error, -ENOMEM, "no memory for device \"%s\"", place->name);
    uint8_t config[CONFIG_SIZE] = {0};
    struct virtio_parameters parameters = {
        .ops = &balloon_ops,
        .features = F_STATISTICS | F_DEFLATE_ON_OOM | F_HINTS | F_POISON | F_REPORTS,
        .queue_count = QUEUES,
        .queue_size = QUEUE_SIZE,
        .config = config,
        .config_size = sizeof config,
    };
    int code = virtio_add(&balloon->virtio, place, &parameters, &balloon_type, balloon, error);
    if (code) {
        free(balloon);
        return code;
    }
    memset(&balloon->virtio.writable[CONFIG_ACTUAL], 0xff, 4);
    memset(&balloon->virtio.writable[CONFIG_POISON], 0xff, 4);
    balloon->clock = &timers->clock;
    timer_init(&balloon->timer, timers, balloon_due, balloon);
    forget_statistics(balloon);
    *out = balloon;
    return 0;
}

void virtio_balloon_free(struct virtio_balloon *balloon)
{
    if (balloon)
        timer_cancel(&balloon->timer);
    free(balloon);
}
