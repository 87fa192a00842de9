/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process of the user network: libslirp between a channel to visor and the host's sockets.
 *
 * A program of its own because visor is linked statically and Debian has no static libslirp; it is contained
 * in visor's own file, and loads the library by hand so that visor can say what is missing. It has no rights
 * that visor's user has not, gives up those of root and most system calls after it listens at its ports, and
 * ends when visor does, which it sees at its control socket.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <slirp/libslirp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "backend/net/user/channel.h"
#include "backend/net/user/frames.h"
#include "backend/net/user/sandbox.h"
#include "base/idle_pages.h"
#include "base/macros.h"

#define LIBRARY "libslirp.so.0"
/* libslirp opens its window again when two segments fit, which must be well within the 64 KiB that it ever
 * has. */
#define LARGE_MSS 16384
/* While the guest does not take its frames, so much waits here, and the host's sockets are left alone. */
#define WAITING_MAX (4u << 20)
#define TURN_MAX    (128u << 10) /* of the guest's frames, in bytes */
/* libslirp wants a turn each second. Without a socket for so many of them there is nothing that it would do
 * in one: it has forgotten all connections by then. */
#define QUIET_TURN  1000u /* milliseconds */
#define QUIET_TURNS 120u
#define OWN_POLLS   2u

/* Of the library, by name. */
#define FUNCTIONS(X)                                                                                         \
    X(slirp_new) X(slirp_pollfds_fill) X(slirp_pollfds_poll) X(slirp_input) X(slirp_add_hostfwd)

#define DECLARE(name) __typeof__(name) *name;
static struct {
    FUNCTIONS(DECLARE)
} library;

struct timer_entry {
    SlirpTimerCb callback;
    void *opaque;
    int64_t expires; /* milliseconds; -1: not armed */
    struct timer_entry *next;
};

struct waiting {
    struct waiting *next;
    uint32_t size;
    uint8_t record[];
};

static struct {
    struct channel_shared *shared;
    struct channel_end from_guest, to_guest;
    Slirp *slirp;
    struct frames frames;
    struct timer_entry *timers;
    struct pollfd *polls;
    unsigned poll_count, poll_room;
    struct waiting *waiting, **waiting_end;
    size_t waiting_size;
    unsigned quiet_turns;     /* in which nothing has happened */
    struct waiting *reserved; /* the one that is being made */
} user;

/* The start, and how it went. */

static void report(int code, const char *hint, const char *format, ...)
{
    struct channel_started started = {.code = code};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(started.message, sizeof started.message, format, arguments);
    va_end(arguments);
    snprintf(started.hint, sizeof started.hint, "%s", hint);
    if (send(CHANNEL_CONTROL_FD, &started, sizeof started, MSG_NOSIGNAL) < 0)
        _exit(1);
}

static bool library_load(void)
{
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        report(-ENOENT, "install it (Debian: libslirp0), or use --net tap or --net none",
               "the user network needs the library " LIBRARY ": %s", dlerror());
        return false;
    }
#define LOAD(name)                                                                                           \
    library.name = (__typeof__(name) *)dlsym(handle, #name);                                                 \
    if (!library.name) {                                                                                     \
        report(-ENOENT, "install a newer one", "the library " LIBRARY " has no function " #name);            \
        return false;                                                                                        \
    }
    FUNCTIONS(LOAD)
    return true;
}

/* Frames to the guest: into the ring, or behind those that wait for room in it. */

static uint8_t *output_reserve(void *opaque, uint32_t size)
{
    (void)opaque;
    uint8_t *record = user.waiting ? NULL : channel_reserve(&user.to_guest, size);
    if (record || user.waiting_size + size > WAITING_MAX)
        return record;
    user.reserved = malloc(sizeof *user.reserved + size);
    return user.reserved ? user.reserved->record : NULL;
}

static void output_commit(void *opaque, uint32_t size)
{
    (void)opaque;
    if (!user.reserved) {
        channel_commit(&user.to_guest, size);
        return;
    }
    user.reserved->size = size;
    user.reserved->next = NULL;
    *user.waiting_end = user.reserved;
    user.waiting_end = &user.reserved->next;
    user.waiting_size += size;
    user.reserved = NULL;
}

static void waiting_send(void)
{
    while (user.waiting) {
        struct waiting *first = user.waiting;
        uint8_t *record = channel_reserve(&user.to_guest, first->size);
        if (!record) {
            if (channel_wait_room(&user.to_guest, first->size))
                continue;
            return;
        }
        memcpy(record, first->record, first->size);
        channel_commit(&user.to_guest, first->size);
        user.waiting = first->next;
        if (!user.waiting)
            user.waiting_end = &user.waiting;
        user.waiting_size -= first->size;
        free(first);
    }
}

/* What libslirp calls. */

static ssize_t slirp_send(const void *data, size_t size, void *opaque)
{
    (void)opaque;
    frames_to_guest(&user.frames, data, size);
    return (ssize_t)size;
}

static void slirp_guest_error(const char *message, void *opaque)
{
    (void)message, (void)opaque; /* the guest's own affair */
}

static int64_t slirp_clock(void *opaque)
{
    struct timespec now;
    (void)opaque;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

static void *slirp_timer_new(SlirpTimerCb callback, void *callback_opaque, void *opaque)
{
    (void)opaque;
    struct timer_entry *timer = calloc(1, sizeof *timer);
    if (!timer)
        abort(); /* as libslirp itself does without memory */
    *timer = (struct timer_entry){callback, callback_opaque, -1, user.timers};
    user.timers = timer;
    return timer;
}

static void slirp_timer_free(void *timer, void *opaque)
{
    (void)opaque;
    for (struct timer_entry **link = &user.timers; *link; link = &(*link)->next)
        if (*link == timer) {
            *link = (*link)->next;
            break;
        }
    free(timer);
}

static void slirp_timer_set(void *timer, int64_t expires, void *opaque)
{
    (void)opaque;
    ((struct timer_entry *)timer)->expires = expires;
}

static void slirp_nothing_fd(int fd, void *opaque)
{
    (void)fd, (void)opaque;
}

static void slirp_notify(void *opaque)
{
    (void)opaque;
}

static const SlirpCb callbacks = {
    .send_packet = slirp_send,
    .guest_error = slirp_guest_error,
    .clock_get_ns = slirp_clock,
    .timer_new = slirp_timer_new,
    .timer_free = slirp_timer_free,
    .timer_mod = slirp_timer_set,
    .register_poll_fd = slirp_nothing_fd,
    .unregister_poll_fd = slirp_nothing_fd,
    .notify = slirp_notify,
};

static bool slirp_forward(const struct net_forward *forward)
{
    char address[INET_ADDRSTRLEN], hint[128] = "";
    if (!library.slirp_add_hostfwd(user.slirp, forward->udp, forward->host, forward->host_port,
                                   forward->guest, forward->guest_port))
        return true;
    int number = errno;
    inet_ntop(AF_INET, &forward->host, address, sizeof address);
    if (number == EADDRINUSE)
        snprintf(hint, sizeof hint, "another program has it (see: ss -l%snp), choose another port",
                 forward->udp ? "u" : "t");
    else if (number == EACCES)
        snprintf(hint, sizeof hint, "ports below 1024 need rights of root, choose another port");
    report(-number, hint, "cannot forward %s port %u of %s: %s", forward->udp ? "UDP" : "TCP",
           forward->host_port, address, strerror(number));
    return false;
}

static bool slirp_start(const struct net_options *options)
{
    const uint32_t network = options->network.s_addr;
    SlirpConfig config = {
        .version = 1, /* the oldest there is has all that is used */
        .restricted = options->restricted,
        .in_enabled = true,
        .vnetwork = options->network,
        .vnetmask = options->mask,
        .vhost.s_addr = network | htonl(2),
        .vdhcp_start.s_addr = network | htonl(15),
        .vnameserver = options->dns,
        .in6_enabled = true,
        .vprefix_len = 64,
        .vhostname = options->hostname[0] ? options->hostname : NULL,
        .if_mtu = LARGE_MSS + 40,
        .if_mru = LARGE_MSS + 40,
    };
    inet_pton(AF_INET6, NET_USER_PREFIX6, &config.vprefix_addr6);
    inet_pton(AF_INET6, NET_USER_HOST6, &config.vhost6);
    inet_pton(AF_INET6, NET_USER_DNS6, &config.vnameserver6);
    user.slirp = library.slirp_new(&config, &callbacks, NULL);
    if (!user.slirp) {
        report(-EINVAL, "", "the library " LIBRARY " refuses the network's settings");
        return false;
    }
    for (unsigned i = 0; i < options->forward_count; i++)
        if (!slirp_forward(&options->forwards[i]))
            return false;
    return true;
}

static bool channel_start(void)
{
    user.shared = mmap(NULL, CHANNEL_TO_USER, PROT_READ | PROT_WRITE, MAP_SHARED, CHANNEL_MEMORY_FD, 0);
    if (user.shared == MAP_FAILED)
        return false;
    user.from_guest =
        (struct channel_end){&user.shared->to_user, channel_map(CHANNEL_MEMORY_FD, CHANNEL_TO_USER), 0, 0};
    user.to_guest =
        (struct channel_end){&user.shared->to_visor, channel_map(CHANNEL_MEMORY_FD, CHANNEL_TO_VISOR), 0, 0};
    user.waiting_end = &user.waiting;
    user.frames.output = (struct frames_output){output_reserve, output_commit, NULL};
    user.frames.large_mss = LARGE_MSS;
    return user.from_guest.data && user.to_guest.data;
}

static void give_up_rights(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    syscall(SYS_capset, &header, none);
}

/* The loop. */

static int poll_add(int fd, int events, void *opaque)
{
    (void)opaque;
    if (user.poll_count == user.poll_room) {
        unsigned more = user.poll_room ? user.poll_room * 2 : 64;
        struct pollfd *polls = realloc(user.polls, more * sizeof *polls);
        if (!polls)
            return -1; /* and is not asked about */
        user.polls = polls;
        user.poll_room = more;
    }
    short wanted = 0;
    wanted |= events & SLIRP_POLL_IN ? POLLIN : 0;
    wanted |= events & SLIRP_POLL_OUT ? POLLOUT : 0;
    wanted |= events & SLIRP_POLL_PRI ? POLLPRI : 0;
    user.polls[user.poll_count] = (struct pollfd){.fd = fd, .events = wanted};
    return (int)user.poll_count++;
}

static int poll_get(int index, void *opaque)
{
    (void)opaque;
    if (index < 0)
        return 0;
    short got = user.polls[index].revents;
    return (got & POLLIN ? SLIRP_POLL_IN : 0) | (got & POLLOUT ? SLIRP_POLL_OUT : 0) |
           (got & POLLPRI ? SLIRP_POLL_PRI : 0) | (got & POLLERR ? SLIRP_POLL_ERR : 0) |
           (got & POLLHUP ? SLIRP_POLL_HUP : 0);
}

/* Milliseconds until the first of them; due ones run. */
static uint32_t timers_check(uint32_t most)
{
    int64_t now = slirp_clock(NULL) / 1000000;
    for (struct timer_entry *timer = user.timers, *next; timer; timer = next) {
        next = timer->next;
        if (timer->expires >= 0 && timer->expires <= now) {
            timer->expires = -1;
            timer->callback(timer->opaque);
        }
    }
    for (struct timer_entry *timer = user.timers; timer; timer = timer->next)
        if (timer->expires >= 0)
            most = MIN(most, (uint32_t)MIN(MAX(timer->expires - now, 0), INT32_MAX));
    return most;
}

static void wake(int fd)
{
    uint64_t one = 1;
    if (write(fd, &one, sizeof one) < 0)
        return; /* only if it has been written very often */
}

/* What the guest has sent, but not so much that the host's sockets wait for long. False: visor has written
 * nonsense. */
static bool take_frames(void)
{
    const uint32_t begin = user.from_guest.position;
    uint8_t *record;
    uint32_t size;
    enum channel_take take = CHANNEL_EMPTY;
    while (user.from_guest.position - begin < TURN_MAX &&
           (take = channel_peek(&user.from_guest, &record, &size)) == CHANNEL_FRAME) {
        if (frames_from_guest(&user.frames, record, size))
            library.slirp_input(user.slirp, record + NET_HEADER_SIZE, (int)(size - NET_HEADER_SIZE));
        channel_release(&user.from_guest, size);
    }
    return take != CHANNEL_BROKEN;
}

/* After the first second in which nothing has happened the pages of the start and of work are returned; only
 * those of the turns that libslirp wants come back. */
static void quiet_count(bool quiet, uint32_t timeout)
{
    if (!quiet)
        user.quiet_turns = 0;
    else if (timeout >= QUIET_TURN && !user.quiet_turns++)
        idle_pages_return();
}

/* One turn. False at the end. */
static bool turn(void)
{
    uint64_t count;
    uint32_t timeout = INT32_MAX;

    user.frames.offloads = atomic_load(&user.shared->guest_offloads);
    if (!take_frames())
        return false;
    waiting_send();
    bool visor = channel_must_wake(&user.to_guest);
    visor |= channel_must_wake_producer(&user.from_guest);
    if (visor)
        wake(CHANNEL_WAKE_VISOR_FD);

    user.poll_count = 0; /* OWN_POLLS of them are not libslirp's */
    poll_add(CHANNEL_CONTROL_FD, SLIRP_POLL_IN, NULL);
    poll_add(CHANNEL_WAKE_FD, SLIRP_POLL_IN, NULL);
    library.slirp_pollfds_fill(user.slirp, &timeout, poll_add, NULL);
    const unsigned all = user.poll_count;
    if (all == OWN_POLLS && user.quiet_turns >= QUIET_TURNS)
        timeout = INT32_MAX;
    timeout = timers_check(MIN(timeout, (uint32_t)INT32_MAX));
    if (user.waiting) /* the sockets come later */
        user.poll_count = OWN_POLLS;
    if (channel_wait(&user.from_guest))
        timeout = 0;
    int ready = poll(user.polls, user.poll_count, timeout == INT32_MAX ? -1 : (int)timeout);
    quiet_count(!ready && timeout, timeout);
    for (unsigned i = user.poll_count; i < all; i++)
        user.polls[i].revents = 0;
    if (user.polls[0].revents)
        return false; /* visor never sends anything there */
    if (user.polls[1].revents && read(CHANNEL_WAKE_FD, &count, sizeof count) < 0)
        count = 0;
    library.slirp_pollfds_poll(user.slirp, ready < 0, poll_get, NULL);
    return true;
}

int main(void)
{
    /* Nothing of it may come to be visor's end, or to be kept by the terminal. */
    prctl(PR_SET_NAME, "visor-net-user"); /* executed by a descriptor, it has that for a name */
    setsid();
    signal(SIGPIPE, SIG_IGN);
    if (!channel_start()) {
        report(-ENOMEM, "", "the user network has no memory");
        return 1;
    }
    const struct net_options options = user.shared->options;
    if (!library_load() || !slirp_start(&options))
        return 1;
    give_up_rights();
    if (sandbox_enter())
        report(0, "", "%s", "");
    else
        report(0, "", "the user network's process has no filter of system calls: %s", strerror(errno));
    while (turn()) {
    }
    return 0;
}
