/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/dhcp.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "network/dns.h"

#define LEASE_TIME    3600 /* seconds; it is renewed as long as the domain is attached */
#define MESSAGE_LEAST 300  /* bytes: what some clients want (RFC 1542, 2.1) */

struct message { /* RFC 2131, 2 */
    uint8_t op, hardware, hardware_length, hops;
    uint32_t transaction;
    uint16_t seconds, flags;
    struct in_addr client, yours, next_server, relay;
    uint8_t hardware_address[16], server_name[64], file[128], cookie[4];
} __attribute__((packed));

#define OPTIONS sizeof(struct message)

static const uint8_t cookie[4] = {99, 130, 83, 99};

enum { ETHERNET = 1, OP_REQUEST = 1, OP_REPLY = 2 };
enum kind { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5, NAK = 6, INFORM = 8 };
enum option {
    OPTION_PAD = 0,
    OPTION_MASK = 1,
    OPTION_ROUTER = 3,
    OPTION_NAME_SERVER = 6,
    OPTION_HOST_NAME = 12,
    OPTION_DOMAIN_NAME = 15,
    OPTION_BROADCAST = 28,
    OPTION_REQUESTED = 50,
    OPTION_LEASE_TIME = 51,
    OPTION_KIND = 53,
    OPTION_SERVER = 54,
    OPTION_END = 255,
};

/* -- reading --------------------------------------------------------------------------------------------- */

struct options {
    uint8_t kind; /* 0: none */
    bool has_server;
    struct in_addr requested, server; /* 0: not given */
};

static void read_options(const uint8_t *at, size_t left, struct options *options)
{
    *options = (struct options){0};
    while (left && *at != OPTION_END) {
        if (*at == OPTION_PAD) {
            at++;
            left--;
            continue;
        }
        if (left < 2 || left - 2 < at[1])
            return;
        const uint8_t option = at[0], size = at[1], *value = at + 2;
        if (option == OPTION_KIND && size == 1)
            options->kind = *value;
        else if (option == OPTION_REQUESTED && size == 4)
            memcpy(&options->requested, value, 4);
        else if (option == OPTION_SERVER && size == 4) {
            memcpy(&options->server, value, 4);
            options->has_server = true;
        }
        at += 2 + size;
        left -= 2u + size;
    }
}

static const struct lease *find_mac(const struct lease_list *list, const uint8_t *mac)
{
    for (unsigned i = 0; i < list->count; i++) {
        if (memcmp(list->leases[i].mac, mac, 6) == 0)
            return &list->leases[i];
    }
    return NULL;
}

/* What kind of answer it gets; 0: none. */
static enum kind decide(const struct lease_list *list, const struct lease *lease,
                        const struct options *options, struct in_addr client)
{
    const bool ours = !options->has_server || options->server.s_addr == list->subnet.gateway.s_addr;
    const struct in_addr wanted = options->requested.s_addr ? options->requested : client;
    switch (options->kind) {
    case DISCOVER: return OFFER;
    case REQUEST: return !ours ? 0 : wanted.s_addr == lease->address.s_addr ? ACK : NAK;
    case INFORM: return ACK;
    default: return 0;
    }
}

/* -- writing --------------------------------------------------------------------------------------------- */

static uint8_t *put(uint8_t *at, enum option option, const void *value, size_t size)
{
    *at++ = (uint8_t)option;
    *at++ = (uint8_t)size;
    memcpy(at, value, size);
    return at + size;
}

static uint8_t *put_address(uint8_t *at, enum option option, uint32_t address)
{
    return put(at, option, &address, 4);
}

/* What a client is to know besides its address. All of it fits: two names of 63 letters are the longest. */
static uint8_t *put_facts(uint8_t *at, const struct lease_list *list, const struct lease *lease)
{
    char zone[NETWORK_NAME_MAX + sizeof "." DNS_ZONE];
    const uint32_t mask = htonl(~UINT32_C(0) << (32 - list->subnet.prefix)),
                   gateway = list->subnet.gateway.s_addr;
    at = put_address(at, OPTION_MASK, mask);
    if (!list->internal)
        at = put_address(at, OPTION_ROUTER, gateway);
    at = put_address(at, OPTION_NAME_SERVER, gateway);
    at = put_address(at, OPTION_BROADCAST, list->subnet.address.s_addr | ~mask);
    snprintf(zone, sizeof zone, "%s." DNS_ZONE, list->network);
    at = put(at, OPTION_DOMAIN_NAME, zone, strlen(zone));
    return put(at, OPTION_HOST_NAME, lease->name, strlen(lease->name));
}

static size_t write_reply(const struct lease_list *list, const struct lease *lease,
                          const struct message *request, enum kind kind, bool inform,
                          uint8_t reply[DHCP_REPLY_MAX])
{
    const struct message head = {
        .op = OP_REPLY,
        .hardware = ETHERNET,
        .hardware_length = 6,
        .transaction = request->transaction,
        .flags = request->flags,
        .client = kind == ACK ? request->client : (struct in_addr){0},
        .yours = kind == NAK || inform ? (struct in_addr){0} : lease->address,
    };
    const uint8_t kind_byte = (uint8_t)kind;
    memset(reply, 0, DHCP_REPLY_MAX);
    memcpy(reply, &head, sizeof head);
    memcpy(reply + offsetof(struct message, hardware_address), request->hardware_address, 16);
    memcpy(reply + offsetof(struct message, cookie), cookie, sizeof cookie);
    uint8_t *at = put(reply + OPTIONS, OPTION_KIND, &kind_byte, 1);
    at = put_address(at, OPTION_SERVER, list->subnet.gateway.s_addr);
    if (kind != NAK && !inform)
        at = put_address(at, OPTION_LEASE_TIME, htonl(LEASE_TIME));
    if (kind != NAK)
        at = put_facts(at, list, lease);
    *at++ = OPTION_END;
    const size_t size = (size_t)(at - reply);
    return size < MESSAGE_LEAST ? MESSAGE_LEAST : size;
}

size_t dhcp_serve(const struct lease_list *list, const uint8_t *message, size_t size,
                  uint8_t reply[DHCP_REPLY_MAX], struct in_addr *to)
{
    struct message request;
    struct options options;
    if (size < OPTIONS)
        return 0;
    memcpy(&request, message, OPTIONS);
    const struct lease *lease = find_mac(list, request.hardware_address);
    if (request.op != OP_REQUEST || request.hardware != ETHERNET || request.hardware_length != 6 ||
        memcmp(request.cookie, cookie, sizeof cookie) != 0 || request.relay.s_addr || !lease)
        return 0;
    read_options(message + OPTIONS, size - OPTIONS, &options);
    const enum kind kind = decide(list, lease, &options, request.client);
    if (!kind)
        return 0;
    /* Who has no address yet hears a broadcast, whether it has asked for one or not (RFC 2131, 4.1). Only
     * an address of the network is answered to: a guest says what it likes. */
    const bool direct = kind != NAK && network_subnet_has(&list->subnet, request.client);
    to->s_addr = direct ? request.client.s_addr : INADDR_BROADCAST;
    return write_reply(list, lease, &request, kind, options.kind == INFORM, reply);
}
