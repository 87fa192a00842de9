/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options: what follows --net, and the network that it describes.
 *
 *   none
 *   tap[=NAME][,mac=M][,vhost=on|off|auto]
 *   user[,forward=tcp|udp:[HOSTIP:]HOSTPORT:[GUESTIP:]GUESTPORT]...[,restrict][,net=CIDR][,dns=IP][,hostname=H]
 *       [,mac=M]
 */
#ifndef VISOR_BACKEND_NET_OPTIONS_H
#define VISOR_BACKEND_NET_OPTIONS_H

#include <net/if.h>
#include <netinet/in.h>

#include "backend/net/net.h"
#include "backend/vhost/vhost.h"
#include "base/loop.h"

#define NET_FORWARD_MAX  64
#define NET_HOSTNAME_MAX 32

/* The user network's IPv6: a prefix of 64 bits, the host in it, its resolver, and a guest that is told. */
#define NET_USER_PREFIX6 "fec0::"
#define NET_USER_HOST6   "fec0::2"
#define NET_USER_DNS6    "fec0::3"
#define NET_USER_GUEST6  "fec0::f"

enum net_kind { NET_NONE, NET_TAP, NET_USER };

struct net_forward {
    bool udp;
    struct in_addr host, guest; /* guest: 0 is the one that DHCP gives */
    uint16_t host_port, guest_port;
};

struct net_options {
    enum net_kind kind;
    bool has_mac;
    uint8_t mac[6];
    char interface[IFNAMSIZ]; /* TAP: empty, the kernel chooses one */
    enum vhost_wish vhost;    /* TAP */
    /* USER: */
    bool restricted; /* the guest reaches nothing but what is forwarded */
    struct in_addr network, mask, dns;
    char hostname[NET_HOSTNAME_MAX + 1];
    unsigned forward_count;
    struct net_forward forwards[NET_FORWARD_MAX];
};

int net_options_parse(struct net_options *options, const char *text, struct error *error);

/* Parts of options, also of others. -EINVAL. */
int net_port_parse(uint16_t *port, const char *text, struct error *error);
int net_address_parse(struct in_addr *address, const char *text, struct error *error);
int net_mac_parse(uint8_t mac[6], const char *text, struct error *error);

/* NULL for none. A port that is forwarded is listened at, and a network works, when this returns. */
int net_open(struct net_backend **out, const struct net_options *options, struct loop *loop,
             struct error *error);
void net_close(struct net_backend *backend);

int net_tap_open(struct net_backend **out, const struct net_options *options, struct loop *loop,
                 struct error *error);
/* The same in two steps: a tap device of this name ("": the kernel chooses one) in the calling process's
 * network namespace, which is gone with its descriptor; and what is made of that, which takes it over. */
int net_tap_make(const char *name, struct error *error);
int net_tap_adopt(struct net_backend **out, int fd, struct loop *loop, struct error *error);
int net_user_open(struct net_backend **out, const struct net_options *options, struct loop *loop,
                  struct error *error);

#endif
