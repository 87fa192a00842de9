/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The IOMMU's side: a container of groups, by version 2 of the type 1 interface, and what is mapped in it. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backend/vfio/vfio_private.h"
#include "base/macros.h"

/* -- answers --------------------------------------------------------------------------------------------- */

int vfio_ask(const struct vfio_host *host, int fd, unsigned long request, union vfio_answer *answer)
{
    answer->size = sizeof *answer;
    const int code = host->control(fd, request, answer);
    return MIN(code, 0);
}

int vfio_take_capability(const union vfio_answer *answer, uint32_t first, unsigned id, size_t fixed,
                         void *entries, size_t size, unsigned most)
{
    struct vfio_info_cap_header header;
    const size_t end = MIN((size_t)answer->size, sizeof answer->bytes);
    unsigned steps = 0;
    for (size_t at = first; at && at < end && end - at >= fixed && steps++ < 64; at = header.next) {
        uint32_t count;
        memcpy(&header, &answer->bytes[at], sizeof header);
        if (header.id != id)
            continue;
        memcpy(&count, &answer->bytes[at + sizeof header], sizeof count);
        count = (uint32_t)MIN(MIN((size_t)count, (end - at - fixed) / size), (size_t)most);
        memcpy(entries, &answer->bytes[at + fixed], count * size);
        return (int)count;
    }
    return -ENOENT;
}

/* -- memory ---------------------------------------------------------------------------------------------- */

static int refuse_locking(uint64_t size, struct error *error)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_MEMLOCK, &limit);
    error_set(error, -ENOMEM,
              "cannot lock %" PRIu64 " MiB of the guest's memory, which a device of the host's may reach: "
              "this process may lock %" PRIu64 " MiB",
              size >> 20, (uint64_t)limit.rlim_cur >> 20);
    error_hint(error, "as root: ulimit -l unlimited; of a service: LimitMEMLOCK=infinity");
    return -ENOMEM;
}

static int refuse_address(const struct vfio_container *container, uint64_t address, uint64_t size, int code,
                          struct error *error)
{
    union vfio_answer answer = {0};
    struct vfio_iova_range ranges[64];
    uint64_t last = 0;
    int count = 0;
    if (!vfio_ask(container->host, container->fd, VFIO_IOMMU_GET_INFO, &answer) &&
        (answer.flags & VFIO_IOMMU_INFO_CAPS))
        count = vfio_take_capability(&answer, answer.iommu.cap_offset, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
                                     sizeof(struct vfio_iommu_type1_info_cap_iova_range), ranges,
                                     sizeof ranges[0], ARRAY_SIZE(ranges));
    for (int i = 0; i < count; i++)
        last = MAX(last, ranges[i].end);
    if (last && address + size - 1 > last)
        return error_set(error, code,
                         "the IOMMU of this host reaches addresses to %#" PRIx64
                         ", and the guest has memory at %#" PRIx64 ": give it less",
                         last, address);
    return error_set(error, code, "cannot let devices reach the guest's memory at %#" PRIx64 ": %s", address,
                     strerror(-code));
}

static int space_map(struct vfio_space *space, uint64_t address, void *memory, uint64_t size,
                     struct error *error)
{
    const struct vfio_container *container = (const struct vfio_container *)space;
    struct vfio_iommu_type1_dma_map map = {
        .argsz = sizeof map,
        .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
        .vaddr = (uintptr_t)memory,
        .iova = address,
        .size = size,
    };
    const int code = container->host->control(container->fd, VFIO_IOMMU_MAP_DMA, &map);
    if (code >= 0)
        return 0;
    return code == -ENOMEM ? refuse_locking(size, error)
                           : refuse_address(container, address, size, code, error);
}

static void space_unmap(struct vfio_space *space, uint64_t address, uint64_t size)
{
    const struct vfio_container *container = (const struct vfio_container *)space;
    struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof unmap, .iova = address, .size = size};
    container->host->control(container->fd, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

static const struct vfio_space_ops space_ops = {space_map, space_unmap};

/* -- the container --------------------------------------------------------------------------------------- */

/* As much as this process may lock without asking anybody. Who has root's rights may lose them later, and is
 * to lock then what he could lock now. */
static void raise_limit(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    if (!setrlimit(RLIMIT_MEMLOCK, &limit) || getrlimit(RLIMIT_MEMLOCK, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_MEMLOCK, &limit);
}

static int open_container(struct vfio_container *container, struct error *error)
{
    const struct vfio_host *host = container->host;
    char path[PATH_MAX];
    if (container->fd >= 0)
        return 0;
    snprintf(path, sizeof path, "%s/vfio/vfio", host->dev);
    container->fd = host->open(path);
    if (container->fd < 0) {
        error_set(error, container->fd, "cannot open %s: %s", path, strerror(-container->fd));
        if (container->fd == -EACCES)
            error_hint(error, "as root: chmod 666 %s", path);
        else
            error_hint(error, "as root: modprobe vfio-pci");
        return container->fd;
    }
    if (host->control(container->fd, VFIO_GET_API_VERSION, NULL) != VFIO_API_VERSION ||
        host->control(container->fd, VFIO_CHECK_EXTENSION, (void *)VFIO_TYPE1v2_IOMMU) <= 0) {
        error_set(error, -ENOTSUP, "%s: the kernel's VFIO has no interface of type 1, version 2", path);
        error_hint(error, "as root: modprobe vfio_iommu_type1");
        return -ENOTSUP;
    }
    raise_limit();
    return 0;
}

int vfio_space_open(struct vfio_space **out, const struct vfio_host *host, struct error *error)
{
    struct vfio_container *container = calloc(1, sizeof *container);
    if (!container)
        return error_set(error, -ENOMEM, "out of memory for the machine");
    *container = (struct vfio_container){.space.ops = &space_ops, .host = host, .fd = -1};
    *out = &container->space;
    return 0;
}

void vfio_space_close(struct vfio_space *space)
{
    struct vfio_container *container = (struct vfio_container *)space;
    if (!container)
        return;
    while (container->groups) {
        struct vfio_group *group = container->groups;
        container->groups = group->next;
        close(group->fd);
        free(group);
    }
    if (container->fd >= 0)
        close(container->fd);
    free(container);
}

/* -- groups ---------------------------------------------------------------------------------------------- */

static int set_iommu(struct vfio_container *container, const char *address, struct error *error)
{
    if (container->has_iommu)
        return 0;
    const int code =
        container->host->control(container->fd, VFIO_SET_IOMMU, (void *)(uintptr_t)VFIO_TYPE1v2_IOMMU);
    container->has_iommu = code >= 0;
    if (code >= 0)
        return 0;
    error_set(error, code, "PCI device %s: the IOMMU cannot keep it to the machine: %s", address,
              strerror(-code));
    if (code == -EPERM)
        error_hint(error, "this IOMMU may not keep its interrupts apart. If you trust the guest, as root: "
                          "echo 1 > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
    return code;
}

static int attach(struct vfio_container *container, const struct vfio_group *group, const char *address,
                  struct error *error)
{
    struct vfio_group_status status = {.argsz = sizeof status};
    int code = container->host->control(group->fd, VFIO_GROUP_GET_STATUS, &status);
    if (code >= 0 && !(status.flags & VFIO_GROUP_FLAGS_VIABLE))
        return error_set(error, -EBUSY,
                         "PCI device %s: a driver of the host's has a part of its IOMMU group %s", address,
                         group->name);
    if (code >= 0)
        code = container->host->control(group->fd, VFIO_GROUP_SET_CONTAINER, &container->fd);
    return code >= 0 ? set_iommu(container, address, error)
                     : error_set(error, code, "PCI device %s: its IOMMU group %s cannot be the machine's: %s",
                                 address, group->name, strerror(-code));
}

int vfio_space_join(struct vfio_container *container, const char *address, struct vfio_group **out,
                    struct error *error)
{
    char name[VFIO_GROUP_SIZE];
    int code = vfio_find_group(container->host, address, name, error);
    if (!code)
        code = open_container(container, error);
    if (code)
        return code;
    for (struct vfio_group *group = container->groups; group; group = group->next) {
        if (strcmp(group->name, name) == 0) {
            *out = group;
            return 0;
        }
    }
    struct vfio_group *group = calloc(1, sizeof *group);
    if (!group)
        return error_set(error, -ENOMEM, "out of memory for the machine");
    memcpy(group->name, name, sizeof name);
    group->fd = vfio_open_group(container->host, address, name, error);
    if (group->fd < 0 || attach(container, group, address, error)) {
        if (group->fd >= 0)
            close(group->fd);
        free(group);
        return error->code;
    }
    group->next = container->groups;
    container->groups = *out = group;
    return 0;
}
