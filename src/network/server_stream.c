/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server_stream: names by TCP (RFC 1035, 4.2.2; RFC 7766), for answers that do not fit a datagram. A
 * connection has one query: its answer, or the resolver's bytes as they are, then its end.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"
#include "network/dns.h"
#include "network/server_private.h"

#define PREFIX   2     /* bytes: how long a message is */
#define PATIENCE 10000 /* milliseconds, for all of it */

struct stream {
    int client;   /* 0: free, since that is /dev/null */
    int resolver; /* 0: none */
    bool asked;   /* the resolver has the query */
    bool ended;   /* nothing more comes from it */
    int64_t deadline;
    size_t size, sent; /* of `data`: the query, later what is on its way to the client */
    uint8_t data[4096];
};

static struct stream all[STREAM_MOST];

static void end(struct stream *stream)
{
    if (stream->client)
        close(stream->client);
    if (stream->resolver)
        close(stream->resolver);
    *stream = (struct stream){0};
}

void stream_accept(struct server *server)
{
    struct stream *place = &all[0];
    int fd = accept4(server->streams, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd <= 0)
        return;
    for (unsigned i = 0; i < STREAM_MOST && place->client; i++) {
        if (!all[i].client || all[i].deadline < place->deadline)
            place = &all[i];
    }
    end(place);
    place->client = fd;
    place->deadline = server_now() + PATIENCE;
}

/* What the stream waits for: a descriptor, and for what. */
static struct pollfd wish(const struct stream *stream)
{
    if (stream->sent < stream->size && stream->ended)
        return (struct pollfd){.fd = stream->client, .events = POLLOUT};
    if (!stream->resolver)
        return (struct pollfd){.fd = stream->client, .events = POLLIN};
    if (!stream->asked)
        return (struct pollfd){.fd = stream->resolver, .events = POLLOUT};
    if (stream->sent < stream->size)
        return (struct pollfd){.fd = stream->client, .events = POLLOUT};
    return (struct pollfd){.fd = stream->resolver, .events = POLLIN};
}

unsigned stream_poll(struct pollfd polls[STREAM_MOST])
{
    unsigned count = 0;
    for (unsigned i = 0; i < STREAM_MOST; i++) {
        if (all[i].client)
            polls[count++] = wish(&all[i]);
    }
    return count;
}

/* An answer of the server's own, in place of the query. */
static void answer(struct stream *stream, const uint8_t *reply, size_t size)
{
    stream->data[0] = (uint8_t)(size >> 8);
    stream->data[1] = (uint8_t)size;
    memcpy(stream->data + PREFIX, reply, size);
    stream->size = PREFIX + size;
    stream->sent = 0;
    stream->ended = true;
}

static void refuse(struct stream *stream, enum dns_code code)
{
    uint8_t reply[DNS_REPLY_MAX];
    answer(stream, reply, dns_refuse(stream->data + PREFIX, stream->size - PREFIX, code, reply));
}

static void forward(struct server *server, struct stream *stream)
{
    const struct lease_list *list = &server->list;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
    if (list->internal || !list->resolver_count) {
        refuse(stream, list->internal ? DNS_NO_NAME : DNS_FAILURE);
        return;
    }
    to.sin_addr = list->resolvers[0];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd > 0 && (!connect(fd, (const struct sockaddr *)&to, sizeof to) || errno == EINPROGRESS)) {
        stream->resolver = fd;
        return;
    }
    if (fd > 0)
        close(fd);
    refuse(stream, DNS_FAILURE);
}

/* More of the query. */
static void take_query(struct server *server, struct stream *stream)
{
    uint8_t reply[DNS_REPLY_MAX];
    size_t reply_size;
    ssize_t got = recv(stream->client, stream->data + stream->size, PREFIX + DNS_QUERY_MAX - stream->size, 0);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            end(stream);
        return;
    }
    stream->size += (size_t)got;
    if (stream->size < PREFIX)
        return;
    const size_t wanted = (size_t)stream->data[0] << 8 | stream->data[1];
    if (wanted > DNS_QUERY_MAX || stream->size > PREFIX + wanted) {
        end(stream);
        return;
    }
    if (stream->size < PREFIX + wanted)
        return;
    switch (dns_serve(&server->list, stream->data + PREFIX, wanted, reply, &reply_size)) {
    case DNS_DROP: end(stream); break;
    case DNS_REPLY: answer(stream, reply, reply_size); break;
    case DNS_FORWARD: forward(server, stream); break;
    }
}

static void ask(struct stream *stream)
{
    ssize_t done =
        send(stream->resolver, stream->data + stream->sent, stream->size - stream->sent, MSG_NOSIGNAL);
    if (done < 0 && errno != EAGAIN && errno != EINTR) { /* nobody listens there */
        refuse(stream, DNS_FAILURE);
        return;
    }
    stream->sent += (size_t)MAX(done, 0);
    stream->asked = stream->sent == stream->size;
}

static void take_answer(struct stream *stream)
{
    ssize_t got = recv(stream->resolver, stream->data, sizeof stream->data, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    stream->size = (size_t)MAX(got, 0);
    stream->sent = 0;
    if (got <= 0)
        end(stream);
}

static void give(struct stream *stream)
{
    ssize_t done =
        send(stream->client, stream->data + stream->sent, stream->size - stream->sent, MSG_NOSIGNAL);
    if (done < 0 && errno != EAGAIN && errno != EINTR) {
        end(stream);
        return;
    }
    stream->sent += (size_t)MAX(done, 0);
    if (stream->sent == stream->size && stream->ended)
        end(stream);
}

static void step(struct server *server, struct stream *stream)
{
    const struct pollfd what = wish(stream);
    if (what.fd == stream->client)
        what.events == POLLIN ? take_query(server, stream) : give(stream);
    else
        what.events == POLLIN ? take_answer(stream) : ask(stream);
}

void stream_run(struct server *server, const struct pollfd *polls, unsigned count)
{
    for (unsigned i = 0; i < STREAM_MOST; i++) {
        struct stream *stream = &all[i];
        for (unsigned j = 0; j < count && stream->client; j++) {
            if (polls[j].fd == wish(stream).fd && polls[j].revents) {
                step(server, stream);
                break;
            }
        }
        if (stream->client && server_now() >= stream->deadline)
            end(stream);
    }
}

int stream_timeout(void)
{
    int64_t least = -1;
    for (unsigned i = 0; i < STREAM_MOST; i++) {
        if (all[i].client && (least < 0 || all[i].deadline < least))
            least = all[i].deadline;
    }
    return least < 0 ? -1 : (int)MAX(least - server_now(), 0);
}
