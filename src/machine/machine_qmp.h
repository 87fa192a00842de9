/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine_qmp: what a machine is asked and told by QMP, as commands and events of a server that its loop
 * turns. What a board adds is its type's `qmp`. The names are QEMU's, the answers what is true of visor.
 */
#ifndef VISOR_MACHINE_MACHINE_QMP_H
#define VISOR_MACHINE_MACHINE_QMP_H

#include "control/qmp_server.h"
#include "machine/machine.h"

struct machine_qmp;

struct machine_qmp_options {
    const char *name; /* of the domain; NULL: it has none */
    const char *uuid; /* in its usual form; NULL: zeros */
    /* What the host knows a thread by; 0: it cannot be told. NULL: by its number. */
    pid_t (*thread_outside)(void *opaque, pid_t thread);
    void *opaque;
};

/* Adds the machine's commands to a server on machine->loop. Before the machine runs; the options are
 * borrowed. */
int machine_qmp_new(struct machine_qmp **out, struct machine *machine, struct qmp_server *server,
                    const struct machine_qmp_options *options, struct error *error);
/* The machine has ended. What it was still to answer is refused, so this comes before qmp_server_free(). */
void machine_qmp_free(struct machine_qmp *qmp);

#endif
