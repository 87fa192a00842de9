/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk, a network card and a console by virtio. What is at their other ends decides what comes: a disk of
 * 64 KiB whose words are their own number, a network whose host answers to ARP and to ICMP's echo, a console
 * on which somebody answers with a line.
 */
#include "virtio.h"

#define HEADER  VIRTIO_DATA
#define STATUS  (VIRTIO_DATA + 0x20)
#define SECTORS (VIRTIO_DATA + 0x1000)
#define FRAME   (VIRTIO_DATA + 0x4000) /* to send */
#define FRAMES  (VIRTIO_DATA + 0x5000) /* received: 2 KiB each */

enum { READ = 0, WRITE = 1, FLUSH = 4, UNKNOWN = 77 };
enum { NET_HEADER = 12, RECEIVE = 0, SEND = 1, BUFFERS = 4, BUFFER_SIZE = 2048 };

/* -- the disk -------------------------------------------------------------------------------------------- */

/* Returns the disk's verdict. */
static uint8_t block(struct virtio *disk, uint32_t type, uint32_t sector, uint32_t data, uint32_t size)
{
    const struct virtio_piece pieces[] = {{HEADER, 16, false}, {data, size, type == READ}, {STATUS, 1, true}};
    write32(HEADER, type);
    write32(HEADER + 4, 0);
    write32(HEADER + 8, sector);
    write32(HEADER + 12, 0);
    write8(STATUS, 0xff);
    if (size) {
        tell("used", virtio_do(disk, 0, pieces, 3));
    } else {
        const struct virtio_piece none[] = {pieces[0], pieces[2]};
        tell("used", virtio_do(disk, 0, none, 2));
    }
    return read8(STATUS);
}

/* Several requests by one notification. */
static void batch(struct virtio *disk)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t header = HEADER + 0x40 * (i + 1);
        const struct virtio_piece pieces[] = {
            {header, 16, false}, {SECTORS + 512 * i, 512, true}, {header + 16, 1, true}};
        write32(header, READ);
        write32(header + 4, 0);
        write32(header + 8, 10 + i);
        write32(header + 12, 0);
        write8(header + 16, 0xff);
        virtio_put(disk, 0, pieces, 3);
    }
    virtio_notify(disk, 0);
    virtio_wait(disk, 0);
    virtio_wait(disk, 0);
    for (uint32_t i = 0; i < 1024; i += 4)
        sum += read32(SECTORS + i);
    tell("two sectors by one notification", sum);
    tell("verdicts", read8(HEADER + 0x50) << 8 | read8(HEADER + 0x90));
}

static void use_disk(struct virtio *disk)
{
    tell("read", block(disk, READ, 0, SECTORS, 1024));
    tell("words", read32(SECTORS + 4));
    tell("", read32(SECTORS + 1020));
    for (uint32_t i = 0; i < 512; i += 4)
        write32(SECTORS + 0x1000 + i, 0x5ec70000 + i);
    tell("written", block(disk, WRITE, 3, SECTORS + 0x1000, 512));
    tell("flushed", block(disk, FLUSH, 0, 0, 0));
    tell("read", block(disk, READ, 2, SECTORS, 1536));
    tell("before", read32(SECTORS + 508));
    tell("there", read32(SECTORS + 512 + 508));
    tell("behind", read32(SECTORS + 1024));
    tell("beyond the end", block(disk, READ, 128, SECTORS, 512));
    tell("unknown", block(disk, UNKNOWN, 0, SECTORS, 512));
    batch(disk);
    tell("interrupted", virtio_interrupted(disk, 0));
}

static void test_disk(void)
{
    struct virtio disk;
    if (!virtio_find(&disk, VIRTIO_BLOCK))
        return;
    heading("virtio: disk, by messages");
    tell("sectors", read32(disk.config));
    virtio_start(&disk, 0, true);
    use_disk(&disk);
    virtio_stop(&disk);
    heading("virtio: disk, by the wire");
    virtio_start(&disk, 0, false);
    use_disk(&disk);
    virtio_stop(&disk);
}

/* -- the network ----------------------------------------------------------------------------------------- */

static const uint8_t own_ip[] = {10, 0, 2, 15}, host_ip[] = {10, 0, 2, 2};
static uint8_t own_mac[6], host_mac[6];

static void put_bytes(uint32_t at, const uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        write8(at + i, bytes[i]);
}

/* In the network's order. */
static void put16(uint32_t at, unsigned value)
{
    write8(at, (uint8_t)(value >> 8));
    write8(at + 1, (uint8_t)value);
}

static unsigned get16(uint32_t at)
{
    return read8(at) << 8 | read8(at + 1);
}

static unsigned checksum(uint32_t at, unsigned size)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < size; i += 2)
        sum += get16(at + i);
    sum = (sum & 0xffff) + (sum >> 16);
    sum += sum >> 16;
    return ~sum & 0xffff;
}

static void ethernet(const uint8_t to[6], unsigned type)
{
    for (unsigned i = 0; i < NET_HEADER; i++)
        write8(FRAME + i, 0);
    put_bytes(FRAME + NET_HEADER, to, 6);
    put_bytes(FRAME + NET_HEADER + 6, own_mac, 6);
    put16(FRAME + NET_HEADER + 12, type);
}

static void send(struct virtio *net, unsigned size)
{
    const struct virtio_piece piece = {FRAME, NET_HEADER + size, false};
    virtio_do(net, SEND, &piece, 1);
}

static void put_buffer(struct virtio *net, unsigned number)
{
    const struct virtio_piece piece = {FRAMES + number * BUFFER_SIZE, BUFFER_SIZE, true};
    virtio_put(net, RECEIVE, &piece, 1);
}

/* The next frame of a type, in the buffer that this returns; others are passed over. */
static uint32_t receive(struct virtio *net, unsigned type)
{
    for (;;) {
        const unsigned number = net->queues[RECEIVE].used % BUFFERS;
        const uint32_t frame = FRAMES + number * BUFFER_SIZE + NET_HEADER;
        virtio_wait(net, RECEIVE);
        put_buffer(net, number);
        virtio_notify(net, RECEIVE);
        if (get16(frame + 12) == type)
            return frame;
    }
}

/* Who has the host's address? */
static void resolve(struct virtio *net)
{
    static const uint8_t everybody[] = {255, 255, 255, 255, 255, 255};
    const uint32_t arp = FRAME + NET_HEADER + 14;
    ethernet(everybody, 0x0806);
    put16(arp, 1);
    put16(arp + 2, 0x0800);
    put16(arp + 4, 0x0604);
    put16(arp + 6, 1);
    put_bytes(arp + 8, own_mac, 6);
    put_bytes(arp + 14, own_ip, 4);
    put_bytes(arp + 18, everybody, 6);
    put_bytes(arp + 24, host_ip, 4);
    send(net, 60);
    const uint32_t answer = receive(net, 0x0806);
    for (unsigned i = 0; i < 6; i++)
        host_mac[i] = read8(answer + 6 + i);
    tell("ARP", get16(answer + 14 + 6));
    tell("the host's address", read32(answer + 14 + 8));
    tell("", get16(answer + 14 + 12));
}

enum { IP = NET_HEADER + 14, ICMP = IP + 20, ECHO_DATA = 600 };

static void echo(struct virtio *net, unsigned number)
{
    ethernet(host_mac, 0x0800);
    put16(FRAME + IP, 0x4500);
    put16(FRAME + IP + 2, 20 + 8 + ECHO_DATA);
    put16(FRAME + IP + 4, number);
    put16(FRAME + IP + 6, 0);
    put16(FRAME + IP + 8, 0x4001);
    put16(FRAME + IP + 10, 0);
    put_bytes(FRAME + IP + 12, own_ip, 4);
    put_bytes(FRAME + IP + 16, host_ip, 4);
    put16(FRAME + IP + 10, checksum(FRAME + IP, 20));
    put16(FRAME + ICMP, 0x0800);
    put16(FRAME + ICMP + 2, 0);
    put16(FRAME + ICMP + 4, 0x1234);
    put16(FRAME + ICMP + 6, number);
    for (unsigned i = 0; i < ECHO_DATA; i++)
        write8(FRAME + ICMP + 8 + i, (uint8_t)(i * 7 + number));
    put16(FRAME + ICMP + 2, checksum(FRAME + ICMP, 8 + ECHO_DATA));
    send(net, 14 + 20 + 8 + ECHO_DATA);
    const uint32_t icmp = receive(net, 0x0800) + 14 + 20;
    unsigned same = 0;
    for (unsigned i = 0; i < ECHO_DATA; i++)
        same += read8(icmp + 8 + i) == (uint8_t)(i * 7 + number);
    tell("echo", get16(icmp) << 16 | get16(icmp + 6));
    tell("bytes", same);
    tell("checksum", checksum(icmp, 8 + ECHO_DATA));
}

static void test_net(void)
{
    enum { F_MAC = 1 << 5, F_MERGE = 1 << 15 };
    struct virtio net;
    if (!virtio_find(&net, VIRTIO_NET))
        return;
    heading("virtio: network");
    virtio_start(&net, F_MAC | F_MERGE, true);
    for (unsigned i = 0; i < 6; i++)
        own_mac[i] = read8(net.config + i);
    for (unsigned i = 0; i < BUFFERS; i++)
        put_buffer(&net, i);
    virtio_notify(&net, RECEIVE);
    resolve(&net);
    for (unsigned i = 1; i <= 10; i++)
        echo(&net, i);
    tell("interrupted by what was sent", virtio_interrupted(&net, SEND));
    tell("by what was received", virtio_interrupted(&net, RECEIVE));
    virtio_stop(&net);
}

/* -- the console ----------------------------------------------------------------------------------------- */

static void write_console(struct virtio *console, const char *text)
{
    struct virtio_piece piece = {(uint32_t)text, 0, false};
    while (text[piece.size])
        piece.size++;
    virtio_do(console, SEND, &piece, 1);
}

static void test_console(void)
{
    struct virtio console;
    char line[65];
    unsigned count = 0;
    if (!virtio_find(&console, VIRTIO_CONSOLE))
        return;
    heading("virtio: console");
    virtio_start(&console, 0, true);
    write_console(&console, "say something\n");
    while (!count || (count < sizeof line - 1 && line[count - 1] != '\n')) {
        const struct virtio_piece piece = {VIRTIO_DATA, 16, true};
        const uint32_t size = virtio_do(&console, RECEIVE, &piece, 1);
        for (uint32_t i = 0; i < size && count < sizeof line - 1; i++)
            line[count++] = (char)read8(VIRTIO_DATA + i);
    }
    line[count] = 0;
    say("  heard: ");
    say(line);
    write_console(&console, "heard: ");
    write_console(&console, line);
    tell("interrupted", virtio_interrupted(&console, RECEIVE));
    virtio_stop(&console);
}

void test_virtio(void)
{
    test_disk();
    test_net();
    test_console();
}
