/* SPDX-License-Identifier: GPL-2.0-or-later */
/* server_private: what the files of the network's process have in common. */
#ifndef VISOR_NETWORK_SERVER_PRIVATE_H
#define VISOR_NETWORK_SERVER_PRIVATE_H

#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>

#include "network/server.h"

#define SERVER_CHANNEL 3 /* descriptor: to who has started it */

/* The first thing it says there. */
struct server_report {
    int code; /* 0: it listens */
    struct process_id id;
    struct error error;
};

struct server {
    struct lease_list list;
    unsigned long long inode, changed; /* of the file that it was read from */
    int file_directory;
    pid_t pid; /* its own, outside */
    /* Sockets: DNS, its TCP, DHCP, and what the kernel tells of interfaces. */
    int names, streams, addresses, links;
};

/* Reads leases.json if it is another. False: there is none, or another process is the server. */
bool server_refresh(struct server *server);
/* Milliseconds of a clock that only goes forward. */
int64_t server_now(void);

/* -- queries that the host's resolvers are asked (server_forward.c) -------------------------------------- */

#define FORWARD_MOST 64 /* at once; the oldest gives way */

void forward_query(struct server *server, const uint8_t *query, size_t size,
                   const struct sockaddr_in *client);
/* What they wait for: fills `polls`, and says how many. */
unsigned forward_poll(struct pollfd polls[FORWARD_MOST]);
/* After poll(): answers, and what has taken too long. */
void forward_run(struct server *server, const struct pollfd *polls, unsigned count);
/* Milliseconds until forward_run() has something to do by itself; -1: never. */
int forward_timeout(void);

/* -- the same by TCP (server_stream.c) ------------------------------------------------------------------- */

#define STREAM_MOST 16 /* at once; the oldest gives way */

/* Somebody connects to server->streams. */
void stream_accept(struct server *server);
unsigned stream_poll(struct pollfd polls[STREAM_MOST]);
void stream_run(struct server *server, const struct pollfd *polls, unsigned count);
int stream_timeout(void);

#endif
