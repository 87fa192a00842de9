/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/nets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/net/options.h"
#include "base/macros.h"

/* -- configurations -------------------------------------------------------------------------------------- */

bool domain_net_is_named(const char *text)
{
    static const char *const words[] = {"none", "host", "user", "tap"};
    const size_t length = strcspn(text, ",=");
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (strlen(words[i]) == length && strncmp(text, words[i], length) == 0)
            return false;
    }
    return true;
}

int domain_net_check(const char *text, struct error *error)
{
    struct net_options options;
    struct network_option named;
    return domain_net_is_named(text) ? network_option_parse(&named, text, error)
                                     : net_options_parse(&options, text, error);
}

static int list_look(const struct networks *networks, const struct domain_list *nets, struct error *error)
{
    int code = 0;
    for (unsigned i = 0; !code && i < nets->count; i++) {
        struct network_option option;
        struct network network = {0};
        if (!domain_net_is_named(nets->items[i]))
            continue;
        code = network_option_parse(&option, nets->items[i], error);
        if (!code)
            code = network_read(networks, option.name, &network, error);
        if (code == -ENOENT) {
            code = error_set(error, -ENODEV, "there is no network \"%s\"", option.name);
            error_hint(error, "visor network create %s; or one of user, tap, host, none", option.name);
        }
        network_release(&network);
    }
    return code;
}

int domain_nets_look(const struct domain_store *store, const struct domain_config *config,
                     struct error *error)
{
    struct networks networks;
    int code = networks_open(&networks, store->path, store->run_path, false, error);
    if (!code)
        code = list_look(&networks, &config->machine.nets, error);
    if (!code)
        code = list_look(&networks, &config->container.nets, error);
    networks_close(&networks);
    return code;
}

/* The leases of a network that is named, and the domain's among them, which is theirs; NULL: it has none. */
static const struct lease *lease_look(const struct networks *networks, const char *id, const char *text,
                                      struct network_option *option, struct lease_list *leases)
{
    *leases = (struct lease_list){0};
    if (!domain_net_is_named(text) || network_option_parse(option, text, NULL) ||
        network_leases(networks, option->name, leases, NULL))
        return NULL;
    return lease_find(leases, id);
}

static void list_describe(const struct networks *networks, const char *id, const struct domain_list *nets,
                          json_t *object)
{
    for (unsigned i = 0; i < nets->count; i++) {
        struct network_option option;
        struct lease_list leases;
        const struct lease *lease = lease_look(networks, id, nets->items[i], &option, &leases);
        if (lease)
            json_object_set_new(object, option.name, lease_describe(lease));
        lease_list_free(&leases);
    }
}

unsigned domain_nets_addresses(const struct domain *domain, const struct domain_config *config,
                               uint8_t addresses[DOMAIN_NETS_MAX][6])
{
    const struct domain_list *nets = &config->machine.nets;
    struct networks networks;
    memset(addresses, 0, DOMAIN_NETS_MAX * sizeof addresses[0]);
    if (networks_open(&networks, domain->store->path, domain->store->run_path, false, NULL))
        return 0;
    unsigned count = 0;
    for (unsigned i = 0; i < nets->count && count < DOMAIN_NETS_MAX; i++) {
        struct network_option option;
        struct lease_list leases;
        if (strcmp(nets->items[i], "none") == 0)
            continue;
        const struct lease *lease = lease_look(&networks, domain->id, nets->items[i], &option, &leases);
        if (lease)
            memcpy(addresses[count], lease->mac, sizeof addresses[count]);
        count++;
        lease_list_free(&leases);
    }
    networks_close(&networks);
    return count;
}

json_t *domain_nets_json(const struct domain *domain, const struct domain_config *config)
{
    struct networks networks;
    json_t *object = json_object();
    if (networks_open(&networks, domain->store->path, domain->store->run_path, false, NULL))
        return object;
    list_describe(&networks, domain->id, &config->machine.nets, object);
    list_describe(&networks, domain->id, &config->container.nets, object);
    networks_close(&networks);
    return object;
}

/* -- ports ----------------------------------------------------------------------------------------------- */

int domain_ports_parse(struct domain_ports *ports, const struct domain_list *publish, struct error *error)
{
    int code = 0;
    ports->count = 0;
    for (unsigned i = 0; !code && i < publish->count && i < DOMAIN_PORTS_MAX; i++)
        code = network_port_parse(&ports->ports[ports->count++], publish->items[i], error);
    return code;
}

int domain_ports_forward(const struct domain_ports *ports, struct net_options *options, struct error *error)
{
    for (unsigned i = 0; i < ports->count; i++) {
        const struct network_port *port = &ports->ports[i];
        if (options->forward_count == NET_FORWARD_MAX)
            return error_set(error, -E2BIG, "more than %d ports to forward", NET_FORWARD_MAX);
        options->forwards[options->forward_count++] = (struct net_forward){
            .udp = port->udp, .host = port->host, .host_port = port->host_port, .guest_port = port->port};
    }
    return 0;
}

/* The kernel's rules lead connections elsewhere before this socket sees them; but nobody else can have it. */
static int port_reserve(const struct network_port *port, struct error *error)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port->host_port), .sin_addr = port->host};
    const int on = 1;
    int fd = socket(AF_INET, (port->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (port->udp || !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)) &&
        !bind(fd, (const struct sockaddr *)&at, sizeof at) && (port->udp || !listen(fd, 1)))
        return fd;
    int code = -errno;
    if (fd >= 0)
        close(fd);
    error_set(error, code, "cannot publish %s port %u: %s", port->udp ? "UDP" : "TCP", port->host_port,
              strerror(-code));
    if (code == -EADDRINUSE)
        error_hint(error, "another program has it (see: ss -l%snp), choose another port",
                   port->udp ? "u" : "t");
    return code;
}

static int ports_reserve(struct domain_nets *nets, const struct domain_ports *ports, struct error *error)
{
    for (unsigned i = 0; i < ports->count; i++) {
        if (nets->socket_count == DOMAIN_PORTS_MAX)
            return error_set(error, -E2BIG, "more than %d ports to publish", DOMAIN_PORTS_MAX);
        int fd = port_reserve(&ports->ports[i], error);
        if (fd < 0)
            return fd;
        nets->sockets[nets->socket_count++] = fd;
    }
    return 0;
}

/* -- attaching ------------------------------------------------------------------------------------------- */

static int attach_rights(struct error *error)
{
    if (geteuid() == 0)
        return 0;
    error_set(error, -EPERM, "networks of domains need root");
    error_hint(error, "without it there is --net user");
    return -EPERM;
}

int domain_nets_attach(struct domain_nets *nets, const struct domain *domain, const char *text,
                       const struct domain_ports *ports, struct network_attachment *attachment,
                       struct error *error)
{
    struct network_option option;
    struct networks networks;
    int code = attach_rights(error);
    if (!code && (!domain || nets->count == DOMAIN_NETS_MAX))
        code = error_set(error, -EINVAL,
                         domain ? "more than %d networks" : "a domain in a network has to be stored",
                         DOMAIN_NETS_MAX);
    if (!code)
        code = network_option_parse(&option, text, error);
    if (!code && ports)
        code = ports_reserve(nets, ports, error);
    if (!code)
        code = networks_open(&networks, domain->store->path, domain->store->run_path, true, error);
    if (code)
        return code;
    const struct network_request request = {
        .option = &option,
        .domain = domain->id,
        .name = domain->name,
        .ports = ports ? ports->ports : NULL,
        .port_count = ports ? ports->count : 0,
    };
    code = network_attach(&networks, &request, attachment, error);
    networks_close(&networks);
    if (code)
        return code;
    nets->domain = domain;
    strcpy(nets->names[nets->count++], option.name);
    return 0;
}

void domain_nets_detach(struct domain_nets *nets)
{
    struct networks networks;
    struct error error = ERROR_INIT;
    for (unsigned i = 0; i < nets->socket_count; i++)
        close(nets->sockets[i]);
    nets->socket_count = 0;
    if (!nets->count)
        return;
    if (networks_open(&networks, nets->domain->store->path, nets->domain->store->run_path, false, &error)) {
        error_report(&error);
        return;
    }
    for (unsigned i = 0; networks.run >= 0 && i < nets->count; i++)
        network_detach(&networks, nets->names[i], nets->domain->id);
    nets->count = 0;
    networks_close(&networks);
}
