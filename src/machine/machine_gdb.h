/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine_gdb: gdb's way into a machine: a TCP port of the host's own address, at which one debugger at a
 * time can connect. vCPUs are its threads. While it looks, the machine stands still.
 */
#ifndef VISOR_MACHINE_MACHINE_GDB_H
#define VISOR_MACHINE_MACHINE_GDB_H

#include "machine/machine.h"

struct machine_gdb;

/* For a machine that does not run yet. `wait`: it begins when a debugger lets it. */
int machine_gdb_new(struct machine_gdb **out, struct machine *machine, uint16_t port, bool wait,
                    struct error *error);
/* The machine has ended, with that exit status. */
void machine_gdb_free(struct machine_gdb *gdb, unsigned status);

#endif
