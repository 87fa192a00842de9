/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/misc/pvpanic.h"

#define EVENTS (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED)

static const struct device_field pvpanic_fields[] = {
    DEVICE_LIMITED(struct pvpanic, events, EVENTS),
};

static uint64_t pvpanic_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return EVENTS;
}

static void pvpanic_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct pvpanic *pvpanic = opaque;
    (void)offset, (void)size;
    pvpanic->events |= value & EVENTS;
    if ((value & PVPANIC_PANICKED) && pvpanic->board.panic)
        pvpanic->board.panic(pvpanic->board.opaque);
}

static const struct access_ops pvpanic_ops = {pvpanic_read, pvpanic_write, 1};

static void pvpanic_reset(void *opaque)
{
    struct pvpanic *pvpanic = opaque;
    pvpanic->events = 0;
}

const struct device_type pvpanic_type = {
    .name = "pvpanic",
    .version = 1,
    .fields = pvpanic_fields,
    .field_count = ARRAY_SIZE(pvpanic_fields),
    .reset = pvpanic_reset,
};

void pvpanic_init(struct pvpanic *pvpanic, struct board board)
{
    *pvpanic = (struct pvpanic){.board = board};
}

int pvpanic_attach(struct pvpanic *pvpanic, struct io_space *io, struct error *error)
{
    return io_add(io, "pvpanic", PVPANIC_PORT, 1, 0, &pvpanic_ops, pvpanic, error) ? 0 : error->code;
}
