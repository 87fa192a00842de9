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
                                 .broken = told_broken};
}

/* -- disks
 * ------------------------------------------------------------------------------------------------- */

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

static void told_blocked(void *opaque, int error)
{
    struct pc_disk *disk = opaque;
    struct pc *pc = disk->pc;
    disk->blocked = true;
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
    char name[32];
    disk->pc = pc;
    int code = block_open(&disk->backend, options, pc->machine->loop, error);
    if (code)
        return code;
    snprintf(name, sizeof name, "disk%u", pc->disk_count);
    const struct virtio_place place = place_of(pc, name);
    const struct virtio_block_options device = {.backend = disk->backend,
                                                .serial = options->serial[0] ? options->serial : NULL,
                                                .queues = pc->machine->vcpu_count,
                                                .blocked = told_blocked,
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

/* -- all of it
 * ------------------------------------------------------------------------------------------------- */

static int make_rng(struct pc *pc, struct error *error)
{
    const struct virtio_place place = place_of(pc, "rng");
    return virtio_rng_new(&pc->rng, &place, error);
}

int pc_make_virtio(struct pc *pc, const struct pc_config *config, struct error *error)
{
    pc->retry_fd = -1;
    int code = make_disks(pc, config, error);
    return code ? code : make_rng(pc, error);
}

void pc_free_virtio(struct pc *pc)
{
    for (unsigned i = 0; i < pc->disk_count; i++) {
        virtio_block_free(pc->disks[i].device);
        block_close(pc->disks[i].backend);
    }
    free(pc->disks);
    if (pc->rng)
        virtio_rng_free(pc->rng);
    if (pc->retry_watch)
        loop_watch_remove(pc->retry_watch);
    if (pc->retry_fd > 0)
        close(pc->retry_fd);
}
