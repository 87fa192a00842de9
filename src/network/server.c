/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/server.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/json_file.h"
#include "base/macros.h"
#include "network/dhcp.h"
#include "network/dns.h"
#include "network/server_private.h"

#define MOST_IN_A_ROW 64

/* -- what it knows --------------------------------------------------------------------------------------- */

static bool list_read(struct server *server, struct error *error)
{
    struct lease_list list = {0};
    json_t *document = json_file_read(server->file_directory, SERVER_FILE, SERVER_FILE_MAX, error);
    const bool good = document && !lease_list_load(&list, document, error);
    json_decref(document);
    if (good) {
        lease_list_free(&server->list);
        server->list = list;
    }
    return good;
}

bool server_refresh(struct server *server)
{
    struct stat status;
    struct error error = ERROR_INIT;
    if (fstatat(server->file_directory, SERVER_FILE, &status, 0) < 0)
        return false;
    const unsigned long long changed =
        (unsigned long long)status.st_ctim.tv_sec * 1000000000 + (unsigned long long)status.st_ctim.tv_nsec;
    if (status.st_ino == server->inode && changed == server->changed)
        return true;
    server->inode = status.st_ino;
    server->changed = changed;
    return list_read(server, &error) && server->list.server.pid == server->pid;
}

int64_t server_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* -- sockets --------------------------------------------------------------------------------------------- */

static int failed(const char *what, struct error *error)
{
    int code = -errno;
    error_set(error, code, "cannot serve %s: %s", what, strerror(-code));
    if (code == -EADDRINUSE)
        error_hint(
            error,
            "another server listens at all of the host's addresses; let it leave out networks of visor");
    return code;
}

/* Both are of the bridge alone. */
static int listen_at(struct in_addr address, uint16_t port, int type, const char *bridge)
{
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address};
    const int on = 1;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) &&
        !setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on) &&
        !setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, bridge, (socklen_t)strlen(bridge) + 1) &&
        !bind(fd, (const struct sockaddr *)&at, sizeof at) &&
        (type != SOCK_STREAM || !listen(fd, STREAM_MOST)))
        return fd;
    int number = errno;
    if (fd >= 0)
        close(fd);
    errno = number;
    return -1;
}

static int open_all(struct server *server, const char *directory, struct error *error)
{
    const struct sockaddr_nl links = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    server->file_directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (server->file_directory < 0)
        return failed(directory, error);
    if (!list_read(server, error))
        return error->code;
    server->names = listen_at(server->list.subnet.gateway, 53, SOCK_DGRAM, server->list.bridge);
    server->streams = listen_at(server->list.subnet.gateway, 53, SOCK_STREAM, server->list.bridge);
    if (server->names < 0 || server->streams < 0)
        return failed("names", error);
    server->addresses = listen_at((struct in_addr){0}, DHCP_SERVER_PORT, SOCK_DGRAM, server->list.bridge);
    if (server->addresses < 0)
        return failed("addresses", error);
    server->links = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (server->links < 0 || bind(server->links, (const struct sockaddr *)&links, sizeof links) < 0)
        return failed("the bridge", error);
    return 0;
}

/* -- work ------------------------------------------------------------------------------------------------ */

static void serve_names(struct server *server)
{
    uint8_t query[DNS_QUERY_MAX + 1], reply[DNS_REPLY_MAX];
    for (unsigned i = 0; i < MOST_IN_A_ROW; i++) {
        struct sockaddr_in client;
        socklen_t length = sizeof client;
        ssize_t size = recvfrom(server->names, query, sizeof query, 0, (struct sockaddr *)&client, &length);
        size_t reply_size = 0;
        if (size < 0)
            return;
        switch (dns_serve(&server->list, query, (size_t)size, reply, &reply_size)) {
        case DNS_DROP: break;
        case DNS_FORWARD: forward_query(server, query, (size_t)size, &client); break;
        case DNS_REPLY:
            sendto(server->names, reply, reply_size, 0, (struct sockaddr *)&client, sizeof client);
            break;
        }
    }
}

static void serve_addresses(struct server *server)
{
    uint8_t message[DHCP_MESSAGE_MAX], reply[DHCP_REPLY_MAX];
    for (unsigned i = 0; i < MOST_IN_A_ROW; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(DHCP_CLIENT_PORT)};
        ssize_t size = recv(server->addresses, message, sizeof message, 0);
        if (size < 0)
            return;
        size_t reply_size = dhcp_serve(&server->list, message, (size_t)size, reply, &to.sin_addr);
        if (reply_size)
            sendto(server->addresses, reply, reply_size, 0, (struct sockaddr *)&to, sizeof to);
    }
}

/* Something has become of some interface; ours is there if a socket is bound to it. */
static bool bridge_is_there(struct server *server)
{
    char message[8192], name[IFNAMSIZ];
    socklen_t size = sizeof name;
    while (recv(server->links, message, sizeof message, 0) > 0) {
    }
    return getsockopt(server->addresses, SOL_SOCKET, SO_BINDTODEVICE, name, &size) == 0;
}

/* The sooner; -1 is never. */
static int earlier(int one, int other)
{
    return one < 0 ? other : other < 0 ? one : MIN(one, other);
}

static void serve(struct server *server)
{
    struct pollfd polls[4 + FORWARD_MOST + STREAM_MOST] = {
        {.fd = server->names, .events = POLLIN},
        {.fd = server->addresses, .events = POLLIN},
        {.fd = server->links, .events = POLLIN},
        {.fd = server->streams, .events = POLLIN},
    };
    for (;;) {
        const unsigned forwards = forward_poll(polls + 4), streams = stream_poll(polls + 4 + forwards);
        if (poll(polls, 4 + forwards + streams, earlier(forward_timeout(), stream_timeout())) < 0 &&
            errno != EINTR)
            return;
        if ((polls[2].revents && !bridge_is_there(server)) || !server_refresh(server))
            return;
        forward_run(server, polls + 4, forwards);
        stream_run(server, polls + 4 + forwards, streams);
        if (polls[0].revents)
            serve_names(server);
        if (polls[1].revents)
            serve_addresses(server);
        if (polls[3].revents)
            stream_accept(server);
    }
}

static void run(const char *directory)
{
    struct server server = {.names = -1};
    struct server_report report = {.error = ERROR_INIT};
    char go;
    prctl(PR_SET_NAME, SERVER_PROGRAM);
    report.code = open_all(&server, directory, &report.error);
    if (!report.code)
        report.code = process_id_self(&report.id, &report.error);
    server.pid = report.id.pid;
    if (!report.code)
        report.code = server_confine(directory, &report.error);
    send(SERVER_CHANNEL, &report, sizeof report, MSG_NOSIGNAL);
    if (!report.code && recv(SERVER_CHANNEL, &go, 1, 0) == 1 && server_refresh(&server)) {
        close(SERVER_CHANNEL);
        serve(&server);
    }
}

void server_continue(int count, char **arguments)
{
    struct stat status;
    if (count != 3 || strcmp(arguments[0], SERVER_PROGRAM) != 0)
        return;
    if (fstat(SERVER_CHANNEL, &status) < 0 || !S_ISSOCK(status.st_mode)) {
        fprintf(stderr, "visor: a network's process is started by visor itself\n");
        _exit(2);
    }
    run(arguments[2]);
    _exit(0);
}
