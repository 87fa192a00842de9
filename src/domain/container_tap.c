/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/container_tap.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/net/options.h"
#include "network/link.h"
#include "personality/container/channel.h"

/* Whoever is in a user namespace already cannot enter it. */
static bool is_own(int users)
{
    struct stat own, other;
    return !stat("/proc/self/ns/user", &own) && !fstat(users, &other) && own.st_ino == other.st_ino;
}

static int enter(int users, int network, struct error *error)
{
    if ((is_own(users) || !setns(users, CLONE_NEWUSER)) && !setns(network, CLONE_NEWNET))
        return 0;
    return error_set(error, -errno, "cannot enter the container's network: %s", strerror(errno));
}

/* Of IPv6, which not every kernel has: without it the container has the other one. Nobody else has this
 * address. */
static void configure6(struct link *link, const struct container_tap *tap)
{
    struct error ignored = ERROR_INIT;
    struct link_address address = {.family = AF_INET6, .prefix = 64};
    memcpy(address.address, &tap->address6, sizeof tap->address6);
    if (!link_take_address(link, tap->name, &address, &ignored) && tap->first)
        link_add_default_route6(link, tap->name, tap->gateway6, &ignored);
}

static int configure(const struct container_tap *tap, struct error *error)
{
    struct link link;
    int code = link_open(&link, error);
    if (code)
        return code;
    if (tap->mac)
        code = link_set_mac(&link, tap->name, tap->mac, error);
    if (!code)
        code = link_add_address(&link, tap->name, tap->address, tap->prefix, error);
    if (!code)
        code = link_up(&link, tap->name, error);
    if (!code && tap->first)
        code = link_add_default_route(&link, tap->name, tap->gateway, error);
    if (!code)
        configure6(&link, tap);
    link_close(&link);
    return code;
}

static void make_inside(const struct container_tap *tap, int users, int network, int channel)
{
    struct error error = ERROR_INIT;
    int fd = -1, code = enter(users, network, &error);
    if (!code)
        fd = net_tap_make(tap->name, &error);
    if (fd >= 0 && !configure(tap, &error))
        channel_send(channel, CHANNEL_DEVICE, fd);
    else
        channel_send_error(channel, &error);
    _exit(0);
}

int container_tap_make(const struct container_tap *tap, int users, int network, struct error *error)
{
    struct channel_message message;
    int ends[2], code = channel_pair(ends, error);
    if (code)
        return code;
    pid_t child = fork();
    if (child == 0)
        make_inside(tap, users, network, ends[1]);
    if (child < 0)
        code = error_set(error, -errno, "cannot make a process: %s", strerror(errno));
    close(ends[1]);
    if (!code) {
        channel_receive(ends[0], &message);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
        }
        if (message.kind == CHANNEL_DEVICE && message.fd >= 0)
            code = message.fd;
        else if (message.kind == CHANNEL_ERROR)
            *error = message.error, code = message.error.code;
        else
            code = error_set(error, -ECHILD, "the process that makes the container's network has died");
    }
    close(ends[0]);
    return code;
}
