/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * acpi: the tables by which a PC tells its operating system what it has (ACPI specification 6.4): RSDP, XSDT,
 * FADT, FACS, MADT, HPET, MCFG, DSDT. They are made anew for each start of the machine, in memory below
 * 1 MiB that the memory map reserves for them.
 *
 * The fixed hardware is device/misc/acpi_pm's, in ACPI mode always; the power button is part of it.
 * Interrupts of PCI go straight to inputs of the I/O APIC, or, for who has said by _PIC that he uses the
 * 8259s, to ISA interrupts.
 */
#ifndef VISOR_MACHINE_ACPI_ACPI_H
#define VISOR_MACHINE_ACPI_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "memory/memory_map.h"

#define ACPI_SERIALS          4
#define ACPI_GENERATION_EVENT 0 /* the general-purpose event that says that it has changed */

struct acpi_window {
    uint64_t start, size; /* size 0: there is none */
};

struct acpi_config {
    unsigned cpu_count;
    const uint32_t *apic_ids; /* by processor; NULL: its number */
    uint32_t lapic_base, ioapic_base;
    uint8_t ioapic_id;
    uint32_t hpet_base;       /* 0: there is none */
    uint16_t pm_ports;        /* where acpi_pm is attached */
    uint8_t sci;              /* ISA interrupt of its line, level-triggered */
    uint8_t reset_port_value; /* what written to CF9h resets; 0: cannot */

    uint16_t serial_ports[ACPI_SERIALS]; /* of 16550s, 0: there is none */
    uint8_t serial_irqs[ACPI_SERIALS];
    bool keyboard;         /* a keyboard controller that is worth a driver's while */
    uint16_t pvpanic_port; /* 0: there is none */
    uint64_t generation;   /* where in memory it is; 0: there is none */

    uint64_t pci_config;               /* 256 buses' configuration space in memory; 0: there is none */
    struct acpi_window mmio32, mmio64; /* what the PCI host bridge passes on, besides all I/O ports */
    unsigned pci_slots;                /* 0: there is no PCI */
    unsigned pci_gsi, pci_isa_irq; /* what line 0 is; on the 8259s lines alternate between it and the next */
    unsigned (*pci_line)(unsigned slot, unsigned pin); /* pin 0 is INTA */
};

/* Writes the tables to `memory`, [address, address + size), and says where the RSDP is, which lies where who
 * searches for it finds it if the range is from E0000h to 1 MiB. */
int acpi_write(const struct acpi_config *config, struct memory_map *memory, uint64_t address, uint64_t size,
               uint64_t *rsdp, struct error *error);

#endif
