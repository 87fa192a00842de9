/* SPDX-License-Identifier: GPL-2.0-or-later */
/* up: what a network has while it is up: made, put right, removed, as its list of leases says. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json_file.h"
#include "base/tree.h"
#include "network/filter.h"
#include "network/host_routes.h"
#include "network/link.h"
#include "network/network_private.h"
#include "network/server.h"

/* -- the list -------------------------------------------------------------------------------------------- */

static int list_read(const struct networks *networks, const char *name, struct lease_list *list,
                     struct error *error)
{
    char path[NETWORK_NAME_MAX + sizeof "/" SERVER_FILE];
    struct error why = ERROR_INIT;
    *list = (struct lease_list){0};
    snprintf(path, sizeof path, "%s/" SERVER_FILE, name);
    json_t *document = networks->run < 0 ? NULL : json_file_read(networks->run, path, SERVER_FILE_MAX, &why);
    int code = document ? lease_list_load(list, document, error) : 0;
    if (!document && networks->run >= 0 && why.code != -ENOENT) {
        code = why.code;
        if (error)
            *error = why;
    }
    json_decref(document);
    if (code)
        error_prefix(error, "%s/%s: ", networks->run_path, name);
    return code;
}

int network_leases(const struct networks *networks, const char *name, struct lease_list *leases,
                   struct error *error)
{
    int code = list_read(networks, name, leases, error);
    if (!code)
        lease_drop_dead(leases);
    return code;
}

void network_drop_lease(struct lease_list *list, unsigned index)
{
    struct link link;
    if (link_open(&link, NULL) == 0) {
        link_remove(&link, list->leases[index].interface, NULL);
        link_close(&link);
    }
    lease_drop(list, index);
}

void network_begin_list(struct lease_list *list, const struct network *network)
{
    *list = (struct lease_list){.subnet = network->subnet, .internal = network->internal};
    strcpy(list->network, network->name);
    strcpy(list->bridge, network->bridge);
}

/* A crash of the host has left a damaged list; what it told of is gone as well, or without its owner. */
static int begin_anew(const struct networks *networks, const char *name, struct lease_list *list,
                      struct error *error)
{
    struct network network;
    int code = network_read(networks, name, &network, error);
    if (!code)
        network_begin_list(list, &network);
    network_release(&network);
    return code;
}

int network_load(const struct networks *networks, const char *name, struct lease_list *list, bool *dropped,
                 struct error *error)
{
    int code = list_read(networks, name, list, error);
    *dropped = false;
    if (code == -EINVAL)
        code = begin_anew(networks, name, list, error);
    for (unsigned i = list->count; i-- > 0;) {
        if (process_id_lives(&list->leases[i].process))
            continue;
        network_drop_lease(list, i);
        *dropped = true;
    }
    return code;
}

static int list_write(const struct networks *networks, const struct lease_list *list, struct error *error)
{
    if (mkdirat(networks->run, list->network, 0711) < 0 && errno != EEXIST)
        return error_set(error, -errno, "cannot make %s/%s: %s", networks->run_path, list->network,
                         strerror(errno));
    int directory = openat(networks->run, list->network, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (directory < 0)
        return error_set(error, -errno, "cannot open %s/%s: %s", networks->run_path, list->network,
                         strerror(errno));
    json_t *document = lease_list_json(list);
    int code = json_file_write(directory, SERVER_FILE, document, false, error);
    json_decref(document);
    close(directory);
    return code;
}

/* -- up -------------------------------------------------------------------------------------------------- */

static int sysctl_set(const char *path, const char *value, struct error *error)
{
    char now[16] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, now, sizeof now - 1);
    if (fd >= 0)
        close(fd);
    now[size > 0 ? (size_t)size : 0] = '\0';
    if (size > 0 && strncmp(now, value, strlen(value)) == 0)
        return 0;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    int code = fd < 0 || write(fd, value, strlen(value)) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return code ? error_set(error, code, "cannot write %s to %s: %s", value, path, strerror(-code)) : 0;
}

static int bridge_sysctl(const struct lease_list *list, const char *family, const char *name,
                         struct error *error)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/%s/conf/%s/%s", family, list->bridge, name);
    return sysctl_set(path, "1", error);
}

static bool has_ports(const struct lease_list *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        if (list->leases[i].port_count)
            return true;
    }
    return false;
}

static int bridge_make(const struct lease_list *list, struct error *error)
{
    struct link link;
    uint8_t mac[6];
    int code = link_open(&link, error);
    if (code)
        return code;
    lease_mac(list->subnet.gateway, mac);
    if (!link_index(&link, list->bridge) && host_routes_overlap(&list->subnet))
        code =
            error_set(error, -EADDRINUSE,
                      "the network %s cannot be made: the host has a route for its subnet, or a part of it",
                      list->network);
    if (!code)
        code = link_make_bridge(&link, list->bridge, mac, list->subnet.gateway, list->subnet.prefix, error);
    link_close(&link);
    if (!code)
        bridge_sysctl(list, "ipv6", "disable_ipv6", NULL); /* a host without IPv6 does not have it */
    return code;
}

/* Published ports of 127.0.0.1 need route_localnet, which is harmless only behind the rules. */
static int ways_open(const struct lease_list *list, struct error *error)
{
    int code = filter_set(list, error);
    if (!code && !list->internal)
        code = sysctl_set("/proc/sys/net/ipv4/ip_forward", "1", error);
    if (!code && has_ports(list))
        code = bridge_sysctl(list, "ipv4", "route_localnet", error);
    return code;
}

static int server_ensure(const struct networks *networks, struct lease_list *list, struct error *error)
{
    char path[PATH_MAX];
    if (process_id_lives(&list->server))
        return 0;
    if (snprintf(path, sizeof path, "%s/%s", networks->run_path, list->network) >= PATH_MAX)
        return error_set(error, -ENAMETOOLONG, "the store's path is too long");
    int channel = server_start(list->network, path, &list->server, error);
    if (channel < 0)
        return channel;
    int code = list_write(networks, list, error);
    if (code)
        close(channel);
    else
        server_go(channel);
    return code;
}

/* Nothing of it is left. What fails is tried again by the next operation, since the list is still there. */
static int down(const struct networks *networks, struct lease_list *list, struct error *error)
{
    struct link link;
    server_stop(&list->server);
    int code = filter_remove(list->bridge, error), other = link_open(&link, code ? NULL : error);
    if (!other) {
        other = link_remove(&link, list->bridge, code ? NULL : error);
        link_close(&link);
    }
    code = code ? code : other;
    return code ? code : tree_remove(networks->run, list->network);
}

int network_settle(const struct networks *networks, struct lease_list *list, bool filter, struct error *error)
{
    if (!list->count)
        return down(networks, list, error);
    const bool make = filter || !list->settled;
    list->settled = !make;
    list->resolver_count = host_resolvers(list->resolvers, LEASE_RESOLVERS_MAX);
    int code = list_write(networks, list, error);
    if (!code && make)
        code = bridge_make(list, error);
    if (!code && make)
        code = ways_open(list, error);
    if (!code)
        code = server_ensure(networks, list, error);
    if (!code && make) {
        list->settled = true;
        code = list_write(networks, list, error);
    }
    return code;
}

/* -- repair ---------------------------------------------------------------------------------------------- */

/* Whether the list of a network that is up is not what there is. */
static bool is_stale(const struct networks *networks, const char *name)
{
    struct lease_list list;
    int code = list_read(networks, name, &list, NULL);
    if (code)
        return code == -EINVAL;
    const bool dropped = lease_drop_dead(&list);
    const bool stale =
        list.bridge[0] && (dropped || !list.count || !list.settled || !process_id_lives(&list.server));
    lease_list_free(&list);
    return stale;
}

static void repair(struct networks *networks, const char *name)
{
    struct lease_list list;
    bool dropped;
    struct error error = ERROR_INIT;
    if (networks->lock < 0 && networks_lock(networks, false, NULL))
        return;
    if (network_load(networks, name, &list, &dropped, NULL))
        return;
    if (list.bridge[0] && network_settle(networks, &list, dropped, &error))
        error_report(&error);
    lease_list_free(&list);
}

void networks_repair(const char *store, const char *run)
{
    struct networks networks;
    if (geteuid() != 0 || networks_open(&networks, store, run, false, NULL))
        return;
    int other = networks.run < 0 ? -1 : openat(networks.run, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = other < 0 ? NULL : fdopendir(other);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (!network_name_check(entry->d_name, NULL) && is_stale(&networks, entry->d_name))
            repair(&networks, entry->d_name);
    }
    if (directory)
        closedir(directory);
    networks_close(&networks);
}
