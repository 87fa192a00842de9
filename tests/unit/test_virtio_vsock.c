/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-vsock with real Unix sockets at the host's end; the loop is turned by hand, by poll(). */
#include "virtio_machine.h"

#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/unix_socket.h"
#include "device/virtio/vsock.h"

#define CID 7

/* In the place of base/loop.c. */
struct loop_watch {
    int fd;
    unsigned events;
    void (*callback)(void *opaque, unsigned events);
    void *opaque;
    bool used;
};

static struct loop_watch watches[64];

struct loop_watch *loop_watch_add(struct loop *loop, int fd, unsigned events,
                                  void (*callback)(void *opaque, unsigned events), void *opaque,
                                  struct error *error)
{
    (void)loop, (void)error;
    for (unsigned i = 0; i < ARRAY_SIZE(watches); i++)
        if (!watches[i].used) {
            watches[i] = (struct loop_watch){fd, events, callback, opaque, true};
            return &watches[i];
        }
    return NULL;
}

void loop_watch_change(struct loop_watch *watch, unsigned events)
{
    watch->events = events;
}

void loop_watch_remove(struct loop_watch *watch)
{
    watch->used = false;
}

/* Until there is nothing to do. */
static void turn(void)
{
    for (bool more = true; more;) {
        more = false;
        for (unsigned i = 0; i < ARRAY_SIZE(watches); i++) {
            struct loop_watch *watch = &watches[i];
            struct pollfd look = {.fd = watch->fd,
                                  .events = (short)((watch->events & LOOP_READ ? POLLIN : 0) |
                                                    (watch->events & LOOP_WRITE ? POLLOUT : 0))};
            if (!watch->used || !watch->events || poll(&look, 1, 0) <= 0)
                continue;
            unsigned got = (look.revents & (POLLIN | POLLHUP | POLLERR) ? LOOP_READ : 0) |
                           (look.revents & (POLLOUT | POLLERR) ? LOOP_WRITE : 0);
            got &= watch->events;
            if (got) {
                watch->callback(watch->opaque, got);
                more = true;
            }
        }
    }
}

static char directory[64], path[80];
static struct vsock_backend *backend;
static struct virtio_vsock *vsock;
static struct driver card;
static struct driver *const driver = &card;
static unsigned buffers; /* given to receive into */

struct packet {
    uint64_t source_cid, target_cid;
    uint32_t source_port, target_port, length;
    uint16_t type, operation;
    uint32_t flags, credit, forwarded;
} __attribute__((packed));

#define RX(n) (0x20000 + (n) % 8 * 0x2000)

static void give_buffer(void)
{
    driver_put(driver, 0, (struct buffer_part[]){{RX(buffers), 0x1800, true}}, 1);
    buffers++;
    driver_kick(driver, 0);
}

static void begin(void)
{
    driver_begin(driver, 1, 3, 0);
    buffers = 0;
    for (unsigned i = 0; i < 8; i++)
        give_buffer();
}

static int set_up(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    machine_set_up();
    memset(watches, 0, sizeof watches);
    strcpy(directory, "/tmp/visor-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/vsock", directory);
    assert_int_equal(vsock_unix_open(&backend, NULL, path, NULL, &error), 0);
    struct virtio_place where = place("vsock");
    assert_int_equal(virtio_vsock_new(&vsock, &where, backend, CID, &error), 0);
    machine_power_on();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    machine_tear_down();
    virtio_vsock_free(vsock);
    vsock_unix_close(backend);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(rmdir(directory), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(watches); i++)
        assert_false(watches[i].used);
    return 0;
}

static struct sockaddr_un address_of(int port)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (port < 0)
        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    else
        snprintf(address.sun_path, sizeof address.sun_path, "%s_%d", path, port);
    return address;
}

static int host_listen(int port)
{
    struct sockaddr_un address = address_of(port);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static void host_unlisten(int fd, int port)
{
    close(fd);
    unlink(address_of(port).sun_path);
}

static int host_call(const char *line)
{
    struct sockaddr_un address = address_of(-1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(fd, line, strlen(line)), strlen(line));
    turn();
    return fd;
}

static char *host_read(int fd)
{
    static char text[64];
    memset(text, 0, sizeof text);
    return read(fd, text, sizeof text - 1) < 0 ? NULL : text;
}

static void guest_send_packet(struct packet packet, const void *data, uint32_t size)
{
    static const struct packet usual = {.source_cid = CID, .target_cid = 2, .type = 1, .credit = 0x10000};
    packet.source_cid = packet.source_cid ? packet.source_cid : usual.source_cid;
    packet.target_cid = packet.target_cid ? packet.target_cid : usual.target_cid;
    packet.type = packet.type ? packet.type : usual.type;
    packet.credit = packet.credit ? packet.credit : usual.credit;
    packet.length = packet.length ? packet.length : size;
    memory_write(&map, DATA, &packet, sizeof packet);
    if (size)
        memory_write(&map, DATA + 0x100, data, size);
    const struct buffer_part parts[] = {{DATA, sizeof packet, false}, {DATA + 0x100, size, false}};
    driver_put(driver, 1, parts, size ? 2 : 1);
    driver_kick(driver, 1);
    driver_take(driver, 1, NULL, NULL);
}

/* From the guest's port 1000 to the host's `port`. */
static void guest_send(uint16_t operation, uint32_t port, const char *text, uint32_t flags)
{
    guest_send_packet(
        (struct packet){.source_port = 1000, .target_port = port, .operation = operation, .flags = flags},
        text, text ? (uint32_t)strlen(text) : 0);
}

/* The next packet that the guest gets, with its data in `text`; operation 0: none. Gives the buffer back. */
static struct packet guest_receive(char *text)
{
    struct packet packet = {0};
    uint32_t length;
    unsigned number = driver->queues[0].used;
    if (!driver_take(driver, 0, NULL, &length))
        return packet;
    memory_read(&map, RX(number), &packet, sizeof packet);
    assert_int_equal(length, sizeof packet + packet.length);
    assert_int_equal(packet.source_cid, 2);
    assert_int_equal(packet.target_cid, CID);
    if (text) {
        memory_read(&map, RX(number) + sizeof packet, text, packet.length);
        text[packet.length] = '\0';
    }
    give_buffer();
    return packet;
}

static void assert_receives(uint16_t operation, uint32_t port)
{
    struct packet packet = guest_receive(NULL);
    assert_int_equal(packet.operation, operation);
    if (operation)
        assert_int_equal(packet.source_port, port);
}

static void test_guest_connects(void **state)
{
    (void)state;
    char text[0x2000];
    begin();
    assert_int_equal(config_get(1, 2, 2), 0x1053);
    assert_int_equal(get(driver->structures[4], 8), CID);
    guest_send(1, 5000, NULL, 0);
    assert_receives(3, 5000); /* nobody listens */
    int listener = host_listen(5000);
    guest_send(1, 5000, NULL, 0);
    struct packet packet = guest_receive(NULL);
    assert_int_equal(packet.operation, 2);
    assert_int_equal(packet.source_port, 5000);
    assert_int_equal(packet.target_port, 1000);
    assert_int_equal(packet.credit, 0x20000);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    guest_send(5, 5000, "Hello, host", 0);
    assert_string_equal(host_read(fd), "Hello, host");
    assert_int_equal(write(fd, "Hello, guest", 12), 12);
    turn();
    packet = guest_receive(text);
    assert_int_equal(packet.operation, 5);
    assert_int_equal(packet.forwarded, 11);
    assert_string_equal(text, "Hello, guest");
    /* The guest asks for credit. */
    guest_send(7, 5000, NULL, 0);
    packet = guest_receive(NULL);
    assert_int_equal(packet.operation, 6);
    assert_int_equal(packet.forwarded, 11);
    /* It has no more to say, then ends. */
    guest_send(4, 5000, NULL, 2);
    assert_receives(0, 0);
    assert_string_equal(host_read(fd), "");
    assert_int_equal(write(fd, "rest", 4), 4);
    turn();
    assert_int_equal(guest_receive(text).operation, 5);
    guest_send(4, 5000, NULL, 3);
    assert_receives(3, 5000);
    guest_send(5, 5000, "late", 0);
    assert_receives(3, 5000);
    close(fd);
    host_unlisten(listener, 5000);
}

static void test_host_connects(void **state)
{
    (void)state;
    int early = host_call("CONNECT 80\n"); /* nobody is there */
    assert_string_equal(host_read(early), "");
    begin();
    int fd = host_call("CONN");
    assert_null(host_read(fd));
    assert_int_equal(write(fd, "ECT 80\nGET", 10), 10);
    turn();
    struct packet packet = guest_receive(NULL);
    assert_int_equal(packet.operation, 1);
    assert_int_equal(packet.target_port, 80);
    uint32_t port = packet.source_port;
    assert_null(host_read(fd));
    guest_send_packet((struct packet){.source_port = 80, .target_port = port, .operation = 2}, NULL, 0);
    char answer[32], text[0x2000];
    snprintf(answer, sizeof answer, "OK %u\n", port);
    assert_string_equal(host_read(fd), answer);
    turn();
    assert_int_equal(guest_receive(text).operation, 5);
    assert_string_equal(text, "GET");
    /* The program ends: it hears nothing any more either. */
    close(fd);
    turn();
    packet = guest_receive(NULL);
    assert_int_equal(packet.operation, 4);
    assert_int_equal(packet.flags, 3);
    guest_send_packet((struct packet){.source_port = 80, .target_port = port, .operation = 3}, NULL, 0);
    assert_receives(0, 0);
    /* One that only has no more to say. */
    fd = host_call("CONNECT 80\n");
    port = guest_receive(NULL).source_port;
    guest_send_packet((struct packet){.source_port = 80, .target_port = port, .operation = 2}, NULL, 0);
    shutdown(fd, SHUT_WR);
    turn();
    assert_int_equal(guest_receive(NULL).flags, 2);
    guest_send_packet((struct packet){.source_port = 80, .target_port = port, .operation = 5}, "bye", 3);
    assert_non_null(strstr(host_read(fd), "bye"));
    /* Nobody listens in the guest. */
    int refused = host_call("CONNECT 81\n");
    port = guest_receive(NULL).source_port;
    guest_send_packet((struct packet){.source_port = 81, .target_port = port, .operation = 3}, NULL, 0);
    assert_string_equal(host_read(refused), "");
    /* What is no such line. */
    static const char *const wrongs[] = {"HELLO\n",
                                         "CONNECT\n",
                                         "CONNECT x\n",
                                         "CONNECT 4294967296\n",
                                         "CONNECT 1 2\n",
                                         "CONNECT -1\n",
                                         "0123456789012345678901234567890123456789"};
    for (unsigned i = 0; i < ARRAY_SIZE(wrongs); i++) {
        int wrong = host_call(wrongs[i]);
        char byte;
        ssize_t size = read(wrong, &byte, 1); /* closed, some of it perhaps unread */
        assert_true(!size || (size < 0 && errno == ECONNRESET));
        close(wrong);
    }
    assert_receives(0, 0);
    close(fd);
    close(refused);
    close(early);
    int caller = host_call("CONN"); /* is there at the end */
    close(caller);
}

/* Neither side can flood the other. */
static void test_credit(void **state)
{
    (void)state;
    static char big[0x40000], much[0x1001];
    begin();
    int listener = host_listen(1);
    guest_send_packet((struct packet){.source_port = 1000, .target_port = 1, .operation = 1, .credit = 100},
                      NULL, 0);
    assert_receives(2, 1);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    memset(big, 'x', sizeof big);
    assert_int_equal(write(fd, big, 1000), 1000);
    turn();
    assert_int_equal(guest_receive(NULL).length, 100);
    assert_receives(0, 0);
    guest_send_packet(
        (struct packet){
            .source_port = 1000, .target_port = 1, .operation = 6, .credit = 100, .forwarded = 60},
        NULL, 0);
    turn();
    assert_int_equal(guest_receive(NULL).length, 60);
    /* The host's program does not read: what its socket does not take is kept, as far as credit goes. */
    int size = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    memset(much, 'y', 0x1000);
    uint64_t sent = 0, got = 0, told = 0;
    for (;;) {
        guest_send(5, 1, much, 0);
        sent += 0x1000;
        struct packet packet = guest_receive(NULL);
        if (packet.operation == 6)
            told = packet.forwarded;
        if (sent - told > 0x20000 - 0x1000)
            break;
    }
    while (got < sent) {
        ssize_t some = read(fd, big, sizeof big);
        assert_true(some > 0);
        got += (uint64_t)some;
        turn();
        struct packet packet = guest_receive(NULL);
        if (packet.operation)
            assert_int_equal(packet.operation, 6);
    }
    assert_int_equal(got, sent);
    assert_true(read(fd, big, 1) < 0);
    /* More than that breaks the connection. */
    for (unsigned i = 0; i < 400; i++) {
        guest_send(5, 1, much, 0);
        struct packet packet = guest_receive(NULL);
        if (packet.operation == 3)
            break;
        assert_true(i < 399);
    }
    guest_send(5, 1, much, 0);
    assert_receives(3, 1);
    close(fd);
    host_unlisten(listener, 1);
}

/* What the guest ended with is delivered first. */
static void test_flush(void **state)
{
    (void)state;
    static char big[0x10000], much[0x1001];
    begin();
    int listener = host_listen(1);
    guest_send(1, 1, NULL, 0);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_receives(2, 1);
    memset(much, 'y', 0x1000);
    uint64_t sent = 0, got = 0;
    while (sent < 0x40000) {
        guest_send(5, 1, much, 0);
        sent += 0x1000;
        struct packet packet = guest_receive(NULL);
        assert_true(packet.operation == 0 || packet.operation == 6);
    }
    guest_send(4, 1, NULL, 3);
    for (;;) {
        ssize_t some = read(fd, big, sizeof big);
        assert_true(some >= 0);
        if (!some)
            break;
        got += (uint64_t)some;
        turn();
    }
    assert_int_equal(got, sent);
    struct packet packet;
    do {
        packet = guest_receive(NULL);
    } while (packet.operation == 6);
    assert_int_equal(packet.operation, 3);
    close(fd);
    host_unlisten(listener, 1);
}

static void test_wrong_packets(void **state)
{
    (void)state;
    begin();
    int listener = host_listen(1);
    guest_send_packet((struct packet){.target_port = 1, .operation = 1, .type = 2}, NULL, 0);
    assert_receives(3, 1);
    guest_send(5, 9, "x", 0);
    assert_receives(3, 9);
    guest_send(3, 9, NULL, 0); /* a reset is not answered */
    assert_receives(0, 0);
    guest_send(1, 1, NULL, 0);
    assert_receives(2, 1);
    guest_send(1, 1, NULL, 0); /* twice */
    assert_receives(3, 1);
    guest_send(1, 1, NULL, 0);
    assert_receives(2, 1);
    guest_send(99, 1, NULL, 0);
    assert_receives(3, 1);
    /* Shorter than it says, or than a header. */
    guest_send_packet((struct packet){.operation = 5, .length = 100}, "x", 1);
    assert_true(driver_is_broken(driver));
    begin();
    driver_put(driver, 1, (struct buffer_part[]){{DATA, sizeof(struct packet) - 1, false}}, 1);
    driver_kick(driver, 1);
    assert_true(driver_is_broken(driver));
    /* Thousands of connections: the host's are limited, and what there is goes with a reset. */
    begin();
    unsigned refused = 0;
    for (unsigned i = 0; i < 20; i++) {
        guest_send_packet((struct packet){.source_port = 2000 + i, .target_port = 1, .operation = 1}, NULL,
                          0);
        refused += guest_receive(NULL).operation == 3;
    }
    assert_true(refused); /* the listener's queue is full */
    set(COMMON(0x14), 1, 0);
    begin();
    assert_receives(0, 0);
    host_unlisten(listener, 1);
}

static void test_save(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct buffer saved = {0};
    begin();
    int fd = host_call("CONNECT 80\n");
    uint32_t port = guest_receive(NULL).source_port;
    guest_send_packet((struct packet){.source_port = 80, .target_port = port, .operation = 2}, NULL, 0);
    set(DATA + 0x40, 4, 0xff);
    driver_put(driver, 2, (struct buffer_part[]){{DATA + 0x40, 8, true}}, 1);
    driver_kick(driver, 2);
    assert_false(driver_take(driver, 2, NULL, NULL));
    devices_save(&devices, &saved);
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), 0);
    virtio_vsock_resume(vsock);
    assert_true(driver_take(driver, 2, NULL, NULL));
    assert_int_equal(get(DATA + 0x40, 4), 0);
    assert_non_null(host_read(fd));
    assert_string_equal(host_read(fd), "");
    close(fd);
    fd = host_call("CONNECT 80\n"); /* with another port */
    assert_int_equal(guest_receive(NULL).source_port, port + 1);
    close(fd);
    buffer_free(&saved);
}

static void test_open(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct vsock_backend *other;
    assert_int_equal(vsock_unix_open(&other, NULL, path, NULL, &error), -EADDRINUSE);
    assert_int_equal(vsock_unix_open(&other, NULL, "", NULL, &error), -EINVAL);
    /* What is left of one that was killed is taken over. */
    int fd = host_listen(77);
    close(fd);
    assert_int_equal(vsock_unix_open(&other, NULL, address_of(77).sun_path, NULL, &error), 0);
    vsock_unix_close(other);
    struct virtio_place where = place("other");
    struct virtio_vsock *another;
    assert_int_equal(virtio_vsock_new(&another, &where, backend, 2, &error), -EINVAL);
}

/* One that is longer than an address, whose port has its own. */
static void test_long_path(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct vsock_backend *other;
    struct vsock_host *host;
    char parent[300], long_path[400], port_path[420];
    snprintf(parent, sizeof parent, "%s/%0150d", directory, 7);
    assert_int_equal(mkdir(parent, 0700), 0);
    snprintf(long_path, sizeof long_path, "%s/vsock", parent);
    assert_int_equal(vsock_unix_open(&other, NULL, long_path, NULL, &error), 0);
    int caller = unix_socket_connect(long_path, 1000, &error);
    assert_true(caller >= 0);
    close(caller);
    assert_int_equal(other->ops->connect(other, 4321, &host), -ENOENT);
    snprintf(port_path, sizeof port_path, "%s_4321", long_path);
    int listener = unix_socket_listen(port_path, 0700, 1, &error);
    assert_true(listener >= 0);
    assert_int_equal(other->ops->connect(other, 4321, &host), 0);
    other->ops->close(host);
    vsock_unix_close(other);
    assert_int_equal(access(long_path, F_OK), -1);
    close(listener);
    unlink(port_path);
    rmdir(parent);
}

/* No descriptors are left: who calls then waits, and the loop does not turn for nothing. */
static void test_descriptors(void **state)
{
    (void)state;
    struct rlimit limit, low;
    char byte;
    begin();
    int first = host_call("CONN");
    struct sockaddr_un address = address_of(-1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    low.rlim_cur = (rlim_t)fd + 1;
    setrlimit(RLIMIT_NOFILE, &low);
    int extra;
    while ((extra = dup(0)) >= 0)
        assert_true(extra <= fd);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(fd, "CONNECT\n", 8), 8);
    turn();
    assert_true(read(fd, &byte, 1) < 0 && errno == EAGAIN);
    close(first);
    turn();
    errno = 0;
    assert_true(read(fd, &byte, 1) <= 0 && errno != EAGAIN);
    close(fd);
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Whose it is, as it is said. */
static void test_option(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint32_t cid;
    } kernels[] = {
        {"cid=auto", true, 0},        {"cid=3", true, 3},     {"cid=4294967294", true, 4294967294},
        {"cid=4294967295", false, 0}, {"cid=2", false, 0},    {"cid=", false, 0},
        {"cid=-3", false, 0},         {"cid= 3", false, 0},   {"cid=3x", false, 0},
        {"cid=automatic", false, 0},  {"cid=0x10", false, 0}, {"cid=99999999999999999999", false, 0},
    };
    static const char *const paths[] = {"/run/a", "./cid=3", "cid", "CID=3"};
    struct vsock_option option;
    struct error error = ERROR_INIT;
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(kernels); i++) {
        assert_int_equal(vsock_option_parse(&option, kernels[i].text, &error), kernels[i].good ? 0 : -EINVAL);
        assert_null(option.path);
        assert_int_equal(option.cid, kernels[i].cid);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
        assert_int_equal(vsock_option_parse(&option, paths[i], &error), 0);
        assert_ptr_equal(option.path, paths[i]);
    }
    assert_int_equal(vsock_option_parse(&option, "", &error), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_guest_connects), TEST(test_host_connects), TEST(test_credit), TEST(test_flush),
        TEST(test_wrong_packets),  TEST(test_save),          TEST(test_open),   TEST(test_long_path),
        TEST(test_descriptors),    TEST(test_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
