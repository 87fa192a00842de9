/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend/net/options.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

static bool number_parse(unsigned long *value, const char *text, unsigned long most)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    *value = strtoul(text, &end, 10);
    return !*end && !errno && *value <= most;
}

int net_port_parse(uint16_t *port, const char *text, struct error *error)
{
    unsigned long value;
    if (!number_parse(&value, text, 65535) || !value)
        return error_set(error, -EINVAL, "%s is no port", *text ? text : "nothing");
    *port = (uint16_t)value;
    return 0;
}

int net_address_parse(struct in_addr *address, const char *text, struct error *error)
{
    if (inet_pton(AF_INET, text, address) != 1)
        return error_set(error, -EINVAL, "%s is no IPv4 address", *text ? text : "nothing");
    return 0;
}

/* tcp:[HOSTIP:]HOSTPORT:[GUESTIP:]GUESTPORT; three parts: the address is the one with dots. */
static int forward_parse(struct net_options *options, char *text, struct error *error)
{
    struct net_forward forward = {.host.s_addr = htonl(INADDR_LOOPBACK)};
    char *parts[6], *next = text;
    unsigned count = 0;

    while (next && count < ARRAY_SIZE(parts))
        parts[count++] = strsep(&next, ":");
    bool known = count && (!strcmp(parts[0], "tcp") || !strcmp(parts[0], "udp"));
    if (!known || next || count < 3 || count > 5) {
        error_set(error, -EINVAL, "forward=%s is not understood", known ? parts[0] : text);
        error_hint(
            error,
            "forward=tcp:HOSTPORT:GUESTPORT, for example tcp:2222:22; udp instead of tcp; an address and a "
            "colon before each port if need be");
        return -EINVAL;
    }
    if (options->forward_count == NET_FORWARD_MAX)
        return error_set(error, -EINVAL, "more than %d ports to forward", NET_FORWARD_MAX);
    forward.udp = !strcmp(parts[0], "udp");
    bool host_address = count == 5 || (count == 4 && strchr(parts[1], '.'));
    unsigned at = 1;
    int code = host_address ? net_address_parse(&forward.host, parts[at++], error) : 0;
    if (!code)
        code = net_port_parse(&forward.host_port, parts[at++], error);
    if (!code && count - at == 2)
        code = net_address_parse(&forward.guest, parts[at++], error);
    if (!code)
        code = net_port_parse(&forward.guest_port, parts[at], error);
    if (code) {
        error_prefix(error, "forward: ");
        return code;
    }
    options->forwards[options->forward_count++] = forward;
    return 0;
}

static int network_parse(struct net_options *options, char *text, struct error *error)
{
    char *slash = strchr(text, '/');
    unsigned long bits = 24;
    if (slash)
        *slash = '\0';
    if (net_address_parse(&options->network, text, error))
        return -EINVAL;
    if (slash && (!number_parse(&bits, slash + 1, 27) || bits < 8))
        return error_set(error, -EINVAL, "net=%s/%s: the network has 8 to 27 bits", text, slash + 1);
    options->mask.s_addr = htonl(~UINT32_C(0) << (32 - bits));
    if (options->network.s_addr & ~options->mask.s_addr)
        return error_set(error, -EINVAL, "net=%s/%lu: the address has bits beyond the network's", text, bits);
    return 0;
}

int net_mac_parse(uint8_t mac[6], const char *text, struct error *error)
{
    unsigned byte[6];
    int end = -1;
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4], &byte[5],
               &end) != 6 ||
        end != 17 || text[end])
        return error_set(error, -EINVAL, "mac=%s is no Ethernet address such as 52:54:00:12:34:56", text);
    if (byte[0] & 1)
        return error_set(error, -EINVAL, "mac=%s is the address of a group", text);
    for (unsigned i = 0; i < 6; i++)
        mac[i] = (uint8_t)byte[i];
    return 0;
}

static int mac_option(struct net_options *options, const char *text, struct error *error)
{
    int code = net_mac_parse(options->mac, text, error);
    options->has_mac = !code;
    return code;
}

static int hostname_parse(struct net_options *options, const char *text, struct error *error)
{
    size_t size = strlen(text);
    bool good = size && size <= NET_HOSTNAME_MAX;
    for (size_t i = 0; i < size; i++)
        good &= isalnum((unsigned char)text[i]) || text[i] == '-' || text[i] == '.';
    if (!good)
        return error_set(error, -EINVAL, "hostname=%s is no name of up to %d characters", text,
                         NET_HOSTNAME_MAX);
    strcpy(options->hostname, text);
    return 0;
}

static int user_option(struct net_options *options, const char *name, char *value, struct error *error)
{
    if (value && !strcmp(name, "forward"))
        return forward_parse(options, value, error);
    if (value && !strcmp(name, "net"))
        return network_parse(options, value, error);
    if (value && !strcmp(name, "dns"))
        return net_address_parse(&options->dns, value, error);
    if (value && !strcmp(name, "hostname"))
        return hostname_parse(options, value, error);
    if (value && !strcmp(name, "mac"))
        return mac_option(options, value, error);
    if (!value && !strcmp(name, "restrict")) {
        options->restricted = true;
        return 0;
    }
    error_set(error, -EINVAL, "the user network has no option \"%s\"", name);
    error_hint(error, "forward=tcp:HOSTPORT:GUESTPORT, restrict, net=CIDR, dns=IP, hostname=NAME, mac=MAC");
    return -EINVAL;
}

static int tap_option(struct net_options *options, const char *name, const char *value, struct error *error)
{
    if (value && !strcmp(name, "mac"))
        return mac_option(options, value, error);
    if (value && !strcmp(name, "vhost"))
        return vhost_wish_parse(&options->vhost, value, error);
    error_set(error, -EINVAL, "a tap device has no option \"%s\"", name);
    error_hint(error, "tap=NAME, mac=MAC, vhost=on|off|auto");
    return -EINVAL;
}

static int kind_parse(struct net_options *options, const char *name, const char *value, struct error *error)
{
    if (!strcmp(name, "tap")) {
        options->kind = NET_TAP;
        if (value && (!*value || strlen(value) >= IFNAMSIZ || strchr(value, '/')))
            return error_set(error, -EINVAL, "tap=%s is no name of a network interface", value);
        if (value)
            strcpy(options->interface, value);
        return 0;
    }
    if (!value && !strcmp(name, "user")) {
        options->kind = NET_USER;
        return 0;
    }
    if (!value && !strcmp(name, "none"))
        return 0;
    error_set(error, -EINVAL, "%s is no network", *name ? name : "nothing");
    error_hint(error, "user, tap, tap=NAME or none");
    return -EINVAL;
}

/* The addresses are those that QEMU gives: .2 the host, .3 its name server, .15 the guest. */
static int user_finish(struct net_options *options, struct error *error)
{
    if (!options->mask.s_addr) {
        options->network.s_addr = htonl(0x0a000200);
        options->mask.s_addr = htonl(0xffffff00);
    }
    if (!options->dns.s_addr)
        options->dns.s_addr = options->network.s_addr | htonl(3);
    if ((options->dns.s_addr & options->mask.s_addr) != options->network.s_addr)
        return error_set(error, -EINVAL, "dns: the address is not within the guest's network");
    for (unsigned i = 0; i < options->forward_count; i++) {
        const struct in_addr guest = options->forwards[i].guest;
        if (guest.s_addr && (guest.s_addr & options->mask.s_addr) != options->network.s_addr)
            return error_set(error, -EINVAL, "forward: the guest's address is not within its network");
    }
    return 0;
}

int net_options_parse(struct net_options *options, const char *text, struct error *error)
{
    memset(options, 0, sizeof *options);
    char *copy = strdup(text), *rest = copy;
    int code = copy ? 0 : error_set(error, -ENOMEM, "out of memory");

    for (bool first = true; !code && rest; first = false) {
        char *name = strsep(&rest, ","), *value = strchr(name, '=');
        if (value)
            *value++ = '\0';
        if (first)
            code = kind_parse(options, name, value, error);
        else if (options->kind == NET_USER)
            code = user_option(options, name, value, error);
        else if (options->kind == NET_TAP)
            code = tap_option(options, name, value, error);
        else
            code = error_set(error, -EINVAL, "no network has no options: %s", name);
    }
    free(copy);
    return !code && options->kind == NET_USER ? user_finish(options, error) : code;
}

int net_open(struct net_backend **out, const struct net_options *options, struct loop *loop,
             struct error *error)
{
    *out = NULL;
    switch (options->kind) {
    case NET_TAP: return net_tap_open(out, options, loop, error);
    case NET_USER: return net_user_open(out, options, loop, error);
    case NET_NONE: break;
    }
    return 0;
}

void net_close(struct net_backend *backend)
{
    if (backend)
        backend->ops->close(backend);
}
