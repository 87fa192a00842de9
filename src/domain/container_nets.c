/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/container_nets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/net/join.h"
#include "backend/net/options.h"
#include "domain/container_files.h"
#include "domain/container_tap.h"
#include "domain/nets.h"

/* The container in its user network, as machines are given it by DHCP: the 15th address; the host is the 2nd.
 */
#define USER_GUEST 15
#define USER_HOST  2

struct container_nets {
    struct domain_run *run;
    const struct domain_list *texts; /* of the configuration */
    struct domain_list usual;        /* what there is if it says nothing */
    char *usual_item;
    struct domain_ports ports;
    struct domain_nets named;
    struct network_attachment attachments[DOMAIN_NETS_MAX]; /* of named ones, by their place in `texts` */
    struct net_options user;
    struct net_backend *backend; /* the user network's, until it is joined */
    struct net_join *join;
};

static const char *word_of(const struct domain_config *config)
{
    return config->container.nets.count ? config->container.nets.items[0] : "";
}

static bool is_word(const char *text, const char *word)
{
    const size_t length = strlen(word);
    return strncmp(text, word, length) == 0 && (!text[length] || text[length] == ',');
}

bool container_nets_are_hosts(const struct domain_config *config)
{
    return strcmp(word_of(config), "host") == 0;
}

/* Whose bundle says nothing gets what the bundle says. */
static bool is_left_alone(const struct domain_config *config)
{
    return config->container.bundle && !config->container.nets.count && !config->container.publish.count;
}

int container_nets_check(const struct domain_config *config, struct error *error)
{
    const struct domain_list *nets = &config->container.nets;
    unsigned users = 0;
    for (unsigned i = 0; i < nets->count; i++) {
        const char *text = nets->items[i];
        const bool alone = strcmp(text, "host") == 0 || strcmp(text, "none") == 0;
        users += is_word(text, "user");
        if (alone && (nets->count > 1 || config->container.publish.count))
            return error_set(error, -EINVAL,
                             "container.nets: \"%s\" goes with no other network, and no ports", text);
    }
    return users > 1 ? error_set(error, -EINVAL, "container.nets: there can be one \"user\"") : 0;
}

/* -- before it is made ----------------------------------------------------------------------------------- */

static int user_prepare(struct container_nets *nets, const char *text, struct error *error)
{
    int code = net_options_parse(&nets->user, text, error);
    if (!code && nets->ports.count)
        code = domain_ports_forward(&nets->ports, &nets->user, error);
    if (!code)
        code = net_user_open(&nets->backend, &nets->user, nets->run->loop, error);
    return code;
}

static int all_prepare(struct container_nets *nets, struct error *error)
{
    int code = 0;
    for (unsigned i = 0; !code && i < nets->texts->count; i++) {
        const char *text = nets->texts->items[i];
        if (domain_net_is_named(text))
            code = domain_nets_attach(&nets->named, nets->run->domain, text, i ? NULL : &nets->ports,
                                      &nets->attachments[i], error);
        else if (is_word(text, "user"))
            code = user_prepare(nets, text, error);
        nets->ports.count = i ? nets->ports.count : 0; /* they are the first network's */
    }
    return code;
}

/* What there is without a word: the user network, if it can be had. */
static int usual_prepare(struct container_nets *nets, struct error *error)
{
    const bool wanted = nets->ports.count;
    int code = all_prepare(nets, error);
    if (!code || wanted)
        return code;
    error_prefix(error, "the container has no network: ");
    error_report(error);
    *error = (struct error)ERROR_INIT;
    nets->usual.count = 0;
    return 0;
}

int container_nets_prepare(struct container_nets **out, struct domain_run *run, struct error *error)
{
    const struct domain_config *config = run->config;
    static char user[] = "user";
    struct container_nets *nets = calloc(1, sizeof *nets);
    if (!nets)
        return error_set(error, -ENOMEM, "out of memory");
    nets->run = run;
    nets->usual_item = user;
    nets->usual = (struct domain_list){.items = &nets->usual_item, .count = !is_left_alone(config)};
    nets->texts = config->container.nets.count ? &config->container.nets : &nets->usual;
    int code = domain_ports_parse(&nets->ports, &config->container.publish, error);
    if (!code)
        code = nets->texts == &nets->usual ? usual_prepare(nets, error) : all_prepare(nets, error);
    if (code) {
        container_nets_free(nets);
        return code;
    }
    *out = nets;
    return 0;
}

/* -- its document ---------------------------------------------------------------------------------------- */

/* A bundle's document has, or has not, a network namespace, as the configuration wants it. */
static int set_namespace(json_t *document, bool own)
{
    json_t *platform = json_object_get(document, "linux"), *all = json_object_get(platform, "namespaces");
    for (size_t i = json_array_size(all); i-- > 0;) {
        const char *type = json_string_value(json_object_get(json_array_get(all, i), "type"));
        if (type && strcmp(type, "network") == 0)
            json_array_remove(all, i);
    }
    return own ? json_array_append_new(all, json_pack("{s:s}", "type", "network")) : 0;
}

static void tell_named(struct container_files *files, const struct network_attachment *attachment)
{
    files->resolvers[files->resolver_count++] = attachment->subnet.gateway;
    snprintf(files->search[files->search_count++], sizeof files->search[0], "%s." DNS_ZONE,
             attachment->network);
    files->addresses[files->address_count++] = attachment->address;
}

static struct in_addr user_address(const struct container_nets *nets, unsigned number)
{
    return (struct in_addr){nets->user.network.s_addr | htonl(number)};
}

int container_nets_document(struct container_nets *nets, json_t *document, struct error *error)
{
    const struct domain_config *config = nets->run->config;
    const bool hosts = container_nets_are_hosts(config);
    struct container_files files = {
        .host = hosts, .name = config->container.hostname ? config->container.hostname : nets->run->name};
    if (is_left_alone(config))
        return 0;
    for (unsigned i = 0; i < nets->texts->count; i++) {
        if (domain_net_is_named(nets->texts->items[i])) {
            tell_named(&files, &nets->attachments[i]);
        } else if (nets->backend) {
            files.resolvers[files.resolver_count++] = nets->user.dns;
            files.addresses[files.address_count++] = user_address(nets, USER_GUEST);
        }
    }
    if (config->container.bundle && set_namespace(document, !hosts))
        return error_set(error, -EINVAL, "the bundle's document has no namespaces");
    return container_files_show(&files, nets->run->domain, config, document, error);
}

/* -- when it is there ------------------------------------------------------------------------------------ */

static int user_connect(struct container_nets *nets, int users, int network, const char *name, bool first,
                        struct error *error)
{
    struct net_backend *tap;
    struct container_tap what = {
        .name = name,
        .address = user_address(nets, USER_GUEST),
        .prefix = (unsigned)__builtin_popcount(nets->user.mask.s_addr),
        .gateway = user_address(nets, USER_HOST),
        .mac = nets->user.has_mac ? nets->user.mac : NULL,
        .first = first,
    };
    inet_pton(AF_INET6, NET_USER_GUEST6, &what.address6);
    inet_pton(AF_INET6, NET_USER_HOST6, &what.gateway6);
    int fd = container_tap_make(&what, users, network, error);
    int code = fd < 0 ? fd : net_tap_adopt(&tap, fd, nets->run->loop, error);
    if (code)
        return code;
    nets->join = net_join_new(tap, nets->backend);
    if (!nets->join) {
        tap->ops->close(tap);
        return error_set(error, -ENOMEM, "out of memory");
    }
    nets->backend = NULL;
    return 0;
}

/* The first that leads outside has the default route. */
int container_nets_connect(struct container_nets *nets, int users, int network, struct error *error)
{
    bool first = true;
    int code = 0;
    for (unsigned i = 0; !code && i < nets->texts->count; i++) {
        const bool named = domain_net_is_named(nets->texts->items[i]);
        char name[8];
        snprintf(name, sizeof name, "eth%u", i % DOMAIN_NETS_MAX);
        if (named)
            code = network_connect_container(&nets->attachments[i], network, name, first, error);
        else if (nets->backend)
            code = user_connect(nets, users, network, name, first, error);
        first &= named && nets->attachments[i].internal;
    }
    if (!code || nets->texts != &nets->usual || nets->run->config->container.publish.count)
        return code;
    error_prefix(error, "the container has no network: ");
    error_report(error);
    *error = (struct error)ERROR_INIT;
    return 0;
}

void container_nets_free(struct container_nets *nets)
{
    if (!nets)
        return;
    net_join_free(nets->join);
    if (nets->backend)
        nets->backend->ops->close(nets->backend);
    domain_nets_detach(&nets->named);
    free(nets);
}
