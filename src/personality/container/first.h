/* SPDX-License-Identifier: GPL-2.0-or-later */
/* first: what a container's first process does between its making and the program. For create.c. */
#ifndef VISOR_PERSONALITY_CONTAINER_FIRST_H
#define VISOR_PERSONALITY_CONTAINER_FIRST_H

#include "personality/container/container.h"
#include "personality/container/limits.h"
#include "personality/container/rootfs.h"
#include "personality/container/spawn.h"

struct first {
    const struct container_options *options;
    const struct oci_config *config;
    const char *bundle; /* absolute */
    struct rootfs rootfs;
    struct spawn spawn;
    struct limits limits;
    int channel;        /* to the creator */
    int start;          /* the socket to wait on, or -1: for the creator */
    int console_socket; /* or -1: the creator takes the terminal */
    int launch;         /* of self_exe_open_launch(), or -1: visor executes the program itself */
};

/* Never returns. */
_Noreturn void first_run(struct first *first);

#endif
