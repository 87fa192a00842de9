/* SPDX-License-Identifier: GPL-2.0-or-later */
/* network: where networks are kept, and their definitions. */
#include "network/network.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json_file.h"
#include "base/similar.h"
#include "base/tree.h"
#include "network/host_routes.h"
#include "network/network_private.h"

#define CONFIG_FILE "config.json"
#define CONFIG_MAX  (1u << 20)
#define NEW_PREFIX  ".new-"
#define DEAD_PREFIX ".dead-"
#define ENTRY_SIZE  (sizeof DEAD_PREFIX + NETWORK_NAME_MAX)

/* Subnets that are found for networks: 10.77.0.0/24 to 10.80.255.0/24. */
#define FOUND_FIRST  0x0a4d0000u
#define FOUND_COUNT  1024
#define FOUND_PREFIX 24

/* -- opening --------------------------------------------------------------------------------------------- */

static int open_in(const char *path, mode_t mode, bool make, char own[PATH_MAX])
{
    if (snprintf(own, PATH_MAX, "%s/networks", path) >= PATH_MAX)
        return -ENAMETOOLONG;
    if (make && mkdir(own, mode) < 0 && errno != EEXIST)
        return -errno;
    int fd = open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

int networks_open(struct networks *networks, const char *store, const char *run, bool make,
                  struct error *error)
{
    *networks = (struct networks){.lock = -1};
    networks->store = open_in(store, 0700, make, networks->path);
    networks->run = open_in(run, 0711, make, networks->run_path);
    const int code = networks->store < 0 ? networks->store : networks->run < 0 ? networks->run : 0;
    if (!code)
        return 0;
    if (code == -ENOENT && !make && networks->store == -ENOENT) {
        networks_close(networks); /* no networks */
        return 0;
    }
    if (code == -ENOENT && !make) /* after the host's start */
        return networks_close(networks), networks_open(networks, store, run, true, error);
    networks_close(networks);
    return error_set(error, code, "cannot open the networks in %s: %s", store, strerror(-code));
}

void networks_close(struct networks *networks)
{
    networks_unlock(networks);
    if (networks->store >= 0)
        close(networks->store);
    if (networks->run >= 0)
        close(networks->run);
    networks->store = networks->run = -1;
}

static bool is_half_made(const char *name)
{
    return strncmp(name, NEW_PREFIX, strlen(NEW_PREFIX)) == 0 ||
           strncmp(name, DEAD_PREFIX, strlen(DEAD_PREFIX)) == 0;
}

static DIR *open_list(int fd)
{
    int other = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = other < 0 ? NULL : fdopendir(other);
    if (!directory && other >= 0)
        close(other);
    return directory;
}

static void sweep(const struct networks *networks)
{
    DIR *directory = open_list(networks->store);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (is_half_made(entry->d_name))
            tree_remove(networks->store, entry->d_name);
    }
    if (directory)
        closedir(directory);
}

int networks_lock(struct networks *networks, bool wait, struct error *error)
{
    int fd = openat(networks->store, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int code = fd < 0 ? -errno : 0;
    while (!code && flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0)
        code = errno == EINTR ? 0 : -errno;
    if (code) {
        if (fd >= 0)
            close(fd);
        return error_set(error, code, "cannot lock the networks in %s: %s", networks->path, strerror(-code));
    }
    networks->lock = fd;
    sweep(networks);
    return 0;
}

void networks_unlock(struct networks *networks)
{
    if (networks->lock >= 0)
        close(networks->lock);
    networks->lock = -1;
}

/* -- definitions ----------------------------------------------------------------------------------------- */

static json_t *definition_json(const struct network *network)
{
    char subnet[INET_ADDRSTRLEN + 4];
    inet_ntop(AF_INET, &network->subnet.address, subnet, INET_ADDRSTRLEN);
    snprintf(subnet + strlen(subnet), 4, "/%u", network->subnet.prefix % 100);
    return json_pack("{s:s, s:s, s:b, s:O, s:I}", "bridge", network->bridge, "subnet", subnet, "internal",
                     (int)network->internal, "labels", network->labels, "created",
                     (json_int_t)network->created);
}

int network_read(const struct networks *networks, const char *name, struct network *network,
                 struct error *error)
{
    char path[NETWORK_NAME_MAX + sizeof "/" CONFIG_FILE];
    struct error why = ERROR_INIT;
    *network = (struct network){0};
    int code = network_name_check(name, error);
    if (code)
        return code;
    snprintf(path, sizeof path, "%s/" CONFIG_FILE, name);
    json_t *document = networks->store < 0 ? NULL : json_file_read(networks->store, path, CONFIG_MAX, &why);
    if (!document && (networks->store < 0 || why.code == -ENOENT)) {
        error_set(error, -ENOENT, "there is no network \"%s\"", name);
        error_hint(error, "visor network create %s", name);
        return -ENOENT;
    }
    const char *bridge = json_string_value(json_object_get(document, "bridge")),
               *subnet = json_string_value(json_object_get(document, "subnet"));
    json_t *labels = json_object_get(document, "labels");
    if (bridge && strlen(bridge) < IFNAMSIZ && subnet && json_is_object(labels) &&
        !network_subnet_parse(&network->subnet, subnet, error)) {
        strcpy(network->name, name);
        strcpy(network->bridge, bridge);
        network->internal = json_is_true(json_object_get(document, "internal"));
        network->labels = json_incref(labels);
        network->created = json_integer_value(json_object_get(document, "created"));
    } else {
        code = error_set(error, -EINVAL, "the network %s has no valid definition in %s/%s", name,
                         networks->path, path);
    }
    json_decref(document);
    return code;
}

void network_release(struct network *network)
{
    json_decref(network->labels);
    network->labels = NULL;
}

static int by_text(const void *one, const void *two)
{
    return strcmp(*(char *const *)one, *(char *const *)two);
}

int networks_list(const struct networks *networks, char ***names, struct error *error)
{
    unsigned count = 0;
    char **all = calloc(1, sizeof *all);
    DIR *directory = networks->store < 0 ? NULL : open_list(networks->store);
    for (struct dirent *entry; all && directory && (entry = readdir(directory));) {
        if (network_name_check(entry->d_name, NULL))
            continue;
        char **more = realloc(all, (count + 2) * sizeof *all);
        char *name = more ? strdup(entry->d_name) : NULL;
        all = more ? more : all;
        if (!name)
            break;
        all[count++] = name;
        all[count] = NULL;
    }
    if (directory)
        closedir(directory);
    if (!all)
        return error_set(error, -ENOMEM, "out of memory");
    qsort(all, count, sizeof *all, by_text);
    *names = all;
    return 0;
}

/* -- making and removing --------------------------------------------------------------------------------- */

/* Another network with which a subnet overlaps. */
static bool find_overlap(const struct networks *networks, const struct network_subnet *subnet,
                         char name[NETWORK_NAME_MAX + 1])
{
    char **names;
    bool found = false;
    if (networks_list(networks, &names, NULL))
        return false;
    for (unsigned i = 0; names[i]; i++) {
        struct network other;
        if (!found && !network_read(networks, names[i], &other, NULL)) {
            found = network_subnets_overlap(&other.subnet, subnet);
            if (found)
                strcpy(name, other.name);
            network_release(&other);
        }
        free(names[i]);
    }
    free(names);
    return found;
}

static int check_subnet(const struct networks *networks, const struct network_subnet *subnet,
                        struct error *error)
{
    char name[NETWORK_NAME_MAX + 1];
    if (find_overlap(networks, subnet, name))
        return error_set(error, -EADDRINUSE, "the network %s has that subnet, or a part of it", name);
    if (host_routes_overlap(subnet))
        return error_set(error, -EADDRINUSE, "the host has a route for that subnet, or a part of it");
    return 0;
}

static int find_subnet(const struct networks *networks, struct network_subnet *subnet, struct error *error)
{
    char name[NETWORK_NAME_MAX + 1];
    /* Where to begin: different stores seldom meet, though each sees only the others' networks that are up.
     */
    const uint32_t begin = hash_bytes(networks->path, strlen(networks->path)) % FOUND_COUNT;
    for (uint32_t i = 0; i < FOUND_COUNT; i++) {
        const uint32_t address = FOUND_FIRST + ((begin + i) % FOUND_COUNT << (32 - FOUND_PREFIX));
        *subnet = (struct network_subnet){{htonl(address)}, {htonl(address + 1)}, FOUND_PREFIX};
        if (!find_overlap(networks, subnet, name) && !host_routes_overlap(subnet))
            return 0;
    }
    error_set(error, -ENOSPC, "no free subnet was found for it");
    error_hint(error, "say one: --subnet 10.1.2.0/24");
    return -ENOSPC;
}

static int definition_write(const struct networks *networks, const struct network *network,
                            struct error *error)
{
    char new[ENTRY_SIZE];
    snprintf(new, sizeof new, NEW_PREFIX "%s", network->name);
    int code = mkdirat(networks->store, new, 0700) < 0 ? -errno : 0;
    int directory = code ? -1 : openat(networks->store, new, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return error_set(error, -errno, "cannot make %s/%s: %s", networks->path, new, strerror(errno));
    json_t *document = definition_json(network);
    code = json_file_write(directory, CONFIG_FILE, document, true, error);
    json_decref(document);
    close(directory);
    if (!code && renameat2(networks->store, new, networks->store, network->name, RENAME_NOREPLACE) < 0)
        code = errno == EEXIST ? error_set(error, -EEXIST, "there is a network \"%s\" already", network->name)
                               : error_set(error, -errno, "cannot make the network %s: %s", network->name,
                                           strerror(errno));
    if (code)
        tree_remove(networks->store, new);
    return code;
}

int network_create(struct networks *networks, struct network *network, struct error *error)
{
    struct timespec now;
    uint32_t number;
    int code = network_name_check(network->name, error);
    if (!code && getrandom(&number, sizeof number, 0) != sizeof number)
        code = error_set(error, -errno, "cannot draw a number: %s", strerror(errno));
    if (!code)
        code = networks_lock(networks, true, error);
    if (code)
        return code;
    clock_gettime(CLOCK_REALTIME, &now);
    network->created = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    snprintf(network->bridge, sizeof network->bridge, "visor-%08" PRIx32, number);
    if (faccessat(networks->store, network->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        code = error_set(error, -EEXIST, "there is a network \"%s\" already", network->name);
    else
        code = network->subnet.prefix ? check_subnet(networks, &network->subnet, error)
                                      : find_subnet(networks, &network->subnet, error);
    if (!code)
        code = definition_write(networks, network, error);
    networks_unlock(networks);
    return code;
}

static int remove_definition(const struct networks *networks, const char *name, struct error *error)
{
    char dead[ENTRY_SIZE];
    snprintf(dead, sizeof dead, DEAD_PREFIX "%s", name);
    if (renameat(networks->store, name, networks->store, dead) < 0)
        return error_set(error, -errno, "cannot remove the network %s: %s", name, strerror(errno));
    tree_remove(networks->store, dead); /* what cannot be removed now is half made */
    return 0;
}

int network_remove(struct networks *networks, const char *name, struct error *error)
{
    struct network network;
    struct lease_list list;
    bool dropped;
    int code = network_read(networks, name, &network, error);
    if (code == -EINVAL && !network_name_check(name, NULL))
        code = 0; /* it is damaged: away with it */
    network_release(&network);
    if (!code)
        code = networks_lock(networks, true, error);
    if (code)
        return code;
    code = network_load(networks, name, &list, &dropped, error);
    if (!code && list.count) {
        code = error_set(error, -EBUSY, "%s%s attached to the network %s", list.leases[0].name,
                         list.count > 1 ? " and others are" : " is", name);
        error_hint(error, "visor stop %s", list.leases[0].name);
    }
    if (!code && list.bridge[0])
        code = network_settle(networks, &list, false, error);
    if (!code)
        code = remove_definition(networks, name, error);
    lease_list_free(&list);
    networks_unlock(networks);
    return code;
}
