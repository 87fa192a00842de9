/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * acpi_pm: the fixed hardware of ACPI (ACPI specification, "ACPI Hardware Specification"): power management
 * events and control, the timer, and a block of 16 general-purpose events, in 64 I/O ports, for which the
 * ACPI_PM_* offsets are what the FADT says.
 *
 * The machine is always in ACPI mode: SCI_EN is fixed, and there is no SMI command port.
 */
#ifndef VISOR_DEVICE_MISC_ACPI_PM_H
#define VISOR_DEVICE_MISC_ACPI_PM_H

#include "device/device.h"
#include "device/irq.h"
#include "device/misc/board.h"
#include "memory/io_space.h"

#define ACPI_PM_EVENTS  0x00 /* PM1a_EVT_BLK, 4 bytes */
#define ACPI_PM_CONTROL 0x04 /* PM1a_CNT_BLK, 2 bytes */
#define ACPI_PM_TIMER   0x08 /* PM_TMR_BLK, 24 bits in 4 bytes */
#define ACPI_PM_GPE     0x20 /* GPE0_BLK, 4 bytes */
#define ACPI_PM_SIZE    0x40

#define ACPI_PM_SOFT_OFF 5 /* SLP_TYP for \_S5 */
#define ACPI_PM_TIMER_HZ 3579545

struct acpi_pm {
    uint16_t status, enable, control;
    uint16_t gpe_status, gpe_enable;
    uint16_t gpe_levels; /* inputs of the general-purpose events that are asserted */
    uint64_t seen;       /* tick of the timer up to which TMR_STS is set */
    bool asserted;
    struct timer timer;
    struct irq_line sci;
    struct board board;
    const struct clock *clock;
};

extern const struct device_type acpi_pm_type;

void acpi_pm_init(struct acpi_pm *pm, struct timers *timers, struct irq_line sci, struct board board);
int acpi_pm_attach(struct acpi_pm *pm, struct io_space *io, uint16_t base, struct error *error);
/* Somebody presses the power button. Whether the guest has asked to be told. */
bool acpi_pm_power_button(struct acpi_pm *pm);
/* A general-purpose event; fits an irq_line. The status is set again after it was cleared while the level is
 * up. */
void acpi_pm_set_gpe(void *pm, unsigned number, bool level);

#endif
