/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keyboard controller. */
#include "device/misc/i8042.h"

#include <string.h>

#define STATUS_OUTPUT   0x01 /* there is something to read */
#define STATUS_SYSTEM   0x04
#define STATUS_COMMAND  0x08 /* the last write was to port 64h */
#define STATUS_UNLOCKED 0x10
#define STATUS_TIME_OUT 0x40

#define BYTE_INTERRUPT 0x01
#define BYTE_SYSTEM    0x04
#define BYTE_DISABLED  0x10

#define PORT_RESET 0x01 /* the reset line; low: reset */
#define PORT_A20   0x02

#define KEYBOARD_RESEND 0xfe

static const struct device_field i8042_fields[] = {
    DEVICE_FIELD(struct i8042, status),      DEVICE_ARRAY(struct i8042, memory),
    DEVICE_FIELD(struct i8042, command),     DEVICE_FIELD(struct i8042, output),
    DEVICE_FIELD(struct i8042, output_port), DEVICE_FIELD(struct i8042, asserted),
};

static void i8042_update(struct i8042 *i8042)
{
    bool asserted = (i8042->status & STATUS_OUTPUT) && (i8042->memory[0] & BYTE_INTERRUPT);
    if (asserted != i8042->asserted)
        irq_set(&i8042->irq, asserted);
    i8042->asserted = asserted;
}

static void i8042_reply(struct i8042 *i8042, uint8_t value)
{
    i8042->output = value;
    i8042->status = (i8042->status & (uint8_t)~STATUS_TIME_OUT) | STATUS_OUTPUT;
}

static void i8042_set_output_port(struct i8042 *i8042, uint8_t value)
{
    uint8_t changed = i8042->output_port ^ value;
    i8042->output_port = value | PORT_RESET;
    if (changed & PORT_A20)
        irq_set(&i8042->a20, value & PORT_A20);
    if (!(value & PORT_RESET))
        board_reset(&i8042->board);
}

static void i8042_command(struct i8042 *i8042, uint8_t command)
{
    i8042->command = 0;
    if (command >= 0xf0) { /* pulses the low bits that are zero */
        if (!(command & PORT_RESET))
            board_reset(&i8042->board);
        return;
    }
    if (command >= 0x20 && command < 0x40) {
        i8042_reply(i8042, i8042->memory[command & 31]);
        return;
    }
    switch (command) {
    case 0x60 ... 0x7f:
    case 0xd1: /* write output port */
    case 0xd2: /* write as if from the keyboard */
    case 0xd3: /* and as if from an auxiliary device, which answers where the keyboard does: there is none */
    case 0xd4: i8042->command = command; break;
    case 0xa9: i8042_reply(i8042, 1); break; /* test of the auxiliary port: its clock line is stuck */
    case 0xaa:                               /* self-test */
        i8042->status |= STATUS_SYSTEM;
        i8042_reply(i8042, 0x55);
        break;
    case 0xab: i8042_reply(i8042, 0); break;
    case 0xad: i8042->memory[0] |= BYTE_DISABLED; break;
    case 0xae: i8042->memory[0] &= (uint8_t)~BYTE_DISABLED; break;
    case 0xc0: i8042_reply(i8042, 0x80); break; /* input port: not locked */
    case 0xd0: i8042_reply(i8042, i8042->output_port | (i8042->status & STATUS_OUTPUT ? 0x10 : 0)); break;
    case 0xdd: i8042_set_output_port(i8042, i8042->output_port & (uint8_t)~PORT_A20); break;
    case 0xdf: i8042_set_output_port(i8042, i8042->output_port | PORT_A20); break;
    case 0xe0: i8042_reply(i8042, 0); break;
    }
}

static void i8042_data(struct i8042 *i8042, uint8_t value)
{
    uint8_t command = i8042->command;
    i8042->command = 0;
    switch (command) {
    case 0x60 ... 0x7f:
        i8042->memory[command & 31] = value;
        if (command == 0x60)
            i8042->status =
                (i8042->status & (uint8_t)~STATUS_SYSTEM) | (value & BYTE_SYSTEM ? STATUS_SYSTEM : 0);
        break;
    case 0xd1: i8042_set_output_port(i8042, value); break;
    case 0xd2:
    case 0xd3: i8042_reply(i8042, value); break;
    case 0xd4: /* to a device that there is not */
        i8042_reply(i8042, KEYBOARD_RESEND);
        i8042->status |= STATUS_TIME_OUT;
        break;
    default:
        i8042->memory[0] &= (uint8_t)~BYTE_DISABLED;
        i8042_reply(i8042, KEYBOARD_RESEND);
        i8042->status |= STATUS_TIME_OUT;
    }
}

static uint64_t i8042_read(void *opaque, uint64_t offset, unsigned size)
{
    struct i8042 *i8042 = opaque;
    (void)size;
    if (offset)
        return i8042->status;
    i8042->status &= (uint8_t) ~(STATUS_OUTPUT | STATUS_TIME_OUT);
    i8042_update(i8042);
    return i8042->output;
}

static void i8042_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct i8042 *i8042 = opaque;
    (void)size;
    if (offset) {
        i8042->status |= STATUS_COMMAND;
        i8042_command(i8042, (uint8_t)value);
    } else {
        i8042->status &= (uint8_t)~STATUS_COMMAND;
        i8042_data(i8042, (uint8_t)value);
    }
    i8042_update(i8042);
}

static uint64_t status_read(void *opaque, uint64_t offset, unsigned size)
{
    return i8042_read(opaque, offset + 4, size);
}

static void command_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    i8042_write(opaque, offset + 4, size, value);
}

static const struct access_ops data_ops = {i8042_read, i8042_write, 1};
static const struct access_ops command_ops = {status_read, command_write, 1};

static void i8042_reset(void *opaque)
{
    struct i8042 *i8042 = opaque;
    i8042->status = STATUS_UNLOCKED;
    memset(i8042->memory, 0, sizeof i8042->memory);
    i8042->memory[0] = BYTE_DISABLED | 0x40;
    i8042->command = i8042->output = 0;
    i8042_set_output_port(i8042, PORT_RESET | PORT_A20);
    i8042_update(i8042);
}

const struct device_type i8042_type = {
    .name = "i8042",
    .version = 1,
    .fields = i8042_fields,
    .field_count = ARRAY_SIZE(i8042_fields),
    .reset = i8042_reset,
};

void i8042_init(struct i8042 *i8042, struct irq_line irq, struct irq_line a20, struct board board)
{
    *i8042 = (struct i8042){.irq = irq, .a20 = a20, .board = board};
    i8042_reset(i8042);
}

int i8042_attach(struct i8042 *i8042, struct io_space *io, struct error *error)
{
    bool all = io_add(io, "i8042", 0x60, 1, 0, &data_ops, i8042, error) &&
               io_add(io, "i8042", 0x64, 1, 0, &command_ops, i8042, error);
    return all ? 0 : error->code;
}
