/* SPDX-License-Identifier: GPL-2.0-or-later */
/* process_id: a process that is written down and found again, also by other processes, and later ones. */
#ifndef VISOR_BASE_PROCESS_ID_H
#define VISOR_BASE_PROCESS_ID_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* Tells it also after its number has been given to another. */
struct process_id {
    pid_t pid;      /* 0: none */
    uint64_t start; /* as /proc/PID/stat has it: in ticks since the host's start */
    char boot[40];  /* of which this is the id */
};

/* A process that lives. -ENOENT */
int process_id_find(struct process_id *id, pid_t pid, struct error *error);
/* The calling process. */
int process_id_self(struct process_id *id, struct error *error);
bool process_id_lives(const struct process_id *id);
/* A descriptor of the process that becomes readable with its end; -ESRCH: it has ended. */
int process_id_open(const struct process_id *id);
/* Waits for the end of all its threads. False: that has not come. */
bool process_id_wait(const struct process_id *id, int milliseconds);

#endif
