/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_virtio: a guest that does anything to PCI and virtio devices: configuration space, BARs, queues that
 * are set up properly and then filled with anything. Nothing crashes, hangs, or reaches memory that is not
 * the guest's. And a machine that was loaded from what another one saved, from then on does the same. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "device/virtio/balloon.h"
#include "device/virtio/block.h"
#include "device/virtio/console.h"
#include "device/virtio/net.h"
#include "device/virtio/rng.h"
#include "device/virtio/vsock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM_SIZE  0x40000
#define HALF      (RAM_SIZE / 2)
#define DISK_SIZE 0x8000
#define DEVICES   6
#define SLOTS     (DEVICES + 1)
#define BAR_SIZE  0x8000

enum { BLOCK = 1, NET, CONSOLE, RNG, BALLOON, VSOCK };

#define HOSTS 4 /* ends of connections */

struct machine {
    struct memory_map map;
    struct memory_backing *ram[2];
    struct io_space io;
    struct devices devices;
    struct timers timers;
    struct pci_bus bus;
    struct virtio_block *block;
    struct virtio_net *net;
    struct virtio_console *console;
    struct virtio_rng *rng;
    struct char_client terminal;
    struct virtio_balloon *balloon;
    struct virtio_vsock *vsock;
    struct vsock_backend sockets;
    struct vsock_host hosts[HOSTS];
    bool host_used[HOSTS];
    unsigned wanted[HOSTS];
    struct block_backend disk;
    struct net_backend wire;
    uint8_t content[DISK_SIZE];
    struct block_request *first, **end;
    uint64_t outside; /* what the world has seen of it */
    uint32_t random;
    uint16_t columns;
    unsigned takes; /* characters, frames that backends take */
};

static struct machine machines[2];
static struct machine *current; /* whose turn it is to be random */
static uint64_t now;

static void check(bool good)
{
    if (!good)
        abort();
}

static void see(struct machine *machine, uint64_t value)
{
    machine->outside = (machine->outside ^ value) * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

/* In libc's place: both machines get the same. */
ssize_t getrandom(void *buffer, size_t length, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < length; i++)
        ((uint8_t *)buffer)[i] = (uint8_t)(current->random = current->random * 1103515245 + 12345);
    return (ssize_t)length;
}

static uint64_t clock_read(void *opaque)
{
    (void)opaque;
    return now;
}

static void line_set(void *opaque, unsigned number, bool level)
{
    see(opaque, number * 2 + level);
}

static bool message(void *opaque, uint64_t address, uint32_t data)
{
    see(opaque, address ^ (uint64_t)data << 32);
    return true;
}

static void see_broken(void *opaque, const char *name, const char *reason)
{
    see(opaque, strlen(name) + strlen(reason) * 100);
}

/* Only memory of the guest's may be read and written. */
static void check_piece(struct machine *machine, const struct iovec *piece)
{
    const uint8_t *start = piece->iov_base;
    bool inside = false;
    for (unsigned i = 0; i < 2; i++)
        inside |= start >= machine->ram[i]->host && start + piece->iov_len <= machine->ram[i]->host + HALF;
    check(inside);
}

static void disk_submit(struct block_backend *backend, struct block_request *request)
{
    struct machine *machine = (struct machine *)((char *)backend - offsetof(struct machine, disk));
    request->next = NULL;
    *machine->end = request;
    machine->end = &request->next;
    backend->pending++;
}

static void disk_kick(struct block_backend *backend)
{
    (void)backend;
}

static int disk_execute(struct machine *machine, struct block_request *request)
{
    uint8_t *at = machine->content + request->offset;
    size_t total = 0;
    check(request->offset % 512 == 0 && request->length % 512 == 0 && request->length <= DISK_SIZE &&
          request->offset <= DISK_SIZE - request->length);
    see(machine, request->operation);
    if (request->operation == BLOCK_WRITE_ZEROES)
        memset(at, 0, request->length);
    for (unsigned i = 0; i < request->iov_count && request->operation <= BLOCK_WRITE; i++) {
        const struct iovec *piece = &request->iov[i];
        check_piece(machine, piece);
        check(piece->iov_len <= request->length - total);
        if (request->operation == BLOCK_READ)
            memcpy(piece->iov_base, at + total, piece->iov_len);
        else
            memcpy(at + total, piece->iov_base, piece->iov_len);
        total += piece->iov_len;
    }
    check(request->operation > BLOCK_WRITE || total == request->length);
    return 0;
}

static void disk_finish(struct machine *machine, unsigned count, int outcome)
{
    while (machine->first && count--) {
        struct block_request *request = machine->first;
        machine->first = request->next;
        if (!machine->first)
            machine->end = &machine->first;
        machine->disk.pending--;
        request->done(request, outcome ? outcome : disk_execute(machine, request));
    }
}

static void disk_blocked(void *opaque, int error)
{
    see(opaque, (uint64_t)-error);
}

static bool wire_send(struct net_backend *backend, const struct iovec *iov, unsigned count, size_t size)
{
    struct machine *machine = (struct machine *)((char *)backend - offsetof(struct machine, wire));
    size_t total = iov[0].iov_len;
    if (!machine->takes)
        return false;
    machine->takes--;
    check(count >= 2 && iov[0].iov_len == NET_HEADER_SIZE);
    for (unsigned i = 1; i < count; i++) {
        check_piece(machine, &iov[i]);
        see(machine, *(const uint8_t *)iov[i].iov_base);
        total += iov[i].iov_len;
    }
    check(total == size && size <= NET_FRAME_MAX);
    see(machine, size);
    return true;
}

static void wire_ready(struct net_backend *backend)
{
    see((struct machine *)((char *)backend - offsetof(struct machine, wire)), 20);
}

static void wire_offloads(struct net_backend *backend, unsigned offloads)
{
    check(!(offloads & ~backend->offloads));
}

static size_t characters(void *opaque, const uint8_t *data, size_t size)
{
    struct machine *machine = opaque;
    size_t taken = MIN(size, machine->takes);
    machine->takes -= (unsigned)taken;
    for (size_t i = 0; i < taken && i < 64; i++)
        see(machine, data[i]);
    see(machine, taken);
    return taken;
}

static void readable(void *opaque)
{
    see(opaque, 21);
}

static struct machine *machine_of(struct vsock_backend *backend)
{
    return (struct machine *)((char *)backend - offsetof(struct machine, sockets));
}

static unsigned host_number(struct vsock_host *host)
{
    struct machine *machine = machine_of(host->backend);
    unsigned number = (unsigned)(host - machine->hosts);
    check(number < HOSTS && machine->host_used[number]);
    return number;
}

static struct vsock_host *host_new(struct machine *machine)
{
    for (unsigned i = 0; i < HOSTS; i++)
        if (!machine->host_used[i]) {
            machine->host_used[i] = true;
            machine->wanted[i] = 0;
            machine->hosts[i] = (struct vsock_host){&machine->sockets, NULL};
            return &machine->hosts[i];
        }
    return NULL;
}

static int sockets_connect(struct vsock_backend *backend, uint32_t port, struct vsock_host **out)
{
    *out = port % 4 ? host_new(machine_of(backend)) : NULL;
    return *out ? 0 : -ECONNREFUSED;
}

/* Takes and gives as many bytes as the machine's `takes`, and ends, fails or waits by turns. */
static ssize_t sockets_transfer(struct vsock_host *host, const struct iovec *iov, unsigned count, bool read)
{
    struct machine *machine = machine_of(host->backend);
    ssize_t total = 0;
    host_number(host);
    if (!machine->takes)
        return -EAGAIN;
    machine->takes--;
    for (unsigned i = 0; i < count; i++) {
        check(iov[i].iov_len);
        if (read)
            memset(iov[i].iov_base, (int)machine->takes, iov[i].iov_len);
        else
            see(machine, *(uint8_t *)iov[i].iov_base);
        total += (ssize_t)iov[i].iov_len;
    }
    see(machine, (uint64_t)total);
    switch (machine->takes % 8) {
    case 0: return -EPIPE;
    case 1: return 0;
    case 2: return MIN(total, 100);
    default: return total;
    }
}

static ssize_t sockets_read(struct vsock_host *host, const struct iovec *iov, unsigned count)
{
    return sockets_transfer(host, iov, count, true);
}

static ssize_t sockets_write(struct vsock_host *host, const struct iovec *iov, unsigned count)
{
    return sockets_transfer(host, iov, count, false);
}

static void sockets_want(struct vsock_host *host, unsigned events)
{
    machine_of(host->backend)->wanted[host_number(host)] = events;
}

static bool sockets_is_closed(struct vsock_host *host)
{
    return host_number(host) & 1;
}

static void sockets_shut_down(struct vsock_host *host)
{
    see(machine_of(host->backend), 30 + host_number(host));
}

static void sockets_close(struct vsock_host *host)
{
    machine_of(host->backend)->host_used[host_number(host)] = false;
}

static void sockets_established(struct vsock_host *host, uint32_t port)
{
    see(machine_of(host->backend), port + host_number(host));
}

static const struct vsock_ops sockets_ops = {
    sockets_connect,   sockets_read,      sockets_write, sockets_want,
    sockets_is_closed, sockets_shut_down, sockets_close, sockets_established,
};

/* A program of the host calls, or its end of a connection can be used. */
static void operate_sockets(struct machine *machine, uint16_t value)
{
    const struct vsock_client *client = machine->sockets.client;
    struct vsock_host *host;
    unsigned number = value % HOSTS;
    machine->takes = value >> 4;
    if (value & 8) {
        host = host_new(machine);
        if (host && !client->request(client->opaque, host, number))
            sockets_close(host);
    } else if (machine->host_used[number] && machine->wanted[number]) {
        unsigned events = machine->wanted[number];
        machine->wanted[number] = 0;
        client->ready(machine->hosts[number].connection, events);
    }
}

static const struct block_ops disk_ops = {.submit = disk_submit, .kick = disk_kick};
static const struct net_ops wire_ops = {
    .send = wire_send, .receive_ready = wire_ready, .set_offloads = wire_offloads};

static void machine_add_devices(struct machine *machine)
{
    struct error error = ERROR_INIT;
    struct virtio_place place = {&machine->bus, PCI_SLOT_ANY, &machine->devices, "disk", see_broken,
                                 machine,       NULL};
    struct virtio_block_options disk = {.backend = &machine->disk,
                                        .serial = "12345",
                                        .queues = 2,
                                        .blocked = disk_blocked,
                                        .opaque = machine};
    struct virtio_net_options net = {.backend = &machine->wire, .mac = {2, 0, 0, 0, 0, 1}};
    machine->disk = (struct block_backend){
        .ops = &disk_ops, .name = "disk", .size = DISK_SIZE, .block_size = 512, .can_discard = true};
    machine->wire = (struct net_backend){
        .ops = &wire_ops, .offloads = NET_OFFLOAD_CHECKSUM | NET_OFFLOAD_TSO4, .link_up = true};
    machine->end = &machine->first;
    check(!virtio_block_new(&machine->block, &place, &disk, &error));
    place.name = "net";
    check(!virtio_net_new(&machine->net, &place, &net, &error));
    place.name = "console";
    check(!virtio_console_new(&machine->console, &place,
                              (struct char_backend){characters, readable, NULL, machine}, &error));
    machine->terminal = virtio_console_client(machine->console);
    place.name = "rng";
    check(!virtio_rng_new(&machine->rng, &place, &error));
    place.name = "balloon";
    check(!virtio_balloon_new(&machine->balloon, &place, &machine->timers, &error));
    place.name = "vsock";
    machine->sockets.ops = &sockets_ops;
    check(!virtio_vsock_new(&machine->vsock, &place, &machine->sockets, 3, &error));
}

/* Once. */
static void machine_wire(struct machine *machine)
{
    struct error error = ERROR_INIT;
    check(!memory_map_init(&machine->map, UINT64_C(0xffffffffff), &error) &&
          !io_space_init(&machine->io, &error));
    for (unsigned i = 0; i < 2; i++) {
        machine->ram[i] = memory_backing_create("ram", HALF, &error);
        check(machine->ram[i] &&
              memory_add_ram(&machine->map, "ram", i * HALF, HALF, 0, machine->ram[i], 0, &error));
    }
    timers_init(&machine->timers, (struct clock){clock_read, NULL});
    struct pci_wiring wiring = {
        .memory = &machine->map,
        .io = &machine->io,
        .mmconfig = 0xb0000000,
        .windows = {0xc0000000, 0x100000, 0, 0, 0xc000, 0x1000},
        .intx = {line_set, machine, 16},
        .isa = {line_set, machine, 0},
        .messages = {.send = message, .opaque = machine},
    };
    check(!pci_bus_init(&machine->bus, &wiring, &error) &&
          !devices_add(&machine->devices, &pci_bus_type, "pci", &machine->bus, &error));
    machine_add_devices(machine);
}

/* What the host's side has told its devices is not theirs to save alone: whoever loads tells it again. */
static void machine_tell(struct machine *machine)
{
    virtio_net_link_changed(machine->net);
    virtio_console_resize(machine->console, machine->columns, 7);
    virtio_balloon_set_target(machine->balloon, (uint64_t)machine->columns << 12);
}

/* A machine as new. */
static void machine_make(struct machine *machine)
{
    struct error error = ERROR_INIT;
    if (!machine->ram[0])
        machine_wire(machine);
    for (unsigned i = 0; i < 2; i++)
        memset(machine->ram[i]->host, 0, HALF);
    memset(machine->content, 0x5a, DISK_SIZE);
    machine->wire.link_up = true;
    machine->columns = 80;
    machine_tell(machine);
    devices_reset(&machine->devices);
    disk_finish(machine, UINT32_MAX, 0);
    check(!pci_assign(&machine->bus, &error));
    machine->outside = machine->random = 0;
}

static struct buffer machine_save(struct machine *machine)
{
    struct buffer buffer = {0};
    devices_save(&machine->devices, &buffer);
    check(!buffer.failed);
    return buffer;
}

static void machine_load(struct machine *machine, const struct buffer *saved)
{
    struct error error = ERROR_INIT;
    if (devices_load(&machine->devices, saved->data, saved->size, &error)) {
        error_report(&error);
        abort();
    }
    current = machine;
    virtio_block_resume(machine->block);
    virtio_vsock_resume(machine->vsock);
}

/* Makes the second machine from what the first one saves, with nothing under way. */
static void machines_split(void)
{
    current = &machines[0];
    for (unsigned i = 0; i < 2; i++) { /* what was kept for want of room, then what that let in */
        virtio_block_resume(machines[0].block);
        disk_finish(&machines[0], UINT32_MAX, 0);
    }
    struct buffer saved = machine_save(&machines[0]);
    machine_make(&machines[1]);
    for (unsigned i = 0; i < 2; i++)
        memcpy(machines[1].ram[i]->host, machines[0].ram[i]->host, HALF);
    memcpy(machines[1].content, machines[0].content, DISK_SIZE);
    machine_load(&machines[1], &saved);
    machine_load(&machines[0], &saved); /* connections end for both */
    machines[1].wire.link_up = machines[0].wire.link_up;
    machines[1].columns = machines[0].columns;
    machine_tell(&machines[1]);
    machines[1].outside = machines[0].outside;
    machines[1].random = machines[0].random;
    machines[1].takes = machines[0].takes;
    buffer_free(&saved);
}

/* Saves and loads in the middle of requests: the old ones come to nothing, and are begun again. */
static void machine_load_itself(struct machine *machine)
{
    struct buffer saved = machine_save(machine);
    machine_load(machine, &saved);
    disk_finish(machine, UINT32_MAX, 0);
    buffer_free(&saved);
}

static void machine_load_changed(struct machine *machine, uint32_t where, uint8_t change)
{
    struct buffer saved = machine_save(machine);
    struct error error = ERROR_INIT;
    saved.data[where % saved.size] ^= change;
    if (devices_load(&machine->devices, saved.data, saved.size, &error)) {
        check(error.message[0]);
    } else {
        virtio_block_resume(machine->block);
        machine_tell(machine); /* perhaps the change was in that */
    }
    disk_finish(machine, UINT32_MAX, 0);
    buffer_free(&saved);
}

static uint64_t bar(struct machine *machine, unsigned slot)
{
    return pci_config_get(machine->bus.slots[slot], PCI_BAR0, 4) & ~15u;
}

static void poke(struct machine *machine, uint64_t address, unsigned size, uint64_t value)
{
    memory_mmio_write(&machine->map, address, size, value);
}

/* What a driver does at its start. Queue q of slot s is in the 4 KiB page 5 * s + q. */
static void begin(struct machine *machine, unsigned slot, uint32_t without, unsigned flags)
{
    uint64_t common = bar(machine, slot);
    struct pci_device *device = machine->bus.slots[slot];
    pci_config_write(device, PCI_COMMAND, 2, 7);
    poke(machine, common + 0x14, 1, 0);
    poke(machine, common + 0x14, 1, 3);
    uint64_t features = 0;
    for (unsigned i = 0; i < 2; i++) {
        poke(machine, common, 4, i);
        memory_mmio_read(&machine->map, common + 4, 4, &features);
        poke(machine, common + 8, 4, i);
        poke(machine, common + 0xc, 4, features & ~(uint64_t)(i ? 0 : without));
    }
    poke(machine, common + 0x14, 1, 11);
    pci_config_write(device, device->msix_capability + 2, 2, flags & 1 ? 0x8000 : 0);
    for (unsigned queue = 0; queue < (slot == BALLOON ? 5u : 4u); queue++) {
        uint64_t page = (5 * slot + queue) * 0x1000u;
        poke(machine, common + 0x16, 2, queue);
        poke(machine, common + 0x18, 2, 8);
        poke(machine, common + 0x1a, 2, queue);
        poke(machine, common + 0x20, 4, page);
        poke(machine, common + 0x28, 4, page + 0x100);
        poke(machine, common + 0x30, 4, page + 0x200);
        poke(machine, page + 0x102, 2, 0);
        poke(machine, common + 0x1c, 2, 1);
        poke(machine, bar(machine, slot) + 0x4000 + 16 * queue, 8, 0xfee00000);
        poke(machine, bar(machine, slot) + 0x4008 + 16 * queue, 8, queue);
    }
    poke(machine, common + 0x14, 1, 15);
}

/* Puts one descriptor into a queue, and makes a chain available that begins with it or somewhere. */
static void put(struct machine *machine, unsigned slot, unsigned queue, struct reader *reader)
{
    static const uint64_t places[8] = {
        0x28000, 0x2a010, HALF - 16 /* the border */, 0x29000, RAM_SIZE - 8, 0, 0xc0000000, 0xb0000000};
    static const uint32_t lengths[8] = {16, 1, 512, 513, 12, 64, 2, 0x8000};
    uint64_t page = (5 * slot + queue) * 0x1000u, index = 0;
    uint8_t what = (uint8_t)reader_take_integer(reader, 1), how = (uint8_t)reader_take_integer(reader, 1);
    uint64_t descriptor = page + 16u * (what & 7);
    uint32_t length = lengths[how & 7];
    if (how & 0x80)
        length = (uint32_t)reader_take_integer(reader, 2);
    poke(machine, descriptor, 8,
         places[how >> 3 & 7] + (how & 0x40 ? reader_take_integer(reader, 1) * 8 : 0));
    poke(machine, descriptor + 8, 4, length);
    poke(machine, descriptor + 12, 2, what >> 3 & 7);
    poke(machine, descriptor + 14, 2, (what + 1) & 7);
    if (!(what & 0x40))
        return;
    memory_mmio_read(&machine->map, page + 0x102, 2, &index);
    poke(machine, page + 0x104 + 2 * (index & 7), 2, what & 0x80 ? 0 : what & 7);
    poke(machine, page + 0x102, 2, index + 1);
}

/* The header of a disk's request, or of a packet. */
static void put_header(struct machine *machine, uint8_t what, struct reader *reader)
{
    uint8_t type = (uint8_t)reader_take_integer(reader, 1);
    uint64_t value = reader_take_integer(reader, 2);
    if (!(what & 1)) {
        poke(machine, 0x28000, 4, type);
        poke(machine, 0x28008, 8, value);
        return;
    }
    poke(machine, 0x28000, 8, 3);
    poke(machine, 0x28008, 8, 2);
    poke(machine, 0x28010, 4, type >> 3 & 3);
    poke(machine, 0x28014, 4, what & 2 ? 0x40000001 : type >> 5);
    poke(machine, 0x28018, 4, what & 4 ? value : 16);
    poke(machine, 0x2801c, 4, 1 | (type & 7) << 16);
    poke(machine, 0x28020, 4, value & 7);
    poke(machine, 0x28024, 8, what & 8 ? value : 0x10000);
}

static void from_outside(struct machine *machine, uint8_t what, uint16_t value)
{
    static const int outcomes[4] = {0, 0, -EIO, -ENOSPC};
    static const uint8_t bytes[2000];
    struct iovec frame[2] = {{(void *)(uintptr_t)bytes, 12}, {(void *)(uintptr_t)(bytes + 12), value % 1988}};
    size_t size = 12 + value % 1988u;
    switch (what & 7) {
    case 0:
    case 1: disk_finish(machine, 1 + (what >> 6), outcomes[what >> 4 & 3]); break;
    case 2: virtio_block_resume(machine->block); break;
    case 3: see(machine, machine->wire.client->receive(machine->wire.client->opaque, frame, 2, size)); break;
    case 4: machine->wire.client->send_ready(machine->wire.client->opaque); break;
    case 5:
        see(machine, machine->terminal.room(machine->terminal.opaque));
        machine->terminal.receive(machine->terminal.opaque, bytes, value % 64);
        break;
    case 6: machine->terminal.writable(machine->terminal.opaque); break;
    case 7:
        if (what & 8) {
            virtio_console_resize(machine->console, machine->columns = value, 7);
            virtio_balloon_set_target(machine->balloon, (uint64_t)value << 12);
            virtio_balloon_ask(machine->balloon);
        } else if (what & 32)
            operate_sockets(machine, value);
        else if (what & 16)
            virtio_net_announce(machine->net);
        else
            machine->wire.link_up = value & 1, virtio_net_link_changed(machine->net);
        break;
    }
}

static void operate(struct machine *machine, uint8_t kind, uint8_t what, struct reader *reader)
{
    static const uint8_t slots[8] = {BLOCK, NET, CONSOLE, RNG, BALLOON, VSOCK, BALLOON, BLOCK};
    unsigned slot = slots[what & 7], queue = (what & 7) == 6 ? 4 : what >> 3 & 3,
             size = 1u << (what >> 6) % 3;
    uint64_t value = 0;
    struct error error = ERROR_INIT;
    current = machine;
    static const uint8_t few[4] = {0, 1, 3, 2};
    machine->takes = what & 0x20 ? few[what >> 6] : 1000;
    switch (kind) {
    case 0:
        begin(machine, slot, (uint32_t)reader_take_integer(reader, what & 0x40 ? 4 : 1), what >> 5);
        break;
    case 1:
    case 2:
    case 3: put(machine, slot, queue, reader); break;
    case 4:
    case 5: poke(machine, bar(machine, slot) + 0x3000 + 4 * queue, 2, queue); break;
    case 6: from_outside(machine, what, (uint16_t)reader_take_integer(reader, 2)); break;
    case 7: /* any register */
        value = reader_take_integer(reader, 2);
        poke(machine, bar(machine, slot) + value % BAR_SIZE, size, reader_take_integer(reader, 4));
        break;
    case 8:
        memory_mmio_read(&machine->map, bar(machine, slot) + reader_take_integer(reader, 2) % BAR_SIZE, size,
                         &value);
        see(machine, value);
        break;
    case 9: /* any byte of guest memory: headers, indirect tables, rings */
        value = reader_take_integer(reader, 2);
        poke(machine, (value * 4 + (what & 3)) % RAM_SIZE, size, reader_take_integer(reader, size));
        break;
    case 10: put_header(machine, what, reader); break;
    case 11:
        value = reader_take_integer(reader, 1);
        io_write(&machine->io, 0xcf8, 4, 0x80000000 | (what & 7) % SLOTS << 11 | (value & 0xfc));
        io_write(&machine->io, 0xcfc, size, (uint32_t)reader_take_integer(reader, size));
        see(machine, io_read(&machine->io, 0xcfc, 4));
        break;
    case 12:
        memory_mmio_read(&machine->map, 0xb0000000 + (((what & 7) << 15) | reader_take_integer(reader, 1)),
                         size, &value);
        see(machine, value);
        break;
    case 13:
        if (what == 0) {
            devices_reset(&machine->devices);
            disk_finish(machine, UINT32_MAX, 0);
            check(!pci_assign(&machine->bus, &error));
        }
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader = {data, size, false};
    bool twin = false;
    unsigned splits = 0;
    now = 1000;
    current = &machines[0];
    machine_make(&machines[0]);
    for (unsigned step = 0; step < 1024 && reader.left; step++) {
        uint8_t kind = reader_take_integer(&reader, 1) & 15, what = (uint8_t)reader_take_integer(&reader, 1);
        if (kind < 14) {
            struct reader again = reader;
            operate(&machines[0], kind, what, &reader);
            if (twin) {
                operate(&machines[1], kind, what, &again);
                check(machines[0].outside == machines[1].outside);
            }
        } else if (++splits <= 2) { /* they take much longer than the rest */
            current = &machines[0];
            if (kind == 14 && what & 1)
                machine_load_itself(&machines[0]);
            else if (kind == 15)
                machine_load_changed(&machines[0], (uint32_t)reader_take_integer(&reader, 2) * 2u, what | 1);
            machines_split();
            twin = true;
        }
    }
    if (twin) {
        struct buffer a = machine_save(&machines[0]), b = machine_save(&machines[1]);
        check(a.size == b.size && !memcmp(a.data, b.data, a.size));
        for (unsigned i = 0; i < 2; i++)
            check(!memcmp(machines[0].ram[i]->host, machines[1].ram[i]->host, HALF));
        buffer_free(&a);
        buffer_free(&b);
    }
    return 0;
}
