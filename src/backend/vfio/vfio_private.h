/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vfio_private: between vfio_space.c and vfio_device.c. */
#ifndef VISOR_BACKEND_VFIO_VFIO_PRIVATE_H
#define VISOR_BACKEND_VFIO_VFIO_PRIVATE_H

#include <linux/vfio.h>
#include <stddef.h>

#include "backend/vfio/vfio_device.h"

struct vfio_group {
    char name[VFIO_GROUP_SIZE];
    int fd;
    struct vfio_group *next;
};

struct vfio_container {
    struct vfio_space space;
    const struct vfio_host *host;
    int fd;
    bool has_iommu; /* it has one from its first group on */
    struct vfio_group *groups;
};

/* What VFIO's questions are asked with and answered by: a structure with a chain of capabilities behind it.
 */
union vfio_answer {
    struct {
        uint32_t size, flags; /* as all of them begin */
    };
    struct vfio_device_info device;
    struct vfio_region_info region;
    struct vfio_irq_info irq;
    struct vfio_iommu_type1_info iommu;
    uint8_t bytes[4096];
};

int vfio_ask(const struct vfio_host *host, int fd, unsigned long request, union vfio_answer *answer);
/* Of the capability of this id, which has `fixed` bytes, a number of entries in its u32 behind the header,
 * and those of `size` bytes each: copies at most `most` to `entries` and says how many. `first` is the
 * structure's cap_offset. -ENOENT: there is no such capability. */
int vfio_take_capability(const union vfio_answer *answer, uint32_t first, unsigned id, size_t fixed,
                         void *entries, size_t size, unsigned most);

/* The group that the device is in, as a part of the space. */
int vfio_space_join(struct vfio_container *container, const char *address, struct vfio_group **out,
                    struct error *error);

#endif
