/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages between local APICs, and from I/O APICs and devices: sections "Issuing Interprocessor Interrupts",
 * "Determining IPI Destination" and "Message Signalled Interrupts". */
#include "device/irq/lapic_private.h"

struct message {
    uint32_t destination;
    bool everybody; /* whatever the destination */
    bool logical;
    bool level;
    unsigned mode;
    uint8_t vector;
};

static bool logical_match(const struct lapic *lapic, uint32_t destination)
{
    uint32_t own = lapic_logical_id(lapic);
    if (lapic_x2apic(lapic))
        return own >> 16 == destination >> 16 && (own & destination & 0xffff);
    own >>= 24;
    if (destination > 0xff)
        return false;
    if (lapic->dfr >> 28 == 15) /* flat */
        return own & destination;
    return (destination >> 4 == 15 || own >> 4 == destination >> 4) && (own & destination & 15);
}

static bool message_match(const struct lapic *lapic, const struct message *message)
{
    if (!lapic_enabled(lapic))
        return false;
    if (message->everybody)
        return true;
    if (message->logical)
        return logical_match(lapic, message->destination);
    return message->destination == (lapic_x2apic(lapic) ? lapic->initial_id : lapic->id);
}

/* To those that match, but not to `except`; whether any took it. */
static bool bus_deliver(struct lapic_bus *bus, const struct message *message, const struct lapic *except)
{
    struct lapic *lowest = NULL;
    bool taken = false;
    for (unsigned i = 0; i < bus->count; i++) {
        struct lapic *lapic = bus->lapics[i];
        if (!lapic || lapic == except || !message_match(lapic, message))
            continue;
        if (message->mode != MODE_LOWEST)
            taken |= lapic_deliver(lapic, message->mode, message->vector, message->level);
        else if ((lapic->svr & SVR_ENABLED) &&
                 (!lowest || lapic_processor_priority(lapic) < lapic_processor_priority(lowest)))
            lowest = lapic;
    }
    return lowest ? lapic_deliver(lowest, MODE_FIXED, message->vector, message->level) : taken;
}

void lapic_send_ipi(struct lapic *lapic, uint64_t icr)
{
    bool x2apic = lapic_x2apic(lapic);
    struct message message = {
        .destination = x2apic ? (uint32_t)(icr >> 32) : (uint32_t)(icr >> 56),
        .logical = icr >> 11 & 1,
        .mode = icr >> 8 & 7,
        .vector = (uint8_t)icr,
    };
    bool assert = icr >> 14 & 1, level = icr >> 15 & 1;
    if (message.mode == MODE_INIT && level && !assert)
        return; /* INIT level de-assert: for processors that have an arbitration id */
    if (message.mode == 3 || message.mode == MODE_EXTINT)
        return; /* reserved */
    if (message.mode <= MODE_LOWEST && message.vector < 16) {
        lapic_error(lapic, ERROR_SEND);
        return;
    }
    switch (icr >> 18 & 3) {
    case 0:
        message.everybody =
            message.destination == (x2apic ? UINT32_MAX : 0xff) && (!message.logical || x2apic);
        bus_deliver(lapic->bus, &message, NULL);
        break;
    case 1: /* self: only fixed ones are said to be valid, and others work as well */
        lapic_deliver(lapic, message.mode == MODE_LOWEST ? MODE_FIXED : message.mode, message.vector, false);
        break;
    case 2:
    case 3: /* all, and all but self */
        message.everybody = true;
        bus_deliver(lapic->bus, &message, icr >> 18 & 1 ? lapic : NULL);
    }
}

bool lapic_bus_deliver(struct lapic_bus *bus, uint64_t address, uint32_t data)
{
    if (address >> 20 != 0xfee)
        return false;
    struct message message = {
        .destination = address >> 12 & 0xff,
        .logical = address >> 2 & 1,
        .mode = data >> 8 & 7,
        .level = data >> 15 & 1,
        .vector = (uint8_t)data,
    };
    if (message.level && !(data >> 14 & 1))
        return false; /* the end of a level: nothing to take */
    if ((address >> 3 & 1) && message.logical && message.mode == MODE_FIXED)
        message.mode = MODE_LOWEST; /* redirection hint */
    message.everybody = message.destination == 0xff && !message.logical;
    return bus_deliver(bus, &message, NULL);
}

bool lapic_bus_send(void *opaque, uint64_t address, uint32_t data)
{
    struct lapic_bus *bus = opaque;
    const struct lapic_borrower *borrower = &bus->borrower;
    return borrower->send ? borrower->send(borrower->opaque, address, data)
                          : lapic_bus_deliver(bus, address, data);
}

bool lapic_bus_connect(void *opaque, int fd, uint64_t address, uint32_t data)
{
    const struct lapic_borrower *borrower = &((struct lapic_bus *)opaque)->borrower;
    return borrower->connect && borrower->connect(borrower->opaque, fd, address, data);
}

void lapic_bus_disconnect(void *opaque, int fd)
{
    const struct lapic_borrower *borrower = &((struct lapic_bus *)opaque)->borrower;
    if (borrower->disconnect)
        borrower->disconnect(borrower->opaque, fd);
}

void lapic_bus_pin(void *opaque, unsigned pin, uint64_t address, uint32_t data)
{
    const struct lapic_borrower *borrower = &((struct lapic_bus *)opaque)->borrower;
    if (borrower->pin)
        borrower->pin(borrower->opaque, pin, address, data);
}
