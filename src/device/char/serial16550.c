/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 16550 serial port. Sections are those of the PC16550D data sheet. */
#include "device/char/serial16550.h"

#include <string.h>

#define BASE_BAUD 115200

#define IER_RECEIVED    0x01
#define IER_TRANSMITTER 0x02
#define IER_LINE        0x04
#define IER_MODEM       0x08

#define IIR_MODEM       0x00
#define IIR_NONE        0x01
#define IIR_TRANSMITTER 0x02
#define IIR_RECEIVED    0x04
#define IIR_LINE        0x06
#define IIR_TIME_OUT    0x0c
#define IIR_FIFOS       0xc0

#define FCR_ENABLE        0x01
#define FCR_CLEAR_RECEIVE 0x02
#define FCR_CLEAR_SEND    0x04

#define LCR_BREAK 0x40
#define LCR_DLAB  0x80

#define MCR_DTR  0x01
#define MCR_RTS  0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08 /* on a PC the gate of the interrupt */
#define MCR_LOOP 0x10

#define LSR_READY      0x01
#define LSR_OVERRUN    0x02
#define LSR_BREAK      0x10
#define LSR_SEND_EMPTY 0x20
#define LSR_IDLE       0x40
#define LSR_FIFO_ERROR 0x80
#define LSR_ERRORS     0x1e
#define LSR_CHARACTER  0x1c /* errors that belong to the character at the FIFO's head */

#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI  0x40
#define MSR_DCD 0x80

static const struct device_field serial_fields[] = {
    DEVICE_FIELD(struct serial16550, ier),
    DEVICE_FIELD(struct serial16550, fcr),
    DEVICE_FIELD(struct serial16550, lcr),
    DEVICE_FIELD(struct serial16550, mcr),
    DEVICE_FIELD(struct serial16550, lsr),
    DEVICE_FIELD(struct serial16550, msr),
    DEVICE_FIELD(struct serial16550, scratch),
    DEVICE_FIELD(struct serial16550, divisor),
    DEVICE_FIELD(struct serial16550, lines),
    DEVICE_ARRAY(struct serial16550, received),
    DEVICE_ARRAY(struct serial16550, received_status),
    DEVICE_LIMITED(struct serial16550, receive_head, SERIAL_FIFO - 1),
    DEVICE_LIMITED(struct serial16550, receive_count, SERIAL_FIFO),
    DEVICE_ARRAY(struct serial16550, sending),
    DEVICE_LIMITED(struct serial16550, send_count, SERIAL_FIFO),
    DEVICE_FIELD(struct serial16550, transmitter_empty),
    DEVICE_FIELD(struct serial16550, time_out),
    DEVICE_FIELD(struct serial16550, asserted),
    DEVICE_TIMER_FIELD(struct serial16550, timer),
};

static bool serial_fifos(const struct serial16550 *serial)
{
    return serial->fcr & FCR_ENABLE;
}

static unsigned serial_depth(const struct serial16550 *serial)
{
    return serial_fifos(serial) ? SERIAL_FIFO : 1;
}

/* "FIFO Control Register", bits 6 and 7. */
static unsigned serial_trigger(const struct serial16550 *serial)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};
    return serial_fifos(serial) ? levels[serial->fcr >> 6] : 1;
}

static uint8_t serial_line_status(const struct serial16550 *serial)
{
    uint8_t lsr = serial->lsr | (serial->receive_count ? LSR_READY : 0);
    lsr |= serial->send_count ? 0 : LSR_SEND_EMPTY | LSR_IDLE;
    for (unsigned i = 0; i < serial->receive_count && serial_fifos(serial); i++)
        lsr |= serial->received_status[(serial->receive_head + i) % SERIAL_FIFO] ? LSR_FIFO_ERROR : 0;
    return lsr;
}

/* "Interrupt Identification Register": what is enabled and pending, by priority. */
static uint8_t serial_interrupt(const struct serial16550 *serial)
{
    if ((serial->ier & IER_LINE) && (serial->lsr & LSR_ERRORS))
        return IIR_LINE;
    if ((serial->ier & IER_RECEIVED) && serial->receive_count >= serial_trigger(serial))
        return IIR_RECEIVED;
    if ((serial->ier & IER_RECEIVED) && serial->time_out)
        return IIR_TIME_OUT;
    if ((serial->ier & IER_TRANSMITTER) && serial->transmitter_empty)
        return IIR_TRANSMITTER;
    if ((serial->ier & IER_MODEM) && (serial->msr & 15))
        return IIR_MODEM;
    return IIR_NONE;
}

static void serial_update(struct serial16550 *serial)
{
    bool connected = (serial->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
    bool asserted = connected && serial_interrupt(serial) != IIR_NONE;
    if (asserted != serial->asserted)
        irq_set(&serial->irq, asserted);
    serial->asserted = asserted;
}

/* "FIFO Interrupt Mode Operation": four characters' time without one coming or being read. */
static void serial_restart_time_out(struct serial16550 *serial)
{
    serial->time_out = false;
    if (!serial_fifos(serial) || !serial->receive_count) {
        timer_cancel(&serial->timer);
        return;
    }
    uint64_t bits = 1 + 5 + (serial->lcr & 3) + (serial->lcr >> 3 & 1) + 1 + (serial->lcr >> 2 & 1);
    uint64_t divisor = MAX(serial->divisor, 1);
    timer_set(&serial->timer, clock_now(serial->clock) + 4 * bits * divisor * TIMER_SECOND / BASE_BAUD);
}

static void serial_due(void *opaque)
{
    struct serial16550 *serial = opaque;
    serial->time_out = serial->receive_count && serial_fifos(serial);
    serial_update(serial);
}

/* The errors of the character that is now the next to be read show in LSR. */
static void serial_reveal(struct serial16550 *serial)
{
    if (serial->receive_count)
        serial->lsr |= serial->received_status[serial->receive_head];
}

/* A character from the line, with its errors. */
static void serial_take(struct serial16550 *serial, uint8_t character, uint8_t status)
{
    if (serial->receive_count >= serial_depth(serial)) {
        serial->lsr |= LSR_OVERRUN;
        if (serial_fifos(serial))
            return; /* the FIFO stays, what was in the shift register is lost */
        serial->receive_count = 0;
    }
    unsigned tail = (serial->receive_head + serial->receive_count) % SERIAL_FIFO;
    serial->received[tail] = character;
    serial->received_status[tail] = status;
    if (!serial->receive_count++)
        serial_reveal(serial);
    serial_restart_time_out(serial);
}

/* Hands on what waits to be sent. */
static void serial_send(struct serial16550 *serial)
{
    const struct char_backend *backend = &serial->backend;
    size_t size = serial->send_count, taken = size;
    if (!size)
        return;
    if (backend->write)
        taken = backend->write(backend->opaque, serial->sending, size);
    taken = MIN(taken, size);
    memmove(serial->sending, serial->sending + taken, size - taken);
    serial->send_count = (uint8_t)(size - taken);
    if (!serial->send_count)
        serial->transmitter_empty = true;
}

static void serial_write_character(struct serial16550 *serial, uint8_t value)
{
    serial->transmitter_empty = false;
    if (serial->mcr & MCR_LOOP) {
        uint8_t mask = (uint8_t)((1u << ((serial->lcr & 3) + 5)) - 1);
        serial_take(serial, value & mask, 0);
        serial->transmitter_empty = true;
        return;
    }
    if (serial->send_count >= serial_depth(serial))
        serial->send_count = (uint8_t)(serial_depth(serial) - 1); /* written over */
    serial->sending[serial->send_count++] = value;
    serial_send(serial);
}

static uint8_t serial_read_character(struct serial16550 *serial)
{
    uint8_t character = serial->received[serial->receive_head];
    if (!serial->receive_count)
        return character; /* the last one again */
    serial->receive_count--;
    if (serial->receive_count) {
        serial->receive_head = (serial->receive_head + 1) % SERIAL_FIFO;
        serial_reveal(serial);
    }
    serial_restart_time_out(serial);
    serial_update(serial);
    if (serial->backend.readable)
        serial->backend.readable(serial->backend.opaque);
    return character;
}

/* "Modem Status Register", with the inputs that loop-back gives it. */
static void serial_update_modem(struct serial16550 *serial)
{
    uint8_t lines = serial->lines, before = serial->msr;
    if (serial->mcr & MCR_LOOP)
        lines = (serial->mcr & MCR_RTS ? MSR_CTS : 0) | (serial->mcr & MCR_DTR ? MSR_DSR : 0) |
                (serial->mcr & MCR_OUT1 ? MSR_RI : 0) | (serial->mcr & MCR_OUT2 ? MSR_DCD : 0);
    uint8_t changed = (lines ^ before) & (MSR_CTS | MSR_DSR | MSR_DCD);
    if ((before & MSR_RI) && !(lines & MSR_RI))
        changed |= MSR_RI; /* only the end of ringing */
    serial->msr = lines | (before & 15) | changed >> 4;
}

static void serial_write_fcr(struct serial16550 *serial, uint8_t value)
{
    bool switched = (value ^ serial->fcr) & FCR_ENABLE;
    if (!(value & FCR_ENABLE) && !switched)
        return; /* the other bits count only together with bit 0 */
    serial->fcr = value & FCR_ENABLE ? value & 0xc9 : 0;
    if (switched || (value & FCR_CLEAR_RECEIVE)) {
        serial->receive_count = 0;
        serial_restart_time_out(serial);
        if (serial->backend.readable)
            serial->backend.readable(serial->backend.opaque);
    }
    if ((switched || (value & FCR_CLEAR_SEND)) && serial->send_count) {
        serial->send_count = 0;
        serial->transmitter_empty = true;
    }
}

static void serial_write_lcr(struct serial16550 *serial, uint8_t value)
{
    bool changed = (value ^ serial->lcr) & LCR_BREAK;
    serial->lcr = value;
    if (changed && serial->backend.set_break)
        serial->backend.set_break(serial->backend.opaque, value & LCR_BREAK);
}

static void serial_write_ier(struct serial16550 *serial, uint8_t value)
{
    bool enabled = (value & ~serial->ier) & IER_TRANSMITTER;
    serial->ier = value & 15;
    if (enabled && !serial->send_count)
        serial->transmitter_empty = true;
}

static void serial_write(void *opaque, uint64_t offset, unsigned size, uint64_t wide)
{
    struct serial16550 *serial = opaque;
    uint8_t value = (uint8_t)wide;
    bool dlab = serial->lcr & LCR_DLAB;
    (void)size;
    switch (offset) {
    case 0:
        if (dlab)
            serial->divisor = (uint16_t)((serial->divisor & 0xff00) | value);
        else
            serial_write_character(serial, value);
        break;
    case 1:
        if (dlab)
            serial->divisor = (uint16_t)((serial->divisor & 0xff) | value << 8);
        else
            serial_write_ier(serial, value);
        break;
    case 2: serial_write_fcr(serial, value); break;
    case 3: serial_write_lcr(serial, value); break;
    case 4:
        serial->mcr = value & 0x1f;
        serial_update_modem(serial);
        break;
    case 7: serial->scratch = value; break;
    }
    serial_update(serial);
}

static uint64_t serial_read(void *opaque, uint64_t offset, unsigned size)
{
    struct serial16550 *serial = opaque;
    bool dlab = serial->lcr & LCR_DLAB;
    uint8_t value = 0;
    (void)size;
    switch (offset) {
    case 0: return dlab ? serial->divisor & 0xff : serial_read_character(serial);
    case 1: return dlab ? serial->divisor >> 8 : serial->ier;
    case 2:
        value = serial_interrupt(serial);
        if (value == IIR_TRANSMITTER)
            serial->transmitter_empty = false;
        value |= serial_fifos(serial) ? IIR_FIFOS : 0;
        break;
    case 3: return serial->lcr;
    case 4: return serial->mcr;
    case 5:
        value = serial_line_status(serial);
        serial->lsr &= (uint8_t)~LSR_ERRORS;
        if (serial->receive_count) /* shown; no error of the FIFO any more */
            serial->received_status[serial->receive_head] = 0;
        break;
    case 6:
        value = serial->msr;
        serial->msr &= 0xf0;
        break;
    case 7: return serial->scratch;
    }
    serial_update(serial);
    return value;
}

static const struct access_ops serial_ops = {serial_read, serial_write, 1};

size_t serial16550_room(const struct serial16550 *serial)
{
    if (serial->mcr & MCR_LOOP)
        return 0; /* the line is not connected; it waits */
    return serial_depth(serial) - MIN(serial->receive_count, serial_depth(serial));
}

void serial16550_receive(struct serial16550 *serial, const uint8_t *data, size_t size)
{
    if (serial->mcr & MCR_LOOP)
        return;
    for (size_t i = 0; i < size; i++)
        serial_take(serial, data[i], 0);
    serial_update(serial);
}

void serial16550_receive_break(struct serial16550 *serial)
{
    if (serial->mcr & MCR_LOOP)
        return;
    serial_take(serial, 0, LSR_BREAK);
    serial_update(serial);
}

void serial16550_writable(struct serial16550 *serial)
{
    serial_send(serial);
    serial_update(serial);
}

void serial16550_set_connected(struct serial16550 *serial, bool connected)
{
    serial->lines = connected ? MSR_CTS | MSR_DSR | MSR_DCD : 0;
    serial_update_modem(serial);
    serial_update(serial);
}

/* "Master Reset". What is on the line stays. */
static void serial_reset(void *opaque)
{
    struct serial16550 *serial = opaque;
    serial_write_lcr(serial, 0);
    serial->ier = serial->fcr = serial->mcr = serial->lsr = serial->scratch = 0;
    serial->divisor = 12; /* 9,600 baud; undefined in the data sheet */
    serial->receive_head = serial->receive_count = serial->send_count = 0;
    serial->transmitter_empty = false;
    serial_update_modem(serial);
    serial->msr &= 0xf0;
    serial_restart_time_out(serial);
    serial_update(serial);
}

const struct device_type serial16550_type = {
    .name = "serial16550",
    .version = 1,
    .fields = serial_fields,
    .field_count = ARRAY_SIZE(serial_fields),
    .reset = serial_reset,
};

void serial16550_init(struct serial16550 *serial, struct timers *timers, struct irq_line irq,
                      struct char_backend backend)
{
    *serial = (struct serial16550){.irq = irq, .backend = backend, .clock = &timers->clock};
    timer_init(&serial->timer, timers, serial_due, serial);
    serial->lines = MSR_CTS | MSR_DSR | MSR_DCD;
    serial_reset(serial);
}

int serial16550_attach(struct serial16550 *serial, struct io_space *io, uint16_t port, struct error *error)
{
    return io_add(io, "serial", port, 8, 0, &serial_ops, serial, error) ? 0 : error->code;
}
