/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/net_devices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "network/link.h"

/* A name that is free, of a template: "eth%d" is the first of eth0, eth1 and so on. */
static int choose_name(struct link *to, const char *wanted, char name[IF_NAMESIZE], struct error *error)
{
    const size_t size = strlen(wanted);
    if (size < 2 || strcmp(wanted + size - 2, "%d") != 0) {
        snprintf(name, IF_NAMESIZE, "%s", wanted);
        return link_index(to, name) ? error_set(error, -EEXIST, "the container has a device %s", name) : 0;
    }
    for (unsigned i = 0; i < 10000; i++)
        if (snprintf(name, IF_NAMESIZE, "%.*s%u", (int)size - 2, wanted, i) < IF_NAMESIZE &&
            !link_index(to, name))
            return 0;
    return error_set(error, -EEXIST, "no name like %s is free in the container", wanted);
}

/* With its addresses, which the kernel takes from it. */
static int carry(struct link *from, struct link *to, int namespace, const char *name, const char *new_name,
                 struct error *error)
{
    struct link_address *addresses;
    unsigned count;
    int code = link_list_addresses(from, name, &addresses, &count, error);
    if (code == 0)
        code = link_move(from, name, namespace, new_name, error);
    if (code == 0)
        code = link_up(to, new_name, error);
    for (unsigned i = 0; code == 0 && i < count; i++)
        code = link_take_address(to, new_name, &addresses[i], error);
    free(addresses);
    return code;
}

static int open_namespace(const struct oci_config *config, pid_t pid, struct error *error)
{
    char own[40];
    const struct oci_namespace *namespace = oci_config_namespace(config, CLONE_NEWNET);
    const char *path = namespace && namespace->path ? namespace->path : own;
    snprintf(own, sizeof own, "/proc/%d/ns/net", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && path == own)
        return -ECHILD;
    return fd < 0 ? error_set(error, -errno, "cannot open %s: %s", path, strerror(errno)) : fd;
}

int net_devices_move(struct net_devices *devices, const struct oci_config *config, pid_t pid,
                     struct error *error)
{
    const struct oci_linux *platform = &config->platform;
    struct link here, there = {.fd = -1};
    *devices = (struct net_devices){.config = config, .namespace = -1};
    if (!platform->net_devices_count)
        return 0;
    devices->names = calloc(platform->net_devices_count, sizeof *devices->names);
    if (!devices->names)
        return error_set(error, -ENOMEM, "out of memory");
    int code = devices->namespace = open_namespace(config, pid, error);
    if (code == -ECHILD)
        return 0; /* it has failed already, and says why itself */
    if (code >= 0)
        code = link_open(&here, error);
    if (code < 0)
        return code;
    code = link_open_in(&there, devices->namespace, error);
    for (unsigned i = 0; code == 0 && i < platform->net_devices_count; i++) {
        const struct oci_net_device *device = &platform->net_devices[i];
        code = choose_name(&there, device->new_name, devices->names[i], error);
        if (code == 0) {
            devices->moved += link_index(&here, device->name) != 0; /* perhaps only in part */
            code = carry(&here, &there, devices->namespace, device->name, devices->names[i], error);
        }
        if (code < 0)
            error_prefix(error, "linux.netDevices.%s: ", device->name);
    }
    if (there.fd >= 0)
        link_close(&there);
    link_close(&here);
    return code;
}

void net_devices_return(struct net_devices *devices)
{
    struct error error = ERROR_INIT;
    struct link here = {.fd = -1}, there = {.fd = -1};
    if (!devices->moved)
        return;
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int code = own < 0 ? error_set(&error, -errno, "cannot open /proc/self/ns/net: %s", strerror(errno)) : 0;
    if (code == 0)
        code = link_open(&here, &error);
    if (code == 0)
        code = link_open_in(&there, devices->namespace, &error);
    for (unsigned i = 0; code == 0 && i < devices->moved; i++)
        if (link_index(&there, devices->names[i]))
            code = carry(&there, &here, own, devices->names[i], devices->config->platform.net_devices[i].name,
                         &error);
    if (code < 0)
        error_report(&error);
    const int fds[] = {own, here.fd, there.fd};
    for (unsigned i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    devices->moved = 0;
}

void net_devices_release(struct net_devices *devices)
{
    if (devices->namespace >= 0)
        close(devices->namespace);
    free(devices->names);
    devices->names = NULL;
    devices->namespace = -1;
}
