/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process: what a process makes of itself before it executes the container's program: limits, ids,
 * capabilities, labels, descriptors. Used by a container's first process and by those of `exec`.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_PROCESS_H
#define VISOR_PERSONALITY_CONTAINER_PROCESS_H

#include <stdbool.h>

#include "personality/container/oci_config.h"
#include "personality/linux/linux.h"

/* Opens what labels are written to, while the host's /proc is there: a descriptor, or -1: none is asked for.
 * -ENOTSUP: this host has no AppArmor or SELinux. */
int process_open_label(const struct oci_process *process, int *label, struct error *error);

/* Takes the host's /proc, and the rights of who made the container. */
int process_set_oom_score(const struct oci_process *process, struct error *error);

/* A session keyring of its own, with nothing in it: the caller's keys are not the container's. */
int process_leave_keyring(struct error *error);

/* Personality and memory policy of the configuration's section "linux", for the first process and those of
 * `exec`. */
int process_take_platform(const struct oci_linux *platform, struct error *error);
/* process.execCPUAffinity, for processes of `exec`: before they are in the container's cgroup, and then. */
int process_set_affinity(const struct oci_process *process, bool inside, struct error *error);

/* The process becomes the container's own. First its terminal (the slave, or -1), limits, label (-1: none)
 * and, if it can be entered yet, working directory: *inside. */
int process_take(const struct oci_process *process, int terminal, int label, bool *inside,
                 struct error *error);
/* What is to be executed. It is never freed: the process that has it executes it or ends. */
struct process_program {
    char *path;                        /* NULL: nothing */
    struct linux_execution *execution; /* how it is executed if it is for another CPU; NULL: by the kernel */
};
/* Then its user, capabilities, and what is left: what rights there were are gone. The program is found by the
 * process's own PATH. */
int process_become(const struct oci_process *process, bool inside, struct process_program *program,
                   struct error *error);

/* Standard streams that are the host's null device become the container's own: by them nothing of the host is
 * open, and a checkpoint can have them. */
void process_take_null(void);

/* Closes all but the standard streams, `preserved` descriptors that follow them, and `kept`: no way is left
 * to the host. */
void process_close_others(unsigned preserved, const int *kept, unsigned count);
/* The same, with what the program needs. */
void process_close_rest(unsigned preserved, const int *kept, unsigned count,
                        const struct process_program *program);
/* All descriptors from `first` on are closed by execve(). */
void process_close_on_exec(unsigned first);

/* Returns only what went wrong. */
int process_execute(const struct oci_process *process, const struct process_program *program,
                    struct error *error);

#endif
