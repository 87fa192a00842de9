/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dns: what a network's name server answers (RFC 1035). It knows its domains by their names and aliases,
 * alone or followed by .NETWORK.visor.internal, and their addresses. Of other networks' names it refuses to
 * speak, so that who has several servers asks the next. All else is the host's resolvers' business.
 */
#ifndef VISOR_NETWORK_DNS_H
#define VISOR_NETWORK_DNS_H

#include <stddef.h>

#include "network/lease.h"

#define DNS_REPLY_MAX 512  /* bytes of an answer of its own */
#define DNS_QUERY_MAX 1232 /* what is taken from a client */
#define DNS_ZONE      "visor.internal"

enum dns_verdict {
    DNS_DROP,    /* it is no query */
    DNS_REPLY,   /* here it is */
    DNS_FORWARD, /* others know, or nobody */
};

/* The question may have any content. */
enum dns_verdict dns_serve(const struct lease_list *list, const uint8_t *query, size_t size,
                           uint8_t reply[DNS_REPLY_MAX], size_t *reply_size);

enum dns_code {
    DNS_OK = 0,
    DNS_FORMAT_ERROR = 1,
    DNS_FAILURE = 2,
    DNS_NO_NAME = 3,
    DNS_NOT_DONE = 4,
    DNS_REFUSED = 5
};
/* An answer without records to a query that dns_serve() wants to be forwarded. Its size. */
size_t dns_refuse(const uint8_t *query, size_t size, enum dns_code code, uint8_t reply[DNS_REPLY_MAX]);

/* Whether somebody's answer is one to this query, which was sent with this id. */
bool dns_answers(const uint8_t *answer, size_t size, const uint8_t *query, size_t query_size, uint16_t id);

#endif
