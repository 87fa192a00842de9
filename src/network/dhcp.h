/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dhcp: gives machines the addresses that their leases say, by the MAC of who asks (RFC 2131, 2132).
 */
#ifndef VISOR_NETWORK_DHCP_H
#define VISOR_NETWORK_DHCP_H

#include <stddef.h>

#include "network/lease.h"

#define DHCP_MESSAGE_MAX 1500
#define DHCP_REPLY_MAX   576
#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68

/* The answer's size, and to whom it goes (perhaps 255.255.255.255); 0: there is none. The message may have
 * any content. */
size_t dhcp_serve(const struct lease_list *list, const uint8_t *message, size_t size,
                  uint8_t reply[DHCP_REPLY_MAX], struct in_addr *to);

#endif
