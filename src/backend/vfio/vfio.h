/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vfio: which of the host's PCI devices a machine can be given (Linux: Documentation/driver-api/vfio.rst).
 *
 * A device can be given away if an IOMMU keeps it to the machine's memory, and with it all that is in its
 * group, which the IOMMU cannot tell from it; if the driver vfio-pci has it; and if nobody else does.
 */
#ifndef VISOR_BACKEND_VFIO_VFIO_H
#define VISOR_BACKEND_VFIO_VFIO_H

#include "base/error.h"

#define VFIO_ADDRESS_SIZE 16

#define VFIO_GROUP_SIZE 16

/* Where the host is looked at, and asked. */
struct vfio_host {
    const char *sysfs, *dev, *proc;
    int (*open)(const char *path); /* of /dev/vfio: a descriptor, or a negative errno */
    int (*control)(int fd, unsigned long request, void *argument); /* ioctl(); or a negative errno */
};

extern const struct vfio_host vfio_host; /* this one */

/* [DOMAIN:]BUS:DEVICE.FUNCTION in hexadecimal digits; `out` is as the kernel writes it, 0000:03:00.0. */
int vfio_address_parse(char out[VFIO_ADDRESS_SIZE], const char *text, struct error *error);

/* 0: the device of this address, as vfio_address_parse() makes it, could be given to a machine now. Else a
 * negative errno, the reason, and what to do about it:
 *
 *     -ENODEV      there is no such device
 *     -ENOTSUP     no IOMMU, or not for this device; or it is a bridge
 *     -EBUSY       a driver of the host's has it, or another device of its group; or another process
 *     -EACCES      no permission to the group
 *     -ENOENT      vfio-pci has it, but the kernel offers no group: its module is missing */
int vfio_check(const struct vfio_host *host, const char *address, struct error *error);

/* The two halves of that: all that can be known without opening anything, with the name of the device's
 * group; and the group's descriptor, or a negative errno. A group can be open only once. */
int vfio_find_group(const struct vfio_host *host, const char *address, char group[VFIO_GROUP_SIZE],
                    struct error *error);
int vfio_open_group(const struct vfio_host *host, const char *address, const char *group,
                    struct error *error);

#endif
