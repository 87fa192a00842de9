/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vfio_pci_private: between vfio_pci.c, which runs the device, and vfio_pci_make.c, which looks at what the
 * host shows of it. */
#ifndef VISOR_DEVICE_PCI_VFIO_PCI_PRIVATE_H
#define VISOR_DEVICE_PCI_VFIO_PCI_PRIVATE_H

#include "device/pci/vfio_pci.h"

#define VFIO_PIECES 32

struct vfio_bar {
    struct vfio_pci *device;
    unsigned index;
};

/* Of a base address register: what the guest reaches without visor. */
struct vfio_piece {
    unsigned bar;
    uint64_t offset, size;
    uint8_t *host;
    struct memory_backing *backing;
    struct memory_region *region;
};

/* Of MSI-X, where a base address register has it. */
struct vfio_part {
    unsigned bar;
    uint64_t offset, size; /* 0: there is none */
};

struct vfio_pci {
    struct pci_device pci;
    struct vfio_device *host;
    struct memory_map *memory;
    bool passed[PCI_CONFIG_SIZE]; /* bytes of the configuration space that are the device's own */
    uint16_t command;             /* what its own command register has */
    struct vfio_bar bars[VFIO_BARS];
    struct vfio_piece pieces[VFIO_PIECES];
    unsigned piece_count;
    struct vfio_part table, pending; /* as the guest sees them */
    uint64_t table_size;             /* of the device's own, in bytes */
    enum vfio_interrupt kind;        /* by which it interrupts now */
    void (*failed)(void *opaque, const char *address, const char *reason);
    void *opaque;
};

/* Puts it on the bus, with a configuration space after the device's own. -ENOTSUP: no machine can have it. */
int vfio_pci_make(struct vfio_pci *v, struct pci_bus *bus, const struct pci_device_ops *ops,
                  struct error *error);
/* Its base address registers, after that. */
int vfio_pci_make_bars(struct vfio_pci *v, const struct access_ops *memory, const struct access_ops *ports,
                       struct error *error);

#endif
