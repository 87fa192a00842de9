/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts by message: MSI with one vector, MSI-X with its table. */
#include <errno.h>

#include "device/pci/pci_private.h"

/* MSI-X capability: message control at +2. */
#define MSIX_ENABLE        0x8000u
#define MSIX_FUNCTION_MASK 0x4000u

/* MSI capability: control at +2, 64-bit address at +4, data at +12, mask at +16, pending at +20. */
#define MSI_ENABLE  0x0001u
#define MSI_64      0x0080u
#define MSI_MASKING 0x0100u
#define MSI_SIZE    24

int pci_msix_add(struct pci_device *device, unsigned count, unsigned bar, uint32_t table, uint32_t pending,
                 struct error *error)
{
    int offset = count <= PCI_MSIX_MAX ? pci_capability_add(device, PCI_CAPABILITY_MSIX, 12) : -EINVAL;
    if (offset < 0)
        return error_set(error, offset, "%s: no room for %u interrupt vectors", device->name, count);
    pci_config_set(device, (unsigned)offset + 2, 2, count - 1, MSIX_ENABLE | MSIX_FUNCTION_MASK);
    pci_config_set(device, (unsigned)offset + 4, 4, table | bar, 0);
    pci_config_set(device, (unsigned)offset + 8, 4, pending | bar, 0);
    device->msix_capability = (unsigned)offset;
    device->msix_count = count;
    for (unsigned i = 0; i < count; i++)
        device->msix_table[4 * i + 3] = 1;
    return 0;
}

int pci_msi_add(struct pci_device *device, struct error *error)
{
    int offset = pci_capability_add(device, PCI_CAPABILITY_MSI, MSI_SIZE);
    if (offset < 0)
        return error_set(error, offset, "%s: no room for the MSI capability", device->name);
    device->msi_capability = (unsigned)offset;
    pci_config_set(device, (unsigned)offset + 2, 2, MSI_64 | MSI_MASKING, MSI_ENABLE);
    pci_config_set(device, (unsigned)offset + 4, 4, 0, ~3u);
    pci_config_set(device, (unsigned)offset + 8, 4, 0, ~0u);
    pci_config_set(device, (unsigned)offset + 12, 2, 0, 0xffff);
    pci_config_set(device, (unsigned)offset + 16, 4, 0, 1);
    return 0;
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

void pci_msix_send(struct pci_device *device, unsigned vector)
{
    if (vector >= device->msix_count || !pci_msix_enabled(device))
        return;
    const uint32_t *entry = &device->msix_table[4 * vector];
    if ((entry[3] & 1) || (msix_control(device) & MSIX_FUNCTION_MASK) || !pci_is_master(device)) {
        device->msix_pending |= UINT64_C(1) << vector;
        return;
    }
    device->msix_pending &= ~(UINT64_C(1) << vector);
    msi_send(&device->bus->wiring.messages, entry[0] | (uint64_t)entry[1] << 32, entry[2]);
}

void pci_msi_send(struct pci_device *device)
{
    unsigned at = device->msi_capability;
    if (!pci_msi_enabled(device))
        return;
    device->msi_pending = (device->config[at + 16] & 1) || !pci_is_master(device);
    if (!device->msi_pending)
        msi_send(&device->bus->wiring.messages,
                 pci_config_get(device, at + 4, 4) | (uint64_t)pci_config_get(device, at + 8, 4) << 32,
                 pci_config_get(device, at + 12, 2));
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
