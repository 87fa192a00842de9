/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vfio_pci: a PCI device of the host's on the machine's bus (backend/vfio/vfio_device.h).
 *
 * It is function 0 of a slot, whatever it is on the host. What decides where things are, and how they
 * interrupt, is the machine's own: base address registers, command register, MSI and MSI-X, power state. The
 * device's own registers decode on the host all the time, at addresses that the guest never learns. The rest
 * of the configuration space is the device's; of its capabilities the guest finds those that mean nothing
 * outside of the device. What the host can map of its memory the guest reaches without visor, but for the
 * pages that have MSI-X's table.
 *
 * An interrupt by pin is masked by the host when it comes, and may come again when the guest has ended it.
 */
#ifndef VISOR_DEVICE_PCI_VFIO_PCI_H
#define VISOR_DEVICE_PCI_VFIO_PCI_H

#include "backend/vfio/vfio_device.h"
#include "device/pci/pci.h"

struct vfio_pci;

struct vfio_pci_place {
    struct pci_bus *bus;
    struct devices *devices;
    struct vfio_device *host; /* stays the caller's, and is his again after vfio_pci_free() */
    /* The device cannot be relied upon any more; may be NULL. The sentence's end, as struct vfio_client's. */
    void (*failed)(void *opaque, const char *address, const char *reason);
    void *opaque;
};

/* Its name among the devices is its address on the host. */
int vfio_pci_new(struct vfio_pci **out, const struct vfio_pci_place *place, struct error *error);
void vfio_pci_free(struct vfio_pci *device);

#endif
