/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A device's file: what regions and interrupts the kernel says that it has, and both in use. */
#include "backend/vfio/vfio_device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/vfio/vfio_private.h"
#include "base/macros.h"

#define PAGE UINT64_C(4096)

struct event {
    struct vfio_file *file;
    unsigned number;
    int fd; /* an eventfd, which the kernel adds to */
    struct loop_watch *watch;
};

/* Beside the vectors': that the device had an error, and that somebody on the host wants it back. */
enum { EVENT_ERROR, EVENT_REQUEST, EVENTS };

struct vfio_file {
    struct vfio_device device;
    const struct vfio_host *host;
    int fd;
    enum vfio_interrupt kind;
    struct event vectors[VFIO_VECTORS_MAX], others[EVENTS];
    unsigned vector_count;
};

static const unsigned indexes[VFIO_INTERRUPTS] = {
    [VFIO_INTX] = VFIO_PCI_INTX_IRQ_INDEX,
    [VFIO_MSI] = VFIO_PCI_MSI_IRQ_INDEX,
    [VFIO_MSIX] = VFIO_PCI_MSIX_IRQ_INDEX,
};

/* -- regions --------------------------------------------------------------------------------------------- */

static bool file_read(struct vfio_device *device, unsigned region, uint64_t offset, void *buffer,
                      unsigned size)
{
    const struct vfio_file *file = (const struct vfio_file *)device;
    const off_t at = (off_t)(device->regions[region].offset + offset);
    if (pread(file->fd, buffer, size, at) == (ssize_t)size)
        return true;
    memset(buffer, 0xff, size);
    return false;
}

static bool file_write(struct vfio_device *device, unsigned region, uint64_t offset, const void *buffer,
                       unsigned size)
{
    const struct vfio_file *file = (const struct vfio_file *)device;
    const off_t at = (off_t)(device->regions[region].offset + offset);
    return pwrite(file->fd, buffer, size, at) == (ssize_t)size;
}

static int file_map(struct vfio_device *device, unsigned region, uint64_t offset, uint64_t size,
                    uint8_t **host)
{
    const struct vfio_file *file = (const struct vfio_file *)device;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd,
                    (off_t)(device->regions[region].offset + offset));
    if (at == MAP_FAILED)
        return -errno;
    *host = at;
    return 0;
}

static void file_unmap(struct vfio_device *device, uint8_t *host, uint64_t size)
{
    (void)device;
    munmap(host, size);
}

/* What is no whole pages of the region is left out. */
static void add_area(struct vfio_region *region, uint64_t offset, uint64_t size)
{
    if (!size || offset % PAGE || size % PAGE || offset > region->size || size > region->size - offset ||
        region->area_count == VFIO_AREAS)
        return;
    region->areas[region->area_count++] = (struct vfio_area){offset, size};
}

static void take_region(struct vfio_region *region, const union vfio_answer *answer)
{
    const struct vfio_region_info *info = &answer->region;
    const uint32_t wanted = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
    struct vfio_region_sparse_mmap_area areas[VFIO_AREAS];
    *region = (struct vfio_region){0};
    if ((info->flags & wanted) != wanted || info->offset > INT64_MAX ||
        info->size > (uint64_t)INT64_MAX - info->offset)
        return;
    region->size = info->size;
    region->offset = info->offset;
    if (!(info->flags & VFIO_REGION_INFO_FLAG_MMAP))
        return;
    const int count = !(info->flags & VFIO_REGION_INFO_FLAG_CAPS)
                          ? -ENOENT
                          : vfio_take_capability(answer, info->cap_offset, VFIO_REGION_INFO_CAP_SPARSE_MMAP,
                                                 sizeof(struct vfio_region_info_cap_sparse_mmap), areas,
                                                 sizeof areas[0], VFIO_AREAS);
    if (count < 0)
        add_area(region, 0, region->size);
    for (int i = 0; i < count; i++)
        add_area(region, areas[i].offset, areas[i].size);
}

static int find_regions(struct vfio_file *file, struct error *error)
{
    for (unsigned i = 0; i <= VFIO_CONFIG; i++) {
        union vfio_answer answer = {.region = {.index = i}};
        if (!vfio_ask(file->host, file->fd, VFIO_DEVICE_GET_REGION_INFO, &answer))
            take_region(&file->device.regions[i], &answer);
    }
    return file->device.regions[VFIO_CONFIG].size >= 256
               ? 0
               : error_set(error, -ENODEV, "PCI device %s: the host does not show its configuration space",
                           file->device.address);
}

/* -- interrupts ------------------------------------------------------------------------------------------ */

/* What is asked of the kernel: some eventfds, or none, for an index. */
union request {
    struct vfio_irq_set set;
    uint8_t bytes[sizeof(struct vfio_irq_set) + VFIO_VECTORS_MAX * sizeof(int32_t)];
};

static int set_irqs(const struct vfio_file *file, uint32_t flags, unsigned index, const struct event *events,
                    unsigned count)
{
    union request request = {.set = {.flags = flags, .index = index, .count = count}};
    for (unsigned i = 0; events && i < count; i++)
        memcpy(&request.set.data[i * sizeof(int32_t)], &events[i].fd, sizeof(int32_t));
    request.set.argsz = (uint32_t)(sizeof request.set + (events ? count : 0) * sizeof(int32_t));
    return file->host->control(file->fd, VFIO_DEVICE_SET_IRQS, &request);
}

static int file_interrupts(struct vfio_device *device, enum vfio_interrupt kind, unsigned count,
                           struct error *error)
{
    struct vfio_file *file = (struct vfio_file *)device;
    uint64_t lost;
    if (file->kind)
        set_irqs(file, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, indexes[file->kind], NULL, 0);
    for (unsigned i = 0; i < file->vector_count; i++) /* those of the kind before */
        while (read(file->vectors[i].fd, &lost, sizeof lost) == sizeof lost)
            ;
    file->kind = VFIO_NONE;
    if (!kind || !count)
        return 0;
    int code = set_irqs(file, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, indexes[kind],
                        file->vectors, count);
    if (code > 0 && (unsigned)code < count) /* so many the host has for it; the others will not come */
        code = set_irqs(file, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, indexes[kind],
                        file->vectors, (unsigned)code);
    if (code)
        return error_set(error, code < 0 ? code : -ENOSPC,
                         "PCI device %s: the host has no interrupts for it: %s", device->address,
                         strerror(code < 0 ? -code : ENOSPC));
    file->kind = kind;
    return 0;
}

static void file_unmask(struct vfio_device *device)
{
    const struct vfio_file *file = (const struct vfio_file *)device;
    if (file->kind == VFIO_INTX)
        set_irqs(file, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, VFIO_PCI_INTX_IRQ_INDEX, NULL, 1);
}

static void vector_ready(void *opaque, unsigned events)
{
    const struct event *event = opaque;
    const struct vfio_file *file = event->file;
    uint64_t count;
    (void)events;
    if (read(event->fd, &count, sizeof count) == sizeof count && file->kind && file->device.client.interrupt)
        file->device.client.interrupt(file->device.client.opaque, file->kind, event->number);
}

static void other_ready(void *opaque, unsigned events)
{
    static const char *const reasons[EVENTS] = {
        [EVENT_ERROR] = "has had an error that nothing corrects",
        [EVENT_REQUEST] = "is wanted back by the host",
    };
    const struct event *event = opaque;
    const struct vfio_client *client = &event->file->device.client;
    uint64_t count;
    (void)events;
    if (read(event->fd, &count, sizeof count) == sizeof count && client->failed)
        client->failed(client->opaque, reasons[event->number]);
}

static int event_open(struct vfio_file *file, struct event *event, unsigned number,
                      void (*ready)(void *opaque, unsigned events), struct loop *loop, struct error *error)
{
    event->file = file;
    event->number = number;
    event->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event->fd < 0)
        return error_set(error, -errno, "PCI device %s: cannot make an eventfd: %s", file->device.address,
                         strerror(errno));
    event->watch = loop_watch_add(loop, event->fd, LOOP_READ, ready, event, error);
    return event->watch ? 0 : error->code;
}

static void event_close(const struct event *event)
{
    if (event->watch)
        loop_watch_remove(event->watch);
    if (event->file && event->fd >= 0)
        close(event->fd);
}

static unsigned count_irqs(const struct vfio_file *file, unsigned index)
{
    union vfio_answer answer = {.irq = {.index = index}};
    if (vfio_ask(file->host, file->fd, VFIO_DEVICE_GET_IRQ_INFO, &answer) ||
        !(answer.flags & VFIO_IRQ_INFO_EVENTFD))
        return 0;
    return MIN(answer.irq.count, (unsigned)VFIO_VECTORS_MAX);
}

static int find_interrupts(struct vfio_file *file, struct loop *loop, struct error *error)
{
    static const unsigned of[EVENTS] = {VFIO_PCI_ERR_IRQ_INDEX, VFIO_PCI_REQ_IRQ_INDEX};
    unsigned most = 0;
    int code = 0;
    for (enum vfio_interrupt kind = VFIO_INTX; kind < VFIO_INTERRUPTS; kind++) {
        file->device.vectors[kind] = count_irqs(file, indexes[kind]);
        most = MAX(most, file->device.vectors[kind]);
    }
    for (; !code && file->vector_count < most; file->vector_count++)
        code = event_open(file, &file->vectors[file->vector_count], file->vector_count, vector_ready, loop,
                          error);
    for (unsigned i = 0; !code && i < EVENTS; i++) {
        if (!count_irqs(file, of[i]))
            continue;
        code = event_open(file, &file->others[i], i, other_ready, loop, error);
        if (!code) /* where it cannot be, nobody is told */
            set_irqs(file, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, of[i], &file->others[i],
                     1);
    }
    return code;
}

/* -- the device ------------------------------------------------------------------------------------------ */

static int file_reset(struct vfio_device *device)
{
    const struct vfio_file *file = (const struct vfio_file *)device;
    const int code = device->resets ? file->host->control(file->fd, VFIO_DEVICE_RESET, NULL) : -ENOTSUP;
    return MIN(code, 0);
}

static const struct vfio_device_ops file_ops = {
    .read = file_read,
    .write = file_write,
    .interrupts = file_interrupts,
    .unmask = file_unmask,
    .reset = file_reset,
    .map = file_map,
    .unmap = file_unmap,
};

static int open_file(struct vfio_file *file, const struct vfio_group *group, struct error *error)
{
    char name[VFIO_ADDRESS_SIZE];
    memcpy(name, file->device.address, sizeof name);
    file->fd = file->host->control(group->fd, VFIO_GROUP_GET_DEVICE_FD, name);
    if (file->fd < 0)
        return error_set(error, file->fd, "PCI device %s: the host does not give it: %s", name,
                         strerror(-file->fd));
    union vfio_answer answer = {0};
    const int code = vfio_ask(file->host, file->fd, VFIO_DEVICE_GET_INFO, &answer);
    if (code || !(answer.flags & VFIO_DEVICE_FLAGS_PCI))
        return error_set(error, code ? code : -ENODEV, "PCI device %s: VFIO does not know it as one", name);
    file->device.resets = answer.flags & VFIO_DEVICE_FLAGS_RESET;
    return 0;
}

int vfio_device_open(struct vfio_device **out, struct vfio_space *space, const char *address,
                     struct loop *loop, struct error *error)
{
    struct vfio_container *container = (struct vfio_container *)space;
    struct vfio_group *group = NULL;
    struct vfio_file *file = calloc(1, sizeof *file);
    if (!file)
        return error_set(error, -ENOMEM, "out of memory for the machine");
    file->device.ops = &file_ops;
    file->host = container->host;
    file->fd = -1;
    snprintf(file->device.address, sizeof file->device.address, "%s", address);
    int code = vfio_space_join(container, address, &group, error);
    if (!code)
        code = open_file(file, group, error);
    if (!code)
        code = find_regions(file, error);
    if (!code)
        code = find_interrupts(file, loop, error);
    if (code)
        vfio_device_close(&file->device);
    else
        *out = &file->device;
    return code;
}

void vfio_device_close(struct vfio_device *device)
{
    struct vfio_file *file = (struct vfio_file *)device;
    for (unsigned i = 0; i < EVENTS; i++)
        event_close(&file->others[i]);
    for (unsigned i = 0; i < VFIO_VECTORS_MAX; i++)
        event_close(&file->vectors[i]);
    if (file->fd >= 0)
        close(file->fd);
    free(file);
}
