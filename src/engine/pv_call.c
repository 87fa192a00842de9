/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/pv_call.h"

#include <time.h>

/* Of an interrupt command, Intel SDM volume 3, "Issuing Interprocessor Interrupts": vector and delivery mode,
 * as a message has them, */
#define ICR_MESSAGE 0x7ff
/* and what says that the destination is not the number of one local APIC. */
#define ICR_LOGICAL   (1u << 11)
#define ICR_SHORTHAND (3u << 18)

#define MESSAGES  UINT64_C(0xfee00000)
#define EVERYBODY 0xff

/* The time, and what the guest's counter was then. */
struct clock_pair {
    int64_t seconds, nanoseconds;
    uint64_t tsc;
    uint32_t flags, reserved[9];
};
_Static_assert(sizeof(struct clock_pair) == 64, "");

static uint64_t refuse(int code)
{
    return 0 - (uint64_t)code;
}

static uint64_t pair_clocks(const struct pv_caller *caller, uint64_t address, uint64_t clock)
{
    struct timespec now;
    if (clock != PV_CALL_CLOCK_WALL || clock_gettime(CLOCK_REALTIME, &now) < 0)
        return refuse(PV_CALL_NOT_SUPPORTED);
    const struct clock_pair pair = {.seconds = now.tv_sec, .nanoseconds = now.tv_nsec, .tsc = caller->tsc};
    return memory_write(caller->memory, address, &pair, sizeof pair) < 0 ? refuse(PV_CALL_FAULT) : 0;
}

/* To those whose bits are set; how many took it. */
static unsigned send_word(struct lapic_bus *bus, uint64_t word, uint64_t first, uint32_t command)
{
    unsigned taken = 0;
    for (; word; word &= word - 1) {
        const uint64_t id = first + (unsigned)__builtin_ctzll(word);
        if (id < EVERYBODY)
            taken += lapic_bus_send(bus, MESSAGES | id << 12, command);
    }
    return taken;
}

static uint64_t send_ipi(const struct pv_caller *caller, const uint64_t arguments[4])
{
    const uint32_t first = (uint32_t)arguments[2], command = (uint32_t)arguments[3];
    if (command & (ICR_LOGICAL | ICR_SHORTHAND))
        return refuse(PV_CALL_INVALID);
    const uint32_t message = command & ICR_MESSAGE;
    return send_word(caller->bus, arguments[0], first, message) +
           send_word(caller->bus, arguments[1], first + (caller->wide ? UINT64_C(64) : 32), message);
}

uint64_t pv_call(const struct pv_caller *caller, uint64_t number, const uint64_t arguments[4])
{
    switch (number) {
    case PV_CALL_POLL_INTERRUPT: return 0;
    case PV_CALL_PAIR_CLOCKS: return pair_clocks(caller, arguments[0], arguments[1]);
    case PV_CALL_SEND_IPI: return send_ipi(caller, arguments);
    default: return refuse(PV_CALL_UNKNOWN);
    }
}
