/* SPDX-License-Identifier: GPL-2.0-or-later */
/* making: a container that is being made, by create.c or, of a checkpoint, by restore.c. */
#ifndef VISOR_PERSONALITY_CONTAINER_MAKING_H
#define VISOR_PERSONALITY_CONTAINER_MAKING_H

#include <limits.h>

#include "personality/container/container.h"
#include "personality/container/first.h"
#include "personality/container/net_devices.h"
#include "personality/container/rdt.h"
#include "personality/container/store.h"

/* All descriptors are -1 where there is none. */
struct making {
    const struct container_options *options;
    struct oci_config *config;
    struct store_record record;
    char bundle[PATH_MAX], root[PATH_MAX], created[112];
    int bundle_fd, directory, channel;
    struct first first;
    struct rdt rdt;
    struct net_devices net_devices;
    pid_t pid;
    int terminal;
    bool written;       /* the record is there */
    int users, network; /* descriptors of its namespaces, if they are kept */
};

/* Reads the bundle; nothing is made yet. */
int making_open(struct making *making, const struct container_options *options, struct error *error);
/* Takes the id, keeps a copy of the configuration, and makes the cgroups. */
int making_claim(struct making *making, struct error *error);
/* Writes down who the first process is, and whether all is made. */
int making_note(struct making *making, bool made, struct error *error);
/* After a failure: nothing is left, nor the process. */
void making_undo(struct making *making);
void making_release(struct making *making);

#endif
