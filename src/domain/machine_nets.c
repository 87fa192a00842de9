/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/machine_nets.h"

#include <errno.h>
#include <string.h>

int machine_nets_check(const struct domain_config *config, struct error *error)
{
    const struct domain_list *nets = &config->machine.nets;
    struct net_options options;
    if (!config->machine.publish.count || !nets->count || domain_net_is_named(nets->items[0]))
        return 0;
    int code = net_options_parse(&options, nets->items[0], error);
    if (code || options.kind == NET_USER)
        return code;
    error_set(error, -EINVAL,
              "ports are published by the first network, which is to be \"user\" or a named one");
    error_hint(error, "--net user, or a network made by visor network create");
    return -EINVAL;
}

static int prepare(struct machine_nets *nets, const struct domain_run *run, const char *text,
                   const struct domain_ports *ports, struct error *error)
{
    const unsigned at = nets->count;
    struct network_attachment *attachment = &nets->attachments[at];
    struct net_options *options = &nets->options[at];
    int code;
    nets->is_named[at] = domain_net_is_named(text);
    if (nets->is_named[at]) {
        struct network_option named = {0};
        code = domain_nets_attach(&nets->named, run->domain, text, ports, attachment, error);
        if (!code)
            code = network_option_parse(&named, text, error);
        *options = (struct net_options){.kind = NET_TAP, .has_mac = true, .vhost = named.vhost};
        strcpy(options->interface, attachment->interface);
        memcpy(options->mac, attachment->mac, sizeof options->mac);
    } else {
        code = net_options_parse(options, text, error);
        if (!code && ports)
            code = domain_ports_forward(ports, options, error);
    }
    nets->count += !code;
    return code;
}

/* Who has not said anything of the network gets one if there can be one. */
int machine_nets_prepare(struct machine_nets *nets, const struct domain_run *run, struct error *error)
{
    const struct domain_list *texts = &run->config->machine.nets;
    struct domain_ports ports;
    int code = domain_ports_parse(&ports, &run->config->machine.publish, error);
    if (!code && !texts->count)
        code = prepare(nets, run, "user", &ports, error);
    for (unsigned i = 0; !code && i < texts->count; i++)
        code = prepare(nets, run, texts->items[i], i ? NULL : &ports, error);
    return code;
}

bool machine_nets_may_use_vhost(const struct machine_nets *nets)
{
    for (unsigned i = 0; i < nets->count; i++)
        if (nets->options[i].kind == NET_TAP && nets->options[i].vhost != VHOST_OFF)
            return true;
    return false;
}

int machine_nets_connect(const struct machine_nets *nets, struct error *error)
{
    int code = 0;
    for (unsigned i = 0; !code && i < nets->count; i++)
        code = nets->is_named[i] ? network_connect_tap(&nets->attachments[i], error) : 0;
    return code;
}

void machine_nets_release(struct machine_nets *nets)
{
    domain_nets_detach(&nets->named);
}
