/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/virtio/console.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE 128
#define RECEIVE    0
#define TRANSMIT   1

#define F_SIZE            (UINT64_C(1) << 0)
#define F_EMERGENCY_WRITE (UINT64_C(1) << 2)

/* Offsets in the configuration. */
#define CONFIG_COLUMNS   0
#define CONFIG_ROWS      2
#define CONFIG_PORTS     4
#define CONFIG_EMERGENCY 8
#define CONFIG_SIZE      12

struct virtio_console {
    struct virtio_device virtio;
    uint32_t sent; /* bytes of the next chain to transmit that the backend has taken */
    struct char_backend backend;
    struct virtio_chain chain; /* what a function is at */
};

static const struct device_field console_fields[] = {
    DEVICE_PART(struct virtio_console, virtio, virtio_device_fields),
    DEVICE_FIELD(struct virtio_console, sent),
};

static size_t backend_write(struct virtio_console *console, const uint8_t *data, size_t size)
{
    return console->backend.write ? console->backend.write(console->backend.opaque, data, size) : size;
}

/* Gives the backend the rest of a chain; true if it has taken all. */
static bool send_chain(struct virtio_console *console)
{
    const struct virtio_chain *chain = &console->chain;
    size_t skip = console->sent;
    for (unsigned i = 0; i < chain->out_count; i++) {
        const uint8_t *data = chain->out[i].iov_base;
        size_t size = chain->out[i].iov_len;
        if (skip >= size) {
            skip -= size;
            continue;
        }
        size_t taken = backend_write(console, data + skip, size - skip);
        console->sent += (uint32_t)taken;
        if (taken < size - skip)
            return false;
        skip = 0;
    }
    return true;
}

static void transmit(struct virtio_console *console)
{
    struct virtio_device *device = &console->virtio;
    while (virtio_pop(device, TRANSMIT, &console->chain)) {
        if (!send_chain(console)) {
            virtio_unpop(device, TRANSMIT, 1);
            break;
        }
        console->sent = 0;
        virtio_push(device, TRANSMIT, &console->chain, 0);
    }
    virtio_publish(device, TRANSMIT);
}

static void console_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_console *console = (struct virtio_console *)device;
    if (queue == TRANSMIT)
        transmit(console);
    else if (console->backend.readable)
        console->backend.readable(console->backend.opaque);
}

/* A character for who has no queues: a kernel that has only just begun, or panics. */
static void console_config_written(struct virtio_device *device, unsigned offset, unsigned size)
{
    struct virtio_console *console = (struct virtio_console *)device;
    if (offset <= CONFIG_EMERGENCY && offset + size > CONFIG_EMERGENCY)
        backend_write(console, &device->config[CONFIG_EMERGENCY], 1);
}

static bool console_reset_queues(struct virtio_device *device)
{
    struct virtio_console *console = (struct virtio_console *)device;
    console->sent = 0;
    return true;
}

static size_t console_room(void *opaque)
{
    struct virtio_console *console = opaque;
    if (!virtio_pop(&console->virtio, RECEIVE, &console->chain))
        return 0;
    virtio_unpop(&console->virtio, RECEIVE, 1);
    return console->chain.in_size;
}

static void console_receive(void *opaque, const uint8_t *data, size_t size)
{
    struct virtio_console *console = opaque;
    while (size && virtio_pop(&console->virtio, RECEIVE, &console->chain)) {
        size_t some = virtio_copy_in(&console->chain, 0, data, size);
        virtio_push(&console->virtio, RECEIVE, &console->chain, some);
        data += some;
        size -= some;
    }
    virtio_publish(&console->virtio, RECEIVE);
}

static void console_writable(void *opaque)
{
    transmit(opaque);
}

struct char_client virtio_console_client(struct virtio_console *console)
{
    return (struct char_client){
        .room = console_room, .receive = console_receive, .writable = console_writable, .opaque = console};
}

void virtio_console_resize(struct virtio_console *console, uint16_t columns, uint16_t rows)
{
    uint8_t bytes[4] = {(uint8_t)columns, (uint8_t)(columns >> 8), (uint8_t)rows, (uint8_t)(rows >> 8)};
    virtio_config_update(&console->virtio, CONFIG_COLUMNS, bytes, sizeof bytes);
}

static void console_reset(void *opaque)
{
    struct virtio_console *console = opaque;
    virtio_reset(&console->virtio);
}

static int console_loaded(void *opaque, struct error *error)
{
    struct virtio_console *console = opaque;
    return virtio_loaded(&console->virtio, error);
}

static const struct device_type console_type = {
    .name = "virtio-console",
    .version = 1,
    .fields = console_fields,
    .field_count = ARRAY_SIZE(console_fields),
    .reset = console_reset,
    .loaded = console_loaded,
};

static const struct virtio_ops console_ops = {
    .id = 3,
    .pci_class = 0x078000,
    .notify = console_notify,
    .config_written = console_config_written,
    .reset = console_reset_queues,
};

int virtio_console_new(struct virtio_console **out, const struct virtio_place *place,
                       struct char_backend backend, struct error *error)
{
    struct virtio_console *console = calloc(1, sizeof *console);
    if (!console)
        return error_set(error, -ENOMEM, "no memory for device \"%s\"", place->name);
    uint8_t config[CONFIG_SIZE] = {[CONFIG_COLUMNS] = 80, [CONFIG_ROWS] = 25, [CONFIG_PORTS] = 1};
    struct virtio_parameters parameters = {
        .ops = &console_ops,
        .features = F_SIZE | F_EMERGENCY_WRITE,
        .queue_count = 2,
        .queue_size = QUEUE_SIZE,
        .config = config,
        .config_size = sizeof config,
    };
    console->backend = backend;
    int code = virtio_add(&console->virtio, place, &parameters, &console_type, console, error);
    if (code) {
        free(console);
        return code;
    }
    memset(&console->virtio.writable[CONFIG_EMERGENCY], 0xff, 4);
    *out = console;
    return 0;
}

void virtio_console_free(struct virtio_console *console)
{
    free(console);
}
