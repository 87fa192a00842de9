/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory/io_space.h"

int io_space_init(struct io_space *io, struct error *error)
{
    io->call = NULL;
    return memory_map_init(&io->map, 0xffff, error);
}

void io_space_destroy(struct io_space *io)
{
    memory_map_destroy(&io->map);
}

struct memory_region *io_add(struct io_space *io, const char *name, uint16_t first, unsigned count,
                             int priority, const struct access_ops *ops, void *opaque, struct error *error)
{
    return memory_add_mmio(&io->map, name, first, count, priority, ops, opaque, error);
}

uint32_t io_read(struct io_space *io, uint16_t port, unsigned size)
{
    uint64_t value;
    memory_mmio_read(&io->map, port, size, &value);
    return (uint32_t)value;
}

void io_write(struct io_space *io, uint16_t port, unsigned size, uint32_t value)
{
    memory_mmio_write(&io->map, port, size, value);
}

uint32_t io_read_by(struct io_space *io, uint16_t port, unsigned size, uint64_t *registers)
{
    if (!io_is_call(io, port, size))
        return io_read(io, port, size);
    io->call->call(io->call->opaque, registers);
    return (uint32_t)registers[0];
}
