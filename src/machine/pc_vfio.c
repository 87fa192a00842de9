/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's PCI devices that the machine is given. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/pc_private.h"

static void told_failed(void *opaque, const char *address, const char *reason)
{
    struct pc *pc = opaque;
    fprintf(stderr, "visor: PCI device %s %s: the machine ends\n", address, reason);
    machine_request(pc->machine, MACHINE_REQUEST_FAILED);
}

static int open_device(struct pc *pc, const char *text, struct error *error)
{
    struct pc_vfio *vfio = &pc->vfio[pc->vfio_count];
    char address[VFIO_ADDRESS_SIZE];
    int code = vfio_address_parse(address, text, error);
    for (unsigned i = 0; !code && i < pc->vfio_count; i++)
        if (strcmp(pc->vfio[i].host->address, address) == 0)
            code = error_set(error, -EBUSY, "PCI device %s is given to the machine twice", address);
    if (!code)
        code = vfio_device_open(&vfio->host, pc->vfio_space, address, pc->machine->loop, error);
    pc->vfio_count += !code;
    if (!code && !vfio->host->resets)
        fprintf(
            stderr,
            "visor: PCI device %s cannot be reset by the host: after a reset of the machine it is as it was\n",
            address);
    return code;
}

static int add_device(struct pc *pc, struct pc_vfio *vfio, struct error *error)
{
    const struct vfio_pci_place place = {.bus = &pc->pci,
                                         .devices = &pc->machine->devices,
                                         .host = vfio->host,
                                         .failed = told_failed,
                                         .opaque = pc};
    return vfio_pci_new(&vfio->device, &place, error);
}

int pc_open_vfio(struct pc *pc, const struct pc_config *config, struct error *error)
{
    if (!config->vfio_count)
        return 0;
    if (pc->saved)
        return error_set(error, -ENOTSUP,
                         "a machine with devices of the host's cannot go on from a saved one");
    pc->vfio = calloc(config->vfio_count, sizeof *pc->vfio);
    if (!pc->vfio)
        return error_set(error, -ENOMEM, "out of memory for the machine");
    int code = vfio_space_open(&pc->vfio_space, &vfio_host, error);
    for (unsigned i = 0; !code && i < config->vfio_count; i++)
        code = open_device(pc, config->vfio[i], error);
    return code;
}

/* Behind disks and network cards, whose places do not depend on them. */
int pc_make_vfio(struct pc *pc, const struct pc_config *config, struct error *error)
{
    struct machine *machine = pc->machine;
    (void)config;
    if (!pc->vfio_count)
        return 0;
    int code = vfio_memory_new(&pc->vfio_memory, &machine->memory, machine->ram, pc->vfio_space, error);
    for (unsigned i = 0; !code && i < pc->vfio_count; i++)
        code = add_device(pc, &pc->vfio[i], error);
    return code;
}

void pc_free_vfio(struct pc *pc)
{
    for (unsigned i = 0; i < pc->vfio_count; i++) {
        if (pc->vfio[i].device)
            vfio_pci_free(pc->vfio[i].device);
        vfio_device_close(pc->vfio[i].host);
    }
    vfio_memory_free(pc->vfio_memory);
    vfio_space_close(pc->vfio_space);
    free(pc->vfio);
}
