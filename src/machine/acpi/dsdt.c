/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dsdt: the devices that a PC's operating system cannot find by itself. */
#include <stdio.h>

#include "device/misc/acpi_pm.h"
#include "machine/acpi/aml.h"
#include "machine/acpi/tables.h"

static void begin_device(struct aml *aml, const char *name, const char *eisa_id, unsigned unique)
{
    aml_begin_device(aml, name);
    aml_name(aml, "_HID");
    aml_eisa_id(aml, eisa_id);
    aml_name(aml, "_UID");
    aml_integer(aml, unique);
}

static void add_processors(struct aml *aml, const struct acpi_config *config)
{
    aml_begin_scope(aml, "\\_SB");
    for (unsigned i = 0; i < config->cpu_count; i++) {
        char name[8];
        snprintf(name, sizeof name, "C%03X", i & 0xfff);
        aml_begin_device(aml, name);
        aml_name(aml, "_HID");
        aml_string(aml, "ACPI0007");
        aml_name(aml, "_UID");
        aml_integer(aml, i);
        aml_end(aml);
    }
    aml_end(aml);
}

/* Of functions 0 to 7 of every slot: pin, and the interrupt that it is. */
static void add_routes(struct aml *aml, const struct acpi_config *config, const char *name, bool apic)
{
    enum { PINS = 4, ALL_FUNCTIONS = 0xffff };
    aml_name(aml, name);
    aml_begin_package(aml, config->pci_slots * PINS);
    for (unsigned slot = 0; slot < config->pci_slots; slot++) {
        for (unsigned pin = 0; pin < PINS; pin++) {
            unsigned line = config->pci_line(slot, pin);
            aml_begin_package(aml, 4);
            aml_integer(aml, slot << 16 | ALL_FUNCTIONS);
            aml_integer(aml, pin);
            aml_integer(aml, 0);
            aml_integer(aml, apic ? config->pci_gsi + line : config->pci_isa_irq + line % 2);
            aml_end(aml);
        }
    }
    aml_end(aml);
}

static void add_pci(struct aml *aml, const struct acpi_config *config)
{
    const unsigned config_ports = 0xcf8, config_ports_size = 8, ports = 0x10000;
    aml_begin_scope(aml, "\\_SB");
    begin_device(aml, "PCI0", "PNP0A03", 0);
    aml_name(aml, "_SEG");
    aml_integer(aml, 0);
    aml_name(aml, "_BBN");
    aml_integer(aml, 0);
    aml_begin_resources(aml);
    aml_bus_window(aml, 0, 256);
    aml_io(aml, (uint16_t)config_ports, config_ports_size);
    aml_io_window(aml, 0, config_ports);
    aml_io_window(aml, config_ports + config_ports_size, ports - config_ports - config_ports_size);
    if (config->mmio32.size)
        aml_memory_window(aml, config->mmio32.start, config->mmio32.size);
    if (config->mmio64.size)
        aml_memory_window(aml, config->mmio64.start, config->mmio64.size);
    aml_end_resources(aml);
    add_routes(aml, config, "PRTA", true);
    add_routes(aml, config, "PRTP", false);
    aml_begin_method(aml, "_PRT", 0);
    aml_begin_if(aml, "\\PICM");
    aml_return_name(aml, "PRTA");
    aml_end(aml);
    aml_return_name(aml, "PRTP");
    aml_end(aml);
    aml_end(aml);
    aml_end(aml);
}

/* Where the generation is, and the event by which it is told that it has changed (Microsoft, "Virtual Machine
 * Generation ID"). */
static void add_generation(struct aml *aml, const struct acpi_config *config)
{
    enum { CHANGED = 0x80 };
    char event[8];
    aml_begin_scope(aml, "\\_SB");
    aml_begin_device(aml, "VGEN");
    aml_name(aml, "_HID");
    aml_string(aml, "VSOR0001");
    aml_name(aml, "_CID");
    aml_begin_package(aml, 2);
    aml_string(aml, "VM_Gen_Counter"); /* the specification's, too long for a name by ACPI's rules */
    aml_string(aml, "VMGENCTR");
    aml_end(aml);
    aml_name(aml, "_DDN");
    aml_string(aml, "VM_Gen_Counter");
    aml_name(aml, "ADDR");
    aml_begin_package(aml, 2);
    aml_integer(aml, (uint32_t)config->generation);
    aml_integer(aml, config->generation >> 32);
    aml_end(aml);
    aml_end(aml);
    aml_end(aml);
    aml_begin_scope(aml, "\\_GPE");
    snprintf(event, sizeof event, "_E%02X", ACPI_GENERATION_EVENT);
    aml_begin_method(aml, event, 0);
    aml_notify(aml, "\\_SB.VGEN", CHANGED);
    aml_end(aml);
    aml_end(aml);
}

/* What is where and is no device to be driven, lest it be given to another. */
static void add_board(struct aml *aml, const struct acpi_config *config)
{
    begin_device(aml, "MBRD", "PNP0C02", 0);
    aml_begin_resources(aml);
    aml_io(aml, config->pm_ports, ACPI_PM_SIZE);
    aml_io(aml, 0x92, 1);
    if (config->pci_config)
        aml_memory32(aml, (uint32_t)config->pci_config, 256 << 20);
    aml_end_resources(aml);
    aml_end(aml);
}

static void add_serials(struct aml *aml, const struct acpi_config *config)
{
    for (unsigned i = 0; i < ACPI_SERIALS; i++) {
        char name[8];
        if (!config->serial_ports[i])
            continue;
        snprintf(name, sizeof name, "COM%u", i + 1);
        begin_device(aml, name, "PNP0501", i + 1);
        aml_begin_resources(aml);
        aml_io(aml, config->serial_ports[i], 8);
        aml_irq(aml, config->serial_irqs[i]);
        aml_end_resources(aml);
        aml_end(aml);
    }
}

static void add_board_devices(struct aml *aml, const struct acpi_config *config)
{
    aml_begin_scope(aml, "\\_SB");
    add_board(aml, config);
    add_serials(aml, config);
    begin_device(aml, "RTC", "PNP0B00", 0);
    aml_begin_resources(aml);
    aml_io(aml, 0x70, 2);
    aml_irq(aml, 8);
    aml_end_resources(aml);
    aml_end(aml);
    if (config->keyboard) {
        begin_device(aml, "KBD", "PNP0303", 0);
        aml_begin_resources(aml);
        aml_io(aml, 0x60, 1);
        aml_io(aml, 0x64, 1);
        aml_irq(aml, 1);
        aml_end_resources(aml);
        aml_end(aml);
    }
    if (config->pvpanic_port) {
        aml_begin_device(aml, "PEVT");
        aml_name(aml, "_HID");
        aml_string(aml, "QEMU0001");
        aml_begin_resources(aml);
        aml_io(aml, config->pvpanic_port, 1);
        aml_end_resources(aml);
        aml_end(aml);
    }
    aml_end(aml);
}

void dsdt_append(const struct acpi_config *config, struct buffer *out)
{
    struct aml aml = {.out = out};
    /* Which interrupt controllers are in use: the operating system says so by _PIC. */
    aml_name(&aml, "\\PICM");
    aml_integer(&aml, 0);
    aml_begin_method(&aml, "\\_PIC", 1);
    aml_store_argument(&aml, "PICM");
    aml_end(&aml);
    aml_name(&aml, "\\_S5");
    aml_begin_package(&aml, 4);
    aml_integer(&aml, ACPI_PM_SOFT_OFF);
    aml_integer(&aml, ACPI_PM_SOFT_OFF);
    aml_integer(&aml, 0);
    aml_integer(&aml, 0);
    aml_end(&aml);
    add_processors(&aml, config);
    if (config->pci_slots)
        add_pci(&aml, config);
    add_board_devices(&aml, config);
    if (config->generation)
        add_generation(&aml, config);
}
