/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtio device as a function on the PCI bus (virtio 1.2, 4.1): one BAR with a page for each structure. */
#include <errno.h>

#include "device/virtio/vhost_queues.h"
#include "device/virtio/virtio_private.h"

#define VENDOR      0x1af4
#define DEVICE_BASE 0x1040
#define SUBSYSTEM   0x1100

#define BAR_SIZE      0x8000
#define COMMON        0x0000
#define ISR           0x1000
#define CONFIG        0x2000
#define NOTIFY        0x3000
#define MSIX_TABLE    0x4000
#define MSIX_PENDING  0x5000
#define COMMON_SIZE   0x38
#define NOTIFY_STRIDE 4 /* bytes between the notification addresses of two queues */

enum { CFG_COMMON = 1, CFG_NOTIFY, CFG_ISR, CFG_DEVICE, CFG_PCI };

/* In a capability. */
#define CAP_TYPE   3
#define CAP_BAR    4
#define CAP_OFFSET 8
#define CAP_LENGTH 12
#define CAP_EXTRA  16 /* notify: stride; pci: data */
#define CAP_SIZE   16

void virtio_interrupt(struct virtio_device *device, uint16_t vector, uint8_t isr)
{
    if (pci_msix_enabled(&device->pci)) {
        pci_msix_send(&device->pci, vector);
        return;
    }
    device->isr |= isr;
    pci_set_intx(&device->pci, true);
}

/* Little-endian bytes of registers of which `word` has the one at this offset or before it. */
static uint64_t common_read(struct virtio_device *device, unsigned offset, unsigned size)
{
    if (offset + size > COMMON_SIZE)
        return 0;
    if (offset < 0x10 || offset >= 0x20) /* words */
        return virtio_common_read(device, offset & ~3u) >> (8 * (offset & 3));
    uint64_t value = 0;
    for (unsigned at = offset; at < offset + size; at++) {
        bool byte = at == 0x14 || at == 0x15;
        uint32_t one = virtio_common_read(device, byte ? at : at & ~1u) >> (byte ? 0 : 8 * (at & 1));
        value |= (uint64_t)(one & 0xff) << (8 * (at - offset));
    }
    return value;
}

static uint64_t config_read(struct virtio_device *device, unsigned offset, unsigned size)
{
    uint64_t value = 0;
    if (device->ops->config_reading)
        device->ops->config_reading(device);
    for (unsigned i = 0; i < size && offset + i < device->config_size; i++)
        value |= (uint64_t)device->config[offset + i] << (8 * i);
    return value;
}

static void config_write(struct virtio_device *device, unsigned offset, unsigned size, uint64_t value)
{
    bool changed = false;
    for (unsigned i = 0; i < size && offset + i < device->config_size; i++) {
        uint8_t mask = device->writable[offset + i], *to = &device->config[offset + i];
        *to = (uint8_t)((*to & ~mask) | (value >> (8 * i) & mask));
        changed |= mask;
    }
    if (changed && device->ops->config_written)
        device->ops->config_written(device, offset, size);
}

static uint64_t isr_read(struct virtio_device *device)
{
    uint8_t isr = device->isr;
    device->isr = 0;
    pci_set_intx(&device->pci, false);
    return isr;
}

static uint64_t bar_read(void *opaque, uint64_t offset, unsigned size)
{
    struct virtio_device *device = opaque;
    unsigned at = offset & 0xfff;
    switch (offset & ~UINT64_C(0xfff)) {
    case COMMON: return common_read(device, at, size);
    case ISR: return at ? 0 : isr_read(device);
    case CONFIG: return config_read(device, at, size);
    case MSIX_TABLE: return pci_msix_table_read(&device->pci, at, size);
    case MSIX_PENDING: return pci_msix_pending_read(&device->pci, at, size);
    default: return 0;
    }
}

static void bar_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct virtio_device *device = opaque;
    unsigned at = offset & 0xfff;
    const uint64_t page = offset & ~UINT64_C(0xfff);
    if (page == NOTIFY) {
        if (at % NOTIFY_STRIDE == 0)
            virtio_notified(device, at / NOTIFY_STRIDE);
        return;
    }
    switch (page) {
    case COMMON: virtio_common_write(device, at, size, (uint32_t)value); break;
    case CONFIG: config_write(device, at, size, value); break;
    case MSIX_TABLE: pci_msix_table_write(&device->pci, at, size, value); break;
    }
    if (device->vhost)
        vhost_queues_follow(device->vhost);
}

static const struct access_ops bar_ops = {bar_read, bar_write, 4};

static void told_notified(void *opaque, unsigned queue)
{
    virtio_notified(opaque, queue);
}

void virtio_signals_open(struct virtio_device *device)
{
    for (unsigned i = 0; device->signals && i < device->queue_count; i++) {
        struct virtio_queue *queue = &device->queues[i];
        if (queue->enabled && !queue->signal)
            queue->signal = device->signals->open(device->signals->opaque, device->pci.bars[0].region,
                                                  NOTIFY + i * NOTIFY_STRIDE, told_notified, device, i);
    }
}

void virtio_signals_close(struct virtio_device *device)
{
    for (unsigned i = 0; i < device->queue_count; i++) {
        if (device->queues[i].signal)
            device->signals->close(device->signals->opaque, device->queues[i].signal);
        device->queues[i].signal = NULL;
    }
}

/* The window through configuration space, for who cannot reach the BAR: false if it does not show anything.
 */
static bool window(const struct virtio_device *device, uint32_t *offset, uint32_t *length)
{
    const struct pci_device *pci = &device->pci;
    unsigned at = device->window;
    *offset = pci_config_get(pci, at + CAP_OFFSET, 4);
    *length = pci_config_get(pci, at + CAP_LENGTH, 4);
    return !pci->config[at + CAP_BAR] && (*length == 1 || *length == 2 || *length == 4) &&
           *offset % *length == 0 && *offset < BAR_SIZE;
}

static bool touches_window(const struct virtio_device *device, unsigned offset, unsigned size)
{
    unsigned data = device->window + CAP_EXTRA;
    return device->window && offset < data + 4 && offset + size > data;
}

static void pci_reading(void *opaque, unsigned offset, unsigned size)
{
    struct virtio_device *device = opaque;
    uint32_t where, length;
    if (!touches_window(device, offset, size) || !window(device, &where, &length))
        return;
    uint64_t value = bar_read(device, where, length);
    for (unsigned i = 0; i < 4; i++)
        device->pci.config[device->window + CAP_EXTRA + i] = i < length ? (uint8_t)(value >> (8 * i)) : 0;
}

static void pci_written(void *opaque, unsigned offset, unsigned size)
{
    struct virtio_device *device = opaque;
    uint32_t where, length;
    if (touches_window(device, offset, size) && window(device, &where, &length))
        bar_write(device, where, length, pci_config_get(&device->pci, device->window + CAP_EXTRA, length));
    if (device->vhost)
        vhost_queues_follow(device->vhost);
    /* What was put into the queues while the device could not look. */
    if (offset <= PCI_COMMAND && offset + size > PCI_COMMAND && virtio_running(device))
        virtio_notify_all(device);
}

static const struct pci_device_ops pci_ops = {.config_reading = pci_reading, .config_written = pci_written};

static int add_structure(struct virtio_device *device, uint8_t type, uint32_t offset, uint32_t length,
                         unsigned extra, struct error *error)
{
    int at = pci_capability_add(&device->pci, PCI_CAPABILITY_VENDOR, CAP_SIZE + extra);
    if (at < 0)
        return error_set(error, at, "%s: no room for capabilities", device->name);
    uint32_t writable = type == CFG_PCI ? UINT32_MAX : 0;
    pci_config_set(&device->pci, (unsigned)at + 2, 1, CAP_SIZE + extra, 0);
    pci_config_set(&device->pci, (unsigned)at + CAP_TYPE, 1, type, 0);
    pci_config_set(&device->pci, (unsigned)at + CAP_BAR, 1, 0, writable & 0xff);
    pci_config_set(&device->pci, (unsigned)at + CAP_OFFSET, 4, offset, writable);
    pci_config_set(&device->pci, (unsigned)at + CAP_LENGTH, 4, length, writable);
    if (extra)
        pci_config_set(&device->pci, (unsigned)at + CAP_EXTRA, 4, type == CFG_NOTIFY ? NOTIFY_STRIDE : 0,
                       writable);
    if (type == CFG_PCI)
        device->window = (unsigned)at;
    return 0;
}

static int add_structures(struct virtio_device *device, struct error *error)
{
    struct pci_device *pci = &device->pci;
    int code = pci_bar_add(pci, 0, PCI_BAR_64, BAR_SIZE, &bar_ops, device, error);
    if (!code)
        code = pci_msix_add(pci, device->queue_count + 1, 0, MSIX_TABLE, MSIX_PENDING, error);
    if (!code)
        code = add_structure(device, CFG_COMMON, COMMON, COMMON_SIZE, 0, error);
    if (!code)
        code = add_structure(device, CFG_NOTIFY, NOTIFY, device->queue_count * NOTIFY_STRIDE, 4, error);
    if (!code)
        code = add_structure(device, CFG_ISR, ISR, 1, 0, error);
    if (!code && device->config_size)
        code = add_structure(device, CFG_DEVICE, CONFIG, device->config_size, 0, error);
    if (!code)
        code = add_structure(device, CFG_PCI, 0, 0, 4, error);
    return code;
}

int virtio_pci_init(struct virtio_device *device, const struct virtio_place *place, struct error *error)
{
    struct pci_identity identity = {
        .vendor = VENDOR,
        .device = (uint16_t)(DEVICE_BASE + device->ops->id),
        .subsystem_vendor = VENDOR,
        .subsystem = SUBSYSTEM,
        .revision = 1,
        .class = device->ops->pci_class,
        .interrupt = true,
    };
    int code = pci_device_add(place->bus, place->slot, &device->pci, device->name, &identity, &pci_ops,
                              device, error);
    if (code)
        return code;
    code = add_structures(device, error);
    if (code)
        pci_device_remove(&device->pci);
    return code;
}
