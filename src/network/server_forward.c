/* SPDX-License-Identifier: GPL-2.0-or-later */
/* server_forward: names that are not the network's. Each query has a socket, and so a port, of its own, which
 * somebody who wants to answer in a resolver's place would have to guess as well. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"
#include "network/dns.h"
#include "network/server_private.h"

#define PATIENCE   2000 /* milliseconds, with one resolver */
#define ROUNDS     2    /* with each of them */
#define SHARE      16   /* queries of one client */
#define ANSWER_MAX 4096

struct pending {
    int fd; /* 0: free, since that is /dev/null */
    uint16_t id;
    struct sockaddr_in client;
    unsigned tries;
    int64_t deadline;
    size_t size;
    uint8_t query[DNS_QUERY_MAX];
};

static struct pending all[FORWARD_MOST];

static void forget(struct pending *pending)
{
    if (pending->fd)
        close(pending->fd);
    pending->fd = 0;
}

static void refuse(struct server *server, const struct pending *pending, enum dns_code code)
{
    uint8_t reply[DNS_REPLY_MAX];
    const size_t size = dns_refuse(pending->query, pending->size, code, reply);
    sendto(server->names, reply, size, MSG_DONTWAIT, (const struct sockaddr *)&pending->client,
           sizeof pending->client);
}

/* Asks the next resolver. */
static void ask(struct server *server, struct pending *pending)
{
    const struct lease_list *list = &server->list;
    uint8_t query[DNS_QUERY_MAX];
    while (pending->tries < ROUNDS * list->resolver_count) {
        const struct sockaddr_in to = {
            .sin_family = AF_INET,
            .sin_port = htons(53),
            .sin_addr = list->resolvers[pending->tries++ % list->resolver_count],
        };
        forget(pending);
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd <= 0)
            break;
        pending->fd = fd;
        memcpy(query, pending->query, pending->size);
        if (getrandom(&pending->id, sizeof pending->id, 0) != sizeof pending->id)
            break;
        query[0] = (uint8_t)(pending->id >> 8);
        query[1] = (uint8_t)pending->id;
        pending->deadline = server_now() + PATIENCE;
        if (!connect(fd, (const struct sockaddr *)&to, sizeof to) &&
            send(fd, query, pending->size, 0) == (ssize_t)pending->size)
            return;
    }
    refuse(server, pending, DNS_FAILURE);
    forget(pending);
}

/* Whose query has waited longest: of all; or of the client, if he has his share already. */
static struct pending *find_place(const struct sockaddr_in *client)
{
    struct pending *oldest = &all[0], *own = NULL, *free = NULL;
    unsigned count = 0;
    for (unsigned i = 0; i < FORWARD_MOST; i++) {
        struct pending *pending = &all[i];
        const bool same = pending->fd && pending->client.sin_addr.s_addr == client->sin_addr.s_addr;
        count += same;
        if (same && (!own || pending->deadline < own->deadline))
            own = pending;
        if (!pending->fd)
            free = pending;
        if (pending->deadline < oldest->deadline)
            oldest = pending;
    }
    return count >= SHARE ? own : free ? free : oldest;
}

void forward_query(struct server *server, const uint8_t *query, size_t size, const struct sockaddr_in *client)
{
    struct pending *place = find_place(client);
    forget(place);
    *place = (struct pending){.client = *client, .size = size};
    memcpy(place->query, query, size);
    if (server->list.internal)
        refuse(server, place, DNS_NO_NAME);
    else
        ask(server, place);
}

unsigned forward_poll(struct pollfd polls[FORWARD_MOST])
{
    unsigned count = 0;
    for (unsigned i = 0; i < FORWARD_MOST; i++) {
        if (all[i].fd)
            polls[count++] = (struct pollfd){.fd = all[i].fd, .events = POLLIN};
    }
    return count;
}

/* What has come from a resolver goes to the client, under the number that he knows. */
static void take(struct server *server, struct pending *pending)
{
    uint8_t answer[ANSWER_MAX];
    ssize_t size = recv(pending->fd, answer, sizeof answer, MSG_DONTWAIT);
    if (size < 0) {
        if (errno != EAGAIN && errno != EINTR)
            ask(server, pending); /* nobody listens there */
        return;
    }
    if (!dns_answers(answer, (size_t)size, pending->query, pending->size, pending->id))
        return;
    memcpy(answer, pending->query, 2);
    sendto(server->names, answer, (size_t)size, MSG_DONTWAIT, (const struct sockaddr *)&pending->client,
           sizeof pending->client);
    forget(pending);
}

void forward_run(struct server *server, const struct pollfd *polls, unsigned count)
{
    for (unsigned i = 0; i < FORWARD_MOST; i++) {
        struct pending *pending = &all[i];
        for (unsigned j = 0; j < count && pending->fd; j++) {
            if (polls[j].fd == pending->fd && polls[j].revents) {
                take(server, pending);
                break;
            }
        }
        if (pending->fd && server_now() >= pending->deadline)
            ask(server, pending);
    }
}

int forward_timeout(void)
{
    int64_t least = -1;
    for (unsigned i = 0; i < FORWARD_MOST; i++) {
        if (all[i].fd && (least < 0 || all[i].deadline < least))
            least = all[i].deadline;
    }
    return least < 0 ? -1 : (int)MAX(least - server_now(), 0);
}
