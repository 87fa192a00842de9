/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a machine in a network of domains sends to ask for its address. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "network/dhcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lease lease = {.name = "old", .mac = {0x0a, 0x56, 10, 9, 0, 2}};
    static struct lease_list list = {.network = "back", .leases = &lease, .count = 1};
    uint8_t reply[DHCP_REPLY_MAX];
    struct in_addr to = {0};
    network_subnet_parse(&list.subnet, "10.9.0.0/24", NULL);
    inet_pton(AF_INET, "10.9.0.2", &lease.address);
    /* The longest names that there can be. */
    memset(list.network, 'n', size & 1 ? 4 : NETWORK_NAME_MAX);
    memset(lease.name, 'd', size & 1 ? 3 : NETWORK_HOST_MAX);
    const size_t answer = dhcp_serve(&list, data, size, reply, &to);
    if (answer > sizeof reply ||
        (answer && to.s_addr != INADDR_BROADCAST && !network_subnet_has(&list.subnet, to)))
        abort();
    return 0;
}
