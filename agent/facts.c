/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the guest is, and its end. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

static void fact(struct connection *connection, const char *name, const char *value)
{
    size_t begin = agent_frame_begin(&connection->output, AGENT_FACT);
    agent_put_string(&connection->output, name);
    agent_put_string(&connection->output, value);
    agent_frame_end(&connection->output, begin);
}

/* Two lines that every system has: ID and PRETTY_NAME. */
static void tell_system(struct connection *connection)
{
    char line[256];
    FILE *file = fopen("/etc/os-release", "re");
    while (file && fgets(line, sizeof line, file)) {
        char *value = strchr(line, '=');
        if (!value)
            continue;
        *value++ = '\0';
        value[strcspn(value, "\n")] = '\0';
        if (*value == '"') {
            value++;
            value[strcspn(value, "\"")] = '\0';
        }
        if (!strcmp(line, "ID"))
            fact(connection, "system", value);
        else if (!strcmp(line, "PRETTY_NAME"))
            fact(connection, "system-name", value);
    }
    if (file)
        fclose(file);
}

static unsigned prefix_of(const uint8_t *mask, unsigned size)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < size; i++)
        bits += (unsigned)__builtin_popcount(mask[i]);
    return bits;
}

/* "eth0 10.0.2.15/24" */
static void tell_address(struct connection *connection, const struct ifaddrs *one)
{
    const bool six = one->ifa_addr->sa_family == AF_INET6;
    const void *address = six ? (const void *)&((const struct sockaddr_in6 *)one->ifa_addr)->sin6_addr
                              : (const void *)&((const struct sockaddr_in *)one->ifa_addr)->sin_addr;
    const void *mask = six ? (const void *)&((const struct sockaddr_in6 *)one->ifa_netmask)->sin6_addr
                           : (const void *)&((const struct sockaddr_in *)one->ifa_netmask)->sin_addr;
    char text[INET6_ADDRSTRLEN], value[128];
    if (!inet_ntop(one->ifa_addr->sa_family, address, text, sizeof text))
        return;
    snprintf(value, sizeof value, "%s %s/%u", one->ifa_name, text, prefix_of(mask, six ? 16 : 4));
    fact(connection, "address", value);
}

static void tell_addresses(struct connection *connection)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all))
        return;
    for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
        if (one->ifa_addr && one->ifa_netmask && !(one->ifa_flags & IFF_LOOPBACK) &&
            (one->ifa_addr->sa_family == AF_INET || one->ifa_addr->sa_family == AF_INET6))
            tell_address(connection, one);
    }
    freeifaddrs(all);
}

void serve_facts(struct connection *connection)
{
    struct utsname names;
    struct timespec up;
    char text[32];
    if (!uname(&names)) {
        fact(connection, "hostname", names.nodename);
        fact(connection, "kernel", names.release);
        fact(connection, "architecture", names.machine);
    }
    clock_gettime(CLOCK_BOOTTIME, &up);
    snprintf(text, sizeof text, "%lld", (long long)up.tv_sec);
    fact(connection, "uptime", text);
    tell_system(connection);
    tell_addresses(connection);
    connection_done(connection);
}

/* By systemd, if that is process 1; else at once, as far as that goes. */
void serve_shutdown(struct connection *connection, struct reader *request)
{
    const unsigned how = (unsigned)reader_take_integer(request, 1);
    if (request->failed || request->left || how > AGENT_REBOOT) {
        connection_fail(connection, EPROTO, "cannot shut down: the request makes no sense");
        return;
    }
    if (connection->is_test) {
        connection_fail(connection, EOPNOTSUPP, "an agent that is tested shuts nothing down");
        return;
    }
    connection_done(connection);
    connection_end(connection);
    if (!access("/run/systemd/system", F_OK)) {
        kill(1, how == AGENT_REBOOT ? SIGRTMIN + 5
                                    : SIGRTMIN + 4); /* systemd(1): reboot.target, poweroff.target */
    } else {
        sync();
        reboot(how == AGENT_REBOOT ? RB_AUTOBOOT : RB_POWER_OFF);
    }
}
