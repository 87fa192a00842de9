/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names in networks of domains: what a domain sends as a query, and what a resolver answers to one: by the
 * first byte. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct lease leases[] = {
    {.name = "web", .alias_count = 1, .aliases = {"all"}},
    {.name = "a.dotted-name", .alias_count = 1, .aliases = {"all"}},
};

static struct lease_list list = {.network = "back", .leases = leases, .count = 2};

static void serve(const uint8_t *query, size_t size)
{
    uint8_t reply[DNS_REPLY_MAX];
    size_t reply_size = 0;
    switch (dns_serve(&list, query, size, reply, &reply_size)) {
    case DNS_DROP: break;
    case DNS_REPLY:
        if (reply_size < 12 || reply_size > sizeof reply || memcmp(reply, query, 2) != 0)
            abort();
        break;
    case DNS_FORWARD:
        if (dns_refuse(query, size, DNS_FAILURE, reply) > sizeof reply)
            abort();
        /* The same question with the mark of an answer is one. */
        static uint8_t answer[DNS_QUERY_MAX];
        memcpy(answer, query, size);
        answer[2] |= 0x80;
        if (!dns_answers(answer, size, query, size, (uint16_t)(query[0] << 8 | query[1])))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t query[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\6debian\3org\0\0\1\0";
    network_subnet_parse(&list.subnet, "10.9.0.0/24", NULL);
    inet_pton(AF_INET, "10.9.0.2", &leases[0].address);
    inet_pton(AF_INET, "10.9.0.3", &leases[1].address);
    if (size && *data)
        serve(data + 1, size - 1);
    else if (size)
        dns_answers(data + 1, size - 1, query, sizeof query, 0x1234);
    return 0;
}
