/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio: what all virtio devices have in common (OASIS Virtual I/O Device 1.2), over PCI, non-transitional.
 *
 * A device embeds a virtio_device, says what it can, and takes descriptor chains from its queues as lists of
 * pieces of host memory: no byte is copied here. The guest is never trusted. Whatever breaks the rules makes
 * the device need a reset (DEVICE_NEEDS_RESET), with a reason; it then touches no queue until it got one.
 *
 * How a device serves a queue, under the machine's lock:
 *
 *     while (virtio_pop(device, queue, &chain)) {
 *         ...
 *         virtio_push(device, queue, &chain, bytes written to chain.in);
 *     }
 *     virtio_publish(device, queue);      // shows the guest all that was pushed, interrupts if it wants that
 *
 * virtio_pop() that finds nothing has asked the guest to notify.
 */
#ifndef VISOR_DEVICE_VIRTIO_VIRTIO_H
#define VISOR_DEVICE_VIRTIO_VIRTIO_H

#include <sys/uio.h>

#include "device/pci/pci.h"
#include "device/signal.h"

#define VIRTIO_QUEUES_MAX     18
#define VIRTIO_QUEUE_SIZE_MAX 256
#define VIRTIO_CHAIN_MAX      (VIRTIO_QUEUE_SIZE_MAX + 16) /* pieces: descriptors, some split between regions */
#define VIRTIO_CONFIG_MAX     256
#define VIRTIO_NO_VECTOR      0xffff

enum virtio_status {
    VIRTIO_ACKNOWLEDGE = 1,
    VIRTIO_DRIVER = 2,
    VIRTIO_DRIVER_OK = 4,
    VIRTIO_FEATURES_OK = 8,
    VIRTIO_NEEDS_RESET = 64,
    VIRTIO_FAILED = 128,
};

/* Feature bits of all devices. */
#define VIRTIO_F_INDIRECT  (UINT64_C(1) << 28)
#define VIRTIO_F_EVENT_IDX (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1 (UINT64_C(1) << 32)

/* Where a device goes: borrowed while it lives. */
struct virtio_place {
    struct pci_bus *bus;
    unsigned slot; /* or PCI_SLOT_ANY */
    struct devices *devices;
    const char *name; /* among them; copied */
    /* May be NULL: a guest has broken the rules. */
    void (*broken)(void *opaque, const char *name, const char *reason);
    void *opaque;
    const struct signal_host *signals; /* may be NULL: notifications come as accesses */
};

struct virtio_device;

struct virtio_ops {
    uint16_t id;        /* "Device Types" */
    uint32_t pci_class; /* as in 0x010000 */
    /* The guest has put something into a queue. Only between DRIVER_OK and a reset. */
    void (*notify)(struct virtio_device *device, unsigned queue);
    /* All may be NULL. started: DRIVER_OK was set, the features are settled. */
    void (*started)(struct virtio_device *device);
    /* What is in device->config is about to be read, and was written by the guest where `writable` allows. */
    void (*config_reading)(struct virtio_device *device);
    void (*config_written)(struct virtio_device *device, unsigned offset, unsigned size);
    /* A reset by the guest or of the machine: forgets everything of the driver's. While it returns false
     * there is work under way in guest memory: the guest sees the reset unfinished until virtio_reset_done().
     */
    bool (*reset)(struct virtio_device *device);
};

struct virtio_queue {
    uint16_t size, vector;
    uint16_t available; /* index of what is taken next */
    uint16_t used;      /* index of what is pushed next */
    uint16_t published; /* what the guest sees of that */
    bool enabled;
    uint64_t descriptors, driver, device;
    /* Not saved. Where those are in host memory, found when the map had this generation. */
    uint16_t most; /* size offered; 0: there is no such queue */
    bool found;
    uint64_t generation;
    const uint8_t *host_descriptors, *host_driver;
    uint8_t *host_device;
    struct memory_backing *backing; /* of the device area */
    uint64_t backing_offset;
    struct signal *signal; /* of notifications; NULL: they come as accesses */
};

/* A chain of descriptors: what the device reads, then what it writes. */
struct virtio_chain {
    uint16_t head;
    unsigned out_count, in_count;
    size_t out_size, in_size;
    struct iovec *out, *in; /* in `pieces` */
    uint64_t *in_addresses; /* in `addresses`: where the guest sees them */
    struct iovec pieces[VIRTIO_CHAIN_MAX];
    uint64_t addresses[VIRTIO_CHAIN_MAX];
};

struct virtio_device {
    struct pci_device pci;
    uint8_t status, isr, config_generation;
    uint16_t config_vector, queue_select;
    uint32_t device_select, driver_select; /* halves of the feature words */
    uint64_t driver_features;
    struct virtio_queue queues[VIRTIO_QUEUES_MAX];
    uint8_t config[VIRTIO_CONFIG_MAX];
    bool resetting; /* waits for virtio_reset_done() */
    /* Not saved. */
    uint8_t writable[VIRTIO_CONFIG_MAX], initial[VIRTIO_CONFIG_MAX];
    unsigned config_size, queue_count;
    unsigned window;   /* the capability that shows the BAR */
    uint64_t features; /* offered */
    const struct virtio_ops *ops;
    struct memory_map *memory;
    const struct signal_host *signals;
    struct vhost_queues *vhost; /* who may serve some of them; NULL: nobody (vhost_queues.h) */
    char name[32];
    const char *reason; /* why it needs a reset */
    void (*broken)(void *opaque, const char *name, const char *reason);
    void *opaque;
};

#define VIRTIO_DEVICE_FIELDS 12
extern const struct device_field virtio_device_fields[VIRTIO_DEVICE_FIELDS]; /* for DEVICE_PART() */

/* Makes the zeroed device, puts it on the bus, and adds it to place->devices as a `type` with `state`:
 * `features` besides those of all devices, queues with the sizes given, `config` as it is after a reset. */
struct virtio_parameters {
    const struct virtio_ops *ops;
    uint64_t features;
    unsigned queue_count;
    uint16_t queue_size; /* of each; a power of two */
    const void *config;
    unsigned config_size;
};
int virtio_add(struct virtio_device *device, const struct virtio_place *place,
               const struct virtio_parameters *parameters, const struct device_type *type, void *state,
               struct error *error);

/* For the device's type. */
void virtio_reset(struct virtio_device *device);
int virtio_loaded(struct virtio_device *device, struct error *error);

static inline bool virtio_has(const struct virtio_device *device, uint64_t feature)
{
    return device->driver_features & feature;
}

/* The driver is ready, nothing is broken, the device may touch memory. */
static inline bool virtio_running(const struct virtio_device *device)
{
    return (device->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) == VIRTIO_DRIVER_OK &&
           !device->resetting && pci_is_master(&device->pci);
}

/* The next chain of a queue. False: there is none, or the device needs a reset now. */
bool virtio_pop(struct virtio_device *device, unsigned queue, struct virtio_chain *chain);
/* Takes a chain again that is already taken: after loading. */
bool virtio_pop_head(struct virtio_device *device, unsigned queue, uint16_t head, struct virtio_chain *chain);
/* Gives back the `count` chains taken last: nothing was pushed of them. */
void virtio_unpop(struct virtio_device *device, unsigned queue, unsigned count);
/* Takes back the `count` chains pushed last, of which nothing was published. */
void virtio_unpush(struct virtio_device *device, unsigned queue, unsigned count);
/* Whether the guest can add nothing to the queue. */
bool virtio_is_full(struct virtio_device *device, unsigned queue);
/* Whether virtio_pop() would find one; asks for notification if not. */
bool virtio_has_work(struct virtio_device *device, unsigned queue);
/* Returns a chain, of whose `in` the first `written` bytes were written: tells memory_written() too. */
void virtio_push(struct virtio_device *device, unsigned queue, const struct virtio_chain *chain,
                 size_t written);
void virtio_publish(struct virtio_device *device, unsigned queue);
/* The first bytes of what the chain has to write were written once more after its push. */
void virtio_written(struct virtio_device *device, const struct virtio_chain *chain, size_t written);
/* The guest broke the rules; `reason` is a constant. */
void virtio_break(struct virtio_device *device, const char *reason);
/* device->config has changed otherwise than by the guest, or is to change, for good. */
void virtio_config_changed(struct virtio_device *device);
void virtio_config_update(struct virtio_device *device, unsigned offset, const void *data, size_t size);
void virtio_reset_done(struct virtio_device *device);

/* Copies between the pieces of a chain, from `offset` on, and a buffer; returns how much there was. */
size_t virtio_copy_out(const struct virtio_chain *chain, size_t offset, void *buffer, size_t size);
size_t virtio_copy_in(const struct virtio_chain *chain, size_t offset, const void *buffer, size_t size);

#endif
