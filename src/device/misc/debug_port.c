/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/misc/debug_port.h"

static uint64_t exit_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return 0;
}

static void exit_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct debug_exit *exit = opaque;
    (void)offset;
    exit->exit(exit->opaque, (uint32_t)(value & (size == 4 ? UINT32_MAX : (1u << 8 * size) - 1)));
}

static const struct access_ops exit_ops = {exit_read, exit_write, 4};

int debug_exit_attach(struct debug_exit *exit, struct io_space *io, uint16_t port, struct error *error)
{
    return io_add(io, "debug exit", port, 4, 1, &exit_ops, exit, error) ? 0 : error->code;
}

static uint64_t console_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return DEBUG_CONSOLE_PORT;
}

static void console_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct char_backend *backend = opaque;
    uint8_t character = (uint8_t)value;
    (void)offset, (void)size;
    if (backend->write)
        backend->write(backend->opaque, &character, 1);
}

static const struct access_ops console_ops = {console_read, console_write, 1};

int debug_console_attach(struct char_backend *backend, struct io_space *io, struct error *error)
{
    return io_add(io, "debug console", DEBUG_CONSOLE_PORT, 1, 1, &console_ops, backend, error) ? 0
                                                                                               : error->code;
}
