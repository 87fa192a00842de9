/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtc: the real-time clock and CMOS memory of a PC (Motorola MC146818 data sheet), at ports 70h and 71h, with
 * a second bank of memory at 72h and 73h. The century is in byte 32h, as ACPI's FADT says.
 *
 * The time is the machine's clock and an offset, so that a paused machine's stands still; the board sets it
 * with rtc_set_time().
 */
#ifndef VISOR_DEVICE_TIMER_RTC_H
#define VISOR_DEVICE_TIMER_RTC_H

#include "device/device.h"
#include "device/irq.h"
#include "memory/io_space.h"

#define RTC_CENTURY 0x32

struct rtc {
    uint8_t index, extended_index;
    uint8_t cmos[256]; /* time only while it does not run */
    int64_t seconds;   /* since 1970, what the time was when the divider chain's count was 0 */
    uint32_t
        phase; /* nanoseconds by which the divider chain is ahead of the machine's clock, below a second */
    uint64_t seen;   /* count of the divider chain, 32,768 a second, up to which flags are set */
    uint8_t weekday; /* days by which the weekday is ahead of the date's */
    bool asserted;   /* what `irq` is driven to */
    struct timer timer;
    struct irq_line irq;
    const struct clock *clock;
};

extern const struct device_type rtc_type;

void rtc_init(struct rtc *rtc, struct timers *timers, struct irq_line irq);
int rtc_attach(struct rtc *rtc, struct io_space *io, struct error *error);
/* Seconds since 1970 of what the guest is to see as the local time. */
void rtc_set_time(struct rtc *rtc, int64_t seconds);
int64_t rtc_time(struct rtc *rtc);
/* After loading: so many seconds have passed for the world, in which the machine's clock stood still. Alarms
 * in between are missed. */
void rtc_go_on(struct rtc *rtc, int64_t seconds);
/* For what a board's firmware keeps there: sizes of memory, boot order. Not for bytes 0 to 0Dh. */
void rtc_set_cmos(struct rtc *rtc, uint8_t index, uint8_t value);

#endif
