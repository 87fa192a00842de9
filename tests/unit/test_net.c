/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Networks: options, offloads, and a small guest that talks through the user network with servers and clients
 * on this host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net_guest.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct loop *loop;
static struct net_backend *net;
static struct guest guest;

#define ALL_OFFLOADS (NET_OFFLOAD_CHECKSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6)
#define AMOUNT       (16ul << 20)

static int net_try(const char *text, struct error *error)
{
    struct net_options options;
    int code = net_options_parse(&options, text, error);
    return code ? code : net_open(&net, &options, loop, error);
}

static void network_open(const char *text, unsigned offloads)
{
    struct error error = ERROR_INIT;
    if (net_try(text, &error))
        fail_msg("%s: %s", text, error.message);
    assert_non_null(net);
    guest_attach(&guest, net, loop, offloads);
}

static int setup(void **state)
{
    (void)state;
    return loop_new(&loop, &lock, NULL, NULL);
}

static int teardown(void **state)
{
    (void)state;
    net_close(net);
    net = NULL;
    loop_free(loop);
    return 0;
}

/* Servers and clients on the host. */

static uint32_t host_address = INADDR_LOOPBACK;

static int listen_here(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host_address)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 4), 0);
    getsockname(fd, (struct sockaddr *)&address, &size);
    *port = ntohs(address.sin_port);
    return fd;
}

static int connect_here(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -1;
    return fd;
}

struct host {
    pthread_t thread;
    int listener, fd;
    uint64_t to_send, received;
    bool bad;
};

/* Sends all of its stream, then reads the other's to its end. */
static void *host_thread(void *argument)
{
    struct host *host = argument;
    static uint8_t data[65536];
    if (host->listener >= 0)
        host->fd = accept(host->listener, NULL, NULL);
    for (uint64_t sent = 0; sent < host->to_send;) {
        size_t size = MIN(sizeof data, host->to_send - sent);
        stream_fill(data, sent, size);
        ssize_t done = send(host->fd, data, size, MSG_NOSIGNAL);
        if (done <= 0) {
            host->bad = true;
            break;
        }
        sent += (uint64_t)done;
    }
    shutdown(host->fd, SHUT_WR);
    for (ssize_t size; (size = read(host->fd, data, sizeof data)) > 0; host->received += (uint64_t)size)
        host->bad |= !stream_check(data, host->received, (size_t)size);
    close(host->fd);
    return NULL;
}

static void host_start(struct host *host, int listener, int fd, uint64_t to_send)
{
    *host = (struct host){.listener = listener, .fd = fd, .to_send = to_send};
    pthread_create(&host->thread, NULL, host_thread, host);
}

/* What the guest does. */

static void until_leased(struct guest *g)
{
    if (g->leased)
        loop_stop(loop);
}

static void until_arp(struct guest *g)
{
    if (g->arp_answered)
        loop_stop(loop);
}

/* Sends its stream, closes, and reads the other's. */
static void until_closed(struct guest *g)
{
    if (g->established && g->sent == g->to_send && g->send_una == g->send_next && !g->fin_sent)
        guest_finish(g);
    if ((g->fin_received && g->fin_sent && g->send_una == g->send_next) || g->reset)
        loop_stop(loop);
}

static void guest_run(void (*event)(struct guest *))
{
    guest.event = event;
    loop_run(loop);
}

static void learn_gateway(void)
{
    static const uint8_t nobody[6];
    guest_arp(&guest, 1, GATEWAY_IP, nobody);
    guest_run(until_arp);
}

static void test_address(void **state)
{
    (void)state;
    network_open("user", 0);
    guest_dhcp_discover(&guest);
    guest_run(until_leased);
    assert_int_equal(guest.leased, GUEST_IP);
    learn_gateway();
    static const uint8_t gateway[6] = {0x52, 0x55, 10, 0, 2, 2};
    assert_memory_equal(guest.gateway_mac, gateway, 6);
    assert_false(guest.bad);
}

static void test_other_network(void **state)
{
    (void)state;
    network_open("user,net=192.168.76.0/24,hostname=fred", 0);
    guest_dhcp_discover(&guest);
    guest_run(until_leased);
    assert_int_equal(guest.leased, 0xc0a84c0f);
}

/* Streams both ways, from the guest to a server of the host. */
static void stream_out(unsigned offloads)
{
    struct host host;
    uint16_t port;
    int listener = listen_here(&port);
    learn_gateway();
    host_start(&host, listener, -1, AMOUNT);
    guest_connect(&guest, GATEWAY_IP, port);
    guest.to_send = AMOUNT;
    guest_run(until_closed);
    pthread_join(host.thread, NULL);
    assert_false(guest.reset);
    assert_false(guest.bad);
    assert_false(host.bad);
    assert_int_equal(guest.received, AMOUNT);
    assert_int_equal(host.received, AMOUNT);
    if (offloads & NET_OFFLOAD_TSO4)
        assert_true(guest.largest > 8192);
    else
        assert_true(guest.largest <= GUEST_MSS);
    close(listener);
}

static void test_stream_plain(void **state)
{
    (void)state;
    network_open("user", 0);
    stream_out(0);
}

static void test_stream_offloads(void **state)
{
    (void)state;
    network_open("user", ALL_OFFLOADS);
    stream_out(ALL_OFFLOADS);
}

static void test_stream_checksum(void **state)
{
    (void)state;
    network_open("user", NET_OFFLOAD_CHECKSUM);
    stream_out(NET_OFFLOAD_CHECKSUM);
}

/* In network and mount namespaces of its own. */
static bool alone(int what)
{
    if (!geteuid() && !unshare(what) &&
        (!(what & CLONE_NEWNS) || !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)))
        return true;
    print_message("needs root, for a namespace of its own\n");
    return false;
}

/* Gives the host's end of a tap device the gateway's address. */
static void tap_configure(const char *name)
{
    struct ifreq request = {0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(GATEWAY_IP)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    strcpy(request.ifr_name, name);
    memcpy(&request.ifr_addr, &address, sizeof address);
    assert_int_equal(ioctl(fd, SIOCSIFADDR, &request), 0);
    address.sin_addr.s_addr = htonl(0xffffff00);
    memcpy(&request.ifr_netmask, &address, sizeof address);
    assert_int_equal(ioctl(fd, SIOCSIFNETMASK, &request), 0);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
}

static void test_tap(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    if (access("/dev/net/tun", F_OK) || !alone(CLONE_NEWNET))
        skip();
    host_address = GATEWAY_IP;
    for (unsigned offloads = 0; offloads <= ALL_OFFLOADS; offloads += ALL_OFFLOADS) {
        network_open("tap=visor0", offloads);
        tap_configure("visor0");
        struct net_backend *first = net;
        assert_int_equal(net_try("tap=visor0", &error), -EBUSY);
        assert_string_equal(error.message, "cannot use the tap device visor0: Device or resource busy");
        net = first;
        stream_out(offloads);
        net_close(net);
        net = NULL;
    }
    host_address = INADDR_LOOPBACK;
    assert_int_equal(net_try("tap=lo", &error), -EINVAL);
    assert_int_equal(seteuid(65534), 0);
    int code = net_try("tap=visor0", &error);
    assert_int_equal(seteuid(0), 0);
    assert_true(code == -EPERM || code == -EACCES);
    assert_true(error.hint[0]);
}

/* A host without the library. */
static void test_no_library(void **state)
{
    (void)state;
    static const char library[] = "/usr/lib/x86_64-linux-gnu/libslirp.so.0";
    struct error error = ERROR_INIT;
    if (access(library, F_OK) || !alone(CLONE_NEWNS))
        skip();
    assert_int_equal(mount("/dev/null", library, NULL, MS_BIND, NULL), 0);
    assert_int_equal(net_try("user", &error), -ENOENT);
    assert_memory_equal(error.message, "the user network needs the library libslirp.so.0", 48);
    assert_non_null(strstr(error.hint, "libslirp0"));
    assert_int_equal(umount2(library, MNT_DETACH), 0);
    network_open("user", 0);
}

/* A port of the host that is one of the guest's. */
static void test_forward(void **state)
{
    (void)state;
    struct host host;
    uint16_t port;
    char text[64];
    close(listen_here(&port)); /* a free one */
    snprintf(text, sizeof text, "user,forward=tcp:%u:22,restrict", port);
    for (unsigned round = 0; round < 3; round++) { /* it is free again when the network has gone */
        network_open(text, round == 1 ? 0 : ALL_OFFLOADS);
        guest.port = 22;
        guest.listening = true;
        host_start(&host, -1, connect_here(port), AMOUNT / 4);
        assert_true(host.fd >= 0);
        guest_run(until_closed);
        pthread_join(host.thread, NULL);
        assert_int_equal(guest.received, AMOUNT / 4);
        assert_false(guest.bad || host.bad);
        net_close(net);
        net = NULL;
        assert_int_equal(connect_here(port), -1);
    }
}

static void test_busy_port(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    uint16_t port;
    char text[64], message[128];
    int listener = listen_here(&port);
    snprintf(text, sizeof text, "user,forward=tcp:%u:22", port);
    assert_int_equal(net_try(text, &error), -EADDRINUSE);
    snprintf(message, sizeof message, "cannot forward TCP port %u of 127.0.0.1: Address already in use",
             port);
    assert_string_equal(error.message, message);
    assert_non_null(strstr(error.hint, "another port"));
    assert_null(net);
    close(listener);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no process is left over */
    network_open(text, 0);
}

/* Restricted: not even the host. */
static void test_restrict(void **state)
{
    (void)state;
    uint16_t port;
    int listener = listen_here(&port);
    network_open("user,restrict", 0);
    learn_gateway();
    guest_connect(&guest, GATEWAY_IP, port);
    /* It does not answer; what comes after it does. */
    guest.leased = 0;
    guest_dhcp_discover(&guest);
    guest_run(until_leased);
    assert_false(guest.established);
    close(listener);
}

/* A guest that takes nothing for a while loses nothing. */

static void go_on(void *opaque)
{
    (void)opaque;
    usleep(300000);
    guest.stalled = false;
    net->ops->receive_ready(net);
}

static void stall_once(struct guest *g)
{
    static struct loop_call call = {.function = go_on};
    if (g->received > AMOUNT / 4 && !g->stalled && g->to_send) {
        g->to_send = 0;
        g->stalled = true;
        loop_post(loop, &call);
    }
    until_closed(g);
}

static void test_stall(void **state)
{
    (void)state;
    struct host host;
    uint16_t port;
    int listener = listen_here(&port);
    network_open("user", ALL_OFFLOADS);
    learn_gateway();
    host_start(&host, listener, -1, AMOUNT);
    guest_connect(&guest, GATEWAY_IP, port);
    guest.to_send = 1;
    guest_run(stall_once);
    pthread_join(host.thread, NULL);
    assert_int_equal(guest.received, AMOUNT);
    assert_false(guest.bad);
    close(listener);
}

/* The process dies: the guest's cable is out, and nothing else happens. */

static void until_unplugged(struct guest *g)
{
    if (g->link_changes)
        loop_stop(loop);
}

static pid_t child_pid(void)
{
    char path[64];
    int pid = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    fclose(file);
    return pid;
}

/* The process of the user network has a filter of system calls, and may not get rid of it. */
static void test_filter(void **state)
{
    char path[64], line[128];
    int filters = -1, final = -1;
    (void)state;
    network_open("user", 0);
    learn_gateway();
    snprintf(path, sizeof path, "/proc/%d/status", (int)child_pid());
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        sscanf(line, "Seccomp: %d", &filters);
        sscanf(line, "NoNewPrivs: %d", &final);
    }
    fclose(file);
    assert_int_equal(filters, 2);
    assert_int_equal(final, 1);
}

static void test_death(void **state)
{
    (void)state;
    network_open("user", 0);
    learn_gateway();
    kill(child_pid(), SIGKILL);
    guest_run(until_unplugged);
    assert_false(net->link_up);
    guest_dhcp_discover(&guest); /* goes nowhere */
    net_close(net);
    network_open("user", 0);
    learn_gateway();
}

/* It ends with visor, however that ends. */
static void test_orphan(void **state)
{
    (void)state;
    int report[2];
    pid_t orphan = 0;
    assert_int_equal(pipe(report), 0);
    pid_t pid = fork();
    if (!pid) {
        network_open("user", 0);
        orphan = child_pid();
        if (write(report[1], &orphan, sizeof orphan) < 0)
            _exit(1);
        raise(SIGKILL);
    }
    assert_int_equal(read(report[0], &orphan, sizeof orphan), sizeof orphan);
    waitpid(pid, NULL, 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)orphan); /* of a zombie it cannot be read */
    for (unsigned i = 0; i < 2000 && readlink(path, (char[8]){0}, 8) >= 0; i++)
        usleep(10000);
    assert_true(readlink(path, (char[8]){0}, 8) < 0);
    close(report[0]), close(report[1]);
}

/* Frames by themselves. */

static uint8_t out[8][70000];
static uint32_t out_sizes[8];
static unsigned out_count;

static uint8_t *out_reserve(void *opaque, uint32_t size)
{
    (void)opaque;
    assert_true(size <= sizeof out[0] && out_count < 8);
    return out[out_count];
}

static void out_commit(void *opaque, uint32_t size)
{
    (void)opaque;
    out_sizes[out_count++] = size;
}

static void test_fragments(void **state)
{
    (void)state;
    static struct frames frames;
    static uint8_t frame[14 + 20 + 4008], whole[4008];
    frames = (struct frames){.output = {out_reserve, out_commit, NULL}, .large_mss = 16384};
    out_count = 0;
    memcpy(frame + 12, "\x08\0\x45", 3);
    guest_put(frame + 16, 20 + 4008, 2);
    frame[23] = 17;
    stream_fill(frame + 34, 0, 4008);
    frames_to_guest(&frames, frame, sizeof frame);
    assert_int_equal(out_count, 3);
    size_t covered = 0;
    for (unsigned i = 0; i < out_count; i++) {
        const uint8_t *ip = out[i] + NET_HEADER_SIZE + 14;
        size_t size = guest_get(ip + 2, 2) - 20, at = (guest_get(ip + 6, 2) & 0x1fff) * 8;
        assert_true(out_sizes[i] == NET_HEADER_SIZE + 34 + size && size <= 1480);
        assert_int_equal(frames_sum(ip, 20, 0), 0xffff);
        assert_int_equal(!!(guest_get(ip + 6, 2) & 0x2000), i != 2);
        memcpy(whole + at, ip + 20, size);
        covered += size;
    }
    assert_int_equal(covered, 4008);
    assert_memory_equal(whole, frame + 34, 4008);
}

static void test_sum(void **state)
{
    (void)state;
    uint8_t data[100];
    for (unsigned size = 0; size <= sizeof data; size++) {
        uint32_t sum = 77;
        for (unsigned i = 0; i < size; i++) {
            data[i] = (uint8_t)rand();
            sum += i % 2 ? data[i] : data[i] * 256u;
        }
        while (sum >> 16)
            sum = (sum & 0xffff) + (sum >> 16);
        assert_int_equal(frames_sum(data, size, 77), sum);
    }
}

/* Options. */

static void test_parse(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "users",
        "user=1",
        "none,mac=52:54:00:00:00:01",
        "user,",
        "user,restrict=1",
        "user,forward",
        "user,forward=",
        "user,forward=tcp",
        "user,forward=tcp:22",
        "user,forward=sctp:1:2",
        "user,forward=tcp:0:22",
        "user,forward=tcp:65536:22",
        "user,forward=tcp:x:22",
        "user,forward=tcp:1.2.3:1:22",
        "user,forward=tcp:1.2.3.4:1:1.2.3.4:22:5",
        "user,forward=tcp:1:192.168.0.1:22",
        "user,net=10.0.2.0/33",
        "user,net=10.0.2.1/24",
        "user,net=10.0.2.0/28",
        "user,dns=8.8.8.8",
        "user,dns=x",
        "user,hostname=",
        "user,hostname=a b",
        "user,hostname=123456789012345678901234567890123",
        "user,mac=52:54:00:12:34",
        "user,mac=52:54:00:12:34:567",
        "user,mac=53:54:00:12:34:56",
        "tap=",
        "tap=1234567890123456",
        "tap=a/b",
        "tap,restrict",
        "tap,vhost=yes",
        "tap,vhost",
        "user,vhost=on",
    };
    struct net_options options;
    struct error error;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        if (net_options_parse(&options, bad[i], &error) != -EINVAL)
            fail_msg("%s", bad[i]);
    assert_int_equal(net_options_parse(&options, "tap=visor0,vhost=on", &error), 0);
    assert_int_equal(options.vhost, VHOST_ON);
    assert_int_equal(net_options_parse(&options, "tap=visor0,mac=52:54:00:ab:cd:ef", &error), 0);
    assert_int_equal(options.vhost, VHOST_AUTO);
    assert_true(options.kind == NET_TAP && !strcmp(options.interface, "visor0") && options.has_mac);
    assert_int_equal(options.mac[5], 0xef);
    assert_int_equal(net_options_parse(&options, "none", &error), 0);
    assert_int_equal(options.kind, NET_NONE);
    assert_int_equal(net_options_parse(
                         &options,
                         "user,forward=tcp:2222:22,forward=udp:0.0.0.0:53:5353,forward=tcp:80:10.0.2.16:8080,"
                         "forward=tcp:127.0.0.2:81:10.0.2.17:8081",
                         &error),
                     0);
    assert_int_equal(options.forward_count, 4);
    const struct net_forward *forward = options.forwards;
    assert_true(!forward[0].udp && forward[0].host.s_addr == htonl(INADDR_LOOPBACK) &&
                !forward[0].guest.s_addr && forward[0].host_port == 2222 && forward[0].guest_port == 22);
    assert_true(forward[1].udp && !forward[1].host.s_addr && forward[1].guest_port == 5353);
    assert_true(forward[2].host_port == 80 && forward[2].guest.s_addr == htonl(0x0a000210));
    assert_true(forward[3].host.s_addr == htonl(0x7f000002) && forward[3].guest.s_addr == htonl(0x0a000211));
    assert_true(options.dns.s_addr == htonl(0x0a000203) && options.network.s_addr == htonl(0x0a000200));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_sum),
        cmocka_unit_test(test_fragments),
        TEST(test_address),
        TEST(test_other_network),
        TEST(test_stream_plain),
        TEST(test_stream_checksum),
        TEST(test_stream_offloads),
        TEST(test_forward),
        TEST(test_busy_port),
        TEST(test_restrict),
        TEST(test_stall),
        TEST(test_filter),
        TEST(test_death),
        TEST(test_no_library),
        TEST(test_orphan),
        TEST(test_tap), /* the last, without the host's network from then on */
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
