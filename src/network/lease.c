/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/lease.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/net/options.h"

void lease_list_free(struct lease_list *list)
{
    for (unsigned i = 0; i < list->count; i++)
        free(list->leases[i].ports);
    free(list->leases);
    *list = (struct lease_list){0};
}

void lease_mac(struct in_addr address, uint8_t mac[6])
{
    mac[0] = 0x0a; /* administered locally */
    mac[1] = 0x56;
    memcpy(mac + 2, &address.s_addr, 4);
}

/* -- the document ---------------------------------------------------------------------------------------- */

static json_t *address_json(struct in_addr address)
{
    char text[INET_ADDRSTRLEN];
    return json_string(inet_ntop(AF_INET, &address, text, sizeof text));
}

static json_t *process_json(const struct process_id *process)
{
    return json_pack("{s:i, s:I, s:s}", "pid", (int)process->pid, "start", (json_int_t)process->start, "boot",
                     process->boot);
}

static json_t *ports_json(const struct lease *lease)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < lease->port_count; i++) {
        const struct network_port *port = &lease->ports[i];
        json_t *one =
            json_pack("{s:s, s:o, s:i, s:i}", "protocol", port->udp ? "udp" : "tcp", "host",
                      address_json(port->host), "host_port", (int)port->host_port, "port", (int)port->port);
        if (json_array_append_new(array, one)) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *aliases_json(const struct lease *lease)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < lease->alias_count; i++)
        json_array_append_new(array, json_string(lease->aliases[i]));
    return array;
}

static json_t *mac_json(const struct lease *lease)
{
    char mac[18];
    snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", lease->mac[0], lease->mac[1], lease->mac[2],
             lease->mac[3], lease->mac[4], lease->mac[5]);
    return json_string(mac);
}

json_t *lease_describe(const struct lease *lease)
{
    char text[64], address[INET_ADDRSTRLEN];
    json_t *ports = json_array();
    for (unsigned i = 0; i < lease->port_count; i++) {
        const struct network_port *port = &lease->ports[i];
        snprintf(text, sizeof text, "%s:%u:%u/%s", inet_ntop(AF_INET, &port->host, address, sizeof address),
                 port->host_port, port->port, port->udp ? "udp" : "tcp");
        json_array_append_new(ports, json_string(text));
    }
    return json_pack("{s:s, s:s, s:o, s:o, s:s, s:o, s:o}", "id", lease->domain, "name", lease->name,
                     "address", address_json(lease->address), "mac", mac_json(lease), "interface",
                     lease->interface, "aliases", aliases_json(lease), "ports", ports);
}

static json_t *lease_json(const struct lease *lease)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:s, s:o, s:o}", "id", lease->domain, "name", lease->name,
                     "process", process_json(&lease->process), "address", address_json(lease->address), "mac",
                     mac_json(lease), "interface", lease->interface, "aliases", aliases_json(lease), "ports",
                     ports_json(lease));
}

json_t *lease_list_json(const struct lease_list *list)
{
    char subnet[INET_ADDRSTRLEN + 4];
    json_t *leases = json_array(), *resolvers = json_array();
    inet_ntop(AF_INET, &list->subnet.address, subnet, INET_ADDRSTRLEN);
    snprintf(subnet + strlen(subnet), 4, "/%u", list->subnet.prefix % 100);
    int failed = !leases || !resolvers;
    for (unsigned i = 0; i < list->count; i++)
        failed |= json_array_append_new(leases, lease_json(&list->leases[i]));
    for (unsigned i = 0; i < list->resolver_count; i++)
        failed |= json_array_append_new(resolvers, address_json(list->resolvers[i]));
    json_t *document = json_pack("{s:s, s:s, s:s, s:b, s:b, s:o, s:o, s:o}", "network", list->network,
                                 "bridge", list->bridge, "subnet", subnet, "internal", (int)list->internal,
                                 "settled", (int)list->settled, "resolvers", resolvers, "server",
                                 process_json(&list->server), "leases", leases);
    if (!failed)
        return document;
    json_decref(document);
    return NULL;
}

static bool text_load(char *to, size_t size, const json_t *document, const char *name)
{
    const char *text = json_string_value(json_object_get(document, name));
    if (!text || strlen(text) >= size)
        return false;
    strcpy(to, text);
    return true;
}

static bool address_load(struct in_addr *to, const json_t *value)
{
    const char *text = json_string_value(value);
    return text && inet_pton(AF_INET, text, to) == 1;
}

static bool process_load(struct process_id *to, const json_t *document)
{
    to->pid = (pid_t)json_integer_value(json_object_get(document, "pid"));
    to->start = (uint64_t)json_integer_value(json_object_get(document, "start"));
    return text_load(to->boot, sizeof to->boot, document, "boot");
}

static bool port_load(struct network_port *port, const json_t *document)
{
    const char *protocol = json_string_value(json_object_get(document, "protocol"));
    port->udp = protocol && strcmp(protocol, "udp") == 0;
    port->host_port = (uint16_t)json_integer_value(json_object_get(document, "host_port"));
    port->port = (uint16_t)json_integer_value(json_object_get(document, "port"));
    return protocol && port->host_port && port->port &&
           address_load(&port->host, json_object_get(document, "host"));
}

static bool lease_load(struct lease *lease, const json_t *document)
{
    const json_t *aliases = json_object_get(document, "aliases"), *ports = json_object_get(document, "ports");
    char mac[18];
    bool good = text_load(lease->domain, sizeof lease->domain, document, "id") &&
                text_load(lease->name, sizeof lease->name, document, "name") &&
                text_load(lease->interface, sizeof lease->interface, document, "interface") &&
                process_load(&lease->process, json_object_get(document, "process")) &&
                address_load(&lease->address, json_object_get(document, "address")) &&
                text_load(mac, sizeof mac, document, "mac") && !net_mac_parse(lease->mac, mac, NULL) &&
                json_array_size(aliases) <= NETWORK_ALIASES_MAX;
    for (size_t i = 0; good && i < json_array_size(aliases); i++) {
        const char *alias = json_string_value(json_array_get(aliases, i));
        good = alias && strlen(alias) <= NETWORK_HOST_MAX;
        if (good)
            strcpy(lease->aliases[lease->alias_count++], alias);
    }
    const size_t count = json_array_size(ports);
    lease->ports = good && count ? calloc(count, sizeof *lease->ports) : NULL;
    for (size_t i = 0; good && i < count; i++)
        good = lease->ports && port_load(&lease->ports[lease->port_count++], json_array_get(ports, i));
    if (!good)
        free(lease->ports);
    return good;
}

int lease_list_load(struct lease_list *list, const json_t *document, struct error *error)
{
    const json_t *leases = json_object_get(document, "leases"),
                 *resolvers = json_object_get(document, "resolvers"), *item;
    const char *subnet = json_string_value(json_object_get(document, "subnet"));
    size_t i;
    list->internal = json_is_true(json_object_get(document, "internal"));
    list->settled = json_is_true(json_object_get(document, "settled"));
    bool good = text_load(list->network, sizeof list->network, document, "network") &&
                text_load(list->bridge, sizeof list->bridge, document, "bridge") &&
                process_load(&list->server, json_object_get(document, "server")) && json_is_array(leases) &&
                subnet && !network_subnet_parse(&list->subnet, subnet, NULL) &&
                json_array_size(resolvers) <= LEASE_RESOLVERS_MAX;
    for (i = 0; good && i < json_array_size(resolvers); i++)
        good = address_load(&list->resolvers[list->resolver_count++], json_array_get(resolvers, i));
    json_array_foreach(leases, i, item)
    {
        struct lease lease = {0};
        if (!good || !lease_load(&lease, item)) {
            good = false;
            break;
        }
        if (lease_add(list, &lease)) {
            free(lease.ports);
            good = false;
        }
    }
    if (good)
        return 0;
    lease_list_free(list);
    return error_set(error, -EINVAL, "leases.json is damaged");
}

/* -- the list -------------------------------------------------------------------------------------------- */

int lease_add(struct lease_list *list, const struct lease *lease)
{
    struct lease *more = realloc(list->leases, (list->count + 1) * sizeof *more);
    if (!more)
        return -ENOMEM;
    list->leases = more;
    unsigned at = list->count++;
    for (; at && ntohl(more[at - 1].address.s_addr) > ntohl(lease->address.s_addr); at--)
        more[at] = more[at - 1];
    more[at] = *lease;
    return 0;
}

void lease_drop(struct lease_list *list, unsigned index)
{
    free(list->leases[index].ports);
    memmove(&list->leases[index], &list->leases[index + 1], (list->count - index - 1) * sizeof *list->leases);
    list->count--;
}

struct lease *lease_find(const struct lease_list *list, const char *domain)
{
    for (unsigned i = 0; i < list->count; i++) {
        if (strcmp(list->leases[i].domain, domain) == 0)
            return &list->leases[i];
    }
    return NULL;
}

bool lease_drop_dead(struct lease_list *list)
{
    bool any = false;
    for (unsigned i = list->count; i-- > 0;) {
        if (process_id_lives(&list->leases[i].process))
            continue;
        lease_drop(list, i);
        any = true;
    }
    return any;
}

static const struct lease *find_address(const struct lease_list *list, struct in_addr address)
{
    for (unsigned i = 0; i < list->count; i++) {
        if (list->leases[i].address.s_addr == address.s_addr)
            return &list->leases[i];
    }
    return NULL;
}

static int check_wanted(const struct lease_list *list, struct in_addr wanted, struct error *error)
{
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &wanted, text, sizeof text);
    const struct lease *other = find_address(list, wanted);
    if (!network_subnet_has(&list->subnet, wanted))
        return error_set(error, -EINVAL, "%s is not for a domain of the network %s", text, list->network);
    if (other)
        return error_set(error, -EADDRINUSE, "%s is the address of %s in the network %s", text, other->name,
                         list->network);
    return 0;
}

int lease_choose(const struct lease_list *list, struct in_addr wanted, struct in_addr *address,
                 struct error *error)
{
    if (wanted.s_addr) {
        *address = wanted;
        return check_wanted(list, wanted, error);
    }
    uint32_t at = ntohl(list->subnet.address.s_addr) + 1;
    unsigned next = 0;
    for (;; at++) { /* past the leases, which are in order */
        const struct in_addr here = {htonl(at)};
        while (next < list->count && ntohl(list->leases[next].address.s_addr) < at)
            next++;
        const bool taken = next < list->count && list->leases[next].address.s_addr == here.s_addr;
        if (here.s_addr == list->subnet.gateway.s_addr || taken)
            continue;
        if (!network_subnet_has(&list->subnet, here))
            break;
        *address = here;
        return 0;
    }
    error_set(error, -ENOSPC, "the network %s has no address left", list->network);
    error_hint(error, "visor network create --subnet makes a larger one");
    return -ENOSPC;
}

static bool ports_clash(const struct network_port *one, const struct network_port *two)
{
    return one->udp == two->udp && one->host_port == two->host_port &&
           (!one->host.s_addr || !two->host.s_addr || one->host.s_addr == two->host.s_addr);
}

int lease_check_ports(const struct lease_list *list, const struct network_port *ports, unsigned count,
                      struct error *error)
{
    for (unsigned i = 0; i < list->count; i++) {
        const struct lease *lease = &list->leases[i];
        for (unsigned j = 0; j < lease->port_count * count; j++) {
            if (ports_clash(&lease->ports[j / count], &ports[j % count]))
                return error_set(error, -EADDRINUSE, "%s publishes port %u already", lease->name,
                                 ports[j % count].host_port);
        }
    }
    return 0;
}
