/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attach: domains come to networks and leave them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "network/link.h"
#include "network/network_private.h"

static int check_mac(const struct lease_list *list, const uint8_t mac[6], struct error *error)
{
    for (unsigned i = 0; i < list->count; i++) {
        if (memcmp(list->leases[i].mac, mac, 6) == 0)
            return error_set(error, -EADDRINUSE, "%s has that Ethernet address in the network %s",
                             list->leases[i].name, list->network);
    }
    return 0;
}

/* All but its ports, which are allocated last. */
static int lease_make(const struct lease_list *list, const struct network_request *request,
                      struct lease *lease, struct error *error)
{
    const struct network_option *option = request->option;
    uint32_t number;
    *lease = (struct lease){.alias_count = option->alias_count};
    memcpy(lease->aliases, option->aliases, sizeof lease->aliases);
    snprintf(lease->domain, sizeof lease->domain, "%s", request->domain);
    snprintf(lease->name, sizeof lease->name, "%s", request->name);
    if (lease_find(list, lease->domain))
        return error_set(error, -EEXIST, "%s is attached to the network %s already", lease->name,
                         list->network);
    int code = lease_choose(list, option->address, &lease->address, error);
    if (code)
        return code;
    lease_mac(lease->address, lease->mac);
    if (option->has_mac)
        memcpy(lease->mac, option->mac, sizeof lease->mac);
    code = check_mac(list, lease->mac, error);
    if (!code)
        code = process_id_self(&lease->process, error);
    if (!code && getrandom(&number, sizeof number, 0) != sizeof number)
        code = error_set(error, -errno, "cannot draw a number: %s", strerror(errno));
    if (code)
        return code;
    snprintf(lease->interface, sizeof lease->interface, "vport-%08" PRIx32, number);
    return lease_check_ports(list, request->ports, request->port_count, error);
}

static int lease_enter(struct lease_list *list, const struct network_request *request, struct lease *lease,
                       struct error *error)
{
    int code = lease_make(list, request, lease, error);
    if (code)
        return code;
    if (request->port_count) {
        lease->ports = malloc(request->port_count * sizeof *lease->ports);
        if (lease->ports)
            memcpy(lease->ports, request->ports, request->port_count * sizeof *lease->ports);
        lease->port_count = request->port_count;
    }
    if ((request->port_count && !lease->ports) || lease_add(list, lease)) {
        free(lease->ports);
        return error_set(error, -ENOMEM, "out of memory");
    }
    return 0;
}

static void tell(struct network_attachment *attachment, const struct lease_list *list,
                 const struct lease *lease)
{
    *attachment = (struct network_attachment){
        .subnet = list->subnet, .address = lease->address, .internal = list->internal};
    strcpy(attachment->network, list->network);
    strcpy(attachment->bridge, list->bridge);
    strcpy(attachment->interface, lease->interface);
    memcpy(attachment->mac, lease->mac, sizeof attachment->mac);
}

/* Takes a domain's lease back. */
static int leave(struct networks *networks, struct lease_list *list, const char *domain, bool dropped,
                 struct error *error)
{
    struct lease *lease = lease_find(list, domain);
    bool filter = dropped;
    if (lease) {
        filter |= lease->port_count != 0;
        network_drop_lease(list, (unsigned)(lease - list->leases));
    }
    return list->bridge[0] ? network_settle(networks, list, filter, error) : 0;
}

int network_attach(struct networks *networks, const struct network_request *request,
                   struct network_attachment *attachment, struct error *error)
{
    struct network network;
    struct lease_list list = {0};
    struct lease lease;
    bool dropped = false;
    int code = network_read(networks, request->option->name, &network, error);
    if (!code)
        code = networks_lock(networks, true, error);
    if (!code)
        code = network_load(networks, network.name, &list, &dropped, error);
    if (!code && !list.bridge[0])
        network_begin_list(&list, &network);
    if (!code)
        code = lease_enter(&list, request, &lease, error);
    if (!code) {
        code = network_settle(networks, &list, dropped || lease.port_count, error);
        if (code)
            leave(networks, &list, lease.domain, dropped, NULL);
        else
            tell(attachment, &list, &lease);
    }
    lease_list_free(&list);
    networks_unlock(networks);
    network_release(&network);
    return code;
}

void network_detach(struct networks *networks, const char *name, const char *domain)
{
    struct lease_list list = {0};
    struct error error = ERROR_INIT;
    bool dropped;
    int code = networks_lock(networks, true, &error);
    if (!code)
        code = network_load(networks, name, &list, &dropped, &error);
    if (!code)
        code = leave(networks, &list, domain, dropped, &error);
    if (code)
        error_report(&error);
    lease_list_free(&list);
    networks_unlock(networks);
}

/* -- interfaces ------------------------------------------------------------------------------------------ */

static int connect_inside(const struct network_attachment *attachment, int namespace, const char *name,
                          bool first, struct error *error)
{
    struct link link;
    int code = link_open_in(&link, namespace, error);
    if (code)
        return code;
    code = link_add_address(&link, name, attachment->address, attachment->subnet.prefix, error);
    if (!code)
        code = link_up(&link, name, error);
    if (!code && first && !attachment->internal)
        code = link_add_default_route(&link, name, attachment->subnet.gateway, error);
    link_close(&link);
    return code;
}

int network_connect_container(const struct network_attachment *attachment, int namespace, const char *name,
                              bool first, struct error *error)
{
    struct link link;
    const struct link_pair pair = {
        .name = attachment->interface,
        .bridge = attachment->bridge,
        .peer = name,
        .namespace = namespace,
        .mac = attachment->mac,
    };
    int code = link_open(&link, error);
    if (!code) {
        code = link_make_pair(&link, &pair, error);
        if (!code)
            code = connect_inside(attachment, namespace, name, first, error);
        if (code)
            link_remove(&link, attachment->interface, NULL);
        link_close(&link);
    }
    return code;
}

int network_connect_tap(const struct network_attachment *attachment, struct error *error)
{
    struct link link;
    int code = link_open(&link, error);
    if (code)
        return code;
    code = link_join(&link, attachment->interface, attachment->bridge, error);
    link_close(&link);
    return code;
}
