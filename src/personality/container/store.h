/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store: where containers are remembered: a directory per container in the state root, with
 *
 *     record    what later commands need to know, and the configuration as it was at `create`
 *     start     the socket on which the container's first process waits to be started
 *
 * The record is one file that is written once, since files cost where the state root is on a disk: a line of
 * fixed length, a JSON document of one line, and config.json as it was. Only the first line, which says who
 * the first process is, changes later, in place; it has a checksum, so that who reads it at that moment takes
 * no half of it.
 *
 * Who changes a container holds its lock (flock(2) of the directory), which the kernel drops with the holder.
 * A directory that nobody holds and that has no record is what a killed `create` has left.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_STORE_H
#define VISOR_PERSONALITY_CONTAINER_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "personality/container/oci_config.h"

struct store_record {
    const char *version, *id, *bundle, *root; /* root: of the container's file system */
    const char *created;                      /* RFC 3339 */
    const char *cgroup_path, *cgroup_scope;   /* NULL: none */
    struct json_pair *annotations;
    unsigned annotations_count;
    int32_t pid;         /* 0: not made yet */
    uint64_t start_time; /* of the process, in the kernel's ticks: tells it from a later one of this pid */
    bool made;           /* it has been created: no more is to come */
    uint32_t owner;      /* the user who made the container */
    bool poststart, poststop, default_filter;
    bool rdt; /* it is in a class of service (rdt.h) */
};

/* A record that was read, and what it points to. */
struct store_entry {
    struct json_binding binding;
    struct store_record record;
    char *text; /* of the file */
    const char *config;
    size_t config_size;
};

/* /run/visor/oci, or of an ordinary user $XDG_RUNTIME_DIR/visor/oci. Of malloc(). */
char *store_default_root(void);

/* Makes the container's directory, locked: a descriptor. -EEXIST: there is one; -EINVAL: not a name. */
int store_create(const char *root, const char *id, struct error *error);
/* Opens it; with `lock`, waits for whoever holds it. -ENOENT. */
int store_open(const char *root, const char *id, bool lock, struct error *error);
/* Removes what store_create() has made. */
int store_remove(const char *root, const char *id, int directory, struct error *error);

/* Writes the record, and a copy of the configuration: the file `config` in the directory `from`. There is
 * none yet. */
int store_write(int directory, const struct store_record *record, int from, const char *config,
                struct error *error);
/* Who the process is, and whether the container is made, of a record that is there. */
int store_note(int directory, const struct store_record *record, struct error *error);
/* -ENOENT: still being created, or a killed `create` left it. */
int store_read(int directory, struct store_entry **out, struct error *error);
/* The configuration as it was at `create`. */
int store_config(const struct store_entry *entry, struct oci_config **out, struct error *error);
void store_entry_free(struct store_entry *entry);

/* All ids, NULL after the last, sorted; of malloc(), each too. No root: none. */
int store_list(const char *root, char ***ids, struct error *error);
void store_list_free(char **ids);

#endif
