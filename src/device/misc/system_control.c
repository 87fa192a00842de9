/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/misc/system_control.h"

#define PORT92_RESET 0x01
#define PORT92_A20   0x02

/* Intel's ICH data sheets, "RST_CNT - Reset Control Register". */
#define RESET_SYSTEM 0x02 /* hard rather than soft */
#define RESET_CPU    0x04 /* its rise resets */
#define RESET_FULL   0x08

static const struct device_field control_fields[] = {
    DEVICE_FIELD(struct system_control, port92),
    DEVICE_FIELD(struct system_control, reset_control),
};

static uint64_t port92_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct system_control *control = opaque;
    (void)offset, (void)size;
    return control->port92;
}

static void port92_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct system_control *control = opaque;
    uint8_t changed = control->port92 ^ (uint8_t)value;
    (void)offset, (void)size;
    control->port92 = value & (PORT92_RESET | PORT92_A20);
    if (changed & PORT92_A20)
        irq_set(&control->a20, value & PORT92_A20);
    if (changed & value & PORT92_RESET)
        board_reset(&control->board);
}

static uint64_t reset_control_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct system_control *control = opaque;
    (void)offset, (void)size;
    return control->reset_control;
}

static void reset_control_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct system_control *control = opaque;
    bool rises = value & ~(uint64_t)control->reset_control & RESET_CPU;
    (void)offset, (void)size;
    control->reset_control = value & (RESET_SYSTEM | RESET_CPU | RESET_FULL);
    if (rises)
        board_reset(&control->board);
}

static const struct access_ops port92_ops = {port92_read, port92_write, 1};
const struct access_ops reset_control_ops = {reset_control_read, reset_control_write, 1};

static void control_reset(void *opaque)
{
    struct system_control *control = opaque;
    control->port92 = PORT92_A20;
    control->reset_control = 0;
    irq_set(&control->a20, true);
}

const struct device_type system_control_type = {
    .name = "system-control",
    .version = 1,
    .fields = control_fields,
    .field_count = ARRAY_SIZE(control_fields),
    .reset = control_reset,
};

void system_control_init(struct system_control *control, struct irq_line a20, struct board board)
{
    *control = (struct system_control){.a20 = a20, .board = board};
    control_reset(control);
}

int system_control_attach(struct system_control *control, struct io_space *io, struct error *error)
{
    return io_add(io, "port 92h", 0x92, 1, 0, &port92_ops, control, error) ? 0 : error->code;
}

int system_control_attach_reset(struct system_control *control, struct io_space *io, struct error *error)
{
    return io_add(io, "reset control", 0xcf9, 1, 0, &reset_control_ops, control, error) ? 0 : error->code;
}
