/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host_memory: what this process's host has of memory for it: /proc/meminfo, the cgroups around it that have
 * a limit, and how long processes wait for memory there (PSI). All files are opened at once, so that it goes
 * on in any namespace and with any rights.
 *
 * HOST_MEMORY_PRESSURE names another file to read in place of /proc/pressure/memory: a cgroup's, or one of
 * the same form, for trials. HOST_MEMORY_INFO likewise in place of /proc/meminfo.
 */
#ifndef VISOR_DOMAIN_HOST_MEMORY_H
#define VISOR_DOMAIN_HOST_MEMORY_H

#include <sys/types.h>

#include "base/loop.h"
#include "domain/balance_policy.h"

#define HOST_MEMORY_PRESSURE "VISOR_MEMORY_PRESSURE"
#define HOST_MEMORY_INFO     "VISOR_MEMORY_INFO"

struct host_memory;

/* Opens all files. What there is not is done without. */
int host_memory_new(struct host_memory **out, struct error *error);
/* `pressed` is called on the loop's thread, under its lock, as soon as processes wait for memory, where the
 * kernel can tell that. Opens nothing. Once. */
void host_memory_watch(struct host_memory *memory, struct loop *loop, void (*pressed)(void *opaque),
                       void *opaque);
void host_memory_free(struct host_memory *memory); /* may be NULL */
/* How it is now; stalled since the last look. */
void host_memory_look(struct host_memory *memory, struct balance_host *host);

/* Tells on standard error if the host's KSM is there and off. */
void host_merges_tell(void);
/* Bytes of a process's memory that are one with others'. False: the kernel does not tell. */
bool host_merged(pid_t pid, uint64_t *bytes);

/* Numbers of the files, of which nothing is believed. False: there are none. */
bool host_memory_parse_pressure(const char *text, uint64_t *total);                /* microseconds */
bool host_memory_parse_info(const char *text, uint64_t *all, uint64_t *available); /* bytes */

#endif
