/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI fixed hardware. Registers as in the ACPI specification, sections "PM1 Event Grouping" and following.
 */
#include "device/misc/acpi_pm.h"

#define STATUS_TIMER   0x0001 /* the timer's highest bit has changed */
#define STATUS_BUTTON  0x0100
#define STATUS_CLEARED 0x8731 /* bits that are cleared by writing ones */
#define ENABLE_BITS    0x0721

#define CONTROL_SCI         0x0001
#define CONTROL_WRITABLE    0x1c06
#define CONTROL_SLEEP       0x2000
#define CONTROL_TYPE(value) ((value) >> 10 & 7)

#define TIMER_BITS 24

static const struct device_field pm_fields[] = {
    DEVICE_FIELD(struct acpi_pm, status),      DEVICE_FIELD(struct acpi_pm, enable),
    DEVICE_FIELD(struct acpi_pm, control),     DEVICE_FIELD(struct acpi_pm, gpe_status),
    DEVICE_FIELD(struct acpi_pm, gpe_enable),  DEVICE_FIELD(struct acpi_pm, gpe_levels),
    DEVICE_FIELD(struct acpi_pm, seen),        DEVICE_FIELD(struct acpi_pm, asserted),
    DEVICE_TIMER_FIELD(struct acpi_pm, timer),
};

/* Looks at the timer, drives the SCI, and sets the timer's interrupt if somebody waits for it. */
static void pm_update(struct acpi_pm *pm)
{
    uint64_t tick = clock_ticks(clock_now(pm->clock), ACPI_PM_TIMER_HZ);
    if (tick >> (TIMER_BITS - 1) != pm->seen >> (TIMER_BITS - 1))
        pm->status |= STATUS_TIMER;
    pm->seen = tick;
    bool asserted = (pm->status & pm->enable) || (pm->gpe_status & pm->gpe_enable);
    if (asserted != pm->asserted)
        irq_set(&pm->sci, asserted);
    pm->asserted = asserted;
    uint64_t next = TIMER_NEVER;
    if ((pm->enable & STATUS_TIMER) && !(pm->status & STATUS_TIMER))
        next = clock_ticks_time(((tick >> (TIMER_BITS - 1)) + 1) << (TIMER_BITS - 1), ACPI_PM_TIMER_HZ);
    timer_set(&pm->timer, next);
}

static void pm_due(void *opaque)
{
    pm_update(opaque);
}

static void pm_write_control(struct acpi_pm *pm, uint16_t value)
{
    const struct board *board = &pm->board;
    unsigned type = CONTROL_TYPE(value);
    pm->control = (value & CONTROL_WRITABLE) | CONTROL_SCI;
    if (!(value & CONTROL_SLEEP))
        return;
    if (type == ACPI_PM_SOFT_OFF && board->power_off)
        board->power_off(board->opaque);
    else if (type != ACPI_PM_SOFT_OFF && board->sleep)
        board->sleep(board->opaque, type);
}

static uint16_t pm_register(const struct acpi_pm *pm, uint64_t offset)
{
    switch (offset) {
    case ACPI_PM_EVENTS: return pm->status;
    case ACPI_PM_EVENTS + 2: return pm->enable;
    case ACPI_PM_CONTROL: return pm->control;
    case ACPI_PM_TIMER: return (uint16_t)pm->seen;
    case ACPI_PM_TIMER + 2: return pm->seen >> 16 & 0xff;
    case ACPI_PM_GPE: return pm->gpe_status;
    case ACPI_PM_GPE + 2: return pm->gpe_enable;
    }
    return 0;
}

/* 16 bits at an even offset, of which those in `written` are. */
static void pm_write_register(struct acpi_pm *pm, uint64_t offset, uint16_t value, uint16_t written)
{
    uint16_t merged = (uint16_t)((pm_register(pm, offset) & ~written) | (value & written));
    switch (offset) {
    case ACPI_PM_EVENTS: pm->status &= (uint16_t) ~(value & written & STATUS_CLEARED); break;
    case ACPI_PM_EVENTS + 2: pm->enable = merged & ENABLE_BITS; break;
    case ACPI_PM_CONTROL: pm_write_control(pm, merged); break;
    case ACPI_PM_GPE:
        pm->gpe_status = (uint16_t)((pm->gpe_status & ~(value & written)) | pm->gpe_levels);
        break;
    case ACPI_PM_GPE + 2: pm->gpe_enable = merged; break;
    }
}

static uint64_t pm_read(void *opaque, uint64_t offset, unsigned size)
{
    struct acpi_pm *pm = opaque;
    pm_update(pm);
    if (size == 1)
        return pm_register(pm, offset & ~UINT64_C(1)) >> (8 * (offset & 1));
    uint64_t value = pm_register(pm, offset);
    return size == 4 ? value | (uint64_t)pm_register(pm, offset + 2) << 16 : value;
}

static void pm_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct acpi_pm *pm = opaque;
    unsigned shift = 8 * (offset & 1);
    pm_update(pm);
    if (size == 1)
        pm_write_register(pm, offset & ~UINT64_C(1), (uint16_t)(value << shift), (uint16_t)(0xff << shift));
    else
        pm_write_register(pm, offset, (uint16_t)value, 0xffff);
    if (size == 4)
        pm_write_register(pm, offset + 2, (uint16_t)(value >> 16), 0xffff);
    pm_update(pm);
}

static const struct access_ops pm_ops = {pm_read, pm_write, 4};

bool acpi_pm_power_button(struct acpi_pm *pm)
{
    pm->status |= STATUS_BUTTON;
    pm_update(pm);
    return pm->enable & STATUS_BUTTON;
}

void acpi_pm_set_gpe(void *opaque, unsigned number, bool level)
{
    struct acpi_pm *pm = opaque;
    uint16_t bit = (uint16_t)(1u << (number & 15));
    pm->gpe_levels = level ? pm->gpe_levels | bit : pm->gpe_levels & (uint16_t)~bit;
    pm->gpe_status |= pm->gpe_levels;
    pm_update(pm);
}

static void pm_reset(void *opaque)
{
    struct acpi_pm *pm = opaque;
    pm->status = pm->enable = pm->gpe_enable = 0;
    pm->control = CONTROL_SCI;
    pm->gpe_status = pm->gpe_levels;
    pm->seen = clock_ticks(clock_now(pm->clock), ACPI_PM_TIMER_HZ);
    pm_update(pm);
}

const struct device_type acpi_pm_type = {
    .name = "acpi-pm",
    .version = 1,
    .fields = pm_fields,
    .field_count = ARRAY_SIZE(pm_fields),
    .reset = pm_reset,
};

void acpi_pm_init(struct acpi_pm *pm, struct timers *timers, struct irq_line sci, struct board board)
{
    *pm = (struct acpi_pm){.sci = sci, .board = board, .clock = &timers->clock};
    timer_init(&pm->timer, timers, pm_due, pm);
    pm_reset(pm);
}

int acpi_pm_attach(struct acpi_pm *pm, struct io_space *io, uint16_t base, struct error *error)
{
    return io_add(io, "acpi", base, ACPI_PM_SIZE, 0, &pm_ops, pm, error) ? 0 : error->code;
}
