/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/host_routes.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINE 512

bool host_routes_overlap(const struct network_subnet *subnet)
{
    FILE *file = fopen("/proc/net/route", "re");
    char line[LINE];
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        uint32_t to, mask; /* as the memory of a number in the network's order is read */
        if (sscanf(line, "%*s %" SCNx32 " %*x %*x %*d %*d %*d %" SCNx32, &to, &mask) != 2 || !mask)
            continue;
        const struct network_subnet route = {
            .address = {to},
            .prefix = (unsigned)__builtin_popcount(mask),
        };
        found = network_subnets_overlap(&route, subnet);
    }
    if (file)
        fclose(file);
    return found;
}

unsigned host_resolvers(struct in_addr *resolvers, unsigned most)
{
    FILE *file = fopen("/etc/resolv.conf", "re");
    char line[LINE], text[INET_ADDRSTRLEN];
    unsigned count = 0;
    while (file && count < most && fgets(line, sizeof line, file)) {
        if (sscanf(line, "nameserver %15s", text) == 1 && inet_pton(AF_INET, text, &resolvers[count]) == 1)
            count++;
    }
    if (file)
        fclose(file);
    return count;
}
