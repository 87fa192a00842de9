/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interrupt: how interrupts and exceptions get to their handlers. Intel SDM volume 3, chapter 6.
 */
#ifndef VISOR_ARCH_X86_INTERRUPT_H
#define VISOR_ARCH_X86_INTERRUPT_H

#include "arch/x86/core.h"

struct x86_event {
    enum x86_event_kind kind;
    uint8_t vector;
    bool has_error;
    uint32_t error;
    uint64_t address; /* of a page fault */
    uint8_t length;   /* of the instruction that asked for it: rip goes back by it if that faults */
};

enum x86_delivery {
    X86_DELIVERED,
    X86_SHUTDOWN, /* a triple fault */
};

/*
 * Delivers an event at the current rip. Exceptions on the way are delivered instead, or become a double fault
 * (table 6-5).
 */
enum x86_delivery x86_deliver(struct x86_core *core, struct x86_event event);

/* core->exception as an event. */
struct x86_event x86_exception_event(const struct x86_core *core);

#endif
