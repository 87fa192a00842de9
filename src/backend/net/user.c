/* SPDX-License-Identifier: GPL-2.0-or-later */
/* user: visor's side of the user network: starts the process of user/main.c, and passes frames. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/net/options.h"
#include "backend/net/user/channel.h"
#include "backend/net/user/image.h"
#include "base/embedded.h"
#include "base/macros.h"

#define START_TIMEOUT 20000 /* milliseconds, on a host that is very busy */
#define END_TIMEOUT   1000

struct user {
    struct net_backend net;
    struct loop *loop;
    pid_t pid;
    int process_fd; /* its pidfd */
    int control_fd, memory_fd, wake_fd, wake_visor_fd;
    struct loop_watch *control_watch, *wake_watch;
    struct channel_shared *shared;
    struct channel_end to_user, from_user;
    struct loop_call receive_call;
    bool send_refused, receive_refused;
};

static void user_wake(struct user *user)
{
    uint64_t one = 1;
    if (write(user->wake_fd, &one, sizeof one) < 0)
        return; /* it has been written so often that it is surely awake */
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* It ends when nobody has the other end of its control socket any more, and has nothing to put in order. By
 * descriptors: who is in a cage has no other way to it. */
static void end_process(struct user *user)
{
    struct pollfd ended = {.fd = user->process_fd, .events = POLLIN};
    close_fd(&user->control_fd);
    if (poll(&ended, 1, END_TIMEOUT) == 0)
        pidfd_send_signal(user->process_fd, SIGKILL, NULL, 0);
    waitpid(user->pid, NULL, ended.revents ? 0 : WNOHANG);
    close_fd(&user->process_fd);
    user->pid = 0;
}

/* The process has ended, or writes nonsense. The guest sees an unplugged cable. */
static void user_broken(struct user *user)
{
    if (!user->net.link_up)
        return;
    user->net.link_up = false;
    loop_watch_change(user->control_watch, 0);
    loop_watch_change(user->wake_watch, 0);
    shutdown(user->control_fd, SHUT_RDWR);
    fprintf(stderr, "visor: the user network has failed; the machine goes on without it\n");
    if (user->net.client && user->net.client->link_changed)
        user->net.client->link_changed(user->net.client->opaque);
}

/* Frames. */

static bool user_send(struct net_backend *backend, const struct iovec *iov, unsigned count, size_t size)
{
    struct user *user = (struct user *)backend;
    if (!backend->link_up || size < NET_HEADER_SIZE || size > NET_FRAME_MAX)
        return true; /* lost */
    if (!channel_usable(&user->to_user)) {
        user_broken(user);
        return true;
    }
    uint8_t *record = channel_reserve(&user->to_user, (uint32_t)size);
    if (!record && channel_wait_room(&user->to_user, (uint32_t)size))
        record = channel_reserve(&user->to_user, (uint32_t)size);
    if (!record) {
        user->send_refused = true;
        user_wake(user);
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        memcpy(record, iov[i].iov_base, iov[i].iov_len);
        record += iov[i].iov_len;
    }
    channel_commit(&user->to_user, (uint32_t)size);
    return true;
}

static void user_flush(struct net_backend *backend)
{
    struct user *user = (struct user *)backend;
    if (channel_must_wake(&user->to_user))
        user_wake(user);
}

static void user_receive(void *opaque)
{
    struct user *user = opaque;
    const struct net_client *client = user->net.client;
    enum channel_take take = CHANNEL_FRAME;
    uint8_t *record;
    uint32_t size;

    user->receive_refused = !client;
    /* What comes meanwhile has its turn too, but not for ever. */
    for (unsigned left = 256; client && left && user->net.link_up; left--) {
        take = channel_peek(&user->from_user, &record, &size);
        if (take == CHANNEL_EMPTY && channel_wait(&user->from_user))
            continue;
        if (take != CHANNEL_FRAME)
            break;
        struct iovec iov = {record, size};
        if (!client->receive(client->opaque, &iov, 1, size)) {
            user->receive_refused = true;
            break;
        }
        channel_release(&user->from_user, size);
    }
    if (take == CHANNEL_BROKEN)
        user_broken(user);
    else if (take == CHANNEL_FRAME && !user->receive_refused)
        loop_post(user->loop, &user->receive_call);
    if (channel_must_wake_producer(&user->from_user))
        user_wake(user);
}

static void user_receive_ready(struct net_backend *backend)
{
    struct user *user = (struct user *)backend;
    if (user->receive_refused)
        loop_post(user->loop, &user->receive_call);
}

static void user_woken(void *opaque, unsigned events)
{
    struct user *user = opaque;
    uint64_t count;
    (void)events;
    if (read(user->wake_visor_fd, &count, sizeof count) < 0)
        return;
    if (user->send_refused) {
        user->send_refused = false;
        if (user->net.client)
            user->net.client->send_ready(user->net.client->opaque);
    }
    if (!user->receive_refused)
        user_receive(user);
}

static void user_ended(void *opaque, unsigned events)
{
    (void)events;
    user_broken(opaque);
}

static void user_set_offloads(struct net_backend *backend, unsigned offloads)
{
    struct user *user = (struct user *)backend;
    atomic_store(&user->shared->guest_offloads, offloads & backend->offloads);
}

/* The process. */

static void user_close(struct net_backend *backend)
{
    struct user *user = (struct user *)backend;
    loop_cancel(user->loop, &user->receive_call);
    if (user->control_watch)
        loop_watch_remove(user->control_watch);
    if (user->wake_watch)
        loop_watch_remove(user->wake_watch);
    if (user->pid > 0)
        end_process(user);
    close_fd(&user->process_fd);
    close_fd(&user->control_fd);
    close_fd(&user->memory_fd);
    close_fd(&user->wake_fd);
    close_fd(&user->wake_visor_fd);
    if (user->shared)
        munmap(user->shared, CHANNEL_TO_USER);
    if (user->to_user.data)
        munmap(user->to_user.data, 2 * CHANNEL_RING);
    if (user->from_user.data)
        munmap(user->from_user.data, 2 * CHANNEL_RING);
    free(user);
}

static const struct net_ops user_ops = {
    .send = user_send,
    .flush = user_flush,
    .receive_ready = user_receive_ready,
    .set_offloads = user_set_offloads,
    .close = user_close,
};

/* In the child. Each descriptor gets its place by way of one that is nobody's. */
static void child_exec(int image, const int *fds, unsigned count)
{
    static char name[] = "visor-net-user";
    char *const arguments[] = {name, NULL};
    int high[CHANNEL_FD_END];
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    image = fcntl(image, F_DUPFD_CLOEXEC, CHANNEL_FD_END);
    for (unsigned i = 0; i < count; i++)
        high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, CHANNEL_FD_END);
    for (unsigned i = 0; i < count; i++)
        if (dup2(high[i], CHANNEL_CONTROL_FD + (int)i) < 0)
            _exit(126);
    if (image > CHANNEL_FD_END)
        close_range(CHANNEL_FD_END, (unsigned)image - 1, 0);
    close_range((unsigned)image + 1, ~0u, 0);
    fexecve(image, arguments, environ);
    _exit(errno == ENOENT ? 127 : 126);
}

static int start_process(struct user *user, int child_control, struct error *error)
{
    int image = embedded_open("visor-net-user", net_user_image, net_user_image_size);
    if (image < 0)
        return error_set(error, image, "cannot start the user network: no memory file: %s", strerror(-image));
    const int fds[] = {child_control, user->memory_fd, user->wake_fd, user->wake_visor_fd};
    user->pid = fork();
    if (!user->pid)
        child_exec(image, fds, ARRAY_SIZE(fds));
    if (user->pid > 0)
        user->process_fd = pidfd_open(user->pid, 0);
    int number = errno;
    close(image);
    return user->pid < 0 || user->process_fd < 0
               ? error_set(error, -number, "cannot start the user network: %s", strerror(number))
               : 0;
}

/* It could not even say why. */
static int start_failed(struct user *user, struct error *error)
{
    int status = 0;
    waitpid(user->pid, &status, 0);
    user->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        error_set(error, -ENOENT,
                  "the user network cannot be started: this system lacks the C library it needs");
    else if (WIFEXITED(status) && WEXITSTATUS(status) == 126)
        error_set(error, -EACCES,
                  "the user network cannot be started: this system does not let visor execute it");
    else
        error_set(error, -ECHILD, "the user network ended at its start (status %#x)", (unsigned)status);
    error_hint(error, "use --net tap or --net none");
    return error ? error->code : -ECHILD;
}

static int await_start(struct user *user, struct error *error)
{
    struct channel_started started;
    struct pollfd poll_fd = {.fd = user->control_fd, .events = POLLIN};
    int ready;
    do
        ready = poll(&poll_fd, 1, START_TIMEOUT);
    while (ready < 0 && errno == EINTR);
    if (!ready)
        return error_set(error, -ETIMEDOUT, "the user network does not start");
    if (recv(user->control_fd, &started, sizeof started, 0) != sizeof started)
        return start_failed(user, error);
    started.message[sizeof started.message - 1] = started.hint[sizeof started.hint - 1] = '\0';
    if (!started.code) { /* a message then says what is less than it should be */
        if (started.message[0])
            fprintf(stderr, "visor: %s\n", started.message);
        return 0;
    }
    error_set(error, started.code, "%s", started.message);
    if (started.hint[0])
        error_hint(error, "%s", started.hint);
    return started.code;
}

static int make_channel(struct user *user, const struct net_options *options)
{
    user->memory_fd = memfd_create("visor-net", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    user->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    user->wake_visor_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    /* Its size is fixed, so that the process cannot make visor's accesses fail. */
    if (user->memory_fd < 0 || user->wake_fd < 0 || user->wake_visor_fd < 0 ||
        ftruncate(user->memory_fd, CHANNEL_SIZE) < 0 ||
        fcntl(user->memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return -errno;
    user->shared = mmap(NULL, CHANNEL_TO_USER, PROT_READ | PROT_WRITE, MAP_SHARED, user->memory_fd, 0);
    if (user->shared == MAP_FAILED) {
        user->shared = NULL;
        return -errno;
    }
    user->to_user =
        (struct channel_end){&user->shared->to_user, channel_map(user->memory_fd, CHANNEL_TO_USER), 0, 0};
    user->from_user =
        (struct channel_end){&user->shared->to_visor, channel_map(user->memory_fd, CHANNEL_TO_VISOR), 0, 0};
    user->shared->options = *options;
    atomic_store(&user->shared->to_visor.consumer_waits, 1);
    return user->to_user.data && user->from_user.data ? 0 : -ENOMEM;
}

static int user_start(struct user *user, const struct net_options *options, struct error *error)
{
    int pair[2], code = make_channel(user, options);
    if (!code && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        code = -errno;
    if (code)
        return error_set(error, code, "cannot start the user network: %s", strerror(-code));
    user->control_fd = pair[0];
    code = start_process(user, pair[1], error);
    close(pair[1]);
    if (!code)
        code = await_start(user, error);
    if (code)
        return code;
    user->control_watch =
        loop_watch_add(user->loop, user->control_fd, LOOP_READ | LOOP_HANGUP, user_ended, user, error);
    user->wake_watch = loop_watch_add(user->loop, user->wake_visor_fd, LOOP_READ, user_woken, user, error);
    return user->control_watch && user->wake_watch ? 0 : -ENOMEM;
}

int net_user_open(struct net_backend **out, const struct net_options *options, struct loop *loop,
                  struct error *error)
{
    if (!net_user_image_size) {
        error_set(error, -ENOSYS, "this visor was built without the user network");
        error_hint(error, "build it where libslirp-dev is installed, or use --net tap or --net none");
        return -ENOSYS;
    }
    struct user *user = calloc(1, sizeof *user);
    if (!user)
        return error_set(error, -ENOMEM, "out of memory");
    user->net.ops = &user_ops;
    user->net.offloads = NET_OFFLOAD_CHECKSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6;
    user->net.link_up = true;
    user->loop = loop;
    user->process_fd = user->control_fd = user->memory_fd = user->wake_fd = user->wake_visor_fd = -1;
    user->receive_call = (struct loop_call){.function = user_receive, .opaque = user};
    int code = user_start(user, options, error);
    if (code) {
        user_close(&user->net);
        return code;
    }
    *out = &user->net;
    return 0;
}
