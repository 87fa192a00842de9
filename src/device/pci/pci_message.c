/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts by message: MSI with one vector, MSI-X with its table. */
#include <errno.h>

#include "device/pci/pci_private.h"

/* MSI-X capability: message control at +2. */
#define MSIX_ENABLE        0x8000u
#define MSIX_FUNCTION_MASK 0x4000u

/* MSI capability: control at +2, address at +4; with the upper half of the address at +8, what is behind it
 * is 4 bytes later than without: data at +8, mask at +12, pending at +16. */
#define MSI_ENABLE 0x0001u
#define MSI_SIZE   24

int pci_msix_add(struct pci_device *device, unsigned count, unsigned bar, uint32_t table, uint32_t pending,
                 struct error *error)
{
    int offset = count <= PCI_MSIX_MAX ? pci_capability_add(device, PCI_CAPABILITY_MSIX, 12) : -EINVAL;
    if (offset < 0)
        return error_set(error, offset, "%s: no room for %u interrupt vectors", device->name, count);
    pci_msix_place(device, (unsigned)offset, count, table | bar, pending | bar);
    return 0;
}

void pci_msix_place(struct pci_device *device, unsigned offset, unsigned count, uint32_t table,
                    uint32_t pending)
{
    pci_config_set(device, offset + 2, 2, count - 1, MSIX_ENABLE | MSIX_FUNCTION_MASK);
    pci_config_set(device, offset + 4, 4, table, 0);
    pci_config_set(device, offset + 8, 4, pending, 0);
    device->msix_capability = offset;
    device->msix_count = count;
    for (unsigned i = 0; i < count; i++)
        device->msix_table[4 * i + 3] = 1;
}

int pci_msi_add(struct pci_device *device, struct error *error)
{
    int offset = pci_capability_add(device, PCI_CAPABILITY_MSI, MSI_SIZE);
    if (offset < 0)
        return error_set(error, offset, "%s: no room for the MSI capability", device->name);
    pci_msi_place(device, (unsigned)offset, PCI_MSI_64 | PCI_MSI_MASKING);
    return 0;
}

/* The offset of what is `offset` without the upper half of the address. */
static unsigned msi_part(const struct pci_device *device, unsigned offset)
{
    const unsigned at = device->msi_capability;
    return at + offset + (device->initial[at + 2] & PCI_MSI_64 ? 4 : 0);
}

void pci_msi_place(struct pci_device *device, unsigned offset, uint16_t control)
{
    device->msi_capability = offset;
    pci_config_set(device, offset + 2, 2, control & (PCI_MSI_64 | PCI_MSI_MASKING), MSI_ENABLE);
    pci_config_set(device, offset + 4, 4, 0, ~3u);
    if (control & PCI_MSI_64)
        pci_config_set(device, offset + 8, 4, 0, ~0u);
    pci_config_set(device, msi_part(device, 8), 2, 0, 0xffff);
    if (control & PCI_MSI_MASKING)
        pci_config_set(device, msi_part(device, 12), 4, 0, 1);
}

static unsigned msix_control(const struct pci_device *device)
{
    return device->msix_capability ? pci_config_get(device, device->msix_capability + 2, 2) : 0;
}

bool pci_msix_enabled(const struct pci_device *device)
{
    return msix_control(device) & MSIX_ENABLE;
}

bool pci_msi_enabled(const struct pci_device *device)
{
    return device->msi_capability && (pci_config_get(device, device->msi_capability + 2, 2) & MSI_ENABLE);
}

bool pci_msix_message(const struct pci_device *device, unsigned vector, uint64_t *address, uint32_t *data)
{
    const unsigned control = msix_control(device);
    if (vector >= device->msix_count || !(control & MSIX_ENABLE))
        return false;
    const uint32_t *entry = &device->msix_table[4 * vector];
    *address = entry[0] | (uint64_t)entry[1] << 32;
    *data = entry[2];
    return !(entry[3] & 1) && !(control & MSIX_FUNCTION_MASK) && pci_is_master(device);
}

void pci_msix_send(struct pci_device *device, unsigned vector)
{
    uint64_t address;
    uint32_t data;
    if (vector >= device->msix_count || !pci_msix_enabled(device))
        return;
    if (!pci_msix_message(device, vector, &address, &data)) {
        device->msix_pending |= UINT64_C(1) << vector;
        return;
    }
    device->msix_pending &= ~(UINT64_C(1) << vector);
    msi_send(&device->bus->wiring.messages, address, data);
}

void pci_msi_send(struct pci_device *device)
{
    const unsigned at = device->msi_capability;
    if (!pci_msi_enabled(device))
        return;
    const uint8_t *control = &device->initial[at + 2];
    const bool masked = (control[1] & PCI_MSI_MASKING >> 8) && (device->config[msi_part(device, 12)] & 1);
    device->msi_pending = masked || !pci_is_master(device);
    if (device->msi_pending)
        return;
    uint64_t address = pci_config_get(device, at + 4, 4);
    if (control[0] & PCI_MSI_64)
        address |= (uint64_t)pci_config_get(device, at + 8, 4) << 32;
    msi_send(&device->bus->wiring.messages, address, pci_config_get(device, msi_part(device, 8), 2));
}

void pci_messages_unmasked(struct pci_device *device)
{
    if (device->msix_pending)
        for (unsigned vector = 0; vector < device->msix_count; vector++)
            if (device->msix_pending >> vector & 1)
                pci_msix_send(device, vector);
    if (device->msi_pending)
        pci_msi_send(device);
}

uint64_t pci_msix_table_read(struct pci_device *device, uint64_t offset, unsigned size)
{
    if (offset + size > device->msix_count * UINT64_C(16))
        return 0;
    uint32_t word = device->msix_table[offset / 4];
    if (size == 8)
        return word | (uint64_t)device->msix_table[offset / 4 + 1] << 32;
    return word >> (8 * (offset & 3));
}

/* Software writes whole words or pairs of them; what is narrower is as undefined as on a real board. */
void pci_msix_table_write(struct pci_device *device, uint64_t offset, unsigned size, uint64_t value)
{
    if (offset + size > device->msix_count * UINT64_C(16) || size < 4)
        return;
    for (unsigned i = 0; i < size / 4; i++) {
        unsigned word = (unsigned)(offset / 4) + i;
        uint32_t masks[4] = {~3u, ~0u, ~0u, 1};
        device->msix_table[word] = (uint32_t)(value >> (32 * i)) & masks[word % 4];
        if (word % 4 == 3 && (device->msix_pending >> word / 4 & 1))
            pci_msix_send(device, word / 4);
    }
}

uint64_t pci_msix_pending_read(struct pci_device *device, uint64_t offset, unsigned size)
{
    (void)size;
    return offset < 8 ? device->msix_pending >> (8 * offset) : 0;
}
