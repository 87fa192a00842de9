/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PCI bus. What is on it is in pc_virtio.c. */
#include <errno.h>

#include "base/macros.h"
#include "machine/pc_private.h"

/* Of what is below 4 GiB: the configuration space, then devices' memory up to the I/O APIC. */
#define MMCONFIG LAYOUT_HOLE
#define MMIO32   (LAYOUT_HOLE + LAYOUT_PCI_CONFIG_SIZE)

#define MMIO64_SIZE (UINT64_C(32) << 30)
#define IO_BASE     0xc000
#define IO_SIZE     0x3000

static void intx_set(void *opaque, unsigned number, bool level)
{
    struct pc *pc = opaque;
    irq_or_set(&pc->wires.ioapic[number], PC_DRIVER_PCI, level);
}

/* For who uses the 8259s: those only, since in the I/O APIC the slots have inputs of their own. */
static void intx_set_isa(void *opaque, unsigned number, bool level)
{
    struct pc *pc = opaque;
    irq_or_set(&pc->wires.pic[number], PC_DRIVER_PCI, level);
}

static struct pci_windows windows_of(const struct pc *pc)
{
    uint64_t top = LAYOUT_ABOVE + pc->layout.above, end = UINT64_C(1) << pc->machine->model.physical_bits,
             base = ALIGN_UP(top, MMIO64_SIZE);
    struct pci_windows windows = {
        .mmio32 = MMIO32, .mmio32_size = PC_IOAPIC_BASE - MMIO32, .io = IO_BASE, .io_size = IO_SIZE};
    if (base + MMIO64_SIZE <= end) { /* a processor with 32 or 36 bits of address may have none */
        windows.mmio64 = base;
        windows.mmio64_size = MMIO64_SIZE;
    }
    return windows;
}

int pc_make_pci(struct pc *pc, const struct pc_config *config, struct error *error)
{
    (void)config;
    struct machine *machine = pc->machine;
    const struct pci_wiring wiring = {
        .memory = &machine->memory,
        .io = &machine->io,
        .mmconfig = MMCONFIG,
        .windows = windows_of(pc),
        .intx = {intx_set, pc, PC_PCI_INPUT},
        .isa = {intx_set_isa, pc, 0},
        .messages = {lapic_bus_send, &pc->bus, lapic_bus_connect, lapic_bus_disconnect},
        .reset_control = &reset_control_ops,
        .reset_opaque = &pc->control,
    };
    int code = pci_bus_init(&pc->pci, &wiring, error);
    return code ? code : pc_add(pc, &pci_bus_type, "pci", &pc->pci, error);
}

void pc_tell_pci(const struct pc *pc, struct acpi_config *tables)
{
    const struct pci_windows *windows = &pc->pci.wiring.windows;
    tables->pci_config = MMCONFIG;
    tables->mmio32 = (struct acpi_window){windows->mmio32, windows->mmio32_size};
    tables->mmio64 = (struct acpi_window){windows->mmio64, windows->mmio64_size};
    tables->pci_slots = PCI_SLOTS;
    tables->pci_gsi = PC_PCI_INPUT;
    tables->pci_isa_irq = PCI_ISA_IRQ;
    tables->pci_line = pci_intx_line;
}
