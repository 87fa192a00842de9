/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of a virtio device: features, status, resets, configuration. */
#include <errno.h>
#include <string.h>

#include "device/virtio/vhost_queues.h"
#include "device/virtio/virtio_private.h"

#define FEATURES (VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1)

static const struct device_field queue_fields[] = {
    DEVICE_LIMITED(struct virtio_queue, size, VIRTIO_QUEUE_SIZE_MAX),
    DEVICE_FIELD(struct virtio_queue, vector),
    DEVICE_FIELD(struct virtio_queue, available),
    DEVICE_FIELD(struct virtio_queue, used),
    DEVICE_FIELD(struct virtio_queue, published),
    DEVICE_FIELD(struct virtio_queue, enabled),
    DEVICE_FIELD(struct virtio_queue, descriptors),
    DEVICE_FIELD(struct virtio_queue, driver),
    DEVICE_FIELD(struct virtio_queue, device),
};

const struct device_field virtio_device_fields[VIRTIO_DEVICE_FIELDS] = {
    DEVICE_PART(struct virtio_device, pci, pci_device_fields),
    DEVICE_FIELD(struct virtio_device, status),
    DEVICE_LIMITED(struct virtio_device, isr, 3),
    DEVICE_FIELD(struct virtio_device, config_generation),
    DEVICE_FIELD(struct virtio_device, config_vector),
    DEVICE_FIELD(struct virtio_device, queue_select),
    DEVICE_FIELD(struct virtio_device, device_select),
    DEVICE_FIELD(struct virtio_device, driver_select),
    DEVICE_FIELD(struct virtio_device, driver_features),
    DEVICE_STRUCTS(struct virtio_device, queues, queue_fields),
    DEVICE_ARRAY(struct virtio_device, config),
    DEVICE_FIELD(struct virtio_device, resetting),
};

/* As the driver finds it. */
static void device_clear(struct virtio_device *device)
{
    virtio_signals_close(device);
    device->resetting = false;
    device->status = device->isr = 0;
    device->config_vector = VIRTIO_NO_VECTOR;
    device->queue_select = 0;
    device->device_select = device->driver_select = 0;
    device->driver_features = 0;
    device->reason = NULL;
    for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) { /* after a failed load also where there are none */
        uint16_t most = device->queues[i].most;
        device->queues[i] = (struct virtio_queue){.most = most, .size = most, .vector = VIRTIO_NO_VECTOR};
    }
    memcpy(device->config, device->initial, sizeof device->config);
    pci_set_intx(&device->pci, false);
}

static void stop_vhost(struct virtio_device *device)
{
    if (device->vhost)
        vhost_queues_stop(device->vhost);
}

static void guest_reset(struct virtio_device *device)
{
    stop_vhost(device);
    device->resetting = device->ops->reset && !device->ops->reset(device);
    if (!device->resetting)
        device_clear(device);
}

void virtio_reset_done(struct virtio_device *device)
{
    if (device->resetting)
        device_clear(device);
}

void virtio_reset(struct virtio_device *device)
{
    stop_vhost(device);
    if (device->ops->reset)
        device->ops->reset(device);
    device_clear(device);
    pci_device_reset(&device->pci);
}

void virtio_break(struct virtio_device *device, const char *reason)
{
    if (device->status & VIRTIO_NEEDS_RESET)
        return;
    device->status |= VIRTIO_NEEDS_RESET;
    device->reason = reason;
    stop_vhost(device);
    if (device->status & VIRTIO_DRIVER_OK)
        virtio_interrupt(device, device->config_vector, 2);
    if (device->broken)
        device->broken(device->opaque, device->name, reason);
}

void virtio_config_update(struct virtio_device *device, unsigned offset, const void *data, size_t size)
{
    memcpy(device->initial + offset, data, size);
    if (!memcmp(device->config + offset, data, size))
        return;
    memcpy(device->config + offset, data, size);
    virtio_config_changed(device);
}

void virtio_config_changed(struct virtio_device *device)
{
    device->config_generation++;
    if (device->status & VIRTIO_DRIVER_OK)
        virtio_interrupt(device, device->config_vector, 2);
}

static void write_status(struct virtio_device *device, uint8_t value)
{
    uint8_t before = device->status;
    if (!value) {
        guest_reset(device);
        return;
    }
    uint8_t rises = value & (uint8_t)~before;
    if ((rises & VIRTIO_FEATURES_OK) &&
        (!virtio_has(device, VIRTIO_F_VERSION_1) || (device->driver_features & ~device->features)))
        value &= (uint8_t)~VIRTIO_FEATURES_OK;
    device->status |= value & (uint8_t)~VIRTIO_NEEDS_RESET;
    if (!(rises & VIRTIO_DRIVER_OK))
        return;
    if (!(device->status & VIRTIO_FEATURES_OK)) {
        virtio_break(device, "the driver began before features were agreed on");
        return;
    }
    if (device->ops->started)
        device->ops->started(device);
    virtio_signals_open(device);
    if (device->vhost)
        vhost_queues_begin(device->vhost);
    virtio_notify_all(device);
}

static struct virtio_queue *selected_queue(struct virtio_device *device)
{
    return device->queue_select < device->queue_count ? &device->queues[device->queue_select] : NULL;
}

static uint64_t feature_word(uint64_t features, uint32_t select)
{
    return select < 2 ? (uint32_t)(features >> (32 * select)) : 0;
}

static uint32_t queue_read(const struct virtio_device *device, const struct virtio_queue *queue,
                           unsigned offset)
{
    switch (offset) {
    case 0x18: return queue->size;
    case 0x1a: return queue->vector;
    case 0x1c: return queue->enabled;
    case 0x1e: return device->queue_select; /* its notification address */
    case 0x20: return (uint32_t)queue->descriptors;
    case 0x24: return (uint32_t)(queue->descriptors >> 32);
    case 0x28: return (uint32_t)queue->driver;
    case 0x2c: return (uint32_t)(queue->driver >> 32);
    case 0x30: return (uint32_t)queue->device;
    case 0x34: return (uint32_t)(queue->device >> 32);
    default: return 0;
    }
}

uint32_t virtio_common_read(struct virtio_device *device, unsigned offset)
{
    const struct virtio_queue *queue = selected_queue(device);
    switch (offset) {
    case 0x00: return device->device_select;
    case 0x04: return (uint32_t)feature_word(device->features, device->device_select);
    case 0x08: return device->driver_select;
    case 0x0c: return (uint32_t)feature_word(device->driver_features, device->driver_select);
    case 0x10: return device->config_vector;
    case 0x12: return device->queue_count;
    case 0x14: return device->status | (device->resetting ? VIRTIO_ACKNOWLEDGE : 0); /* 0 were done */
    case 0x15: return device->config_generation;
    case 0x16: return device->queue_select;
    default: return queue ? queue_read(device, queue, offset) : 0;
    }
}

static void queue_enable(struct virtio_device *device, struct virtio_queue *queue)
{
    if (queue->descriptors % 16 || queue->driver % 2 || queue->device % 4)
        virtio_break(device, "a queue is not aligned");
    else
        queue->enabled = true;
}

static void set_half(uint64_t *address, bool upper, uint32_t value)
{
    if (upper)
        *address = (uint32_t)*address | (uint64_t)value << 32;
    else
        *address = (*address & ~(uint64_t)UINT32_MAX) | value;
}

static uint16_t valid_vector(const struct virtio_device *device, uint32_t value)
{
    return value < device->pci.msix_count ? (uint16_t)value : VIRTIO_NO_VECTOR;
}

static void queue_write(struct virtio_device *device, struct virtio_queue *queue, unsigned offset,
                        uint32_t value)
{
    if (offset == 0x1a) {
        queue->vector = valid_vector(device, value);
        return;
    }
    if (queue->enabled)
        return;
    switch (offset) {
    case 0x18:
        if (!value || value > queue->most || (value & (value - 1)))
            virtio_break(device, "a queue cannot have that size");
        else
            queue->size = (uint16_t)value;
        break;
    case 0x1c:
        if (value == 1)
            queue_enable(device, queue);
        break;
    case 0x20:
    case 0x24: set_half(&queue->descriptors, offset & 4, value); break;
    case 0x28:
    case 0x2c: set_half(&queue->driver, offset & 4, value); break;
    case 0x30:
    case 0x34: set_half(&queue->device, offset & 4, value); break;
    }
}

static void write_features(struct virtio_device *device, uint32_t value)
{
    if (!(device->status & VIRTIO_FEATURES_OK) && device->driver_select < 2)
        set_half(&device->driver_features, device->driver_select, value);
}

/* How wide the register at an offset is; 0: there is none that can be written. */
static unsigned common_width(unsigned offset)
{
    switch (offset) {
    case 0x00:
    case 0x08:
    case 0x0c:
    case 0x20:
    case 0x24:
    case 0x28:
    case 0x2c:
    case 0x30:
    case 0x34: return 4;
    case 0x10:
    case 0x16:
    case 0x18:
    case 0x1a:
    case 0x1c: return 2;
    case 0x14: return 1;
    default: return 0;
    }
}

/* "The driver MUST only use ... accesses of the field's width": others are ignored. */
void virtio_common_write(struct virtio_device *device, unsigned offset, unsigned size, uint32_t value)
{
    struct virtio_queue *queue = selected_queue(device);
    if (device->resetting || size != common_width(offset))
        return;
    switch (offset) {
    case 0x00: device->device_select = value; break;
    case 0x08: device->driver_select = value; break;
    case 0x0c: write_features(device, value); break;
    case 0x10: device->config_vector = valid_vector(device, value); break;
    case 0x14: write_status(device, (uint8_t)value); break;
    case 0x16: device->queue_select = (uint16_t)value; break;
    default:
        if (queue)
            queue_write(device, queue, offset, value);
    }
}

void virtio_notified(struct virtio_device *device, unsigned queue)
{
    if (queue >= device->queue_count || !device->queues[queue].enabled || !virtio_running(device))
        return;
    if (!device->vhost || !vhost_queues_notify(device->vhost, queue))
        device->ops->notify(device, queue);
}

void virtio_notify_all(struct virtio_device *device)
{
    for (unsigned i = 0; i < device->queue_count; i++)
        virtio_notified(device, i);
}

int virtio_loaded(struct virtio_device *device, struct error *error)
{
    int code = pci_device_loaded(&device->pci, error);
    for (unsigned i = 0; i < VIRTIO_QUEUES_MAX && !code; i++) {
        struct virtio_queue *queue = &device->queues[i];
        queue->found = false;
        if (queue->size > queue->most || (queue->size & (queue->size - 1)) || (queue->most && !queue->size) ||
            (queue->enabled && (queue->descriptors % 16 || queue->driver % 2 || queue->device % 4)))
            code = error_set(error, -EINVAL, "queue %u has a form that cannot be", i);
    }
    if (!code && (device->status & VIRTIO_FEATURES_OK) && (device->driver_features & ~device->features))
        code = error_set(error, -EINVAL, "the guest uses features %#llx that are not offered here",
                         (unsigned long long)(device->driver_features & ~device->features));
    if (!code && (device->status & VIRTIO_DRIVER_OK) && !(device->status & VIRTIO_FEATURES_OK) &&
        !(device->status & VIRTIO_NEEDS_RESET))
        code = error_set(error, -EINVAL, "the driver is ready without features");
    if (!code)
        virtio_reset_done(device); /* nothing is under way here */
    if (!code && (device->status & VIRTIO_DRIVER_OK))
        virtio_signals_open(device);
    return code;
}

int virtio_add(struct virtio_device *device, const struct virtio_place *place,
               const struct virtio_parameters *parameters, const struct device_type *type, void *state,
               struct error *error)
{
    if (strlen(place->name) >= sizeof device->name)
        return error_set(error, -EINVAL, "the name of device \"%s\" is too long", place->name);
    strcpy(device->name, place->name);
    device->ops = parameters->ops;
    device->features = parameters->features | FEATURES;
    device->queue_count = parameters->queue_count;
    device->config_size = parameters->config_size;
    device->memory = place->bus->wiring.memory;
    device->signals = place->signals;
    device->broken = place->broken;
    device->opaque = place->opaque;
    for (unsigned i = 0; i < device->queue_count; i++)
        device->queues[i].most = parameters->queue_size;
    if (parameters->config_size)
        memcpy(device->initial, parameters->config, parameters->config_size);
    int code = virtio_pci_init(device, place, error);
    if (code)
        return code;
    device_clear(device);
    code = devices_add(place->devices, type, device->name, state, error);
    if (code)
        pci_device_remove(&device->pci);
    return code;
}
