/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * synic: the synthetic interrupt controller of a vCPU, and its timers, as guests of Hyper-V know them
 * (Microsoft: Hypervisor Top-Level Functional Specification, chapters "Virtual Interrupt Controller" and
 * "Timers").
 *
 * Sixteen sources (SINT) interrupt by a vector of the local APIC that the guest chooses. Each has a slot for
 * one message in one page of the guest's memory, and flags of events in another. The pages are the guest's
 * own RAM, where it says: they are cleared when they are turned on, and written to from then on; where there
 * is no RAM nothing can be turned on, and where there is none any more nothing is delivered. A message whose
 * slot is taken, or whose source is masked, waits until the guest has written one of the registers.
 *
 * Time is the reference time, in units of 100 ns, which the guest has by another register: an access brings
 * it along, and from there on the machine's clock counts it. A periodic timer that was late, because the
 * machine's loop was or because its message had to wait, tells of the first of the ticks that it has missed,
 * and no more, whether it is lazy or not.
 *
 * All of it happens under the machine's lock.
 */
#ifndef VISOR_DEVICE_IRQ_SYNIC_H
#define VISOR_DEVICE_IRQ_SYNIC_H

#include "device/irq/lapic.h"
#include "memory/memory_map.h"

enum { SYNIC_SOURCES = 16, SYNIC_TIMERS = 4, SYNIC_PAYLOAD = 240, SYNIC_FLAGS = 2048 };

/* As it is in its slot. */
struct synic_message {
    uint32_t type; /* 0: the slot is free */
    uint8_t size, flags, reserved[2];
    uint64_t sender;
    uint8_t payload[SYNIC_PAYLOAD];
};

struct synic;

/* Who has more messages for a controller than its own timers: is told when one that waits may be posted
 * again. */
struct synic_waiting {
    void (*retry)(void *opaque, const struct synic *synic); /* NULL: nobody */
    void *opaque;
};

/* Where what guests send by hypercalls goes to: 0; -ENOENT: there is no such connection; -EAGAIN: it has no
 * room for another message. Under the machine's lock. */
struct synic_connections {
    int (*post)(void *opaque, uint32_t connection, const struct synic_message *message);
    int (*signal)(void *opaque, uint32_t connection, unsigned flag);
    void *opaque;
};

struct synic_timer {
    uint64_t config, count;
    uint64_t started, clock; /* when it was: reference time, and the machine's clock */
    uint64_t next, expired;  /* reference time at which it expires next; `waits`: at which it did */
    bool waits;              /* it has expired, and the guest has not been told */
    struct timer timer;
    struct synic *synic;
};

struct synic {
    uint64_t control, flags_page, message_page, assist_page;
    uint64_t sources[SYNIC_SOURCES];
    _Atomic uint32_t automatic[8]; /* the local APIC's: see there */
    struct synic_timer timers[SYNIC_TIMERS];

    struct lapic *lapic;
    struct memory_map *memory;
    const struct clock *clock;
    struct synic_waiting waiting;
};

extern const struct device_type synic_type;

void synic_init(struct synic *synic, struct lapic *lapic, struct memory_map *memory, struct timers *timers);

/* Whether it is one of its MSRs. */
bool synic_has_msr(uint32_t msr);
/* Whether it is one of its timers', to which it matters what time it is. */
bool synic_is_timer_msr(uint32_t msr);
/* False: a general protection fault. `now`: the reference time, if it matters. */
bool synic_msr_read(const struct synic *synic, uint32_t msr, uint64_t *value);
bool synic_msr_write(struct synic *synic, uint32_t msr, uint64_t value, uint64_t now);

/* Interrupts by a source. */
void synic_interrupt(struct synic *synic, unsigned source);
/* Puts a message into a source's slot, and interrupts. False: it has to wait, and the guest is told that one
 * does. */
bool synic_post(struct synic *synic, unsigned source, const struct synic_message *message);
/* Sets a source's flag, and interrupts if it was not set. Where there is no page it is lost. */
void synic_signal(struct synic *synic, unsigned source, unsigned flag);

/* -- synic_timer.c --------------------------------------------------------------------------------------- */

void synic_timer_init(struct synic_timer *timer, struct synic *synic, struct timers *timers);
void synic_timer_reset(struct synic_timer *timer);
bool synic_timer_set_config(struct synic_timer *timer, uint64_t value, uint64_t now);
void synic_timer_set_count(struct synic_timer *timer, uint64_t value, uint64_t now);
/* Tells what waits to be told, if it can be told now. */
void synic_timer_retry(struct synic_timer *timer);

#endif
