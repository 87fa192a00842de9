/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock_talk: bytes by AF_VSOCK, for tests. "send CID PORT" tries until somebody listens there, "take PORT"
 * waits for one connection; both carry standard input to the other, end their sending, and write what comes
 * to standard output. "hold CID PORT" sends a line at a time from standard input, and says of each whether it
 * came back.
 */
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int carry(int fd)
{
    char bytes[65536];
    struct pollfd looks[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    while (looks[0].fd >= 0 || looks[1].fd >= 0) {
        if (poll(looks, 2, -1) < 0)
            return fail("poll");
        if (looks[0].revents) {
            const ssize_t size = read(STDIN_FILENO, bytes, sizeof bytes);
            if (size > 0 && send(fd, bytes, (size_t)size, MSG_NOSIGNAL) != size)
                return fail("send");
            if (size <= 0) {
                shutdown(fd, SHUT_WR);
                looks[0].fd = -1;
            }
        }
        if (looks[1].revents) {
            const ssize_t size = recv(fd, bytes, sizeof bytes, 0);
            if (size < 0)
                return fail("recv");
            if (size && write(STDOUT_FILENO, bytes, (size_t)size) != size)
                return fail("write");
            if (!size)
                looks[1].fd = -1;
        }
    }
    return 0;
}

static int hold(int fd)
{
    char line[64], back[64];
    while (fgets(line, sizeof line, stdin)) {
        const size_t size = strlen(line);
        if (send(fd, line, size, MSG_NOSIGNAL) != (ssize_t)size ||
            recv(fd, back, size, MSG_WAITALL) != (ssize_t)size)
            return fail("HOLD-LOST");
        printf("HOLD-HAS %s", line);
        fflush(stdout);
    }
    return 0;
}

int main(int count, char **words)
{
    const bool takes = count == 3 && !strcmp(words[1], "take");
    if (!takes && count != 4)
        return 2;
    const struct sockaddr_vm address = {.svm_family = AF_VSOCK,
                                        .svm_cid = takes ? VMADDR_CID_ANY : (unsigned)atol(words[2]),
                                        .svm_port = (unsigned)atol(words[count - 1])};
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (takes) {
        if (bind(fd, (const struct sockaddr *)&address, sizeof address) || listen(fd, 1))
            return fail("listen");
        fd = accept(fd, NULL, NULL);
        return carry(fd);
    }
    for (unsigned i = 0; connect(fd, (const struct sockaddr *)&address, sizeof address); i++) {
        if (i == 600)
            return fail("connect");
        usleep(100000);
        close(fd);
        fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    }
    return strcmp(words[1], "hold") ? carry(fd) : hold(fd);
}
