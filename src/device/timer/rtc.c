/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MC146818 real-time clock. Registers and their behaviour are those of the data sheet. Flags are set when
 * somebody can see them: there is a timer only for an interrupt that is enabled and not yet pending. */
#include "device/timer/rtc.h"

#include <errno.h>

#define DIVIDER_HZ 32768
/* "Update Cycle": UIP rises 244 us before the update, which takes 1984 us. */
#define UPDATE_NANOSECONDS (244000 + 1984000)

#define TIME_MOST (INT64_C(1) << 40) /* seconds */

enum rtc_register {
    RTC_SECONDS = 0,
    RTC_SECONDS_ALARM = 1,
    RTC_MINUTES = 2,
    RTC_MINUTES_ALARM = 3,
    RTC_HOURS = 4,
    RTC_HOURS_ALARM = 5,
    RTC_WEEKDAY = 6,
    RTC_DAY = 7,
    RTC_MONTH = 8,
    RTC_YEAR = 9,
    RTC_A = 10,
    RTC_B = 11,
    RTC_C = 12,
    RTC_D = 13,
};

#define A_UPDATING 0x80
#define B_SET      0x80
#define B_PERIODIC 0x40 /* as in C */
#define B_ALARM    0x20
#define B_UPDATED  0x10
#define B_BINARY   0x04
#define B_24_HOURS 0x02
#define C_IRQ      0x80
#define C_FLAGS    (B_PERIODIC | B_ALARM | B_UPDATED)
#define D_VALID    0x80

static const struct device_field rtc_fields[] = {
    DEVICE_LIMITED(struct rtc, index, 127),
    DEVICE_LIMITED(struct rtc, extended_index, 127),
    DEVICE_ARRAY(struct rtc, cmos),
    DEVICE_FIELD(struct rtc, seconds),
    DEVICE_LIMITED(struct rtc, phase, TIMER_SECOND - 1),
    DEVICE_FIELD(struct rtc, seen),
    DEVICE_LIMITED(struct rtc, weekday, 6),
    DEVICE_FIELD(struct rtc, asserted),
    DEVICE_TIMER_FIELD(struct rtc, timer),
};

/* Days since 1970 of a date of the Gregorian calendar, and back. The year is counted from March, so that leap
 * days end it. */
static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t from_march = (month + 9) % 12;
    int64_t leap = year / 4 - year / 100 + year / 400;
    return year * 365 + leap + (from_march * 153 + 2) / 5 + day - 1 - 719468;
}

struct date {
    int64_t year;
    unsigned month, day;
};

static struct date date_from_days(int64_t days)
{
    days += 719468;
    int64_t era = days / 146097, in_era = days % 146097;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
    unsigned from_march = (unsigned)((5 * in_year + 2) / 153);
    struct date date = {.month = from_march < 10 ? from_march + 3 : from_march - 9};
    date.day = (unsigned)(in_year - (153 * from_march + 2) / 5 + 1);
    date.year = year + era * 400 + (date.month <= 2);
    return date;
}

static bool rtc_counts(const struct rtc *rtc)
{
    return (rtc->cmos[RTC_A] >> 4 & 7) == 2; /* the divider for a 32,768 Hz crystal; others stop it */
}

/* Whether the time is in `cmos`, for the guest to set, and not running. */
static bool rtc_frozen(const struct rtc *rtc)
{
    return !rtc_counts(rtc) || (rtc->cmos[RTC_B] & B_SET);
}

/* Nanoseconds that the divider chain has counted. */
static uint64_t rtc_divider(const struct rtc *rtc)
{
    return clock_now(rtc->clock) + rtc->phase;
}

/* A number as the guest wants to see it. */
static uint8_t rtc_encode(const struct rtc *rtc, unsigned value)
{
    return (uint8_t)(rtc->cmos[RTC_B] & B_BINARY ? value : value / 10 % 10 << 4 | value % 10);
}

static unsigned rtc_decode(const struct rtc *rtc, uint8_t value)
{
    return rtc->cmos[RTC_B] & B_BINARY ? value : (value >> 4) * 10u + (value & 15);
}

static uint8_t rtc_encode_hour(const struct rtc *rtc, unsigned hour)
{
    if (rtc->cmos[RTC_B] & B_24_HOURS)
        return rtc_encode(rtc, hour);
    return (uint8_t)(rtc_encode(rtc, (hour + 11) % 12 + 1) | (hour >= 12 ? 0x80 : 0));
}

static unsigned rtc_decode_hour(const struct rtc *rtc, uint8_t value)
{
    if (rtc->cmos[RTC_B] & B_24_HOURS)
        return rtc_decode(rtc, value);
    return rtc_decode(rtc, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

/* Writes the running time into the registers. */
static void rtc_show(struct rtc *rtc)
{
    int64_t now = rtc->seconds + (int64_t)(rtc_divider(rtc) / TIMER_SECOND);
    int64_t days = now / 86400, second = now % 86400;
    if (second < 0) {
        second += 86400;
        days--;
    }
    struct date date = date_from_days(days);
    rtc->cmos[RTC_SECONDS] = rtc_encode(rtc, (unsigned)(second % 60));
    rtc->cmos[RTC_MINUTES] = rtc_encode(rtc, (unsigned)(second / 60 % 60));
    rtc->cmos[RTC_HOURS] = rtc_encode_hour(rtc, (unsigned)(second / 3600));
    rtc->cmos[RTC_WEEKDAY] = rtc_encode(rtc, (unsigned)((days + 719468 + 3 + rtc->weekday) % 7 + 1));
    rtc->cmos[RTC_DAY] = rtc_encode(rtc, date.day);
    rtc->cmos[RTC_MONTH] = rtc_encode(rtc, date.month);
    rtc->cmos[RTC_YEAR] = rtc_encode(rtc, (unsigned)(date.year % 100));
    rtc->cmos[RTC_CENTURY] = rtc_encode(rtc, (unsigned)(date.year / 100 % 100));
}

/* Lets the time run from what is in the registers, whatever that is. */
static void rtc_start(struct rtc *rtc)
{
    int64_t year =
        rtc_decode(rtc, rtc->cmos[RTC_CENTURY]) * INT64_C(100) + rtc_decode(rtc, rtc->cmos[RTC_YEAR]);
    unsigned month = rtc_decode(rtc, rtc->cmos[RTC_MONTH]);
    /* Year 0 has a January, which is before the first March. */
    int64_t days = days_from_date(MAX(year, 1), (month + 11) % 12 + 1, rtc_decode(rtc, rtc->cmos[RTC_DAY]));
    int64_t second = rtc_decode_hour(rtc, rtc->cmos[RTC_HOURS]) * INT64_C(3600) +
                     rtc_decode(rtc, rtc->cmos[RTC_MINUTES]) * 60 + rtc_decode(rtc, rtc->cmos[RTC_SECONDS]);
    rtc->seconds = days * 86400 + second - (int64_t)(rtc_divider(rtc) / TIMER_SECOND);
    unsigned weekday = rtc_decode(rtc, rtc->cmos[RTC_WEEKDAY]) + 6; /* 0: Sunday */
    days += second / 86400;
    rtc->weekday = (uint8_t)((weekday + 7 - (unsigned)((days + 719468 + 3) % 7)) % 7);
}

/* Whether an alarm byte stands for this encoded value; from C0h on for any. */
static bool alarm_match(uint8_t alarm, uint8_t value)
{
    return alarm >= 0xc0 || alarm == value;
}

/* An alarm byte that can match at all. */
static bool alarm_possible(const struct rtc *rtc)
{
    bool seconds = false, minutes = false, hours = false;
    for (unsigned i = 0; i < 60; i++) {
        seconds |= alarm_match(rtc->cmos[RTC_SECONDS_ALARM], rtc_encode(rtc, i));
        minutes |= alarm_match(rtc->cmos[RTC_MINUTES_ALARM], rtc_encode(rtc, i));
        hours |= alarm_match(rtc->cmos[RTC_HOURS_ALARM], rtc_encode_hour(rtc, i % 24));
    }
    return seconds && minutes && hours;
}

/* Seconds from a count of the divider's seconds to the next alarm, 1 to 86400; 0: never. */
static unsigned rtc_alarm_distance(const struct rtc *rtc, uint64_t from)
{
    if (!alarm_possible(rtc))
        return 0;
    int64_t start = (rtc->seconds + (int64_t)from) % 86400 + 86400;
    for (unsigned ahead = 1; ahead <= 86400;) {
        unsigned second = (unsigned)((start + ahead) % 86400);
        if (!alarm_match(rtc->cmos[RTC_HOURS_ALARM], rtc_encode_hour(rtc, second / 3600)))
            ahead += 3600 - second % 3600;
        else if (!alarm_match(rtc->cmos[RTC_MINUTES_ALARM], rtc_encode(rtc, second / 60 % 60)))
            ahead += 60 - second % 60;
        else if (!alarm_match(rtc->cmos[RTC_SECONDS_ALARM], rtc_encode(rtc, second % 60)))
            ahead++;
        else
            return ahead;
    }
    return 0;
}

/* "Periodic Interrupt Rate": in counts of the divider; 0: none. */
static unsigned rtc_period(const struct rtc *rtc)
{
    unsigned rate = rtc->cmos[RTC_A] & 15;
    return !rate ? 0 : rate < 3 ? 64u << rate : 1u << (rate - 1);
}

/* Sets the flags for what has happened since the last time, and drives the interrupt line. */
static void rtc_sync(struct rtc *rtc)
{
    uint64_t ticks = clock_ticks(rtc_divider(rtc), DIVIDER_HZ), seen = rtc->seen;
    uint64_t before = seen / DIVIDER_HZ, second = ticks / DIVIDER_HZ;
    unsigned period = rtc_period(rtc);
    rtc->seen = ticks;
    if (rtc_counts(rtc) && ticks > seen) {
        if (period && ticks / period > seen / period)
            rtc->cmos[RTC_C] |= B_PERIODIC;
        if (!rtc_frozen(rtc) && second > before) {
            rtc->cmos[RTC_C] |= B_UPDATED;
            unsigned alarm = rtc->cmos[RTC_C] & B_ALARM ? 0 : rtc_alarm_distance(rtc, before);
            if (alarm && alarm <= second - before)
                rtc->cmos[RTC_C] |= B_ALARM;
        }
    }
    bool asserted = rtc->cmos[RTC_C] & rtc->cmos[RTC_B] & C_FLAGS;
    if (asserted != rtc->asserted)
        irq_set(&rtc->irq, asserted);
    rtc->asserted = asserted;
}

/* After rtc_sync() and any change: the timer for the next interrupt. While one is pending there is no other.
 */
static void rtc_arm(struct rtc *rtc)
{
    uint8_t wanted = rtc->cmos[RTC_B] & (uint8_t)~rtc->cmos[RTC_C];
    unsigned period = rtc_period(rtc);
    uint64_t next = UINT64_MAX, second = rtc->seen / DIVIDER_HZ;
    if (rtc->asserted || !rtc_counts(rtc))
        wanted = 0;
    if ((wanted & B_PERIODIC) && period)
        next = rtc->seen - rtc->seen % period + period;
    if ((wanted & B_UPDATED) && !rtc_frozen(rtc))
        next = MIN(next, (second + 1) * DIVIDER_HZ);
    unsigned alarm = (wanted & B_ALARM) && !rtc_frozen(rtc) ? rtc_alarm_distance(rtc, second) : 0;
    if (alarm)
        next = MIN(next, (second + alarm) * DIVIDER_HZ);
    timer_set(&rtc->timer,
              next == UINT64_MAX ? TIMER_NEVER : clock_ticks_time(next, DIVIDER_HZ) - rtc->phase);
}

static void rtc_due(void *opaque)
{
    rtc_sync(opaque);
    rtc_arm(opaque);
}

static bool is_time(unsigned index)
{
    return (index <= RTC_YEAR && index != RTC_SECONDS_ALARM && index != RTC_MINUTES_ALARM &&
            index != RTC_HOURS_ALARM) ||
           index == RTC_CENTURY;
}

static void rtc_write_a(struct rtc *rtc, uint8_t value)
{
    bool counted = rtc_counts(rtc);
    rtc->cmos[RTC_A] = value & 0x7f;
    if (counted || !rtc_counts(rtc))
        return;
    /* "Divider Control": released from reset, the first update is half a second away. */
    uint64_t fraction = clock_now(rtc->clock) % TIMER_SECOND;
    rtc->phase = (uint32_t)((TIMER_SECOND * 3 / 2 - fraction) % TIMER_SECOND);
    rtc->seen = clock_ticks(rtc_divider(rtc), DIVIDER_HZ);
}

static void rtc_write_register(struct rtc *rtc, unsigned index, uint8_t value)
{
    bool stops = is_time(index) || index == RTC_A || index == RTC_B;
    rtc_sync(rtc);
    /* What changes time or its format is done on standing registers, whose bytes then mean what they mean. */
    if (stops && !rtc_frozen(rtc))
        rtc_show(rtc);
    switch (index) {
    case RTC_A: rtc_write_a(rtc, value); break;
    case RTC_B: rtc->cmos[RTC_B] = value & B_SET ? value & (uint8_t)~B_UPDATED : value; break;
    case RTC_C:
    case RTC_D: break;
    default: rtc->cmos[index] = value;
    }
    if (stops && !rtc_frozen(rtc))
        rtc_start(rtc);
    rtc_sync(rtc);
    rtc_arm(rtc);
}

static uint8_t rtc_read_register(struct rtc *rtc, unsigned index)
{
    uint8_t value;
    if (is_time(index) && !rtc_frozen(rtc))
        rtc_show(rtc);
    switch (index) {
    case RTC_A: {
        bool updating =
            !rtc_frozen(rtc) && rtc_divider(rtc) % TIMER_SECOND >= TIMER_SECOND - UPDATE_NANOSECONDS;
        return rtc->cmos[RTC_A] | (updating ? A_UPDATING : 0);
    }
    case RTC_C:
        rtc_sync(rtc);
        value = rtc->cmos[RTC_C] | (rtc->asserted ? C_IRQ : 0);
        rtc->cmos[RTC_C] = 0;
        rtc_sync(rtc);
        rtc_arm(rtc);
        return value;
    case RTC_D: return D_VALID;
    }
    return rtc->cmos[index];
}

static uint64_t rtc_read(void *opaque, uint64_t offset, unsigned size)
{
    struct rtc *rtc = opaque;
    (void)size;
    switch (offset) {
    case 1: return rtc_read_register(rtc, rtc->index);
    case 3: return rtc->cmos[128 + rtc->extended_index];
    }
    return 0xff; /* the index cannot be read */
}

static void rtc_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct rtc *rtc = opaque;
    (void)size;
    switch (offset) {
    case 0:
        rtc->index = value & 0x7f;
        break; /* bit 7 would mask NMIs, of which a PC's own sources are not here */
    case 1: rtc_write_register(rtc, rtc->index, (uint8_t)value); break;
    case 2: rtc->extended_index = value & 0x7f; break;
    case 3: rtc->cmos[128 + rtc->extended_index] = (uint8_t)value; break;
    }
}

static const struct access_ops rtc_ops = {rtc_read, rtc_write, 1};

int64_t rtc_time(struct rtc *rtc)
{
    return rtc->seconds + (int64_t)(rtc_divider(rtc) / TIMER_SECOND);
}

void rtc_set_time(struct rtc *rtc, int64_t seconds)
{
    rtc_sync(rtc);
    rtc->seconds = seconds - (int64_t)(rtc_divider(rtc) / TIMER_SECOND);
    rtc->weekday = 0;
    if (rtc_frozen(rtc))
        rtc_show(rtc);
    rtc_arm(rtc);
}

void rtc_go_on(struct rtc *rtc, int64_t seconds)
{
    const int64_t now = seconds > TIME_MOST || seconds < -TIME_MOST ? INT64_MAX : rtc->seconds + seconds;
    if (rtc_frozen(rtc) || now > TIME_MOST || now < -TIME_MOST)
        return; /* the guest is about to set it; or nobody's time */
    rtc->seconds = now;
    rtc_arm(rtc);
}

void rtc_set_cmos(struct rtc *rtc, uint8_t index, uint8_t value)
{
    rtc->cmos[index] = value;
}

/* "RESET": interrupts off, time and memory stay. */
static void rtc_reset(void *opaque)
{
    struct rtc *rtc = opaque;
    rtc_sync(rtc);
    rtc->index = rtc->extended_index = 0;
    rtc->cmos[RTC_B] &= (uint8_t) ~(C_FLAGS | 0x08);
    rtc->cmos[RTC_C] = 0;
    rtc_sync(rtc);
    rtc_arm(rtc);
}

static int rtc_loaded(void *opaque, struct error *error)
{
    struct rtc *rtc = opaque;
    if (rtc->seconds <= TIME_MOST && rtc->seconds >= -TIME_MOST)
        return 0;
    rtc->seconds = 0; /* a reset does not touch the time */
    return error_set(error, -EINVAL, "the time is out of range");
}

const struct device_type rtc_type = {
    .name = "rtc",
    .version = 1,
    .fields = rtc_fields,
    .field_count = ARRAY_SIZE(rtc_fields),
    .reset = rtc_reset,
    .loaded = rtc_loaded,
};

void rtc_init(struct rtc *rtc, struct timers *timers, struct irq_line irq)
{
    *rtc = (struct rtc){.irq = irq, .clock = &timers->clock};
    timer_init(&rtc->timer, timers, rtc_due, rtc);
    rtc->cmos[RTC_A] = 0x26;
    rtc->cmos[RTC_B] = B_24_HOURS;
    rtc->seen = clock_ticks(rtc_divider(rtc), DIVIDER_HZ);
}

int rtc_attach(struct rtc *rtc, struct io_space *io, struct error *error)
{
    return io_add(io, "rtc", 0x70, 4, 0, &rtc_ops, rtc, error) ? 0 : error->code;
}
