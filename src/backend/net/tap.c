/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tap: a network interface of the host, whose other end is the guest's. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/net/options.h"
#include "base/macros.h"

#define BATCH 64 /* frames that are received in a row */

/* The interface's own counts, as the host sees it: what it has received is the guest's. */
enum { SENT_FRAMES, SENT_BYTES, RECEIVED_FRAMES, RECEIVED_BYTES, COUNTS };
static const char *const count_names[COUNTS] = {
    [SENT_FRAMES] = "rx_packets",
    [SENT_BYTES] = "rx_bytes",
    [RECEIVED_FRAMES] = "tx_packets",
    [RECEIVED_BYTES] = "tx_bytes",
};

struct tap {
    struct net_backend net;
    bool lent;
    int count_fds[COUNTS];    /* -1: it is not known */
    uint64_t counted[COUNTS]; /* when it was lent */
    struct loop *loop;
    int fd;
    struct loop_watch *watch;
    struct loop_call receive_call;
    bool send_refused, receive_refused;
    size_t held; /* a frame in `frame` that the guest had no room for */
    uint8_t frame[NET_FRAME_MAX];
};

static void tap_watch(struct tap *tap)
{
    loop_watch_change(tap->watch, tap->lent ? 0
                                            : (tap->receive_refused ? 0 : LOOP_READ) |
                                                  (tap->send_refused ? LOOP_WRITE : 0));
}

static bool tap_send(struct net_backend *backend, const struct iovec *iov, unsigned count, size_t size)
{
    struct tap *tap = (struct tap *)backend;
    (void)size;
    ssize_t done;
    do
        done = writev(tap->fd, iov, (int)count);
    while (done < 0 && errno == EINTR);
    if (done < 0 && errno == EAGAIN) {
        tap->send_refused = true;
        tap_watch(tap);
        return false;
    }
    return true; /* an interface that is down, or a frame that the host refuses: lost, as on a wire */
}

static void tap_receive(void *opaque)
{
    struct tap *tap = opaque;
    const struct net_client *client = tap->net.client;

    tap->receive_refused = !client;
    for (unsigned i = 0; client && i < BATCH; i++) {
        if (!tap->held) {
            ssize_t size = read(tap->fd, tap->frame, sizeof tap->frame);
            if (size < NET_HEADER_SIZE)
                break;
            tap->held = (size_t)size;
        }
        struct iovec iov = {tap->frame, tap->held};
        if (!client->receive(client->opaque, &iov, 1, tap->held)) {
            tap->receive_refused = true;
            break;
        }
        tap->held = 0;
    }
    tap_watch(tap);
}

static void tap_receive_ready(struct net_backend *backend)
{
    struct tap *tap = (struct tap *)backend;
    if (tap->receive_refused && !tap->lent)
        loop_post(tap->loop, &tap->receive_call);
}

static void tap_ready(void *opaque, unsigned events)
{
    struct tap *tap = opaque;
    if (events & LOOP_WRITE) {
        tap->send_refused = false;
        tap_watch(tap);
        if (tap->net.client)
            tap->net.client->send_ready(tap->net.client->opaque);
    }
    if (events & LOOP_READ)
        tap_receive(tap);
}

static void tap_set_offloads(struct net_backend *backend, unsigned offloads)
{
    struct tap *tap = (struct tap *)backend;
    unsigned flags = 0;
    offloads &= backend->offloads;
    if (offloads & NET_OFFLOAD_CHECKSUM) {
        flags = TUN_F_CSUM;
        flags |= offloads & NET_OFFLOAD_TSO4 ? TUN_F_TSO4 : 0;
        flags |= offloads & NET_OFFLOAD_TSO6 ? TUN_F_TSO6 : 0;
        flags |= offloads & NET_OFFLOAD_UFO ? TUN_F_UFO : 0;
    }
    ioctl(tap->fd, TUNSETOFFLOAD, flags); /* fails only for what tap_open() has found missing */
}

/* -- while the kernel sends and receives ----------------------------------------------------------------- */

static void tap_prepare_lend(struct net_backend *backend)
{
    struct tap *tap = (struct tap *)backend;
    struct ifreq request = {0};
    char path[128];
    if (ioctl(tap->fd, TUNGETIFF, &request) < 0)
        return;
    for (unsigned i = 0; i < COUNTS; i++) {
        if (tap->count_fds[i] >= 0)
            continue;
        snprintf(path, sizeof path, "/sys/class/net/%.*s/statistics/%s", IFNAMSIZ, request.ifr_name,
                 count_names[i]);
        tap->count_fds[i] = open(path, O_RDONLY | O_CLOEXEC);
    }
}

static bool read_counts(const struct tap *tap, uint64_t counts[COUNTS])
{
    for (unsigned i = 0; i < COUNTS; i++) {
        char text[32];
        const ssize_t size = tap->count_fds[i] >= 0 ? pread(tap->count_fds[i], text, sizeof text - 1, 0) : -1;
        if (size <= 0)
            return false;
        text[size] = '\0';
        counts[i] = strtoull(text, NULL, 10);
    }
    return true;
}

static bool tap_count(const struct net_backend *backend, struct net_counts *out)
{
    const struct tap *tap = (const struct tap *)backend;
    uint64_t now[COUNTS];
    if (!read_counts(tap, now))
        return false;
    const uint64_t *then = tap->counted;
    *out = (struct net_counts){now[SENT_FRAMES] - then[SENT_FRAMES], now[SENT_BYTES] - then[SENT_BYTES],
                               now[RECEIVED_FRAMES] - then[RECEIVED_FRAMES],
                               now[RECEIVED_BYTES] - then[RECEIVED_BYTES]};
    return true;
}

/* A frame for which the guest has had no room is lost, as on a wire: the kernel does not take it. */
static int tap_lend(struct net_backend *backend, bool lent)
{
    struct tap *tap = (struct tap *)backend;
    tap->lent = lent;
    tap->held = 0;
    tap->send_refused = tap->receive_refused = false;
    loop_cancel(tap->loop, &tap->receive_call);
    if (lent && !read_counts(tap, tap->counted))
        memset(tap->counted, 0, sizeof tap->counted);
    tap_watch(tap);
    return tap->fd;
}

/* -- making one, and its end ----------------------------------------------------------------------------- */

static void tap_close(struct net_backend *backend)
{
    struct tap *tap = (struct tap *)backend;
    for (unsigned i = 0; i < COUNTS; i++)
        if (tap->count_fds[i] >= 0)
            close(tap->count_fds[i]);
    loop_cancel(tap->loop, &tap->receive_call);
    if (tap->watch)
        loop_watch_remove(tap->watch);
    close(tap->fd);
    free(tap);
}

static const struct net_ops tap_ops = {
    .send = tap_send,
    .receive_ready = tap_receive_ready,
    .set_offloads = tap_set_offloads,
    .close = tap_close,
    .prepare_lend = tap_prepare_lend,
    .lend = tap_lend,
    .count = tap_count,
};

static int tap_error(const char *name, int number, struct error *error)
{
    error_set(error, -number, "cannot use the tap device %s: %s", name, strerror(number));
    if (number == EPERM || number == EACCES)
        error_hint(
            error,
            "as root, once: ip tuntap add dev %s mode tap user $USER && ip link set %s up; or use --net user",
            name, name);
    else if (number == EBUSY)
        error_hint(error, "another machine has it");
    else if (number == EINVAL)
        error_hint(error, "an interface of that name exists and is no tap device, or one with other flags");
    return -number;
}

static int tap_open(struct error *error)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0)
        return fd;
    int number = errno;
    error_set(error, -number, "cannot open /dev/net/tun: %s", strerror(number));
    if (number == ENOENT || number == ENODEV || number == ENXIO)
        error_hint(error, "this host has no tap devices (modprobe tun); use --net user");
    else
        error_hint(error, "visor needs the right to open it; or use --net user");
    return -number;
}

int net_tap_make(const char *name, struct error *error)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int header = NET_HEADER_SIZE;
    int fd = tap_open(error);
    if (fd < 0)
        return fd;
    memcpy(request.ifr_name, name, strlen(name));
    if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0) {
        int code = tap_error(name[0] ? name : "tap0", errno, error);
        close(fd);
        return code;
    }
    return fd;
}

/* What the device's kernel can do for it. */
static void tap_ask(struct tap *tap)
{
    struct ifreq request = {0};
    const unsigned tcp = NET_OFFLOAD_CHECKSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6;
    tap->net.offloads = NET_OFFLOAD_CHECKSUM;
    if (!ioctl(tap->fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6))
        tap->net.offloads = tcp;
    if (!ioctl(tap->fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_UFO))
        tap->net.offloads = tcp | NET_OFFLOAD_UFO;
    ioctl(tap->fd, TUNSETOFFLOAD, 0); /* until the guest says more */

    int query = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (query >= 0 && !ioctl(tap->fd, TUNGETIFF, &request) && !ioctl(query, SIOCGIFMTU, &request) &&
        request.ifr_mtu != 1500 && request.ifr_mtu >= 68 && request.ifr_mtu <= 65535)
        tap->net.mtu = (uint16_t)request.ifr_mtu;
    if (query >= 0)
        close(query);
}

int net_tap_adopt(struct net_backend **out, int fd, struct loop *loop, struct error *error)
{
    struct tap *tap = calloc(1, sizeof *tap);
    if (!tap) {
        close(fd);
        return error_set(error, -ENOMEM, "out of memory");
    }
    tap->net.ops = &tap_ops;
    tap->net.link_up = true;
    tap->loop = loop;
    tap->fd = fd;
    for (unsigned i = 0; i < COUNTS; i++)
        tap->count_fds[i] = -1;
    tap->receive_call = (struct loop_call){.function = tap_receive, .opaque = tap};
    tap_ask(tap);
    tap->watch = loop_watch_add(loop, fd, LOOP_READ, tap_ready, tap, error);
    if (!tap->watch) {
        tap_close(&tap->net);
        return -ENOMEM;
    }
    *out = &tap->net;
    return 0;
}

int net_tap_open(struct net_backend **out, const struct net_options *options, struct loop *loop,
                 struct error *error)
{
    int fd = net_tap_make(options->interface, error);
    return fd < 0 ? fd : net_tap_adopt(out, fd, loop, error);
}
