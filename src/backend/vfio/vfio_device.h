/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vfio_device: the host's end of PCI devices that a machine has been given, and of the IOMMU that keeps them
 * to its memory (Linux: Documentation/driver-api/vfio.rst, and the comments of linux/vfio.h).
 *
 * A vfio_space is what devices reach of this process's memory, and by which addresses: one for all devices of
 * a machine. What is mapped there is locked into the host's memory. A vfio_device has regions, which are read
 * and written, or mapped, and interrupts. All of it under the machine's lock.
 */
#ifndef VISOR_BACKEND_VFIO_VFIO_DEVICE_H
#define VISOR_BACKEND_VFIO_VFIO_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/vfio/vfio.h"
#include "base/loop.h"

#define VFIO_BARS        6
#define VFIO_CONFIG      7  /* the region that is configuration space; 0 to 5 are base address registers' */
#define VFIO_AREAS       16 /* of a region, that can be mapped */
#define VFIO_VECTORS_MAX 64

struct vfio_space;
struct vfio_device;

struct vfio_region {
    uint64_t size;   /* 0: there is none */
    uint64_t offset; /* in the device's file */
    unsigned area_count;
    struct vfio_area {
        uint64_t offset, size; /* whole pages */
    } areas[VFIO_AREAS];
};

/* By which a device interrupts: one at a time. */
enum vfio_interrupt { VFIO_NONE, VFIO_INTX, VFIO_MSI, VFIO_MSIX, VFIO_INTERRUPTS };

/* The other end. Called by the loop. */
struct vfio_client {
    /* What INTX tells of is masked from then on, until ops->unmask(). */
    void (*interrupt)(void *opaque, enum vfio_interrupt kind, unsigned vector);
    /* The device cannot be relied upon any more; `reason` is a sentence's end: "has reported an error...". */
    void (*failed)(void *opaque, const char *reason);
    void *opaque;
};

struct vfio_device_ops {
    /* Any length; false: it cannot be, and what was to be read is ones. */
    bool (*read)(struct vfio_device *device, unsigned region, uint64_t offset, void *buffer, unsigned size);
    bool (*write)(struct vfio_device *device, unsigned region, uint64_t offset, const void *buffer,
                  unsigned size);
    /* From now on it interrupts so, by vectors 0 to count - 1. */
    int (*interrupts)(struct vfio_device *device, enum vfio_interrupt kind, unsigned count,
                      struct error *error);
    void (*unmask)(struct vfio_device *device);
    /* As after power-on. A negative errno: the host cannot, or not now. */
    int (*reset)(struct vfio_device *device);
    /* Whole pages of one of a region's areas, until unmap(). */
    int (*map)(struct vfio_device *device, unsigned region, uint64_t offset, uint64_t size, uint8_t **host);
    void (*unmap)(struct vfio_device *device, uint8_t *host, uint64_t size);
};

struct vfio_device {
    const struct vfio_device_ops *ops;
    char address[VFIO_ADDRESS_SIZE];
    bool resets; /* the host can reset it */
    struct vfio_region regions[VFIO_CONFIG + 1];
    unsigned vectors[VFIO_INTERRUPTS]; /* how many there are of each kind, at most VFIO_VECTORS_MAX */
    struct vfio_client client;         /* set by who has the device */
};

struct vfio_space_ops {
    /* Devices reach [address, address + size) of theirs at `memory`; in whole pages. Such a piece goes as it
     * came. */
    int (*map)(struct vfio_space *space, uint64_t address, void *memory, uint64_t size, struct error *error);
    void (*unmap)(struct vfio_space *space, uint64_t address, uint64_t size);
};

struct vfio_space {
    const struct vfio_space_ops *ops;
};

/* With nothing in it; the first device opens what there is to open. Devices are opened before the machine
 * runs: later nothing is. */
int vfio_space_open(struct vfio_space **out, const struct vfio_host *host, struct error *error);
void vfio_space_close(struct vfio_space *space); /* after its devices; may be NULL */

/* The device of an address that vfio_address_parse() has made. Errors are vfio_check()'s, and what the kernel
 * then refuses. */
int vfio_device_open(struct vfio_device **out, struct vfio_space *space, const char *address,
                     struct loop *loop, struct error *error);
void vfio_device_close(struct vfio_device *device); /* it reaches nothing any more */

#endif
