/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest's process that is somebody else's by now may say to its keeper. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "domain/keeper_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_end(const struct domain_end *end)
{
    if (!memchr(end->reason, '\0', sizeof end->reason) || end->status < 0 || end->status > 255)
        abort();
    for (const char *at = end->reason; *at; at++) {
        if ((unsigned char)*at < ' ')
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct keeper_request request;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
        abort();
    if (send(pair[1], data, size, 0) == (ssize_t)size) {
        const ssize_t got = descriptors_receive(pair[0], &request, sizeof request, NULL, NULL);
        if (got > 0 && keeper_request_check(&request, (size_t)got)) {
            if ((size_t)got != keeper_request_size(request.ask) || request.ask <= KEEPER_CAGED)
                abort();
            if (request.ask == KEEPER_ENDED)
                check_end(&request.end);
            if (request.ask == KEEPER_NEWS && (request.news.paused > 1 || request.news.asked > 1))
                abort();
        }
    }
    close(pair[0]);
    close(pair[1]);
    return 0;
}
