/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/virtio/vhost_queues.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/virtio/virtio_private.h"

/* How one interrupts. */
struct call {
    struct signal *signal;
    int fd;
    bool connected; /* it is this message */
    uint64_t address;
    uint32_t data;
};

struct vhost_queues {
    struct virtio_device *device;
    struct vhost_queues_options options;
    struct memory_listener listener;
    struct memory_writer writer;
    struct memory_pieces pieces; /* that the kernel has, while it is active */
    struct vhost_queue queues[VHOST_QUEUES];
    struct call calls[VHOST_QUEUES];
    struct signal *errors;
    int errors_fd;
    bool active;
    bool still, tracked; /* the machine's, and its memory's */
    bool failed;         /* until the driver begins anew */
};

/* -- interrupts ------------------------------------------------------------------------------------------ */

static bool take_count(int fd)
{
    uint64_t count;
    return read(fd, &count, sizeof count) == sizeof count;
}

static void add_count(int fd)
{
    const uint64_t one = 1;
    ssize_t done = write(fd, &one, sizeof one);
    (void)done; /* EAGAIN: it is as full as can be, and somebody hears of it */
}

static void told_used(void *device, unsigned number)
{
    const struct virtio_device *virtio = device;
    virtio_interrupt(device, virtio->queues[number].vector, 1);
}

static void disconnect(const struct vhost_queues *q, struct call *call)
{
    const struct msi_port *port = &q->device->pci.bus->wiring.messages;
    const struct signal_host *signals = q->device->signals;
    if (!call->connected)
        return;
    port->disconnect(port->opaque, call->fd);
    call->connected = false;
    signals->lend(signals->opaque, call->signal, false);
}

/* Its message goes past visor as long as there is one. */
static void route(struct vhost_queues *q, unsigned number)
{
    const struct virtio_device *device = q->device;
    const struct msi_port *port = &device->pci.bus->wiring.messages;
    const struct signal_host *signals = device->signals;
    struct call *call = &q->calls[number];
    uint64_t address;
    uint32_t data;
    const bool can =
        port->connect && pci_msix_message(&device->pci, device->queues[number].vector, &address, &data);
    if (call->connected && can && call->address == address && call->data == data)
        return;
    disconnect(q, call);
    if (!can)
        return;
    signals->lend(signals->opaque, call->signal, true);
    call->connected = port->connect(port->opaque, call->fd, address, data);
    call->address = address;
    call->data = data;
    if (!call->connected)
        signals->lend(signals->opaque, call->signal, false);
}

/* -- queues ---------------------------------------------------------------------------------------------- */

/* From the device's queues to the kernel's, and where they are. False: one is nowhere. */
static bool queues_give(struct vhost_queues *q)
{
    struct virtio_device *device = q->device;
    const struct signal_host *signals = device->signals;
    for (unsigned i = 0; i < VHOST_QUEUES; i++) {
        const struct virtio_queue *queue = &device->queues[i];
        if (!virtio_queue_place(device, i))
            return false;
        q->queues[i] = (struct vhost_queue){
            .size = queue->size,
            .available = queue->available,
            .descriptors = queue->host_descriptors,
            .driver = queue->host_driver,
            .device = queue->host_device,
            .kick = signals->descriptor(signals->opaque, queue->signal),
            .call = q->calls[i].fd,
        };
    }
    return true;
}

static void signals_lend(const struct vhost_queues *q, bool lent)
{
    const struct signal_host *signals = q->device->signals;
    for (unsigned i = 0; i < VHOST_QUEUES; i++)
        if (q->device->queues[i].signal)
            signals->lend(signals->opaque, q->device->queues[i].signal, lent);
}

static void failed(struct vhost_queues *q, int code)
{
    q->failed = true;
    fprintf(stderr, "visor: the kernel's vhost does not serve %s%s: %s\n", q->device->name,
            q->options.lend ? ", visor does" : "", strerror(-code));
    if (!q->options.lend)
        virtio_break(q->device, "the kernel's vhost does not serve its queues");
}

static int lend(const struct vhost_queues *q, bool lent)
{
    return q->options.lend ? q->options.lend(q->device, lent) : -1;
}

static void start(struct vhost_queues *q)
{
    struct virtio_device *device = q->device;
    int code = memory_pieces_take(&q->pieces, atomic_load(&device->memory->view), q->options.ram);
    if (code) {
        failed(q, code);
        return;
    }
    if (!queues_give(q)) {
        memory_pieces_free(&q->pieces);
        return;
    }
    signals_lend(q, true);
    const int target = lend(q, true);
    code = q->options.vhost->ops->start(q->options.vhost, device->driver_features, &q->pieces, q->queues,
                                        q->errors_fd, target);
    if (code) {
        lend(q, false);
        signals_lend(q, false);
        memory_pieces_free(&q->pieces);
        failed(q, code);
        return;
    }
    q->active = true;
    for (unsigned i = 0; i < VHOST_QUEUES; i++)
        add_count(q->queues[i].kick); /* what is in them by now */
}

/* The guest is told of what the kernel has done, and what it has not done is looked at soon: the kernel takes
 * no counts from the eventfds by which the guest notifies. */
void vhost_queues_stop(struct vhost_queues *q)
{
    struct virtio_device *device = q->device;
    if (!q->active)
        return;
    q->active = false;
    q->options.vhost->ops->stop(q->options.vhost, q->queues);
    for (unsigned i = 0; i < VHOST_QUEUES; i++) {
        disconnect(q, &q->calls[i]);
        virtio_queue_stands(device, i, q->queues[i].available);
        if (take_count(q->calls[i].fd))
            told_used(device, i);
    }
    take_count(q->errors_fd);
    lend(q, false);
    signals_lend(q, false);
    memory_pieces_free(&q->pieces);
}

static bool has_signals(const struct virtio_device *device)
{
    for (unsigned i = 0; i < VHOST_QUEUES; i++)
        if (!device->queues[i].enabled || !device->queues[i].signal)
            return false;
    return true;
}

static bool wanted(const struct vhost_queues *q)
{
    return !q->still && !q->tracked && !q->failed && virtio_running(q->device) && has_signals(q->device) &&
           (!q->options.may || q->options.may(q->device));
}

void vhost_queues_follow(struct vhost_queues *q)
{
    if (!wanted(q))
        vhost_queues_stop(q);
    else if (!q->active)
        start(q);
    for (unsigned i = 0; q->active && i < VHOST_QUEUES; i++)
        route(q, i);
}

void vhost_queues_stand(struct vhost_queues *q, bool still)
{
    q->still = still;
    if (!still)
        q->options.vhost->ops->own(q->options.vhost); /* here, not on a vCPU's thread, which may be pinned */
    vhost_queues_follow(q);
}

void vhost_queues_begin(struct vhost_queues *q)
{
    q->failed = false;
    vhost_queues_follow(q);
}

bool vhost_queues_notify(struct vhost_queues *q, unsigned queue)
{
    if (!q->active || queue >= VHOST_QUEUES)
        return false;
    add_count(q->queues[queue].kick);
    return true;
}

bool vhost_queues_active(const struct vhost_queues *q)
{
    return q->active;
}

/* -- what happens elsewhere ------------------------------------------------------------------------------ */

static void told_error(void *opaque, unsigned number)
{
    struct virtio_device *device = opaque;
    (void)number;
    device->vhost->failed = true;
    if (!device->vhost->options.lend)
        virtio_break(device, "the kernel's vhost cannot go on with its queues");
    vhost_queues_follow(device->vhost);
}

static void tracked(void *opaque, bool on)
{
    struct vhost_queues *q = opaque;
    q->tracked = on;
    vhost_queues_follow(q);
}

/* Most changes are of devices' registers. */
static bool same_memory(const struct memory_pieces *a, const struct memory_pieces *b)
{
    bool same = a->count == b->count;
    for (unsigned i = 0; same && i < a->count; i++)
        same = memory_pieces_have(b, &a->items[i]);
    return same;
}

static void map_changed(void *opaque, const struct memory_view *old, const struct memory_view *now)
{
    struct vhost_queues *q = opaque;
    struct memory_pieces pieces;
    (void)old;
    if (!q->active)
        return;
    const int code = memory_pieces_take(&pieces, now, q->options.ram);
    const bool same = !code && same_memory(&pieces, &q->pieces);
    memory_pieces_free(&pieces);
    if (same)
        return;
    vhost_queues_stop(q);
    vhost_queues_follow(q);
}

/* -- its life -------------------------------------------------------------------------------------------- */

static int make_signals(struct vhost_queues *q)
{
    struct virtio_device *device = q->device;
    const struct signal_host *signals = device->signals;
    for (unsigned i = 0; i < VHOST_QUEUES; i++) {
        struct call *call = &q->calls[i];
        call->signal = signals->open(signals->opaque, NULL, 0, told_used, device, i);
        if (!call->signal)
            return -ENOMEM;
        call->fd = signals->descriptor(signals->opaque, call->signal);
    }
    q->errors = signals->open(signals->opaque, NULL, 0, told_error, device, 0);
    if (!q->errors)
        return -ENOMEM;
    q->errors_fd = signals->descriptor(signals->opaque, q->errors);
    return 0;
}

int vhost_queues_new(struct virtio_device *device, const struct vhost_queues_options *options,
                     struct error *error)
{
    if (!device->signals)
        return error_set(error, -ENOTSUP, "the kernel's vhost serves machines of KVM alone");
    struct vhost_queues *q = calloc(1, sizeof *q);
    if (!q)
        return error_set(error, -ENOMEM, "out of memory for the machine");
    *q = (struct vhost_queues){.device = device, .options = *options, .still = true};
    q->listener = (struct memory_listener){.changed = map_changed, .opaque = q};
    q->writer = (struct memory_writer){.tracked = tracked, .opaque = q};
    memory_listener_add(device->memory, &q->listener);
    memory_backing_writer_add(options->ram, &q->writer);
    if (make_signals(q)) {
        vhost_queues_free(q);
        return error_set(error, -ENOMEM, "no more descriptors for the kernel's vhost");
    }
    device->vhost = q;
    return 0;
}

void vhost_queues_free(struct vhost_queues *q)
{
    if (!q)
        return;
    const struct signal_host *signals = q->device->signals;
    vhost_queues_stop(q);
    for (unsigned i = 0; i < VHOST_QUEUES; i++)
        if (q->calls[i].signal)
            signals->close(signals->opaque, q->calls[i].signal);
    if (q->errors)
        signals->close(signals->opaque, q->errors);
    memory_listener_remove(q->device->memory, &q->listener);
    memory_backing_writer_remove(q->options.ram, &q->writer);
    q->device->vhost = NULL;
    free(q);
}
