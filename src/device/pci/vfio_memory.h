/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vfio_memory: what the host's devices reach of a machine's memory: its RAM, at the guest's own addresses,
 * and nothing else. It follows the memory map. The RAM is pinned for good (memory_backing_pin()).
 */
#ifndef VISOR_DEVICE_PCI_VFIO_MEMORY_H
#define VISOR_DEVICE_PCI_VFIO_MEMORY_H

#include "backend/vfio/vfio_device.h"
#include "memory/memory_map.h"

struct vfio_memory;

/* All that the map has of `ram` now is the space's when it comes back; later changes that the host refuses
 * are reported to standard error. */
int vfio_memory_new(struct vfio_memory **out, struct memory_map *map, struct memory_backing *ram,
                    struct vfio_space *space, struct error *error);
void vfio_memory_free(struct vfio_memory *memory); /* may be NULL */

#endif
