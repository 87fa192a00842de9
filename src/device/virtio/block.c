/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request is a chain: a header to read, data, a byte for the status to write. The backend gets the pieces
 * of guest memory between header and status as they are.
 *
 * Which chains are under way is known by their heads: that is what is saved, and a loaded device begins them
 * again. Reads, writes and the rest may be done twice.
 */
#include "device/virtio/block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE         VIRTIO_QUEUE_SIZE_MAX
#define QUEUES             16
#define SECTOR             512
#define HEADER_SIZE        16
#define SERIAL_SIZE        20
#define RANGE_SIZE         16                  /* of what is to be discarded or zeroed */
#define RANGES             32                  /* in one request */
#define RANGE_MOST         (UINT32_C(1) << 22) /* sectors */
#define SEGMENTS           (QUEUE_SIZE - 2)    /* besides header and status */
#define IN_FLIGHT(q, head) ((q) * (VIRTIO_QUEUE_SIZE_MAX / 64) + (head) / 64)

#define F_SEGMENTS     (UINT64_C(1) << 2)
#define F_READ_ONLY    (UINT64_C(1) << 5)
#define F_BLOCK_SIZE   (UINT64_C(1) << 6)
#define F_FLUSH        (UINT64_C(1) << 9)
#define F_TOPOLOGY     (UINT64_C(1) << 10)
#define F_CACHE        (UINT64_C(1) << 11) /* CONFIG_WCE */
#define F_QUEUES       (UINT64_C(1) << 12)
#define F_DISCARD      (UINT64_C(1) << 13)
#define F_WRITE_ZEROES (UINT64_C(1) << 14)

enum {
    TYPE_IN = 0,
    TYPE_OUT = 1,
    TYPE_FLUSH = 4,
    TYPE_GET_ID = 8,
    TYPE_DISCARD = 11,
    TYPE_WRITE_ZEROES = 13
};
enum { STATUS_OK, STATUS_IO_ERROR, STATUS_UNSUPPORTED };

struct configuration {
    uint64_t capacity;
    uint32_t size_max, seg_max;
    uint16_t cylinders;
    uint8_t heads, sectors;
    uint32_t block_size;
    uint8_t physical_block_exponent, alignment_offset;
    uint16_t min_io_size;
    uint32_t opt_io_size;
    uint8_t write_back, unused0;
    uint16_t queues;
    uint32_t max_discard_sectors, max_discard_ranges, discard_sector_alignment;
    uint32_t max_write_zeroes_sectors, max_write_zeroes_ranges;
    uint8_t write_zeroes_may_unmap, unused1[3];
} __attribute__((packed));

struct job {
    struct block_request request;
    struct virtio_block *block;
    struct job *next; /* free, or kept */
    unsigned queue;
    uint32_t epoch;
    uint32_t type;
    uint64_t sector;
    unsigned range; /* of those to discard or zero, the next */
    uint8_t *status;
    uint64_t status_address;
    struct virtio_chain chain; /* what is left of it without header and status */
};

struct virtio_block {
    struct virtio_device virtio;
    uint64_t in_flight[QUEUES * VIRTIO_QUEUE_SIZE_MAX / 64]; /* heads, a bit each */
    /* Not saved. */
    struct block_backend *backend;
    char serial[SERIAL_SIZE];
    void (*blocked)(void *opaque, int error);
    void (*failed)(void *opaque, enum block_operation operation, int error);
    void *opaque;
    struct virtio_block_statistics statistics;
    struct job *idle, *kept; /* kept: the host has no room for them now */
    unsigned pending;
    uint32_t epoch; /* of the driver: a reset begins a new one */
    bool is_blocked, loaded, starved, submitted;
};

static const struct device_field block_fields[] = {
    DEVICE_PART(struct virtio_block, virtio, virtio_device_fields),
    DEVICE_ARRAY(struct virtio_block, in_flight),
};

static void block_notify(struct virtio_device *device, unsigned queue);
static void job_done(struct block_request *request, int result);

static struct job *job_take(struct virtio_block *block)
{
    struct job *job = block->idle;
    if (job)
        block->idle = job->next;
    else
        job = malloc(sizeof *job);
    if (job) {
        job->block = block;
        job->epoch = block->epoch;
        job->range = 0;
    }
    return job;
}

static void job_release(struct job *job)
{
    job->next = job->block->idle;
    job->block->idle = job;
}

static void job_submit(struct job *job, enum block_operation operation, uint64_t offset, uint64_t length)
{
    struct virtio_block *block = job->block;
    bool write = operation == BLOCK_WRITE;
    job->request.operation = operation;
    job->request.offset = offset;
    job->request.length = length;
    job->request.iov = write ? job->chain.out : job->chain.in;
    job->request.iov_count = write ? job->chain.out_count : job->chain.in_count;
    job->request.done = job_done;
    job->request.opaque = job;
    block->pending++;
    block->submitted = true;
    block_submit(block->backend, &job->request);
}

/* The chain goes back to the guest. */
static void job_finish(struct job *job, uint8_t status)
{
    struct virtio_block *block = job->block;
    *job->status = status;
    memory_written(block->virtio.memory, job->status_address, 1);
    block->in_flight[IN_FLIGHT(job->queue, job->chain.head)] &= ~(UINT64_C(1) << job->chain.head % 64);
    virtio_push(&block->virtio, job->queue, &job->chain, job->chain.in_size + 1);
    job_release(job);
}

static bool valid_range(const struct virtio_block *block, uint64_t sector, uint64_t length)
{
    uint64_t size = ALIGN_DOWN(block->backend->size, SECTOR);
    return length % SECTOR == 0 && length <= size && sector <= (size - length) / SECTOR;
}

static void job_transfer(struct job *job, enum block_operation operation, size_t length)
{
    struct virtio_block *block = job->block;
    if (!valid_range(block, job->sector, length) || (operation == BLOCK_WRITE && block->backend->read_only))
        job_finish(job, STATUS_IO_ERROR);
    else if (!length)
        job_finish(job, STATUS_OK);
    else
        job_submit(job, operation, job->sector * SECTOR, length);
}

/* The next range to discard or zero. */
static void job_next_range(struct job *job)
{
    struct virtio_block *block = job->block;
    bool zero = job->type == TYPE_WRITE_ZEROES;
    struct {
        uint64_t sector;
        uint32_t count, flags;
    } range;
    unsigned ranges = (unsigned)MIN(job->chain.out_size / RANGE_SIZE, RANGES + 1);
    if (!virtio_has(&block->virtio, zero ? F_WRITE_ZEROES : F_DISCARD)) {
        job_finish(job, STATUS_UNSUPPORTED);
        return;
    }
    if (job->chain.out_size % RANGE_SIZE || !ranges || ranges > RANGES || block->backend->read_only) {
        job_finish(job, STATUS_IO_ERROR);
        return;
    }
    for (; job->range < ranges; job->range++) {
        virtio_copy_out(&job->chain, (size_t)job->range * RANGE_SIZE, &range, RANGE_SIZE);
        if (range.flags & ~(uint32_t)zero) {
            job_finish(job, STATUS_UNSUPPORTED);
            return;
        }
        if (range.count > RANGE_MOST || !valid_range(block, range.sector, (uint64_t)range.count * SECTOR)) {
            job_finish(job, STATUS_IO_ERROR);
            return;
        }
        if (range.count) {
            job->request.unmap = range.flags & 1;
            job_submit(job, zero ? BLOCK_WRITE_ZEROES : BLOCK_DISCARD, range.sector * SECTOR,
                       (uint64_t)range.count * SECTOR);
            return;
        }
    }
    job_finish(job, STATUS_OK);
}

static void job_start(struct job *job)
{
    switch (job->type) {
    case TYPE_IN: job_transfer(job, BLOCK_READ, job->chain.in_size); break;
    case TYPE_OUT: job_transfer(job, BLOCK_WRITE, job->chain.out_size); break;
    case TYPE_FLUSH: job_submit(job, BLOCK_FLUSH, 0, 0); break;
    case TYPE_GET_ID:
        virtio_copy_in(&job->chain, 0, job->block->serial, SERIAL_SIZE);
        job_finish(job, STATUS_OK);
        break;
    case TYPE_DISCARD:
    case TYPE_WRITE_ZEROES: job_next_range(job); break;
    default: job_finish(job, STATUS_UNSUPPORTED);
    }
}

/* Without a cache that the driver knows of, a write is done when it is on stable storage. */
static bool writes_through(const struct virtio_block *block)
{
    const struct configuration *config = (const struct configuration *)block->virtio.config;
    return virtio_has(&block->virtio, F_CACHE) ? !config->write_back : !virtio_has(&block->virtio, F_FLUSH);
}

static void job_succeeded(struct job *job)
{
    switch (job->request.operation) {
    case BLOCK_WRITE:
        if (writes_through(job->block)) {
            job_submit(job, BLOCK_FLUSH, 0, 0);
            return;
        }
        break;
    case BLOCK_DISCARD:
    case BLOCK_WRITE_ZEROES:
        job->range++;
        job_next_range(job);
        return;
    default: break;
    }
    job_finish(job, STATUS_OK);
}

/* Takes up again what did not go on for want of memory. */
static void block_feed(struct virtio_block *block)
{
    if (!block->starved || block->is_blocked)
        return;
    block->starved = false;
    for (unsigned i = 0; i < block->virtio.queue_count; i++)
        if (virtio_running(&block->virtio) && block->virtio.queues[i].enabled)
            block_notify(&block->virtio, i);
}

static void block_kick_submitted(struct virtio_block *block)
{
    bool submitted = block->submitted;
    block->submitted = false;
    if (submitted)
        block_kick(block->backend);
}

static void block_count(struct virtio_block *block, const struct block_request *request, int result)
{
    if (!result) {
        block->statistics.of[request->operation].done++;
        block->statistics.of[request->operation].bytes += request->length;
    } else if (result != -EOPNOTSUPP) {
        block->statistics.of[request->operation].failed++;
        if (block->failed)
            block->failed(block->opaque, request->operation, result);
    }
}

static void job_done(struct block_request *request, int result)
{
    struct job *job = request->opaque;
    struct virtio_block *block = job->block;
    unsigned queue = job->queue;
    block->pending--;
    if (job->epoch != block->epoch) {
        job_release(job);
        if (!block->pending)
            virtio_reset_done(&block->virtio);
        return;
    }
    if (result == -ENOSPC || result == -EDQUOT) {
        job->next = block->kept;
        block->kept = job;
        if (!block->is_blocked && block->blocked)
            block->blocked(block->opaque, result);
        block->is_blocked = true;
        return;
    }
    block_count(block, request, result);
    if (!result)
        job_succeeded(job);
    else
        job_finish(job, result == -EOPNOTSUPP ? STATUS_UNSUPPORTED : STATUS_IO_ERROR);
    virtio_publish(&block->virtio, queue);
    block_feed(block);
    block_kick_submitted(block);
}

/* Takes the header from the front and the status from the end. */
static bool job_parse(struct job *job)
{
    struct virtio_chain *chain = &job->chain;
    uint8_t header[HEADER_SIZE];
    if (!chain->in_size || virtio_copy_out(chain, 0, header, HEADER_SIZE) != HEADER_SIZE) {
        virtio_break(&job->block->virtio, "a request has no header or no status");
        return false;
    }
    memcpy(&job->type, header, 4);
    memcpy(&job->sector, header + 8, 8);
    chain->out_size -= HEADER_SIZE;
    for (size_t left = HEADER_SIZE; left;) {
        size_t some = MIN(left, chain->out->iov_len);
        chain->out->iov_base = (uint8_t *)chain->out->iov_base + some;
        chain->out->iov_len -= some;
        left -= some;
        if (!chain->out->iov_len) {
            chain->out++;
            chain->out_count--;
        }
    }
    struct iovec *last = &chain->in[chain->in_count - 1];
    chain->in_size--;
    last->iov_len--;
    job->status = (uint8_t *)last->iov_base + last->iov_len;
    job->status_address = chain->in_addresses[chain->in_count - 1] + last->iov_len;
    if (!last->iov_len)
        chain->in_count--;
    job->request.unmap = false;
    return true;
}

/* One chain from a queue: `head` or, if that is -1, the next. False: there is none, or no memory for it. */
static bool block_take(struct virtio_block *block, unsigned queue, int head)
{
    struct virtio_device *device = &block->virtio;
    struct job *job = job_take(block);
    if (!job) {
        block->starved = true;
        return false;
    }
    job->queue = queue;
    if (!(head < 0 ? virtio_pop(device, queue, &job->chain)
                   : virtio_pop_head(device, queue, (uint16_t)head, &job->chain))) {
        job_release(job);
        return false;
    }
    uint64_t bit = UINT64_C(1) << job->chain.head % 64;
    uint64_t *flying = &block->in_flight[IN_FLIGHT(queue, job->chain.head)];
    if (head < 0 && (*flying & bit)) {
        virtio_break(device, "a chain is there that is not done yet");
        job_release(job);
        return false;
    }
    if (!job_parse(job)) {
        job_release(job);
        return false;
    }
    *flying |= bit;
    job_start(job);
    return true;
}

static void block_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_block *block = (struct virtio_block *)device;
    if (block->is_blocked || block->loaded)
        return;
    while (block_take(block, queue, -1)) {
    }
    virtio_publish(device, queue);
    block_kick_submitted(block);
}

/* What was under way when the device was saved. */
static void block_begin_again(struct virtio_block *block)
{
    block->loaded = false;
    for (unsigned queue = 0; queue < block->virtio.queue_count; queue++)
        for (unsigned head = 0; head < VIRTIO_QUEUE_SIZE_MAX; head++)
            if (block->in_flight[IN_FLIGHT(queue, head)] >> head % 64 & 1)
                block_take(block, queue, (int)head);
}

void virtio_block_resume(struct virtio_block *block)
{
    struct job *kept = block->kept;
    block->is_blocked = false;
    block->kept = NULL;
    if (block->loaded)
        block_begin_again(block);
    while (kept) {
        struct job *job = kept;
        kept = job->next;
        block->pending++;
        block->submitted = true;
        block_submit(block->backend, &job->request);
    }
    block->starved = true; /* to look at all queues */
    block_feed(block);
    block_kick_submitted(block);
}

unsigned virtio_block_pending(const struct virtio_block *block)
{
    return block->pending;
}

bool virtio_block_is_blocked(const struct virtio_block *block)
{
    return block->is_blocked;
}

const struct virtio_block_statistics *virtio_block_statistics(const struct virtio_block *block)
{
    return &block->statistics;
}

static bool block_forget(struct virtio_device *device)
{
    struct virtio_block *block = (struct virtio_block *)device;
    block->epoch++;
    while (block->kept) {
        struct job *job = block->kept;
        block->kept = job->next;
        job_release(job);
    }
    memset(block->in_flight, 0, sizeof block->in_flight);
    block->is_blocked = block->starved = block->loaded = false;
    return !block->pending;
}

static void block_reset(void *opaque)
{
    struct virtio_block *block = opaque;
    virtio_reset(&block->virtio);
}

static int block_loaded(void *opaque, struct error *error)
{
    struct virtio_block *block = opaque;
    int code = virtio_loaded(&block->virtio, error);
    for (unsigned queue = 0; queue < QUEUES && !code; queue++) {
        unsigned size = queue < block->virtio.queue_count ? block->virtio.queues[queue].size : 0;
        for (unsigned head = size; head < VIRTIO_QUEUE_SIZE_MAX && !code; head++)
            if (block->in_flight[IN_FLIGHT(queue, head)] >> head % 64 & 1)
                code = error_set(error, -EINVAL, "a request is under way that cannot be");
    }
    if (code)
        return code;
    uint64_t in_flight[ARRAY_SIZE(block->in_flight)];
    memcpy(in_flight, block->in_flight, sizeof in_flight);
    block_forget(&block->virtio);
    memcpy(block->in_flight, in_flight, sizeof in_flight);
    block->loaded = true;
    return 0;
}

static const struct device_type block_type = {
    .name = "virtio-block",
    .version = 1,
    .fields = block_fields,
    .field_count = ARRAY_SIZE(block_fields),
    .reset = block_reset,
    .loaded = block_loaded,
};

static const struct virtio_ops block_ops = {
    .id = 2,
    .pci_class = 0x010000,
    .notify = block_notify,
    .reset = block_forget,
};

static uint8_t block_exponent(uint32_t size)
{
    uint8_t exponent = 0;
    while (exponent < 15 && (uint32_t)SECTOR << (exponent + 1) <= size)
        exponent++;
    return exponent;
}

static int block_add(struct virtio_block *block, const struct virtio_place *place,
                     const struct virtio_block_options *options, struct error *error)
{
    const struct block_backend *backend = options->backend;
    unsigned queues = MAX(1u, MIN(options->queues, QUEUES));
    struct configuration config = {
        .capacity = backend->size / SECTOR,
        .seg_max = SEGMENTS,
        .block_size = SECTOR,
        .physical_block_exponent = block_exponent(backend->block_size),
        .min_io_size = 1,
        .write_back = !options->write_through,
        .queues = (uint16_t)queues,
        .max_discard_sectors = RANGE_MOST,
        .max_discard_ranges = RANGES,
        .discard_sector_alignment = 1u << block_exponent(backend->block_size),
        .max_write_zeroes_sectors = RANGE_MOST,
        .max_write_zeroes_ranges = RANGES,
        .write_zeroes_may_unmap = backend->can_discard,
    };
    struct virtio_parameters parameters = {
        .ops = &block_ops,
        .features = F_SEGMENTS | F_BLOCK_SIZE | F_FLUSH | F_TOPOLOGY | F_CACHE | F_QUEUES |
                    (backend->read_only ? F_READ_ONLY : F_WRITE_ZEROES) |
                    (backend->can_discard && !backend->read_only ? F_DISCARD : 0),
        .queue_count = queues,
        .queue_size = QUEUE_SIZE,
        .config = &config,
        .config_size = sizeof config,
    };
    int code = virtio_add(&block->virtio, place, &parameters, &block_type, block, error);
    if (!code)
        block->virtio.writable[offsetof(struct configuration, write_back)] = 1;
    return code;
}

int virtio_block_new(struct virtio_block **out, const struct virtio_place *place,
                     const struct virtio_block_options *options, struct error *error)
{
    struct virtio_block *block = calloc(1, sizeof *block);
    struct job *job = malloc(sizeof *job); /* so that there always is one */
    int code = block && job ? 0 : error_set(error, -ENOMEM, "no memory for device \"%s\"", place->name);
    if (!code) {
        block->backend = options->backend;
        block->blocked = options->blocked;
        block->failed = options->failed;
        block->opaque = options->opaque;
        if (options->serial)
            memcpy(block->serial, options->serial, strnlen(options->serial, SERIAL_SIZE));
        code = block_add(block, place, options, error);
    }
    if (code) {
        free(block);
        free(job);
        return code;
    }
    job->block = block;
    job_release(job);
    *out = block;
    return 0;
}

void virtio_block_free(struct virtio_block *block)
{
    if (!block)
        return;
    block_forget(&block->virtio);
    while (block->idle) {
        struct job *job = block->idle;
        block->idle = job->next;
        free(job);
    }
    free(block);
}
