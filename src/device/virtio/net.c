/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queue 0 has buffers to receive into, queue 1 frames to send, queue 2 commands. A frame that the backend
 * does not take now goes back into its queue; one that the guest has no buffers for stays the backend's.
 * While no driver is there frames are dropped, as by a card that is switched off.
 */
#include "device/virtio/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE 256
#define RECEIVE    0
#define SEND       1
#define CONTROL    2

#define F_CHECKSUM       (UINT64_C(1) << 0)
#define F_GUEST_CHECKSUM (UINT64_C(1) << 1)
#define F_MTU            (UINT64_C(1) << 3)
#define F_MAC            (UINT64_C(1) << 5)
#define F_GUEST_TSO4     (UINT64_C(1) << 7)
#define F_GUEST_TSO6     (UINT64_C(1) << 8)
#define F_GUEST_UFO      (UINT64_C(1) << 10)
#define F_HOST_TSO4      (UINT64_C(1) << 11)
#define F_HOST_TSO6      (UINT64_C(1) << 12)
#define F_HOST_UFO       (UINT64_C(1) << 14)
#define F_MERGE          (UINT64_C(1) << 15)
#define F_STATUS         (UINT64_C(1) << 16)
#define F_CONTROL        (UINT64_C(1) << 17)
#define F_CONTROL_RX     (UINT64_C(1) << 18)
#define F_ANNOUNCE       (UINT64_C(1) << 21)
#define F_CONTROL_MAC    (UINT64_C(1) << 23)
#define F_HOST_OFFLOADS  (F_CHECKSUM | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_UFO)

/* Offsets in the configuration. */
#define CONFIG_MAC    0
#define CONFIG_STATUS 6
#define CONFIG_MTU    10
#define CONFIG_SIZE   12

#define STATUS_LINK_UP  1
#define STATUS_ANNOUNCE 2

/* In the header. */
#define HEADER_BUFFERS 10

enum { COMMAND_RX, COMMAND_MAC, COMMAND_ANNOUNCE = 3 };
enum { COMMAND_OK, COMMAND_ERROR };

struct virtio_net {
    struct virtio_device virtio;
    struct net_backend *backend;
    struct net_client client;
    bool shared;
    uint8_t card[6];                         /* its address, which the guest finds when it begins */
    bool held;                               /* the guest uses another one's: it has no link */
    struct virtio_net_statistics statistics; /* without what the kernel sends and receives now */
    struct virtio_chain chain, first; /* what a function is at; the first of several buffers for one frame */
    uint8_t header[NET_HEADER_SIZE];
    struct iovec frame[VIRTIO_CHAIN_MAX + 1];
};

static const struct device_field net_fields[] = {
    DEVICE_PART(struct virtio_net, virtio, virtio_device_fields),
    DEVICE_LATER_ARRAY(struct virtio_net, card),
    DEVICE_LATER_FIELD(struct virtio_net, held),
};

static const struct {
    enum net_offload offload;
    uint64_t host, guest; /* what the host does for the guest, and the guest for the host */
} offloads[] = {
    {NET_OFFLOAD_CHECKSUM, F_CHECKSUM, F_GUEST_CHECKSUM},
    {NET_OFFLOAD_TSO4, F_HOST_TSO4, F_GUEST_TSO4},
    {NET_OFFLOAD_TSO6, F_HOST_TSO6, F_GUEST_TSO6},
    {NET_OFFLOAD_UFO, F_HOST_UFO, F_GUEST_UFO},
};

/* What the guest is ready to receive. */
static void set_offloads(struct virtio_net *net)
{
    unsigned accepted = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(offloads); i++)
        if ((net->virtio.status & VIRTIO_DRIVER_OK) && virtio_has(&net->virtio, offloads[i].guest))
            accepted |= offloads[i].offload;
    if (net->backend->ops->set_offloads)
        net->backend->ops->set_offloads(net->backend, accepted);
}

/* The header, which the backend gets as it is now and not as the guest may change it: empty if nothing of it
 * was agreed on. The frame after it stays where it is. Returns the number of pieces, 0: there is no header.
 */
static unsigned make_frame(struct virtio_net *net)
{
    const struct virtio_chain *chain = &net->chain;
    if (virtio_copy_out(chain, 0, net->header, NET_HEADER_SIZE) != NET_HEADER_SIZE)
        return 0;
    if (!virtio_has(&net->virtio, F_HOST_OFFLOADS))
        memset(net->header, 0, NET_HEADER_SIZE);
    memset(&net->header[HEADER_BUFFERS], 0, 2);
    net->frame[0] = (struct iovec){net->header, NET_HEADER_SIZE};
    unsigned count = 1;
    size_t skip = NET_HEADER_SIZE;
    for (unsigned i = 0; i < chain->out_count; i++) {
        struct iovec piece = chain->out[i];
        size_t some = MIN(skip, piece.iov_len);
        skip -= some;
        if (piece.iov_len > some)
            net->frame[count++] = (struct iovec){(uint8_t *)piece.iov_base + some, piece.iov_len - some};
    }
    return count;
}

static void send_frames(struct virtio_net *net)
{
    struct virtio_device *device = &net->virtio;
    bool any = false;
    while (virtio_pop(device, SEND, &net->chain)) {
        unsigned count = make_frame(net);
        if (!count) {
            virtio_break(device, "a frame has no header");
            break;
        }
        const bool fits = net->chain.out_size <= NET_FRAME_MAX && count > 1 && !net->held;
        if (fits && !net->backend->ops->send(net->backend, net->frame, count, net->chain.out_size)) {
            virtio_unpop(device, SEND, 1);
            break;
        }
        net->statistics.sent_frames += fits;
        net->statistics.sent_bytes += fits ? net->chain.out_size - NET_HEADER_SIZE : 0;
        any = true;
        virtio_push(device, SEND, &net->chain, 0);
    }
    if (any && net->backend->ops->flush)
        net->backend->ops->flush(net->backend);
    virtio_publish(device, SEND);
}

static void client_send_ready(void *opaque)
{
    send_frames(opaque);
}

/* A place in a list of pieces. */
struct position {
    const struct iovec *iov;
    unsigned count;
    size_t offset;
};

/* Copies from there into one chain, from its beginning; returns how much. */
static size_t copy_frame(const struct virtio_chain *chain, struct position *from)
{
    size_t done = 0;
    while (from->count && done < chain->in_size) {
        size_t some = virtio_copy_in(chain, done, (const uint8_t *)from->iov->iov_base + from->offset,
                                     from->iov->iov_len - from->offset);
        done += some;
        from->offset += some;
        if (from->offset == from->iov->iov_len) {
            from->iov++;
            from->count--;
            from->offset = 0;
        }
    }
    return done;
}

/* Writes the frame into as many chains as it needs. 0: there are not enough; nothing has happened. */
static unsigned fill_chains(struct virtio_net *net, struct position from, size_t size)
{
    struct virtio_device *device = &net->virtio;
    unsigned taken = 0;
    bool merge = virtio_has(device, F_MERGE);
    for (size_t done = 0; done < size;) {
        struct virtio_chain *chain = taken ? &net->chain : &net->first;
        if (!virtio_pop(device, RECEIVE, chain)) {
            virtio_unpush(device, RECEIVE, taken);
            virtio_unpop(device, RECEIVE, taken);
            return 0;
        }
        if (chain->in_size < (taken ? 1 : NET_HEADER_SIZE)) {
            virtio_break(device, "a buffer to receive into is too small");
            return 0;
        }
        if (!merge && chain->in_size < size) {
            virtio_unpop(device, RECEIVE, 1);
            return 1; /* dropped */
        }
        size_t some = copy_frame(chain, &from);
        virtio_push(device, RECEIVE, chain, some);
        done += some;
        taken++;
    }
    uint8_t buffers[2] = {(uint8_t)taken, (uint8_t)(taken >> 8)};
    virtio_copy_in(&net->first, HEADER_BUFFERS, buffers, 2);
    virtio_written(device, &net->first, NET_HEADER_SIZE);
    net->statistics.received_frames++;
    net->statistics.received_bytes += size - NET_HEADER_SIZE;
    return taken;
}

static bool client_receive(void *opaque, const struct iovec *iov, unsigned count, size_t size)
{
    struct virtio_net *net = opaque;
    struct virtio_device *device = &net->virtio;
    if (!virtio_running(device) || !device->queues[RECEIVE].enabled || size < NET_HEADER_SIZE || net->held)
        return true;
    if (fill_chains(net, (struct position){iov, count, 0}, size)) {
        virtio_publish(device, RECEIVE);
        return true;
    }
    /* All that the queue can hold would not be enough: it never will. */
    return !virtio_running(device) || virtio_is_full(device, RECEIVE);
}

static bool set_mac(struct virtio_net *net)
{
    uint8_t *used = &net->virtio.config[CONFIG_MAC];
    if (virtio_copy_out(&net->chain, 2, used, 6) != 6)
        return false;
    if (net->held && memcmp(used, net->card, 6) == 0) {
        net->held = false;
        virtio_net_link_changed(net);
    }
    return true;
}

/* Frames are not filtered: what arrives is meant for this card, and the guest looks again. */
static bool execute_command(struct virtio_net *net)
{
    uint8_t command[2];
    struct virtio_device *device = &net->virtio;
    if (virtio_copy_out(&net->chain, 0, command, 2) != 2)
        return false;
    switch (command[0]) {
    case COMMAND_RX: return virtio_has(device, F_CONTROL_RX) && command[1] <= 5;
    case COMMAND_MAC: return command[1] == 0 || (command[1] == 1 && set_mac(net));
    case COMMAND_ANNOUNCE: device->config[CONFIG_STATUS] &= (uint8_t)~STATUS_ANNOUNCE; return command[1] == 0;
    default: return false;
    }
}

static void serve_commands(struct virtio_net *net)
{
    struct virtio_device *device = &net->virtio;
    while (virtio_pop(device, CONTROL, &net->chain)) {
        uint8_t answer = execute_command(net) ? COMMAND_OK : COMMAND_ERROR;
        if (!virtio_copy_in(&net->chain, 0, &answer, 1)) {
            virtio_break(device, "a command has no room for its answer");
            return;
        }
        virtio_push(device, CONTROL, &net->chain, 1);
    }
    virtio_publish(device, CONTROL);
}

static void net_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_net *net = (struct virtio_net *)device;
    switch (queue) {
    case RECEIVE:
        if (net->backend->ops->receive_ready)
            net->backend->ops->receive_ready(net->backend);
        break;
    case SEND: send_frames(net); break;
    case CONTROL: serve_commands(net); break;
    }
}

static void net_started(struct virtio_device *device)
{
    set_offloads((struct virtio_net *)device);
}

static bool net_forget(struct virtio_device *device)
{
    struct virtio_net *net = (struct virtio_net *)device;
    if (net->backend->ops->set_offloads)
        net->backend->ops->set_offloads(net->backend, 0);
    net->held = false; /* it finds the card's address */
    device->initial[CONFIG_STATUS] = net->backend->link_up ? STATUS_LINK_UP : 0;
    return true;
}

static struct virtio_net_statistics count(const struct virtio_net *net)
{
    struct virtio_net_statistics all = net->statistics;
    struct net_counts kernel;
    if (!net->backend->ops->count(net->backend, &kernel))
        return all;
    all.received_frames += kernel.received_frames;
    all.received_bytes += kernel.received_bytes;
    all.sent_frames += kernel.sent_frames;
    all.sent_bytes += kernel.sent_bytes;
    return all;
}

struct virtio_net_statistics virtio_net_statistics(const struct virtio_net *net)
{
    return virtio_net_in_kernel(net) ? count(net) : net->statistics;
}

/* -- the kernel in our place ----------------------------------------------------------------------------- */

static bool vhost_may(struct virtio_device *device)
{
    return !((struct virtio_net *)device)->held;
}

static int vhost_lend(struct virtio_device *device, bool lent)
{
    struct virtio_net *net = (struct virtio_net *)device;
    if (!lent)
        net->statistics = count(net);
    return net->backend->ops->lend(net->backend, lent);
}

int virtio_net_use_vhost(struct virtio_net *net, struct vhost *vhost, struct memory_backing *ram,
                         struct error *error)
{
    const struct vhost_queues_options options = {vhost, ram, vhost_may, vhost_lend};
    net->backend->ops->prepare_lend(net->backend);
    return vhost_queues_new(&net->virtio, &options, error);
}

void virtio_net_stand(struct virtio_net *net, bool still)
{
    if (net->virtio.vhost)
        vhost_queues_stand(net->virtio.vhost, still);
}

bool virtio_net_in_kernel(const struct virtio_net *net)
{
    return net->virtio.vhost && vhost_queues_active(net->virtio.vhost);
}

/* -- the link, and its life ------------------------------------------------------------------------------ */

void virtio_net_link_changed(struct virtio_net *net)
{
    uint8_t status = net->backend->link_up && !net->held ? STATUS_LINK_UP : 0;
    status |= net->virtio.config[CONFIG_STATUS] & STATUS_ANNOUNCE;
    virtio_config_update(&net->virtio, CONFIG_STATUS, &status, 1);
    net->virtio.initial[CONFIG_STATUS] &= (uint8_t)~STATUS_ANNOUNCE;
    if (net->virtio.vhost)
        vhost_queues_follow(net->virtio.vhost);
}

static void client_link_changed(void *opaque)
{
    virtio_net_link_changed(opaque);
}

void virtio_net_announce(struct virtio_net *net)
{
    if (net->held)
        virtio_net_link_changed(net);
    if (net->held || !virtio_has(&net->virtio, F_ANNOUNCE) || !virtio_running(&net->virtio))
        return;
    net->virtio.config[CONFIG_STATUS] |= STATUS_ANNOUNCE;
    virtio_config_changed(&net->virtio);
}

static void net_reset(void *opaque)
{
    struct virtio_net *net = opaque;
    virtio_reset(&net->virtio);
}

static int net_loaded(void *opaque, struct error *error)
{
    struct virtio_net *net = opaque;
    int code = virtio_loaded(&net->virtio, error);
    if (!code)
        set_offloads(net);
    const uint8_t *own = &net->virtio.initial[CONFIG_MAC], *used = &net->virtio.config[CONFIG_MAC];
    if (net->shared &&
        memcmp(net->card, own, 6) != 0) /* with an address of its own choice a guest keeps it */
        net->held = net->held || memcmp(used, net->card, 6) == 0;
    net->held = net->held && memcmp(used, own, 6) != 0;
    memcpy(net->card, own, 6);
    return code;
}

static const struct device_type net_type = {
    .name = "virtio-net",
    .version = 1,
    .fields = net_fields,
    .field_count = ARRAY_SIZE(net_fields),
    .reset = net_reset,
    .loaded = net_loaded,
};

static const struct virtio_ops net_ops = {
    .id = 1,
    .pci_class = 0x020000,
    .notify = net_notify,
    .started = net_started,
    .reset = net_forget,
};

static uint64_t net_features(const struct net_backend *backend)
{
    uint64_t features = F_MAC | F_MERGE | F_STATUS | F_CONTROL | F_CONTROL_RX | F_CONTROL_MAC | F_ANNOUNCE;
    for (unsigned i = 0; i < ARRAY_SIZE(offloads); i++)
        if (backend->offloads & offloads[i].offload)
            features |= offloads[i].host | offloads[i].guest;
    return features | (backend->mtu ? F_MTU : 0);
}

int virtio_net_new(struct virtio_net **out, const struct virtio_place *place,
                   const struct virtio_net_options *options, struct error *error)
{
    struct virtio_net *net = calloc(1, sizeof *net);
    if (!net)
        return error_set(error, -ENOMEM, "no memory for device \"%s\"", place->name);
    uint8_t config[CONFIG_SIZE] = {0};
    net->backend = options->backend;
    net->shared = options->shared;
    memcpy(net->card, options->mac, 6);
    memcpy(&config[CONFIG_MAC], options->mac, 6);
    config[CONFIG_STATUS] = net->backend->link_up ? STATUS_LINK_UP : 0;
    config[CONFIG_MTU] = (uint8_t)net->backend->mtu;
    config[CONFIG_MTU + 1] = (uint8_t)(net->backend->mtu >> 8);
    struct virtio_parameters parameters = {
        .ops = &net_ops,
        .features = net_features(net->backend),
        .queue_count = 3,
        .queue_size = QUEUE_SIZE,
        .config = config,
        .config_size = sizeof config,
    };
    int code = virtio_add(&net->virtio, place, &parameters, &net_type, net, error);
    if (code) {
        free(net);
        return code;
    }
    net->client = (struct net_client){client_receive, client_send_ready, client_link_changed, net};
    net->backend->client = &net->client;
    *out = net;
    return 0;
}

void virtio_net_free(struct virtio_net *net)
{
    if (!net)
        return;
    vhost_queues_free(net->virtio.vhost);
    net->backend->client = NULL;
    free(net);
}
