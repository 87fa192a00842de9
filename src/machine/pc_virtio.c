/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is on the PCI bus, and the host's part of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/macros.h"
#include "machine/pc_private.h"

/* A guest that writes to a disk for which the host has no room is tried again so often. */
#define RETRY_SECONDS 1

static void told_broken(void *opaque, const char *name, const char *reason)
{
    (void)opaque;
    fprintf(stderr, "visor: the guest has broken the rules of %s: %s\n", name, reason);
}

static struct virtio_place place_of(struct pc *pc, const char *name)
{
    return (struct virtio_place){.bus = &pc->pci,
                                 .slot = PCI_SLOT_ANY,
                                 .devices = &pc->machine->devices,
                                 .name = name,
                                 .broken = told_broken,
                                 .signals = pc->machine->engine->signals ? &pc->machine->signal_host : NULL};
}

/* -- disks ----------------------------------------------------------------------------------------------- */

static void retry_set(struct pc *pc, bool on)
{
    struct itimerspec setting = {.it_interval = {.tv_sec = on ? RETRY_SECONDS : 0},
                                 .it_value = {.tv_sec = on ? RETRY_SECONDS : 0}};
    timerfd_settime(pc->retry_fd, 0, &setting, NULL);
}

/* Between two looks at the host's disk the devices try again; if none was refused, the guest goes on. */
static void retry_due(void *opaque, unsigned events)
{
    struct pc *pc = opaque;
    uint64_t expirations;
    bool refused = false;
    (void)events;
    if (read(pc->retry_fd, &expirations, sizeof expirations) < 0)
        return;
    for (unsigned i = 0; i < pc->disk_count; i++) {
        struct pc_disk *disk = &pc->disks[i];
        refused |= disk->blocked || virtio_block_pending(disk->device);
        if (disk->blocked) {
            disk->blocked = false;
            virtio_block_resume(disk->device);
        }
    }
    if (refused)
        return;
    retry_set(pc, false);
    fprintf(stderr, "visor: the host has room again: the guest goes on\n");
    machine_resume(pc->machine, MACHINE_PAUSE_SPACE);
}

static void told_failed(void *opaque, enum block_operation operation, int error)
{
    struct pc_disk *disk = opaque;
    machine_report(disk->pc->machine, &(struct machine_news){.kind = MACHINE_DISK,
                                                             .device = disk->name,
                                                             .write = operation != BLOCK_READ,
                                                             .error = error});
}

static void told_blocked(void *opaque, int error)
{
    struct pc_disk *disk = opaque;
    struct pc *pc = disk->pc;
    disk->blocked = true;
    told_failed(disk, BLOCK_WRITE, -ENOSPC);
    if (pc->machine->pauses & MACHINE_PAUSE_SPACE)
        return;
    fprintf(stderr, "visor: disk %s: %s: the guest is paused until there is room\n", disk->backend->name,
            strerror(-error));
    retry_set(pc, true);
    machine_pause(pc->machine, MACHINE_PAUSE_SPACE);
}

static int make_disk(struct pc *pc, const struct block_options *options, struct error *error)
{
    struct pc_disk *disk = &pc->disks[pc->disk_count];
    disk->pc = pc;
    int code = block_open(&disk->backend, options, pc->machine->loop, error);
    if (code)
        return code;
    snprintf(disk->name, sizeof disk->name, "disk%u", pc->disk_count);
    const struct virtio_place place = place_of(pc, disk->name);
    const struct virtio_block_options device = {.backend = disk->backend,
                                                .serial = options->serial[0] ? options->serial : NULL,
                                                .queues = pc->machine->vcpu_count,
                                                .blocked = told_blocked,
                                                .failed = told_failed,
                                                .opaque = disk};
    code = virtio_block_new(&disk->device, &place, &device, error);
    if (code) {
        block_close(disk->backend);
        return code;
    }
    pc->disk_count++;
    return 0;
}

static int make_disks(struct pc *pc, const struct pc_config *config, struct error *error)
{
    if (!config->disk_count)
        return 0;
    pc->retry_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (pc->retry_fd < 0)
        return error_set(error, -errno, "cannot make a timer: %s", strerror(errno));
    pc->retry_watch = loop_watch_add(pc->machine->loop, pc->retry_fd, LOOP_READ, retry_due, pc, error);
    pc->disks = calloc(config->disk_count, sizeof *pc->disks);
    if (!pc->disks)
        return error_set(error, -ENOMEM, "out of memory for the machine");
    int code = pc->retry_watch ? 0 : error->code;
    for (unsigned i = 0; !code && i < config->disk_count; i++)
        code = make_disk(pc, &config->disks[i], error);
    return code;
}

unsigned pc_pending(struct machine *machine)
{
    const struct pc *pc = machine->board;
    unsigned pending = 0;
    for (unsigned i = 0; i < pc->disk_count; i++)
        pending += virtio_block_pending(pc->disks[i].device);
    return pending;
}

void pc_loaded(struct machine *machine, int64_t seconds, bool copy)
{
    struct pc *pc = machine->board;
    rtc_go_on(&pc->rtc, seconds);
    if (copy)
        pc_renew_generation(pc);
    for (unsigned i = 0; i < pc->disk_count; i++)
        virtio_block_resume(pc->disks[i].device);
    for (unsigned i = 0; i < pc->net_count; i++)
        virtio_net_announce(pc->nets[i].device);
    if (pc->vsock)
        virtio_vsock_resume(pc->vsock);
}

void pc_stand(struct machine *machine, bool still)
{
    struct pc *pc = machine->board;
    for (unsigned i = 0; i < pc->net_count; i++)
        virtio_net_stand(pc->nets[i].device, still);
    if (pc->vsock)
        virtio_vsock_stand(pc->vsock, still);
}

/* -- networks -------------------------------------------------------------------------------------------- */

/* The same address each time for what is named alike, lest the guest take it for another card; of those that
 * are administered locally. */
static void name_card(uint8_t mac[6], const char *name, unsigned index)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *c = name; *c; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    hash += index;
    mac[0] = 0x52;
    mac[1] = 0x54;
    mac[2] = 0;
    for (unsigned i = 0; i < 3; i++)
        mac[5 - i] = (uint8_t)(hash >> 8 * i);
}

static int may_use_vhost(const struct pc *pc, const char *instead, struct error *error)
{
    if (pc->machine->engine->signals)
        return 0;
    error_set(error, -ENOTSUP, "the kernel serves queues of machines under KVM alone");
    error_hint(error, "--engine kvm, or %s", instead);
    return -ENOTSUP;
}

static int open_vhost(struct pc *pc, struct pc_net *net, struct error *error)
{
    int code = may_use_vhost(pc, "vhost=auto", error);
    if (!code)
        code = vhost_net_open(&net->vhost, &vhost_host, VIRTIO_NET_VHOST_FEATURES, error);
    return code ? code : virtio_net_use_vhost(net->device, net->vhost, pc->machine->ram, error);
}

/* Who has not asked for it is not told why there is none. */
static int use_vhost(struct pc *pc, struct pc_net *net, enum vhost_wish wish, struct error *error)
{
    struct error unasked = ERROR_INIT;
    if (wish == VHOST_OFF)
        return 0;
    int code = open_vhost(pc, net, wish == VHOST_ON ? error : &unasked);
    if (!code || wish != VHOST_ON)
        return 0;
    error_prefix(error, "vhost=on: ");
    return code;
}

static int make_net(struct pc *pc, const struct pc_config *config, const struct net_options *options,
                    struct error *error)
{
    struct pc_net *net = &pc->nets[pc->net_count];
    char name[32];
    int code = net_open(&net->backend, options, pc->machine->loop, error);
    if (code || !net->backend)
        return code;
    snprintf(name, sizeof name, "net%u", pc->net_count);
    const struct virtio_place place = place_of(pc, name);
    struct virtio_net_options device = {.backend = net->backend, .shared = options->kind == NET_TAP};
    const char *named = config->disk_count ? config->disks[0].path : config->kernel;
    name_card(device.mac, named ? named : "", pc->net_count);
    if (options->has_mac)
        memcpy(device.mac, options->mac, sizeof device.mac);
    code = virtio_net_new(&net->device, &place, &device, error);
    if (code) {
        net_close(net->backend);
        return code;
    }
    pc->net_count++;
    return options->kind == NET_TAP ? use_vhost(pc, net, options->vhost, error) : 0;
}

/* Nobody has asked for it. */
static int go_without(struct error *error, const char *what)
{
    error_prefix(error, "%s", what);
    error_report(error);
    *error = (struct error){0};
    return 0;
}

static int make_nets(struct pc *pc, const struct pc_config *config, struct error *error)
{
    if (!config->net_count || (config->nets_optional && !pc_wants(pc, "net0")))
        return 0;
    pc->nets = calloc(config->net_count, sizeof *pc->nets);
    if (!pc->nets)
        return error_set(error, -ENOMEM, "out of memory for the machine");
    int code = 0;
    for (unsigned i = 0; !code && i < config->net_count; i++)
        code = make_net(pc, config, &config->nets[i], error);
    return code && config->nets_optional ? go_without(error, "the machine has no network: ") : code;
}

/* -- the others ------------------------------------------------------------------------------------------ */

static int make_console(struct pc *pc, const struct pc_config *config, struct error *error)
{
    if (config->console.kind == CHAR_NONE)
        return 0;
    const struct char_menu menu = pc_menu(pc);
    const struct virtio_place place = place_of(pc, "console");
    int code = char_host_open(&pc->console_host, &config->console, pc->machine->loop, &menu, error);
    if (!code)
        code = virtio_console_new(&pc->console, &place, char_host_backend(pc->console_host), error);
    if (!code)
        char_host_attach(pc->console_host, virtio_console_client(pc->console));
    return code;
}

/* The host's kernel's. */
static int make_vhost_vsock(struct pc *pc, uint32_t cid, struct error *error)
{
    const struct virtio_place place = place_of(pc, "vsock");
    int code = may_use_vhost(pc, "--vsock PATH", error);
    if (!code)
        code = vhost_vsock_open(&pc->vsock_vhost, &vhost_host, VHOST_QUEUES_FEATURES,
                                VIRTIO_VSOCK_VHOST_FEATURES, &cid, error);
    if (!code)
        code = virtio_vsock_new_vhost(&pc->vsock, &place, pc->vsock_vhost, pc->machine->ram, cid, error);
    if (code)
        error_prefix(error, "vsock: ");
    else
        pc->vsock_cid = cid;
    return code;
}

uint32_t pc_vsock_cid(const struct machine *machine)
{
    return ((const struct pc *)machine->board)->vsock_cid;
}

static int make_vsock(struct pc *pc, const struct pc_config *config, struct error *error)
{
    if (!config->has_vsock || (config->vsock_optional && !pc_wants(pc, "vsock")))
        return 0;
    if (!config->vsock.path)
        return make_vhost_vsock(pc, config->vsock.cid, error);
    const struct virtio_place place = place_of(pc, "vsock");
    int code = vsock_unix_open(&pc->vsock_backend, pc->machine->loop, config->vsock.path,
                               config->vsock_dialer, error);
    if (code)
        return config->vsock_optional ? go_without(error, "the machine has no vsock: ") : code;
    return virtio_vsock_new(&pc->vsock, &place, pc->vsock_backend, VSOCK_CID_FIRST, error);
}

static void told_balloon(void *opaque)
{
    struct pc *pc = opaque;
    const struct machine_news news = {.kind = MACHINE_BALLOON, .memory = pc_guest_memory(pc)};
    machine_report(pc->machine, &news);
}

struct virtio_balloon *pc_balloon(struct machine *machine)
{
    return ((struct pc *)machine->board)->balloon;
}

uint64_t pc_guest_memory(const struct pc *pc)
{
    const uint64_t all = pc->machine->ram->size;
    return pc->balloon ? all - MIN(virtio_balloon_size(pc->balloon), all) : all;
}

static int make_others(struct pc *pc, const struct pc_config *config, struct error *error)
{
    const struct virtio_place rng = place_of(pc, "rng"), balloon = place_of(pc, "balloon");
    int code = pc_wants(pc, "rng") ? virtio_rng_new(&pc->rng, &rng, error) : 0;
    if (!code && pc_wants(pc, "balloon"))
        code = virtio_balloon_new(&pc->balloon, &balloon, &pc->machine->timers, error);
    if (pc->balloon)
        virtio_balloon_observe(pc->balloon, told_balloon, pc);
    if (!code)
        code = make_console(pc, config, error);
    return code ? code : make_vsock(pc, config, error);
}

/* Disks first: their places, and so their names, do not depend on what else there is. */
int pc_make_virtio(struct pc *pc, const struct pc_config *config, struct error *error)
{
    pc->retry_fd = -1;
    int code = make_disks(pc, config, error);
    if (!code)
        code = make_nets(pc, config, error);
    return code ? code : make_others(pc, config, error);
}

static void free_others(struct pc *pc)
{
    if (pc->vsock)
        virtio_vsock_free(pc->vsock);
    if (pc->vsock_backend)
        vsock_unix_close(pc->vsock_backend);
    vhost_close(pc->vsock_vhost);
    if (pc->console)
        virtio_console_free(pc->console);
    char_host_close(pc->console_host);
    if (pc->balloon)
        virtio_balloon_free(pc->balloon);
    if (pc->rng)
        virtio_rng_free(pc->rng);
}

void pc_free_virtio(struct pc *pc)
{
    free_others(pc);
    for (unsigned i = 0; i < pc->net_count; i++) {
        virtio_net_free(pc->nets[i].device);
        net_close(pc->nets[i].backend);
        vhost_close(pc->nets[i].vhost);
    }
    free(pc->nets);
    for (unsigned i = 0; i < pc->disk_count; i++) {
        virtio_block_free(pc->disks[i].device);
        block_close(pc->disks[i].backend);
    }
    free(pc->disks);
    if (pc->retry_watch)
        loop_watch_remove(pc->retry_watch);
    if (pc->retry_fd > 0)
        close(pc->retry_fd);
}
