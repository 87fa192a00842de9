/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serial16550: a serial port with FIFOs (National Semiconductor PC16550D data sheet), eight I/O ports.
 *
 * Characters are sent without the time that a line would take; only the time-out of the receive FIFO is
 * reckoned by the baud rate.
 */
#ifndef VISOR_DEVICE_CHAR_SERIAL16550_H
#define VISOR_DEVICE_CHAR_SERIAL16550_H

#include "backend/char/char.h"
#include "device/device.h"
#include "device/irq.h"
#include "memory/io_space.h"

#define SERIAL_FIFO 16

struct serial16550 {
    uint8_t ier, fcr, lcr, mcr, lsr, msr, scratch;
    uint16_t divisor;
    uint8_t lines; /* modem inputs as in the upper half of MSR, but those of loop-back */
    uint8_t received[SERIAL_FIFO], received_status[SERIAL_FIFO];
    uint8_t receive_head, receive_count;
    uint8_t sending[SERIAL_FIFO], send_count;
    bool transmitter_empty; /* the interrupt of that name is pending */
    bool time_out;
    bool asserted; /* what `irq` is driven to */
    struct timer timer;
    struct irq_line irq;
    struct char_backend backend;
    const struct clock *clock;
};

extern const struct device_type serial16550_type;

void serial16550_init(struct serial16550 *serial, struct timers *timers, struct irq_line irq,
                      struct char_backend backend);
int serial16550_attach(struct serial16550 *serial, struct io_space *io, uint16_t port, struct error *error);

/* For the backend. How many characters can be received; more than those are lost, as on a line without flow
 * control. */
size_t serial16550_room(const struct serial16550 *serial);
void serial16550_receive(struct serial16550 *serial, const uint8_t *data, size_t size);
void serial16550_receive_break(struct serial16550 *serial);
/* The backend can take characters again. */
void serial16550_writable(struct serial16550 *serial);
/* Whether there is somebody at the other end: carrier, data set ready, clear to send. */
void serial16550_set_connected(struct serial16550 *serial, bool connected);

#endif
