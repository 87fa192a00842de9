/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A function's configuration space, its base address registers, and its interrupt pin. */
#include <errno.h>
#include <string.h>

#include "device/pci/pci_private.h"

/* Below what the board places itself: a BAR that a guest, or its probing for sizes, puts over memory or the
 * I/O APIC hides none of that. */
#define BAR_PRIORITY (-10)

#define COMMAND_WRITABLE                                                                                     \
    (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE | COMMAND_ERRORS)
#define COMMAND_ERRORS 0x0140 /* what to do about parity and system errors, of which there are none */

const struct device_field pci_device_fields[PCI_DEVICE_FIELDS] = {
    DEVICE_ARRAY(struct pci_device, config),       DEVICE_ARRAY(struct pci_device, msix_table),
    DEVICE_FIELD(struct pci_device, msix_pending), DEVICE_LIMITED(struct pci_device, msi_pending, 1),
    DEVICE_FIELD(struct pci_device, intx),
};

static void config_store(uint8_t *config, unsigned offset, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        config[offset + i] = (uint8_t)(value >> (8 * i));
}

void pci_config_set(struct pci_device *device, unsigned offset, unsigned size, uint32_t value,
                    uint32_t writable)
{
    config_store(device->config, offset, size, value);
    config_store(device->initial, offset, size, value);
    config_store(device->writable, offset, size, writable);
}

void pci_capability_place(struct pci_device *device, unsigned offset, uint8_t id)
{
    pci_config_set(device, offset, 2, id, 0);
    if (device->last_capability)
        pci_config_set(device, device->last_capability + 1, 1, offset, 0);
    else
        pci_config_set(device, PCI_CAPABILITIES, 1, offset, 0);
    device->last_capability = offset;
    pci_config_set(device, PCI_STATUS, 2, pci_config_get(device, PCI_STATUS, 2) | PCI_STATUS_CAPABILITIES, 0);
}

int pci_capability_add(struct pci_device *device, uint8_t id, unsigned size)
{
    unsigned offset = device->capabilities_end, end = ALIGN_UP(offset + size, 4u);
    if (end > PCI_CONFIG_SIZE)
        return -ENOSPC;
    device->capabilities_end = end;
    pci_capability_place(device, offset, id);
    return (int)offset;
}

int pci_bar_add(struct pci_device *device, unsigned index, unsigned flags, uint64_t size,
                const struct access_ops *ops, void *opaque, struct error *error)
{
    struct pci_bar *bar = &device->bars[index];
    struct pci_bus *bus = device->bus;
    bool io = flags & PCI_BAR_IO, wide = flags & PCI_BAR_64;
    uint64_t rounded = io ? 4 : 16;
    while (rounded < size)
        rounded *= 2;
    bar->region =
        io ? io_add(bus->wiring.io, device->name, 0, (unsigned)rounded, BAR_PRIORITY, ops, opaque, error)
           : memory_add_mmio(bus->wiring.memory, device->name, 0, rounded, BAR_PRIORITY, ops, opaque, error);
    if (!bar->region)
        return error->code;
    int code = memory_region_place(bar->region, 0, false, error);
    if (code) {
        memory_region_remove(bar->region, NULL);
        bar->region = NULL;
        return code;
    }
    bar->size = rounded;
    bar->flags = flags;
    bar->ops = ops;
    bar->opaque = opaque;
    uint64_t mask = ~(rounded - 1);
    pci_config_set(device, PCI_BAR0 + 4 * index, 4, flags, (uint32_t)mask);
    if (wide)
        pci_config_set(device, PCI_BAR0 + 4 * index + 4, 4, 0, (uint32_t)(mask >> 32));
    return 0;
}

/* What a BAR's registers say. */
static uint64_t bar_address(const struct pci_device *device, unsigned index)
{
    const struct pci_bar *bar = &device->bars[index];
    uint64_t address = pci_config_get(device, PCI_BAR0 + 4 * index, 4);
    if (bar->flags & PCI_BAR_64)
        address |= (uint64_t)pci_config_get(device, PCI_BAR0 + 4 * index + 4, 4) << 32;
    return address & ~(bar->size - 1);
}

/* Puts the BARs where their registers say. If memory runs out one stays where it was until the guest writes
 * again. */
static void place_bars(struct pci_device *device)
{
    uint8_t command = device->config[PCI_COMMAND];
    for (unsigned i = 0; i < PCI_BARS; i++) {
        struct pci_bar *bar = &device->bars[i];
        if (!bar->size)
            continue;
        uint64_t address = bar_address(device, i);
        bool enabled = address && (command & (bar->flags & PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY));
        memory_region_place(bar->region, enabled ? address : 0, enabled, NULL);
    }
}

static bool pin_level(const struct pci_device *device)
{
    return device->intx && !(pci_config_get(device, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE) &&
           !pci_msix_enabled(device) && !pci_msi_enabled(device);
}

unsigned pci_intx_line(unsigned slot, unsigned pin)
{
    return (slot + pin) % PCI_INTX_LINES;
}

/* Levels of what the pins of several functions share: the I/O APIC's input, and the 8259s', of which there
 * are only two for all. */
static void drive_pin(struct pci_device *device)
{
    struct pci_bus *bus = device->bus;
    unsigned line = pci_intx_line(device->slot, 0);
    bool level = false, isa_level = false;
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        if (!bus->slots[slot] || !pin_level(bus->slots[slot]))
            continue;
        level |= pci_intx_line(slot, 0) == line;
        isa_level |= pci_intx_line(slot, 0) % 2 == line % 2;
    }
    struct irq_line input = bus->wiring.intx, isa = bus->wiring.isa;
    input.number += line;
    isa.number = PCI_ISA_IRQ + line % 2;
    irq_set(&input, level);
    irq_set(&isa, isa_level);
}

void pci_set_intx(struct pci_device *device, bool level)
{
    if (device->intx == level)
        return;
    device->intx = level;
    drive_pin(device);
}

uint32_t pci_config_read(struct pci_device *device, unsigned offset, unsigned size)
{
    if (device->ops && device->ops->config_reading)
        device->ops->config_reading(device->opaque, offset, size);
    uint32_t value = pci_config_get(device, offset, size);
    if (offset <= PCI_STATUS && offset + size > PCI_STATUS && device->intx)
        value |= PCI_STATUS_INTERRUPT << (8 * (PCI_STATUS - offset));
    return value;
}

static bool overlaps(unsigned offset, unsigned size, unsigned first, unsigned count)
{
    return offset < first + count && first < offset + size;
}

void pci_config_write(struct pci_device *device, unsigned offset, unsigned size, uint32_t value)
{
    bool level = pin_level(device);
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i)), *to = &device->config[offset + i];
        uint8_t writable = device->writable[offset + i];
        *to = (uint8_t)((*to & ~writable) | (byte & writable));
        *to &= (uint8_t) ~(byte & device->clears[offset + i]);
    }
    if (overlaps(offset, size, PCI_COMMAND, 2) || overlaps(offset, size, PCI_BAR0, 4 * PCI_BARS))
        place_bars(device);
    pci_messages_unmasked(device);
    if (pin_level(device) != level)
        drive_pin(device);
    if (device->ops && device->ops->config_written)
        device->ops->config_written(device->opaque, offset, size);
}

void pci_device_reset(struct pci_device *device)
{
    bool level = pin_level(device);
    device->intx = false;
    memcpy(device->config, device->initial, sizeof device->config);
    for (unsigned i = 0; i < PCI_MSIX_MAX * 4; i++)
        device->msix_table[i] = i % 4 == 3 && i / 4 < device->msix_count;
    device->msix_pending = 0;
    device->msi_pending = 0;
    place_bars(device);
    if (level)
        drive_pin(device);
}

int pci_device_loaded(struct pci_device *device, struct error *error)
{
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
        if ((device->config[i] ^ device->initial[i]) & ~(device->writable[i] | device->clears[i]))
            return error_set(error, -EINVAL, "byte %#x of the configuration space is another", i);
    if (device->msix_count < 64 && device->msix_pending >> device->msix_count)
        return error_set(error, -EINVAL, "messages wait that there are not");
    place_bars(device);
    return 0;
}

int pci_device_add(struct pci_bus *bus, unsigned slot, struct pci_device *device, const char *name,
                   const struct pci_identity *identity, const struct pci_device_ops *ops, void *opaque,
                   struct error *error)
{
    if (slot == PCI_SLOT_ANY)
        for (slot = 0; slot < PCI_SLOTS && bus->slots[slot];)
            slot++;
    if (slot >= PCI_SLOTS)
        return error_set(error, -EBUSY, "%s: the PCI bus has no free slot", name);
    if (bus->slots[slot])
        return error_set(error, -EBUSY, "%s: slot %u of the PCI bus is taken by %s", name, slot,
                         bus->slots[slot]->name);
    device->bus = bus;
    device->slot = slot;
    device->name = name;
    device->ops = ops;
    device->opaque = opaque;
    device->capabilities_end = 0x40;
    pci_config_set(device, PCI_VENDOR_ID, 2, identity->vendor, 0);
    pci_config_set(device, PCI_DEVICE_ID, 2, identity->device, 0);
    pci_config_set(device, PCI_COMMAND, 2, 0, COMMAND_WRITABLE);
    pci_config_set(device, PCI_REVISION, 1, identity->revision, 0);
    pci_config_set(device, PCI_CLASS, 3, identity->class, 0);
    pci_config_set(device, PCI_CLASS + 3, 1, 0, 0xff); /* cache line size */
    pci_config_set(device, PCI_SUBSYSTEM_VENDOR_ID, 2, identity->subsystem_vendor, 0);
    pci_config_set(device, PCI_SUBSYSTEM_ID, 2, identity->subsystem, 0);
    pci_config_set(device, PCI_INTERRUPT_LINE, 1, 0, 0xff);
    pci_config_set(device, PCI_INTERRUPT_PIN, 1, identity->interrupt, 0);
    bus->slots[slot] = device;
    return 0;
}

void pci_device_remove(struct pci_device *device)
{
    pci_set_intx(device, false);
    for (unsigned i = 0; i < PCI_BARS; i++)
        if (device->bars[i].region)
            memory_region_remove(device->bars[i].region, NULL);
    memset(device->bars, 0, sizeof device->bars);
    device->bus->slots[device->slot] = NULL;
}
