/* SPDX-License-Identifier: GPL-2.0-or-later */
/* server_start: the network's process, as others see it: made, and ended. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "network/server.h"
#include "network/server_private.h"

#define START_TIMEOUT 20000 /* milliseconds, on a host that is very busy */
#define END_TIMEOUT   5000

static void become_server(const char *network, const char *directory, int channel)
{
    char *const arguments[] = {(char *)SERVER_PROGRAM, (char *)network, (char *)directory, NULL};
    char *const environment[] = {NULL};
    sigset_t none;
    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR);
    channel = fcntl(channel, F_DUPFD, SERVER_CHANNEL + 1);
    for (int fd = 0; fd < SERVER_CHANNEL; fd++)
        dup2(null, fd);
    dup2(channel, SERVER_CHANNEL);
    close_range(SERVER_CHANNEL + 1, ~0u, 0);
    execve("/proc/self/exe", arguments, environment);
    _exit(126);
}

static int await(int channel, struct process_id *id, struct error *error)
{
    struct server_report report;
    struct pollfd wait = {.fd = channel, .events = POLLIN};
    int ready;
    do
        ready = poll(&wait, 1, START_TIMEOUT);
    while (ready < 0 && errno == EINTR);
    if (ready <= 0 || recv(channel, &report, sizeof report, MSG_DONTWAIT) != sizeof report)
        return error_set(error, -ECHILD, "the network's process does not start");
    *id = report.id;
    if (report.code)
        *error = report.error;
    return report.code;
}

int server_start(const char *network, const char *directory, struct process_id *id, struct error *error)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set(error, -errno, "cannot start the network's process: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0) { /* its child is nobody's here */
        if (fork() == 0)
            become_server(network, directory, pair[1]);
        _exit(0);
    }
    int code = child < 0 ? error_set(error, -errno, "cannot make a process: %s", strerror(errno)) : 0;
    close(pair[1]);
    if (!code) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
        }
        code = await(pair[0], id, error);
    }
    if (!code)
        return pair[0];
    close(pair[0]);
    return code;
}

void server_go(int channel)
{
    send(channel, "", 1, MSG_NOSIGNAL); /* if it has died, the next operation starts another */
    close(channel);
}

void server_stop(const struct process_id *id)
{
    int fd = process_id_open(id);
    if (fd < 0)
        return;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    pidfd_send_signal(fd, SIGKILL, NULL, 0);
    while (poll(&wait, 1, END_TIMEOUT) < 0 && errno == EINTR) {
    }
    close(fd);
}
