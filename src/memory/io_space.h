/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io_space: the 65,536 I/O ports of a PC. Regions of ports come, go, move and overlap as in a memory_map,
 * which it is inside; all of them are devices'. Accesses are made under the machine's lock.
 *
 * A device knows no processor, with one exception: a port that is a call, for interfaces that pass arguments
 * and results in registers.
 */
#ifndef VISOR_MEMORY_IO_SPACE_H
#define VISOR_MEMORY_IO_SPACE_H

#include "memory/memory_map.h"

/* An IN of 4 bytes from this port sees and changes the general registers of the processor that executes it.
 */
struct io_call {
    uint16_t port;
    /* The registers by the numbers that the processor gives them: the lower half of the first is what is
     * read. */
    void (*call)(void *opaque, uint64_t *registers);
    void *opaque;
};

struct io_space {
    struct memory_map map;
    const struct io_call *call; /* the only one, its owner's; NULL: there is none */
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

/* Whether an IN is a call, */
static inline bool io_is_call(const struct io_space *io, uint16_t port, unsigned size)
{
    return io->call && io->call->port == port && size == 4;
}
/* and the IN of a processor with these registers, call or not. */
uint32_t io_read_by(struct io_space *io, uint16_t port, unsigned size, uint64_t *registers);

#endif
