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
    pid_t pid, parent;      /* as it is numbered inside; parent 0: it is not inside */
    pid_t host;             /* as the host numbers it; 0: the host does not know it */
    char user[16];          /* its number inside, or "root" */
    char state;             /* R, S, D, T, Z ... */
    uint64_t cpu;           /* time of processors, nanoseconds */
    uint64_t elapsed;       /* since its start, nanoseconds */
    uint64_t memory;        /* bytes that are resident */
    char command[TOP_TEXT]; /* fit for a terminal */
};

/* By their numbers inside; free `*list`. */
int domain_visit_top(struct domain_visit *visit, struct domain_process **list, unsigned *count,
                     struct error *error);

/*
 * What TOP_SCRIPT says for a shell in a guest that is not trusted. It needs no more than what every system
 * has: the number of its own process, the guest's uptime, and the beginnings of files of /proc with a line
 * before each. What is something else is left out, and so is the script. Free `*list`. -ENOMEM.
 */
#define TOP_SCRIPT                                                                                           \
    "cd /proc && echo $$ && cat uptime && { head -vc 1024 [0-9]*/stat [0-9]*/status [0-9]*/cmdline; :; }"
int domain_top_parse(const char *text, size_t size, struct domain_process **list, unsigned *count,
                     struct error *error);

#endif
