/* SPDX-License-Identifier: GPL-2.0-or-later */
/* process_facts: what /proc tells of processes of this host. */
#ifndef VISOR_DOMAIN_PROCESS_FACTS_H
#define VISOR_DOMAIN_PROCESS_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct process_facts {
    pid_t pid, parent, group;
    pid_t inner;                      /* its number in the innermost PID namespace that it is in */
    uid_t user, inner_user;           /* of the host; in the user namespace that it is in */
    char state;                       /* R, S, D, T, Z ... */
    uint64_t cpu, children_cpu;       /* nanoseconds; of its children that have ended and been waited for */
    uint64_t start;                   /* nanoseconds since the host's start */
    uint64_t memory;                  /* bytes that are resident */
    bool has_io;                      /* the next two are known */
    uint64_t read_bytes, write_bytes; /* from and to disks */
    unsigned threads;
};

/* A line of /proc/PID/stat, of this host or of another Linux of its kind that is not trusted: all but the
 * number, and what `more` is below. False: it is none. */
bool process_facts_parse(const char *text, struct process_facts *facts);
/* False: there is no such process. With `more`, io too; without, inner, user and io are not looked up. */
bool process_facts_read(pid_t pid, bool more, struct process_facts *facts);
/* Its arguments with spaces between them, fit for a terminal; the program's
 * name in brackets if it has none. "": it has ended. */
void process_facts_command(pid_t pid, char *text, size_t size);

/* The processes of a process group, in no order. Free `*pids`. */
int process_facts_group(pid_t group, pid_t **pids, size_t *count, struct error *error);
/* The only child of a process; 0: it has none. */
pid_t process_facts_child(pid_t pid);

/* Bytes that all interfaces of a process's network but its own loopback have received and sent. False: it
 * cannot be read, or it is the network of the calling process, which is the host's. */
bool process_facts_network(pid_t pid, uint64_t *received, uint64_t *sent);

/* The number by which this process knows a thread of another that is in a PID namespace of its own, where it
 * is `inner`. -ESRCH: there is none. */
pid_t process_thread_outside(pid_t pid, pid_t inner);

#endif
