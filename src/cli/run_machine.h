/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run_machine: "visor run" for whole machines; run.c is that for programs, and tells them apart. */
#ifndef VISOR_CLI_RUN_MACHINE_H
#define VISOR_CLI_RUN_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

struct error;

enum run_machine_option {
    RUN_MACHINE,
    RUN_CPU,
    RUN_CPUS,
    RUN_MEMORY,
    RUN_KERNEL,
    RUN_INITRD,
    RUN_APPEND,
    RUN_DISK,
    RUN_SNAPSHOT,
    RUN_NET,
    RUN_CONSOLE,
    RUN_VIRTIO_CONSOLE,
    RUN_VSOCK,
    RUN_QMP,
    RUN_NO_REBOOT,
    RUN_DEBUG_EXIT,
    RUN_DEBUG_CONSOLE,
};

/* Takes an option. A negative errno and the reason: a usage error. */
int run_machine_option(enum run_machine_option option, const char *argument, struct error *error);

/* Whether this file is something that a machine is made of: a disk's image, a block device, a kernel; not a
 * program. */
bool run_machine_is_image(const char *path);

/* What programs have as well. */
struct run_machine_common {
    unsigned trace;    /* the engine's */
    uint16_t gdb_port; /* 0: no debugger */
    bool gdb_wait;
};

/* Runs the machine that the options, `common` and the words after them say; returns the exit status. */
int run_machine(const struct run_machine_common *common, int count, char **words);

#endif
