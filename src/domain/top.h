/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top: the processes in a domain. */
#ifndef VISOR_DOMAIN_TOP_H
#define VISOR_DOMAIN_TOP_H

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define TOP_TEXT 512

struct domain_visit;

struct domain_process {
    pid_t pid, parent; /* as it is numbered inside; parent 0: it is not inside */
    pid_t host;        /* as the host numbers it; 0: the host does not know it */
    char user[33];     /* its name; or number, of containers and programs but "root" for 0; as it is inside */
    char state;        /* R, S, D, T, Z ... */
    uint64_t cpu;      /* time of processors, nanoseconds */
    uint64_t elapsed;  /* since its start, nanoseconds */
    uint64_t memory;   /* bytes that are resident */
    char command[TOP_TEXT]; /* fit for a terminal */
};

/* By their numbers inside; free `*list`. */
int domain_visit_top(struct domain_visit *visit, struct domain_process **list, unsigned *count,
                     struct error *error);

#endif
