/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets go to the guest by queue 0 and come from it by queue 1; queue 2 has events. What is to be sent to
 * the guest waits as a bit in its connection, or as bytes at the host's end, until there is a buffer for it
 * and credit. What the guest sends goes to the host's end at once, and what that does not take waits in the
 * connection's buffer; its size is the credit that the guest has.
 *
 * If the host's kernel has the connections, queues 0 and 1 are its own, and there is no backend here.
 */
#include "device/virtio/vsock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vsock_socket.h"

#define QUEUE_SIZE 128
enum { RECEIVE, TRANSMIT, EVENTS, QUEUES };

#define F_STREAM (UINT64_C(1) << 0)

#define CONNECTIONS 256
#define CREDIT      0x20000 /* bytes of a connection's buffer, a power of two */
#define RESETS      64      /* that wait to be sent for connections that there are not */

enum { TYPE_STREAM = 1 };
enum {
    REQUEST = 1,
    RESPONSE,
    RESET,
    SHUTDOWN,
    DATA,
    CREDIT_UPDATE,
    CREDIT_REQUEST,
};
enum { NO_RECEIVE = 1, NO_SEND = 2, NEITHER = 3 };
#define PENDING(operation) (1u << (operation))

struct packet {
    uint64_t source_cid, target_cid;
    uint32_t source_port, target_port;
    uint32_t length;
    uint16_t type, operation;
    uint32_t flags;
    uint32_t credit, forwarded; /* of the sender's buffer: its size, bytes that have left it */
} __attribute__((packed));

struct connection {
    struct connection *next;
    struct virtio_vsock *vsock;
    struct vsock_host *host;
    uint32_t guest_port, host_port;
    bool open;                                    /* both have agreed */
    bool readable;                                /* the host's end has something */
    bool host_ended;                              /* it has sent its last */
    unsigned pending;                             /* operations to send to the guest */
    unsigned guest_closed;                        /* flags of its SHUTDOWN */
    unsigned shut;                                /* flags of ours */
    uint32_t guest_credit, guest_forwarded, sent; /* bytes */
    uint32_t received, forwarded, told;           /* bytes; `told`: of `forwarded`, what the guest knows */
    uint8_t *buffer;                              /* from `forwarded` to `received` */
};

struct virtio_vsock {
    struct virtio_device virtio;
    uint32_t next_port;
    bool lost;                     /* the guest is to be told that its connections are gone */
    struct vsock_backend *backend; /* NULL: it is the kernel */
    struct vsock_client client;
    uint64_t guest_cid;
    struct connection *connections;
    unsigned count;
    struct packet resets[RESETS];
    unsigned reset_count;
    struct virtio_chain chain; /* what a function is at */
    struct iovec pieces[VIRTIO_CHAIN_MAX];
};

static const struct device_field vsock_fields[] = {
    DEVICE_PART(struct virtio_vsock, virtio, virtio_device_fields),
    DEVICE_FIELD(struct virtio_vsock, next_port),
    DEVICE_FIELD(struct virtio_vsock, lost),
};

static struct connection *connection_find(struct virtio_vsock *vsock, uint32_t guest_port, uint32_t host_port)
{
    struct connection *connection = vsock->connections;
    while (connection && (connection->guest_port != guest_port || connection->host_port != host_port))
        connection = connection->next;
    return connection;
}

static struct connection *connection_new(struct virtio_vsock *vsock, struct vsock_host *host,
                                         uint32_t guest_port, uint32_t host_port)
{
    struct connection *connection = vsock->count < CONNECTIONS ? calloc(1, sizeof *connection) : NULL;
    if (!connection)
        return NULL;
    connection->vsock = vsock;
    connection->host = host;
    connection->guest_port = guest_port;
    connection->host_port = host_port;
    connection->next = vsock->connections;
    vsock->connections = connection;
    vsock->count++;
    host->connection = connection;
    return connection;
}

static void close_host(struct connection *connection)
{
    if (connection->host)
        connection->vsock->backend->ops->close(connection->host);
    connection->host = NULL;
    connection->readable = false;
}

static void connection_free(struct connection *connection)
{
    struct virtio_vsock *vsock = connection->vsock;
    struct connection **link = &vsock->connections;
    while (*link != connection)
        link = &(*link)->next;
    *link = connection->next;
    vsock->count--;
    close_host(connection);
    free(connection->buffer);
    free(connection);
}

/* The end: the guest is told, which is the last of it. */
static void connection_reset(struct connection *connection)
{
    close_host(connection);
    connection->pending = PENDING(RESET);
}

/* How much may be sent to the guest. */
static uint32_t guest_room(const struct connection *connection)
{
    uint32_t waiting = connection->sent - connection->guest_forwarded;
    return waiting < connection->guest_credit ? connection->guest_credit - waiting : 0;
}

static bool may_read(const struct connection *connection)
{
    return connection->host && connection->open && !connection->host_ended &&
           !(connection->guest_closed & NO_RECEIVE) && guest_room(connection);
}

static void update_wishes(struct connection *connection)
{
    unsigned events = 0;
    if (!connection->host)
        return;
    if (may_read(connection) && !connection->readable)
        events |= VSOCK_READ;
    if (connection->received != connection->forwarded)
        events |= VSOCK_WRITE;
    connection->vsock->backend->ops->want(connection->host, events);
}

/* A packet of this connection without data. */
static struct packet packet_make(struct connection *connection, uint16_t operation)
{
    struct packet packet = {
        .source_cid = VSOCK_CID_HOST,
        .target_cid = connection->vsock->guest_cid,
        .source_port = connection->host_port,
        .target_port = connection->guest_port,
        .type = TYPE_STREAM,
        .operation = operation,
        .flags = operation == SHUTDOWN ? connection->shut : 0,
        .credit = CREDIT,
        .forwarded = connection->forwarded,
    };
    connection->told = connection->forwarded;
    return packet;
}

/* The next buffer for a packet. False: there is none now. */
static bool take_buffer(struct virtio_vsock *vsock)
{
    if (!virtio_pop(&vsock->virtio, RECEIVE, &vsock->chain))
        return false;
    if (vsock->chain.in_size < sizeof(struct packet)) {
        virtio_break(&vsock->virtio, "a buffer has no room for a packet");
        return false;
    }
    return true;
}

static bool send_packet(struct virtio_vsock *vsock, const struct packet *packet)
{
    if (!take_buffer(vsock))
        return false;
    virtio_copy_in(&vsock->chain, 0, packet, sizeof *packet);
    virtio_push(&vsock->virtio, RECEIVE, &vsock->chain, sizeof *packet);
    return true;
}

/* Sends what is pending; false: there are no buffers. */
static bool send_pending(struct connection *connection)
{
    for (uint16_t operation = REQUEST; operation <= CREDIT_REQUEST; operation++) {
        if (!(connection->pending & PENDING(operation)))
            continue;
        struct packet packet = packet_make(connection, operation);
        if (!send_packet(connection->vsock, &packet))
            return false;
        connection->pending &= ~PENDING(operation);
    }
    return true;
}

/* The pieces of the chain at hand behind the packet's header, at most `most` bytes of them. */
static unsigned data_pieces(struct virtio_vsock *vsock, const struct iovec *from, unsigned count, size_t most)
{
    size_t skip = sizeof(struct packet);
    unsigned pieces = 0;
    for (unsigned i = 0; i < count && most; i++) {
        size_t some = MIN(skip, from[i].iov_len);
        skip -= some;
        size_t length = MIN(from[i].iov_len - some, most);
        if (length)
            vsock->pieces[pieces++] = (struct iovec){(uint8_t *)from[i].iov_base + some, length};
        most -= length;
    }
    return pieces;
}

static void host_ended(struct connection *connection)
{
    bool closed = connection->vsock->backend->ops->is_closed(connection->host);
    connection->host_ended = true;
    connection->shut = closed ? NEITHER : NO_SEND;
    connection->pending |= PENDING(SHUTDOWN);
}

/* One packet of data from the host's end to the guest. False: there are no buffers. */
static bool send_data(struct connection *connection)
{
    struct virtio_vsock *vsock = connection->vsock;
    if (!take_buffer(vsock))
        return false;
    unsigned count = data_pieces(vsock, vsock->chain.in, vsock->chain.in_count, guest_room(connection));
    if (!count) {
        virtio_break(&vsock->virtio, "a buffer has no room for data");
        return false;
    }
    ssize_t got = vsock->backend->ops->read(connection->host, vsock->pieces, count);
    if (got <= 0) {
        virtio_unpop(&vsock->virtio, RECEIVE, 1);
        connection->readable = false;
        if (!got)
            host_ended(connection);
        else if (got != -EAGAIN)
            connection_reset(connection);
        return true;
    }
    struct packet packet = packet_make(connection, DATA);
    packet.length = (uint32_t)got;
    virtio_copy_in(&vsock->chain, 0, &packet, sizeof packet);
    connection->sent += (uint32_t)got;
    virtio_push(&vsock->virtio, RECEIVE, &vsock->chain, sizeof packet + (size_t)got);
    return true;
}

/* Resets of connections that are not (any more). */
static bool send_resets(struct virtio_vsock *vsock)
{
    unsigned sent = 0;
    while (sent < vsock->reset_count && send_packet(vsock, &vsock->resets[sent]))
        sent++;
    vsock->reset_count -= sent;
    memmove(vsock->resets, vsock->resets + sent, vsock->reset_count * sizeof vsock->resets[0]);
    return !vsock->reset_count;
}

/* Sends to the guest what there is, by turns, as long as it has buffers. */
static void pump(struct virtio_vsock *vsock)
{
    bool more = virtio_running(&vsock->virtio) && send_resets(vsock), room = more;
    while (more && room) {
        more = false;
        struct connection *next;
        for (struct connection *one = vsock->connections; one && room; one = next) {
            next = one->next;
            bool last = one->pending & PENDING(RESET);
            room = send_pending(one);
            if (room && last) {
                connection_free(one);
                continue;
            }
            if (room && one->readable && may_read(one)) {
                room = send_data(one);
                more = true;
            }
            more |= one->pending;
        }
    }
    for (struct connection *one = vsock->connections; one; one = one->next)
        update_wishes(one);
    virtio_publish(&vsock->virtio, RECEIVE);
}

/* Tells the host's end, and the guest, what can be told now that the buffer is empty. */
static void connection_flushed(struct connection *connection)
{
    if (connection->guest_closed == NEITHER)
        connection_reset(connection);
    else if (connection->guest_closed & NO_SEND)
        connection->vsock->backend->ops->shut_down(connection->host);
}

/* After bytes have gone to the host: the guest hears of it before its credit gets short. */
static void connection_forward(struct connection *connection, uint32_t bytes)
{
    connection->forwarded += bytes;
    if (connection->forwarded - connection->told >= CREDIT / 2)
        connection->pending |= PENDING(CREDIT_UPDATE);
}

static void connection_flush(struct connection *connection)
{
    const struct vsock_ops *ops = connection->vsock->backend->ops;
    while (connection->host && connection->received != connection->forwarded) {
        uint32_t start = connection->forwarded % CREDIT;
        uint32_t left = connection->received - connection->forwarded;
        struct iovec iov = {connection->buffer + start, MIN(left, CREDIT - start)};
        ssize_t taken = ops->write(connection->host, &iov, 1);
        if (taken == -EAGAIN || !taken)
            return;
        if (taken < 0)
            connection_reset(connection);
        else
            connection_forward(connection, (uint32_t)taken);
    }
    if (connection->host)
        connection_flushed(connection);
}

/* Keeps what the host's end has not taken of the chain at hand; false: no memory. */
static bool connection_keep(struct connection *connection, size_t offset, uint32_t length)
{
    if (!connection->buffer)
        connection->buffer = malloc(CREDIT);
    if (!connection->buffer)
        return false;
    while (length) {
        uint32_t start = connection->received % CREDIT, some = MIN(length, CREDIT - start);
        virtio_copy_out(&connection->vsock->chain, offset, connection->buffer + start, some);
        connection->received += some;
        offset += some;
        length -= some;
    }
    return true;
}

static void guest_data(struct connection *connection, uint32_t length)
{
    struct virtio_vsock *vsock = connection->vsock;
    uint32_t waiting = connection->received - connection->forwarded;
    if (!connection->open || !connection->host || (connection->guest_closed & NO_SEND) ||
        length > CREDIT - waiting) {
        connection_reset(connection);
        return;
    }
    ssize_t taken = 0;
    if (!waiting && length) {
        unsigned count = data_pieces(vsock, vsock->chain.out, vsock->chain.out_count, length);
        taken = vsock->backend->ops->write(connection->host, vsock->pieces, count);
        if (taken == -EAGAIN)
            taken = 0;
        if (taken < 0) {
            connection_reset(connection);
            return;
        }
        connection->received += (uint32_t)taken;
        connection_forward(connection, (uint32_t)taken);
    }
    if ((uint32_t)taken < length &&
        !connection_keep(connection, sizeof(struct packet) + (size_t)taken, length - (uint32_t)taken))
        connection_reset(connection);
}

/* Answers a packet that belongs to no connection, unless it is a RESET itself. */
static void refuse(struct virtio_vsock *vsock, const struct packet *packet)
{
    if (packet->operation == RESET || vsock->reset_count == RESETS)
        return;
    vsock->resets[vsock->reset_count++] = (struct packet){
        .source_cid = packet->target_cid,
        .target_cid = packet->source_cid,
        .source_port = packet->target_port,
        .target_port = packet->source_port,
        .type = packet->type,
        .operation = RESET,
    };
}

static void guest_request(struct virtio_vsock *vsock, const struct packet *packet)
{
    struct vsock_host *host;
    if (vsock->count == CONNECTIONS ||
        vsock->backend->ops->connect(vsock->backend, packet->target_port, &host)) {
        refuse(vsock, packet);
        return;
    }
    struct connection *connection = connection_new(vsock, host, packet->source_port, packet->target_port);
    if (!connection) {
        vsock->backend->ops->close(host);
        refuse(vsock, packet);
        return;
    }
    connection->open = true;
    connection->pending = PENDING(RESPONSE);
    connection->guest_credit = packet->credit;
    connection->guest_forwarded = packet->forwarded;
}

static void guest_response(struct connection *connection)
{
    if (connection->open || !connection->host || (connection->pending & PENDING(REQUEST))) {
        connection_reset(connection);
        return;
    }
    connection->open = true;
    connection->vsock->backend->ops->established(connection->host, connection->host_port);
}

static void guest_shutdown(struct connection *connection, uint32_t flags)
{
    connection->guest_closed |= flags & NEITHER;
    if (!connection->host || !connection->open)
        connection_reset(connection);
    else if (connection->received == connection->forwarded)
        connection_flushed(connection);
}

/* What a packet does to its connection. */
static void connection_handle(struct connection *connection, const struct packet *packet)
{
    connection->guest_credit = packet->credit;
    connection->guest_forwarded = packet->forwarded;
    if (connection->pending & PENDING(RESET) && packet->operation != RESET)
        return;
    switch (packet->operation) {
    case RESPONSE: guest_response(connection); break;
    case RESET: connection_free(connection); break;
    case SHUTDOWN: guest_shutdown(connection, packet->flags); break;
    case DATA: guest_data(connection, packet->length); break;
    case CREDIT_UPDATE: break;
    case CREDIT_REQUEST: connection->pending |= PENDING(CREDIT_UPDATE); break;
    default: connection_reset(connection);
    }
}

static void handle_packet(struct virtio_vsock *vsock, const struct packet *packet)
{
    struct connection *connection = connection_find(vsock, packet->source_port, packet->target_port);
    if (packet->source_cid != vsock->guest_cid || packet->target_cid != VSOCK_CID_HOST)
        refuse(vsock, packet);
    else if (packet->type != TYPE_STREAM)
        refuse(vsock, packet);
    else if (connection)
        connection_handle(connection, packet);
    else if (packet->operation == REQUEST)
        guest_request(vsock, packet);
    else
        refuse(vsock, packet);
}

static void take_packets(struct virtio_vsock *vsock)
{
    struct virtio_device *device = &vsock->virtio;
    struct packet packet;
    while (virtio_pop(device, TRANSMIT, &vsock->chain)) {
        struct virtio_chain *chain = &vsock->chain;
        uint16_t head = chain->head;
        if (virtio_copy_out(chain, 0, &packet, sizeof packet) != sizeof packet ||
            (packet.operation == DATA && packet.length > chain->out_size - sizeof packet)) {
            virtio_break(device, "a packet is shorter than it says");
            return;
        }
        handle_packet(vsock, &packet);
        chain->head = head;
        virtio_push(device, TRANSMIT, chain, 0);
    }
    virtio_publish(device, TRANSMIT);
    pump(vsock);
}

/* "Transport reset": the guest's connections are gone. */
static void send_event(struct virtio_vsock *vsock)
{
    static const uint32_t event = 0;
    if (!vsock->lost || !virtio_pop(&vsock->virtio, EVENTS, &vsock->chain))
        return;
    vsock->lost = false;
    virtio_push(&vsock->virtio, EVENTS, &vsock->chain,
                virtio_copy_in(&vsock->chain, 0, &event, sizeof event));
    virtio_publish(&vsock->virtio, EVENTS);
}

static void vsock_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_vsock *vsock = (struct virtio_vsock *)device;
    if (queue == EVENTS)
        send_event(vsock);
    else if (!vsock->backend)
        return; /* the kernel looks at them when it goes on */
    else if (queue == RECEIVE)
        pump(vsock);
    else
        take_packets(vsock);
}

/* By their reserved ports a guest knows those who were let to the socket (base/vsock_socket.h). */
static uint32_t port_after(uint32_t port)
{
    return port >= VSOCK_PORT_RESERVED_FIRST && port < VSOCK_PORT_RESERVED_LAST ? port + 1
                                                                                : VSOCK_PORT_RESERVED_FIRST;
}

/* A program of the host wants to talk to one of the guest. */
static bool client_request(void *opaque, struct vsock_host *host, uint32_t port)
{
    struct virtio_vsock *vsock = opaque;
    if (!virtio_running(&vsock->virtio))
        return false;
    do {
        vsock->next_port = port_after(vsock->next_port);
    } while (connection_find(vsock, port, vsock->next_port));
    struct connection *connection = connection_new(vsock, host, port, vsock->next_port);
    if (!connection)
        return false;
    connection->pending = PENDING(REQUEST);
    pump(vsock);
    return true;
}

static void client_ready(void *opaque, unsigned events)
{
    struct connection *connection = opaque;
    if (events & VSOCK_READ)
        connection->readable = true;
    if (events & VSOCK_WRITE)
        connection_flush(connection);
    pump(connection->vsock);
}

static bool vsock_forget(struct virtio_device *device)
{
    struct virtio_vsock *vsock = (struct virtio_vsock *)device;
    while (vsock->connections)
        connection_free(vsock->connections);
    vsock->reset_count = 0;
    vsock->lost = false;
    return true;
}

void virtio_vsock_resume(struct virtio_vsock *vsock)
{
    send_event(vsock);
}

void virtio_vsock_stand(struct virtio_vsock *vsock, bool still)
{
    if (vsock->virtio.vhost)
        vhost_queues_stand(vsock->virtio.vhost, still);
}

static void vsock_reset(void *opaque)
{
    struct virtio_vsock *vsock = opaque;
    virtio_reset(&vsock->virtio);
    vsock->next_port = VSOCK_PORT_RESERVED_FIRST;
}

static int vsock_loaded(void *opaque, struct error *error)
{
    struct virtio_vsock *vsock = opaque;
    int code = virtio_loaded(&vsock->virtio, error);
    vsock_forget(&vsock->virtio);
    memcpy(vsock->virtio.config, &vsock->guest_cid, sizeof vsock->guest_cid);
    vsock->lost = vsock->virtio.status & VIRTIO_DRIVER_OK;
    return code;
}

static const struct device_type vsock_type = {
    .name = "virtio-vsock",
    .version = 1,
    .fields = vsock_fields,
    .field_count = ARRAY_SIZE(vsock_fields),
    .reset = vsock_reset,
    .loaded = vsock_loaded,
};

static const struct virtio_ops vsock_ops = {
    .id = 19,
    .pci_class = 0x078000,
    .notify = vsock_notify,
    .reset = vsock_forget,
};

/* Without anything at its host's end. */
static int vsock_make(struct virtio_vsock **out, const struct virtio_place *place, uint64_t features,
                      uint32_t guest_cid, struct error *error)
{
    uint64_t config = guest_cid;
    if (guest_cid < VSOCK_CID_FIRST || guest_cid > VSOCK_CID_LAST)
        return error_set(error, -EINVAL, "a guest cannot have the vsock context %u", guest_cid);
    struct virtio_vsock *vsock = calloc(1, sizeof *vsock);
    if (!vsock)
        return error_set(error, -ENOMEM, "no memory for device \"%s\"", place->name);
    struct virtio_parameters parameters = {
        .ops = &vsock_ops,
        .features = F_STREAM | features,
        .queue_count = QUEUES,
        .queue_size = QUEUE_SIZE,
        .config = &config,
        .config_size = sizeof config,
    };
    vsock->guest_cid = guest_cid;
    vsock->next_port = VSOCK_PORT_RESERVED_FIRST;
    int code = virtio_add(&vsock->virtio, place, &parameters, &vsock_type, vsock, error);
    if (code)
        free(vsock);
    else
        *out = vsock;
    return code;
}

int virtio_vsock_new(struct virtio_vsock **out, const struct virtio_place *place,
                     struct vsock_backend *backend, uint32_t guest_cid, struct error *error)
{
    int code = vsock_make(out, place, 0, guest_cid, error);
    if (code)
        return code;
    struct virtio_vsock *vsock = *out;
    vsock->client = (struct vsock_client){client_request, client_ready, vsock};
    vsock->backend = backend;
    backend->client = &vsock->client;
    return 0;
}

int virtio_vsock_new_vhost(struct virtio_vsock **out, const struct virtio_place *place, struct vhost *vhost,
                           struct memory_backing *ram, uint32_t guest_cid, struct error *error)
{
    const struct vhost_queues_options options = {.vhost = vhost, .ram = ram};
    int code = vsock_make(out, place, vhost->features & VIRTIO_VSOCK_VHOST_FEATURES, guest_cid, error);
    return code ? code : vhost_queues_new(&(*out)->virtio, &options, error);
}

void virtio_vsock_free(struct virtio_vsock *vsock)
{
    if (!vsock)
        return;
    vhost_queues_free(vsock->virtio.vhost);
    vsock_forget(&vsock->virtio);
    if (vsock->backend)
        vsock->backend->client = NULL;
    free(vsock);
}
