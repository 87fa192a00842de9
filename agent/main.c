/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * visor-agent: runs in a guest and does there what its host asks for, over vsock. For tests it listens at a
 * Unix socket instead: visor-agent --unix PATH.
 */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define CONNECTIONS_MAX     64
#define RESERVED_PORTS_LAST 1023

static int listen_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 16)))
        return -1;
    return fd;
}

static int listen_vsock(void)
{
    const struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_port = AGENT_PORT, .svm_cid = VMADDR_CID_ANY};
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (bind(fd, (const struct sockaddr *)&address, sizeof address) || listen(fd, 16)))
        return -1;
    return fd;
}

/* Only the host may ask, no program of the guest that has found a way to the loopback; and on a host whose
 * kernel lets all its programs connect, only who may speak from a reserved port. */
static bool is_host(const struct sockaddr_storage *address)
{
    const struct sockaddr_vm *peer = (const struct sockaddr_vm *)address;
    return address->ss_family != AF_VSOCK ||
           (peer->svm_cid == VMADDR_CID_HOST && peer->svm_port <= RESERVED_PORTS_LAST);
}

static int run(int listener, bool is_test)
{
    for (unsigned count = 0;;) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        while (count && waitpid(-1, NULL, count < CONNECTIONS_MAX ? WNOHANG : 0) > 0)
            count--;
        int fd = accept4(listener, (struct sockaddr *)&address, &size, SOCK_CLOEXEC);
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
            return 1;
        if (fd < 0)
            continue;
        pid_t pid = is_host(&address) ? fork() : -1;
        if (!pid) {
            close(listener);
            serve(fd, is_test);
            _exit(0);
        }
        count += pid > 0;
        close(fd);
    }
}

int main(int count, char **words)
{
    const bool test = count == 3 && !strcmp(words[1], "--unix");
    if (count != 1 && !test) {
        fprintf(stderr, "usage: visor-agent [--unix PATH]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int listener = test ? listen_unix(words[2]) : listen_vsock();
    if (listener < 0) {
        fprintf(stderr, "visor-agent: cannot listen: %s\n", strerror(errno));
        return 1;
    }
    return run(listener, test);
}
