/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"

#define REQUEST_SIZE 512 /* none is longer */
#define ANSWER_SIZE  8192

/* -- messages -------------------------------------------------------------------------------------------- */

struct request {
    union {
        struct nlmsghdr header;
        char bytes[REQUEST_SIZE];
    };
};

static void *request_begin(struct request *request, uint16_t type, uint16_t flags, size_t size)
{
    memset(request, 0, sizeof *request);
    request->header.nlmsg_type = type;
    request->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    request->header.nlmsg_len = (uint32_t)NLMSG_SPACE(size);
    return NLMSG_DATA(&request->header);
}

/* Room for a header of a family, or an attribute's value, at the end. */
static void *append(struct request *request, size_t size)
{
    void *at = request->bytes + request->header.nlmsg_len;
    request->header.nlmsg_len += (uint32_t)NLMSG_ALIGN(size);
    return at;
}

static struct rtattr *attribute(struct request *request, unsigned type, const void *value, size_t size)
{
    struct rtattr *at = append(request, RTA_LENGTH(size));
    at->rta_type = (uint16_t)type;
    at->rta_len = (uint16_t)RTA_LENGTH(size);
    if (size)
        memcpy(RTA_DATA(at), value, size);
    return at;
}

static void attribute_text(struct request *request, unsigned type, const char *text)
{
    attribute(request, type, text, strlen(text) + 1);
}

static struct rtattr *nest(struct request *request, unsigned type)
{
    return attribute(request, type, NULL, 0);
}

static void nest_end(struct request *request, struct rtattr *at)
{
    at->rta_len = (uint16_t)(request->bytes + request->header.nlmsg_len - (char *)at);
}

/* Sends it and takes the answer: 0 or a negative errno; of a request for one link, its index. */
static int exchange(struct link *link, struct request *request)
{
    union {
        struct nlmsghdr header;
        char bytes[ANSWER_SIZE];
    } answer;
    request->header.nlmsg_seq = ++link->sequence;
    if (send(link->fd, request, request->header.nlmsg_len, 0) < 0)
        return -errno;
    int found = 0;
    for (;;) {
        ssize_t size = recv(link->fd, &answer, sizeof answer, 0);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < (ssize_t)sizeof answer.header)
            return size < 0 ? -errno : -EPROTO;
        if (answer.header.nlmsg_seq != link->sequence)
            continue; /* to what a signal has cut off */
        if (answer.header.nlmsg_type == RTM_NEWLINK)
            found = ((struct ifinfomsg *)NLMSG_DATA(&answer.header))->ifi_index;
        if (answer.header.nlmsg_type == NLMSG_ERROR) {
            int code = ((struct nlmsgerr *)NLMSG_DATA(&answer.header))->error;
            return code ? code : found;
        }
    }
}

static int failed(int code, const char *what, const char *name, struct error *error)
{
    error_set(error, code, "cannot %s %s: %s", what, name, strerror(-code));
    if (code == -EPERM)
        error_hint(error, "networks of domains need root (CAP_NET_ADMIN); without it: --net user");
    else if (code == -EOPNOTSUPP)
        error_hint(error, "the host's kernel does not have it (modprobe bridge veth)");
    return code;
}

/* -- sockets --------------------------------------------------------------------------------------------- */

int link_open(struct link *link, struct error *error)
{
    link->sequence = 0;
    link->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    return link->fd < 0 ? failed(-errno, "open", "netlink", error) : 0;
}

int link_open_in(struct link *link, int namespace, struct error *error)
{
    int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own < 0)
        return failed(-errno, "open", "/proc/thread-self/ns/net", error);
    int code =
        setns(namespace, CLONE_NEWNET) < 0 ? failed(-errno, "enter", "the network namespace", error) : 0;
    if (!code) {
        code = link_open(link, error);
        if (setns(own, CLONE_NEWNET) < 0) {
            if (!code)
                link_close(link);
            code = failed(-errno, "return to", "the network namespace", error);
        }
    }
    close(own);
    return code;
}

void link_close(struct link *link)
{
    close(link->fd);
}

/* -- interfaces ------------------------------------------------------------------------------------------ */

unsigned link_index(struct link *link, const char *name)
{
    struct request request;
    request_begin(&request, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
    attribute_text(&request, IFLA_IFNAME, name);
    int index = exchange(link, &request);
    return index > 0 ? (unsigned)index : 0;
}

/* Changes an interface that is there: up, with a MAC, as the port of a bridge. */
static int link_change(struct link *link, unsigned index, const uint8_t *mac, unsigned bridge)
{
    struct request request;
    struct ifinfomsg *info = request_begin(&request, RTM_NEWLINK, 0, sizeof *info);
    info->ifi_index = (int)index;
    if (!mac) {
        info->ifi_flags = IFF_UP;
        info->ifi_change = IFF_UP;
    } else {
        attribute(&request, IFLA_ADDRESS, mac, 6);
    }
    if (bridge)
        attribute(&request, IFLA_MASTER, &bridge, sizeof bridge);
    return exchange(link, &request);
}

static int change(struct link *link, const char *name, const uint8_t *mac, unsigned bridge, const char *what,
                  struct error *error)
{
    unsigned index = link_index(link, name);
    int code = index ? link_change(link, index, mac, bridge) : -ENODEV;
    return code ? failed(code, what, name, error) : 0;
}

int link_up(struct link *link, const char *name, struct error *error)
{
    return change(link, name, NULL, 0, "switch on", error);
}

int link_set_mac(struct link *link, const char *name, const uint8_t mac[6], struct error *error)
{
    return change(link, name, mac, 0, "give an address to", error);
}

int link_join(struct link *link, const char *name, const char *bridge, struct error *error)
{
    unsigned index = link_index(link, bridge);
    return index ? change(link, name, NULL, index, "add to the bridge", error)
                 : failed(-ENODEV, "find the bridge", bridge, error);
}

int link_make_bridge(struct link *link, const char *name, const uint8_t mac[6], struct in_addr address,
                     unsigned prefix, struct error *error)
{
    struct request request;
    request_begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
    attribute_text(&request, IFLA_IFNAME, name);
    attribute(&request, IFLA_ADDRESS, mac, 6);
    struct rtattr *kind = nest(&request, IFLA_LINKINFO);
    attribute(&request, IFLA_INFO_KIND, "bridge", 6);
    nest_end(&request, kind);
    int code = exchange(link, &request);
    if (code && code != -EEXIST)
        return failed(code, "make the bridge", name, error);
    code = link_add_address(link, name, address, prefix, error);
    return code ? code : link_up(link, name, error);
}

int link_make_pair(struct link *link, const struct link_pair *pair, struct error *error)
{
    struct request request;
    unsigned bridge = link_index(link, pair->bridge);
    if (!bridge)
        return failed(-ENODEV, "find the bridge", pair->bridge, error);
    struct ifinfomsg *info =
        request_begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
    info->ifi_flags = IFF_UP;
    info->ifi_change = IFF_UP;
    attribute_text(&request, IFLA_IFNAME, pair->name);
    attribute(&request, IFLA_MASTER, &bridge, sizeof bridge);
    struct rtattr *kind = nest(&request, IFLA_LINKINFO);
    attribute(&request, IFLA_INFO_KIND, "veth", 4);
    struct rtattr *data = nest(&request, IFLA_INFO_DATA), *peer = nest(&request, VETH_INFO_PEER);
    append(&request, sizeof(struct ifinfomsg));
    attribute_text(&request, IFLA_IFNAME, pair->peer);
    attribute(&request, IFLA_ADDRESS, pair->mac, 6);
    attribute(&request, IFLA_NET_NS_FD, &pair->namespace, sizeof pair->namespace);
    nest_end(&request, peer);
    nest_end(&request, data);
    nest_end(&request, kind);
    int code = exchange(link, &request);
    return code ? failed(code, "make the interface", pair->name, error) : 0;
}

int link_move(struct link *link, const char *name, int namespace, const char *new_name, struct error *error)
{
    struct request request;
    struct ifinfomsg *info = request_begin(&request, RTM_NEWLINK, 0, sizeof(struct ifinfomsg));
    info->ifi_index = (int)link_index(link, name);
    if (!info->ifi_index)
        return failed(-ENODEV, "find the interface", name, error);
    attribute_text(&request, IFLA_IFNAME, new_name);
    attribute(&request, IFLA_NET_NS_FD, &namespace, sizeof namespace);
    int code = exchange(link, &request);
    return code ? failed(code, "move the interface", name, error) : 0;
}

int link_remove(struct link *link, const char *name, struct error *error)
{
    struct request request;
    request_begin(&request, RTM_DELLINK, 0, sizeof(struct ifinfomsg));
    attribute_text(&request, IFLA_IFNAME, name);
    int code = exchange(link, &request);
    return code && code != -ENODEV ? failed(code, "remove", name, error) : 0;
}

/* -- addresses and routes -------------------------------------------------------------------------------- */

int link_add_address(struct link *link, const char *name, struct in_addr address, unsigned prefix,
                     struct error *error)
{
    struct request request;
    const struct in_addr broadcast = {address.s_addr | htonl(~UINT32_C(0) >> prefix)};
    struct ifaddrmsg *info =
        request_begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct ifaddrmsg));
    info->ifa_family = AF_INET;
    info->ifa_prefixlen = (uint8_t)prefix;
    info->ifa_index = link_index(link, name);
    attribute(&request, IFA_LOCAL, &address, sizeof address);
    attribute(&request, IFA_ADDRESS, &address, sizeof address);
    attribute(&request, IFA_BROADCAST, &broadcast, sizeof broadcast);
    int code = exchange(link, &request);
    return code && code != -EEXIST ? failed(code, "give an address to", name, error) : 0;
}

static size_t address_size(const struct link_address *address)
{
    return address->family == AF_INET ? 4 : 16;
}

static bool keep(uint8_t *to, bool *has, const struct rtattr *attribute, size_t size)
{
    if (RTA_PAYLOAD(attribute) < size)
        return false;
    memcpy(to, RTA_DATA(attribute), size);
    if (has)
        *has = true;
    return true;
}

/* False: not one that stays with the interface. */
static bool address_parse(struct link_address *address, const struct nlmsghdr *message, unsigned index)
{
    const struct ifaddrmsg *info = NLMSG_DATA(message);
    uint32_t flags = info->ifa_flags;
    bool found = false;
    *address = (struct link_address){.family = info->ifa_family, .prefix = info->ifa_prefixlen};
    if (info->ifa_index != index || info->ifa_scope != RT_SCOPE_UNIVERSE ||
        (info->ifa_family != AF_INET && info->ifa_family != AF_INET6))
        return false;
    const size_t size = address_size(address);
    size_t left = IFA_PAYLOAD(message);
    for (const struct rtattr *at = IFA_RTA(info); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
        switch (at->rta_type) {
        case IFA_ADDRESS: found |= keep(address->address, NULL, at, size); break;
        case IFA_LOCAL: keep(address->local, &address->has_local, at, size); break;
        case IFA_BROADCAST: keep(address->broadcast, &address->has_broadcast, at, size); break;
        case IFA_FLAGS: memcpy(&flags, RTA_DATA(at), sizeof flags); break;
        default: break;
        }
    }
    return found && flags & IFA_F_PERMANENT;
}

/* One part of the answer. 1: the last one. */
static int addresses_take(const char *bytes, size_t size, unsigned index, struct link_address **addresses,
                          unsigned *count)
{
    for (const struct nlmsghdr *at = (const void *)bytes; NLMSG_OK(at, size); at = NLMSG_NEXT(at, size)) {
        struct link_address one;
        if (at->nlmsg_type == NLMSG_DONE)
            return 1;
        if (at->nlmsg_type == NLMSG_ERROR)
            return ((struct nlmsgerr *)NLMSG_DATA(at))->error;
        if (at->nlmsg_type != RTM_NEWADDR || !address_parse(&one, at, index))
            continue;
        struct link_address *more = realloc(*addresses, (*count + 1) * sizeof *more);
        if (!more)
            return -ENOMEM;
        *addresses = more;
        more[(*count)++] = one;
    }
    return 0;
}

int link_list_addresses(struct link *link, const char *name, struct link_address **addresses, unsigned *count,
                        struct error *error)
{
    const unsigned index = link_index(link, name);
    struct request request;
    union {
        struct nlmsghdr header;
        char bytes[2 * ANSWER_SIZE];
    } answer;
    *addresses = NULL;
    *count = 0;
    request_begin(&request, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg));
    request.header.nlmsg_seq = ++link->sequence;
    int code = !index ? -ENODEV : send(link->fd, &request, request.header.nlmsg_len, 0) < 0 ? -errno : 0;
    while (code == 0) {
        ssize_t size = recv(link->fd, &answer, sizeof answer, 0);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < (ssize_t)sizeof answer.header)
            code = size < 0 ? -errno : -EPROTO;
        else if (answer.header.nlmsg_seq == link->sequence)
            code = addresses_take(answer.bytes, (size_t)size, index, addresses, count);
    }
    if (code > 0)
        return 0;
    free(*addresses);
    *addresses = NULL;
    *count = 0;
    return failed(code, "list the addresses of", name, error);
}

int link_take_address(struct link *link, const char *name, const struct link_address *address,
                      struct error *error)
{
    const uint32_t flags = IFA_F_PERMANENT | (address->family == AF_INET6 ? IFA_F_NODAD : 0);
    const size_t size = address_size(address);
    struct request request;
    struct ifaddrmsg *info =
        request_begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct ifaddrmsg));
    info->ifa_family = address->family;
    info->ifa_prefixlen = address->prefix;
    info->ifa_index = link_index(link, name);
    if (address->has_local)
        attribute(&request, IFA_LOCAL, address->local, size);
    attribute(&request, IFA_ADDRESS, address->address, size);
    if (address->has_broadcast)
        attribute(&request, IFA_BROADCAST, address->broadcast, size);
    attribute(&request, IFA_FLAGS, &flags, sizeof flags); /* nobody else had it a moment ago */
    int code = exchange(link, &request);
    return code && code != -EEXIST ? failed(code, "give an address to", name, error) : 0;
}

static int add_default_route(struct link *link, const char *name, uint8_t family, const void *gateway,
                             size_t size, struct error *error)
{
    struct request request;
    const unsigned index = link_index(link, name);
    struct rtmsg *route = request_begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof *route);
    *route = (struct rtmsg){
        .rtm_family = family,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = RTPROT_STATIC,
        .rtm_scope = RT_SCOPE_UNIVERSE,
        .rtm_type = RTN_UNICAST,
    };
    attribute(&request, RTA_GATEWAY, gateway, size);
    attribute(&request, RTA_OIF, &index, sizeof index);
    int code = exchange(link, &request);
    return code && code != -EEXIST ? failed(code, "give a default route to", name, error) : 0;
}

int link_add_default_route(struct link *link, const char *name, struct in_addr gateway, struct error *error)
{
    return add_default_route(link, name, AF_INET, &gateway, sizeof gateway, error);
}

int link_add_default_route6(struct link *link, const char *name, struct in6_addr gateway, struct error *error)
{
    return add_default_route(link, name, AF_INET6, &gateway, sizeof gateway, error);
}
