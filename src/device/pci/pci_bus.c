/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bus: the host bridge with both ways into configuration space, and what a firmware does at power-on. */
#include <errno.h>
#include <string.h>

#include "device/pci/pci_private.h"

#define ADDRESS_ENABLE   0x80000000u
#define ADDRESS_WRITABLE 0x80fffffcu

/* A PCI Express host bridge without a chipset around it: no operating system has special cases for it. */
static const struct pci_identity bridge_identity = {
    .vendor = 0x1b36,
    .device = 0x0008,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class = 0x060000,
};

static const struct device_field bus_fields[] = {
    DEVICE_FIELD(struct pci_bus, address),
    DEVICE_PART(struct pci_bus, bridge, pci_device_fields),
};

/* The function that an address has in bits 8 to 23, or NULL. */
static struct pci_device *bus_find(struct pci_bus *bus, uint32_t address)
{
    bool first = !(address >> 16 & 0xff) && !(address >> 8 & 7); /* bus 0, function 0 */
    return first ? bus->slots[address >> 11 & 31] : NULL;
}

static uint64_t ports_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pci_bus *bus = opaque;
    if (offset < 4) {
        if (!offset && size == 4)
            return bus->address;
        if (offset == 1 && size == 1 && bus->wiring.reset_control)
            return bus->wiring.reset_control->read(bus->wiring.reset_opaque, 0, 1);
        return UINT64_MAX;
    }
    struct pci_device *device = bus->address & ADDRESS_ENABLE ? bus_find(bus, bus->address) : NULL;
    return device ? pci_config_read(device, (bus->address & 0xfc) + (offset & 3), size) : UINT64_MAX;
}

static void ports_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct pci_bus *bus = opaque;
    if (offset < 4) {
        if (!offset && size == 4)
            bus->address = (uint32_t)value & ADDRESS_WRITABLE;
        else if (offset == 1 && size == 1 && bus->wiring.reset_control)
            bus->wiring.reset_control->write(bus->wiring.reset_opaque, 0, 1, value);
        return;
    }
    struct pci_device *device = bus->address & ADDRESS_ENABLE ? bus_find(bus, bus->address) : NULL;
    if (device)
        pci_config_write(device, (bus->address & 0xfc) + (offset & 3), size, (uint32_t)value);
}

/* Bus, slot and function have here 20, 15 and 12 bits below them. */
static struct pci_device *mmconfig_find(struct pci_bus *bus, uint64_t offset)
{
    return (offset & 0xfff) < PCI_CONFIG_SIZE ? bus_find(bus, (uint32_t)(offset >> 4)) : NULL;
}

static uint64_t mmconfig_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pci_device *device = mmconfig_find(opaque, offset);
    return device ? pci_config_read(device, offset & 0xff, size) : UINT64_MAX;
}

static void mmconfig_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct pci_device *device = mmconfig_find(opaque, offset);
    if (device)
        pci_config_write(device, offset & 0xff, size, (uint32_t)value);
}

static const struct access_ops ports_ops = {ports_read, ports_write, 4};
static const struct access_ops mmconfig_ops = {mmconfig_read, mmconfig_write, 4};

static void bus_reset(void *opaque)
{
    struct pci_bus *bus = opaque;
    bus->address = 0;
    pci_device_reset(&bus->bridge);
}

static int bus_loaded(void *opaque, struct error *error)
{
    struct pci_bus *bus = opaque;
    if (bus->address & ~ADDRESS_WRITABLE)
        return error_set(error, -EINVAL, "there is no configuration address %#x", bus->address);
    return pci_device_loaded(&bus->bridge, error);
}

const struct device_type pci_bus_type = {
    .name = "pci-bus",
    .version = 1,
    .fields = bus_fields,
    .field_count = ARRAY_SIZE(bus_fields),
    .reset = bus_reset,
    .loaded = bus_loaded,
};

static void tell_ended(struct pci_bus *bus, unsigned line, unsigned shared)
{
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        const struct pci_device *device = bus->slots[slot];
        if (device && device->ops && device->ops->intx_ended && pci_intx_line(slot, 0) % shared == line)
            device->ops->intx_ended(device->opaque);
    }
}

void pci_intx_ended(struct pci_bus *bus, unsigned line)
{
    tell_ended(bus, line, PCI_INTX_LINES);
}

void pci_isa_ended(struct pci_bus *bus, unsigned isa)
{
    tell_ended(bus, isa, 2);
}

static bool window_valid(uint64_t base, uint64_t size, uint64_t last)
{
    return !size || (base && base <= last && size - 1 <= last - base);
}

int pci_bus_init(struct pci_bus *bus, const struct pci_wiring *wiring, struct error *error)
{
    const struct pci_windows *windows = &wiring->windows;
    if (!window_valid(windows->mmio32, windows->mmio32_size, UINT32_MAX) ||
        !window_valid(windows->mmio64, windows->mmio64_size, wiring->memory->last) ||
        !window_valid(windows->io, windows->io_size, 0xffff) || wiring->mmconfig % PCI_MMCONFIG_SIZE)
        return error_set(error, -EINVAL, "the PCI bus has no valid address windows");
    *bus = (struct pci_bus){.wiring = *wiring};
    if (!io_add(wiring->io, "PCI configuration", 0xcf8, 8, 0, &ports_ops, bus, error))
        return error->code;
    if (wiring->mmconfig && !memory_add_mmio(wiring->memory, "PCI configuration", wiring->mmconfig,
                                             PCI_MMCONFIG_SIZE, 0, &mmconfig_ops, bus, error))
        return error->code;
    return pci_device_add(bus, 0, &bus->bridge, "host bridge", &bridge_identity, NULL, NULL, error);
}

/* A window that is used up from below. */
struct room {
    uint64_t next, end; /* `end` is beyond it */
};

static bool room_take(struct room *room, uint64_t size, uint64_t *address)
{
    uint64_t start = ALIGN_UP(room->next, size);
    if (start < room->next || start > room->end || room->end - start < size)
        return false;
    room->next = start + size;
    *address = start;
    return true;
}

/* 64-bit BARs above 4 GiB only where they would use up the window below: not every guest can reach that. */
static int assign_bar(struct pci_device *device, unsigned index, struct room rooms[3], struct error *error)
{
    const struct pci_bar *bar = &device->bars[index];
    bool io = bar->flags & PCI_BAR_IO, wide = bar->flags & PCI_BAR_64;
    bool large = wide && bar->size >= UINT64_C(64) << 20;
    uint64_t address;
    bool found = io ? room_take(&rooms[2], bar->size, &address)
                    : (large && room_take(&rooms[1], bar->size, &address)) ||
                          room_take(&rooms[0], bar->size, &address) ||
                          (wide && room_take(&rooms[1], bar->size, &address));
    if (!found)
        return error_set(error, -ENOSPC, "%s: no room for %#llx bytes of PCI addresses", device->name,
                         (unsigned long long)bar->size);
    pci_config_write(device, PCI_BAR0 + 4 * index, 4, (uint32_t)address);
    if (wide)
        pci_config_write(device, PCI_BAR0 + 4 * index + 4, 4, (uint32_t)(address >> 32));
    return 0;
}

/* The largest size below `limit` that any BAR has; 0: none. Largest first, so that nothing is lost to
 * alignment. */
static uint64_t next_size(const struct pci_bus *bus, uint64_t limit)
{
    uint64_t size = 0;
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++)
        for (unsigned i = 0; bus->slots[slot] && i < PCI_BARS; i++) {
            uint64_t one = bus->slots[slot]->bars[i].size;
            if (one < limit && one > size)
                size = one;
        }
    return size;
}

int pci_assign(struct pci_bus *bus, struct error *error)
{
    const struct pci_windows *windows = &bus->wiring.windows;
    struct room rooms[3] = {
        {windows->mmio32, windows->mmio32 + windows->mmio32_size},
        {windows->mmio64, windows->mmio64 + windows->mmio64_size},
        {windows->io, windows->io + (uint64_t)windows->io_size},
    };
    for (uint64_t size = next_size(bus, UINT64_MAX); size; size = next_size(bus, size))
        for (unsigned i = 0; i < PCI_SLOTS * PCI_BARS; i++) {
            struct pci_device *device = bus->slots[i / PCI_BARS];
            int code = device && device->bars[i % PCI_BARS].size == size
                           ? assign_bar(device, i % PCI_BARS, rooms, error)
                           : 0;
            if (code)
                return code;
        }
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        struct pci_device *device = bus->slots[slot];
        if (!device)
            continue;
        if (device->config[PCI_INTERRUPT_PIN])
            pci_config_write(device, PCI_INTERRUPT_LINE, 1, PCI_ISA_IRQ + pci_intx_line(slot, 0) % 2);
        pci_config_write(device, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    }
    return 0;
}
