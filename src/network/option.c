/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/option.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/net/options.h"
#include "base/macros.h"

#define PREFIX_LEAST 8
#define PREFIX_MOST  29

/* -- names ----------------------------------------------------------------------------------------------- */

int network_name_check(const char *name, struct error *error)
{
    static const char *const taken[] = {"none", "host", "user", "tap"};
    bool good = isalnum((unsigned char)*name) && strlen(name) <= NETWORK_NAME_MAX;
    for (const char *at = name; good && *at; at++)
        good = isalnum((unsigned char)*at) || *at == '_' || *at == '-';
    for (unsigned i = 0; good && i < ARRAY_SIZE(taken); i++) {
        if (strcmp(name, taken[i]) == 0)
            return error_set(error, -EINVAL, "\"%s\" is a kind of network, and no name for one", name);
    }
    if (good)
        return 0;
    error_set(error, -EINVAL, "\"%.80s\" is no name for a network", name);
    error_hint(error, "a name is a letter or digit, and up to 62 of those and _ - after it");
    return -EINVAL;
}

static int alias_add(struct network_option *option, const char *text, struct error *error)
{
    bool good = isalnum((unsigned char)*text) && strlen(text) <= NETWORK_HOST_MAX;
    for (const char *at = text; good && *at; at++)
        good = isalnum((unsigned char)*at) || strchr("_.-", *at);
    if (!good)
        return error_set(error, -EINVAL, "alias=%.80s is no name", text);
    if (option->alias_count == NETWORK_ALIASES_MAX)
        return error_set(error, -E2BIG, "more than %d aliases", NETWORK_ALIASES_MAX);
    strcpy(option->aliases[option->alias_count++], text);
    return 0;
}

/* -- options --------------------------------------------------------------------------------------------- */

static int part_parse(struct network_option *option, const char *name, const char *value, struct error *error)
{
    int code = -EINVAL;
    if (value && strcmp(name, "ip") == 0) {
        code = net_address_parse(&option->address, value, error);
        if (code)
            error_prefix(error, "ip: ");
    } else if (value && strcmp(name, "mac") == 0) {
        code = net_mac_parse(option->mac, value, error);
        option->has_mac = true;
    } else if (value && strcmp(name, "alias") == 0) {
        code = alias_add(option, value, error);
    } else if (value && strcmp(name, "vhost") == 0) {
        code = vhost_wish_parse(&option->vhost, value, error);
    } else {
        error_set(error, code, "a named network has no option \"%.80s\"", name);
        error_hint(error, "%s,ip=ADDRESS,mac=MAC,alias=NAME,vhost=on|off|auto", option->name);
    }
    return code;
}

int network_option_parse(struct network_option *option, const char *text, struct error *error)
{
    *option = (struct network_option){0};
    char *copy = strdup(text), *rest = copy;
    if (!copy)
        return error_set(error, -ENOMEM, "out of memory");
    const char *name = strsep(&rest, ",");
    int code = network_name_check(name, error);
    if (!code)
        strcpy(option->name, name);
    while (!code && rest) {
        char *part = strsep(&rest, ","), *value = strchr(part, '=');
        if (value)
            *value++ = '\0';
        code = part_parse(option, part, value, error);
    }
    free(copy);
    return code;
}

static int port_error(const char *text, struct error *error)
{
    error_set(error, -EINVAL, "\"%.80s\" says no port to publish", text);
    error_hint(error, "[IP:]HOSTPORT:PORT, for example 8080:80, 127.0.0.1:8080:80, or 5353:53/udp");
    return -EINVAL;
}

int network_port_parse(struct network_port *port, const char *text, struct error *error)
{
    char copy[64], *slash, *parts[4], *next = copy;
    unsigned count = 0;
    *port = (struct network_port){0};
    if (strlen(text) >= sizeof copy)
        return port_error(text, error);
    strcpy(copy, text);
    slash = strchr(copy, '/');
    if (slash)
        *slash++ = '\0';
    port->udp = slash && strcmp(slash, "udp") == 0;
    while (next && count < ARRAY_SIZE(parts))
        parts[count++] = strsep(&next, ":");
    if (next || count < 2 || count > 3 || (slash && !port->udp && strcmp(slash, "tcp") != 0))
        return port_error(text, error);
    int code = count == 3 ? net_address_parse(&port->host, parts[0], error) : 0;
    if (!code)
        code = net_port_parse(&port->host_port, parts[count - 2], error);
    if (!code)
        code = net_port_parse(&port->port, parts[count - 1], error);
    return code;
}

/* -- subnets --------------------------------------------------------------------------------------------- */

static uint32_t mask_of(unsigned prefix)
{
    return prefix ? ~UINT32_C(0) << (32 - prefix) : 0;
}

int network_subnet_parse(struct network_subnet *subnet, const char *text, struct error *error)
{
    char copy[32], *end = NULL;
    const char *slash = strchr(text, '/');
    *subnet = (struct network_subnet){0};
    if (!slash || strlen(text) >= sizeof copy || !isdigit((unsigned char)slash[1])) {
        error_set(error, -EINVAL, "\"%.80s\" is no subnet", text);
        error_hint(error, "an address and the bits of the network, such as 10.1.2.0/24");
        return -EINVAL;
    }
    strcpy(copy, text);
    copy[slash - text] = '\0';
    if (net_address_parse(&subnet->address, copy, error))
        return -EINVAL;
    const unsigned long bits = strtoul(slash + 1, &end, 10);
    if (*end || bits < PREFIX_LEAST || bits > PREFIX_MOST)
        return error_set(error, -EINVAL, "%s: a subnet has %d to %d bits", text, PREFIX_LEAST, PREFIX_MOST);
    const uint32_t address = ntohl(subnet->address.s_addr);
    if (address & ~mask_of((unsigned)bits))
        return error_set(error, -EINVAL, "%s: the address has bits beyond the network's", text);
    if (address >> 28 >= 14 || address >> 24 == 127 || address >> 24 == 0)
        return error_set(error, -EINVAL, "%s: these addresses are not for hosts", text);
    subnet->prefix = (unsigned)bits;
    subnet->gateway.s_addr = htonl(address + 1);
    return 0;
}

bool network_subnets_overlap(const struct network_subnet *one, const struct network_subnet *two)
{
    const uint32_t mask = mask_of(MIN(one->prefix, two->prefix));
    return !((ntohl(one->address.s_addr) ^ ntohl(two->address.s_addr)) & mask);
}

bool network_subnet_has(const struct network_subnet *subnet, struct in_addr address)
{
    const uint32_t first = ntohl(subnet->address.s_addr), last = first | ~mask_of(subnet->prefix),
                   here = ntohl(address.s_addr);
    return here > first && here < last && address.s_addr != subnet->gateway.s_addr;
}
