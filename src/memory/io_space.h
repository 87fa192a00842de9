/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io_space: the 65,536 I/O ports of a PC. Regions of ports come, go, move and overlap as in a memory_map,
 * which it is inside; all of them are devices'. Accesses are made under the machine's lock.
 */
#ifndef VISOR_MEMORY_IO_SPACE_H
#define VISOR_MEMORY_IO_SPACE_H

#include "memory/memory_map.h"

struct io_space {
    struct memory_map map;
};

int io_space_init(struct io_space *io, struct error *error);
void io_space_destroy(struct io_space *io);

/* Ports [first, first + count). The region is moved, hidden and removed by memory_region_*(). */
struct memory_region *io_add(struct io_space *io, const char *name, uint16_t first, unsigned count,
                             int priority, const struct access_ops *ops, void *opaque, struct error *error);

/* One IN or OUT of 1, 2 or 4 bytes. Without a device, and beyond port FFFFh, ones are read and writes are
 * lost. */
uint32_t io_read(struct io_space *io, uint16_t port, unsigned size);
void io_write(struct io_space *io, uint16_t port, unsigned size, uint32_t value);

#endif
