/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/embedded.h"
#include "network/nft/image.h"
#include "network/nft/nft.h"

/* -- what it says ---------------------------------------------------------------------------------------- */

/* Connections to a published port are led to the domain, those from the host's own programs, too. */
static void write_ports(FILE *out, const struct lease_list *list)
{
    char host[INET_ADDRSTRLEN], to[INET_ADDRSTRLEN];
    for (unsigned i = 0; i < list->count; i++) {
        const struct lease *lease = &list->leases[i];
        inet_ntop(AF_INET, &lease->address, to, sizeof to);
        for (unsigned j = 0; j < lease->port_count; j++) {
            const struct network_port *port = &lease->ports[j];
            inet_ntop(AF_INET, &port->host, host, sizeof host);
            fputs("    fib daddr type local ", out);
            if (port->host.s_addr)
                fprintf(out, "ip daddr %s ", host);
            fprintf(out, "%s dport %u dnat ip to %s:%u\n", port->udp ? "udp" : "tcp", port->host_port, to,
                    port->port);
        }
    }
}

static void write_nat(FILE *out, const struct lease_list *list, const char *subnet)
{
    fputs("  chain prerouting {\n    type nat hook prerouting priority -100\n", out);
    write_ports(out, list);
    fputs("  }\n  chain output {\n    type nat hook output priority -100\n", out);
    write_ports(out, list);
    fputs("  }\n  chain postrouting {\n    type nat hook postrouting priority 100\n", out);
    /* Answers have to come back here: from a domain that calls itself or its neighbour by the host's address,
     * and to the host's 127.0.0.1. */
    fprintf(out, "    oifname \"%s\" ct status dnat ip saddr { 127.0.0.0/8, %s } masquerade\n", list->bridge,
            subnet);
    if (!list->internal)
        fprintf(out, "    ip saddr %s oifname != \"%s\" masquerade\n", subnet, list->bridge);
    fputs("  }\n", out);
}

/* Each network's table keeps out what is not for it: so networks do not reach each other, while each lets its
 * own domains out. */
static void write_forward(FILE *out, const struct lease_list *list)
{
    const char *bridge = list->bridge;
    fputs("  chain forward {\n    type filter hook forward priority 0\n", out);
    fprintf(out, "    iifname \"%s\" oifname \"%s\" accept\n", bridge, bridge);
    fprintf(out, "    oifname \"%s\" ct state established,related accept\n", bridge);
    fprintf(out, "    oifname \"%s\" ct status dnat accept\n", bridge);
    fprintf(out, "    oifname \"%s\" drop\n", bridge);
    if (!list->internal) /* who asks from here is to be answered in segments that fit the host's way outside
                          */
        fprintf(out, "    iifname \"%s\" tcp flags syn tcp option maxseg size set rt mtu\n", bridge);
    if (list->internal)
        fprintf(out, "    iifname \"%s\" ct state established,related accept\n    iifname \"%s\" drop\n",
                bridge, bridge);
    else
        fprintf(out, "    iifname \"%s\" meta nfproto ipv6 drop\n", bridge);
    fputs("  }\n", out);
}

void filter_write(FILE *out, const struct lease_list *list)
{
    char subnet[INET_ADDRSTRLEN + 4];
    inet_ntop(AF_INET, &list->subnet.address, subnet, INET_ADDRSTRLEN);
    snprintf(subnet + strlen(subnet), 4, "/%u", list->subnet.prefix % 100);
    fprintf(out, "add table inet %s\ndelete table inet %s\ntable inet %s {\n", list->bridge, list->bridge,
            list->bridge);
    /* Ports of 127.0.0.1 are published by letting such packets leave (route_localnet); none may come in. Nor
     * may any in another's name; who has no address yet asks for one by DHCP. */
    fprintf(out,
            "  chain local {\n    type filter hook prerouting priority -300\n"
            "    iifname \"%s\" ip daddr 127.0.0.0/8 drop\n"
            "    iifname \"%s\" ip saddr != { %s, 0.0.0.0 } drop\n  }\n",
            list->bridge, list->bridge, subnet);
    write_nat(out, list, subnet);
    write_forward(out, list);
    fputs("}\n", out);
}

/* -- saying it ------------------------------------------------------------------------------------------- */

static void run_program(int program, int commands, int answers)
{
    static char name[] = "visor-nft";
    char *const arguments[] = {name, NULL}, *const environment[] = {NULL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(commands, STDIN_FILENO) >= 0 && dup2(answers, STDOUT_FILENO) >= 0)
        fexecve(program, arguments, environment);
    _exit(126);
}

/* What the program has to say, up to its end. */
static void read_answer(int fd, char *text, size_t size)
{
    size_t length = 0;
    ssize_t got;
    while (length + 1 < size && (got = read(fd, text + length, size - 1 - length)) != 0) {
        if (got > 0)
            length += (size_t)got;
        else if (errno != EINTR)
            break;
    }
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0'; /* the rest shows where */
}

static int explain(int status, const char *answer, struct error *error)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == NFT_MISSING) {
        error_set(error, -ENOENT, "networks need libnftables, which this host does not have");
        error_hint(error, "apt-get install libnftables1");
        return -ENOENT;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == NFT_REFUSED) {
        error_set(error, -EIO, "cannot set the network's rules: %.200s", answer);
        error_hint(error, "the kernel must have nf_tables with nat, and visor CAP_NET_ADMIN");
        return -EIO;
    }
    return error_set(error, -ECHILD, "cannot set the network's rules: libnftables' process ended with %#x",
                     (unsigned)status);
}

static int run_commands(int commands, struct error *error)
{
    char answer[256];
    int status = 0, pipe[2];
    int program = nft_image_size ? embedded_open("visor-nft", nft_image, nft_image_size) : -ENOSYS;
    if (program == -ENOSYS) {
        error_set(error, -ENOSYS, "this visor was built without networks of domains");
        error_hint(error, "build it where libnftables-dev is installed, or use --net user");
        return -ENOSYS;
    }
    if (program < 0 || pipe2(pipe, O_CLOEXEC) < 0) {
        int code = program < 0 ? program : -errno;
        if (program >= 0)
            close(program);
        return error_set(error, code, "cannot set the network's rules: %s", strerror(-code));
    }
    pid_t child = fork();
    if (child == 0)
        run_program(program, commands, pipe[1]);
    int code = child < 0 ? error_set(error, -errno, "cannot make a process: %s", strerror(errno)) : 0;
    close(program);
    close(pipe[1]);
    if (!code) {
        read_answer(pipe[0], answer, sizeof answer);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        code = status ? explain(status, answer, error) : 0;
    }
    close(pipe[0]);
    return code;
}

static int apply(const struct lease_list *list, const char *table, struct error *error)
{
    int fd = memfd_create("visor-nft-commands", MFD_CLOEXEC),
        copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
    FILE *out = copy < 0 ? NULL : fdopen(copy, "w");
    int code = out ? 0 : -errno;
    if (out) {
        if (list)
            filter_write(out, list);
        else
            fprintf(out, "add table inet %s\ndelete table inet %s\n", table, table);
        code = fclose(out) ? -errno : 0;
    }
    if (!code && lseek(fd, 0, SEEK_SET) < 0)
        code = -errno;
    if (code)
        error_set(error, code, "cannot write the network's rules: %s", strerror(-code));
    else
        code = run_commands(fd, error);
    if (fd >= 0)
        close(fd);
    return code;
}

int filter_set(const struct lease_list *list, struct error *error)
{
    return apply(list, NULL, error);
}

int filter_remove(const char *table, struct error *error)
{
    return apply(NULL, table, error);
}
