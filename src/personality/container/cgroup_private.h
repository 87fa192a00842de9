/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup_private: what the files of cgroup.h share.
 *
 *     cgroup_mounts.c     what the host has mounted
 *     cgroup_path.c       where a domain's directories are
 *     cgroup_resources.c  a table: what of linux.resources is written to which file: a plan
 *     cgroup_apply.c      carries a plan out
 *     cgroup_devices.c    device rules as a program and as lines of version 1; cgroup_bpf.c attaches the
 * first cgroup_control.c    freeze, kill, list cgroup_stats.c      statistics, events of memory
 *     cgroup_systemd.c    scopes of systemd, by dbus.c
 *     cgroup_make.c       makes directories
 *     cgroup_levels.c     what is around a process
 *     cgroup.c            the rest: create, open, enter, update
 */
#ifndef VISOR_PERSONALITY_CONTAINER_CGROUP_PRIVATE_H
#define VISOR_PERSONALITY_CONTAINER_CGROUP_PRIVATE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "personality/container/cgroup.h"

enum cgroup_controller {
    CONTROLLER_CPU,
    CONTROLLER_CPUACCT, /* version 1 only; version 2 counts always */
    CONTROLLER_CPUSET,
    CONTROLLER_MEMORY,
    CONTROLLER_DEVICES, /* version 1; a program in version 2 */
    CONTROLLER_FREEZER, /* version 1; part of version 2 itself */
    CONTROLLER_BLOCK_IO,
    CONTROLLER_PIDS,
    CONTROLLER_NET_CLS,
    CONTROLLER_NET_PRIO,
    CONTROLLER_HUGETLB,
    CONTROLLER_RDMA,
    CONTROLLER_MISC,
    CONTROLLERS,
    CONTROLLER_CORE = CONTROLLERS, /* version 2 itself: always there */
};
#define CONTROLLER_BIT(controller) (1u << (controller))

/* As the kernel calls it in that version. */
const char *cgroup_controller_name(enum cgroup_controller controller, int version);
/* The bits of names that are separated by any of `separators`; unknown ones are left out. */
unsigned cgroup_controllers_parse(const char *names, const char *separators, int version);

struct cgroup_mount {
    int version;
    unsigned controllers; /* version 1: of this mount; version 2: of its root, see
                             cgroup_mounts_read_controllers() */
    char *names;          /* version 1: "cpu,cpuacct", "name=systemd"; version 2: "" */
    char *point;          /* where it is mounted */
};
struct cgroup_mounts {
    struct cgroup_mount *items; /* each hierarchy once; version 2 first, where a user may be let in */
    size_t count;
};
/* Parses /proc/self/mountinfo: `text` of `size` bytes, of which nothing is believed. */
int cgroup_mounts_parse(struct cgroup_mounts *mounts, const char *text, size_t size, struct error *error);
/*
 * What is mounted: at the usual place by the usual names, or, `thorough` or if there is nothing, by the list
 * of mounts, which takes 0.14 ms and more where the former takes 0.03. Version 2's controllers are read if it
 * is alone.
 */
int cgroup_mounts_read(struct cgroup_mounts *mounts, bool thorough, struct error *error);
void cgroup_mounts_read_controllers(struct cgroup_mounts *mounts); /* of version 2's root */
void cgroup_mounts_free(struct cgroup_mounts *mounts);
const struct cgroup_mount *cgroup_mounts_v2(const struct cgroup_mounts *mounts);
enum cgroup_mode cgroup_mounts_mode(const struct cgroup_mounts *mounts);
/* Of all mounts of a version. */
unsigned cgroup_mounts_controllers(const struct cgroup_mounts *mounts, int version);
/* Whole small files: NUL-terminated, to free; negative errno in *size on failure. */
char *cgroup_read_file(int directory, const char *name, ssize_t *size);
/* The path in /proc/self/cgroup's `text` for the hierarchy; NULL: none. To free. */
char *cgroup_own_path(const char *text, const struct cgroup_mount *mount);

/* linux.cgroupsPath in cgroupfs form: one that begins with "/" and has neither "." nor ".." nor empty parts.
 * To free. `base`: what relative ones are relative to. */
int cgroup_path_resolve(const char *path, const char *base, char **out, struct error *error);
/* "slice:prefix:name": the names of the slice and the scope. `user`: the default slice is a user's. To free.
 */
int cgroup_path_systemd(const char *path, const char *id, bool user, char **slice, char **scope,
                        struct error *error);

struct cgroup_setting {
    enum cgroup_controller controller;
    const char *field; /* below linux.resources, for messages */
    char file[64], value[96];
    const char *text;                     /* instead of value */
    char other_file[32], other_value[32]; /* if the first does not exist */
    bool optional;                        /* no such file: nothing to be done */
    bool again;                           /* refused: may be taken after others have been set */
    bool keeps_quota;                     /* the file's first word is to stay */
    bool checks_usage;                    /* -EBUSY if memory.current is more */
};
struct cgroup_plan {
    struct cgroup_setting *settings;
    size_t count, capacity;
    unsigned controllers; /* that it needs, whatever version they are of */
    bool failed;          /* no memory */
};
/* `v1`, `v2`: which controllers the host has in which version. -ENOTSUP, -EINVAL with the field's name.
 * Device rules are not in the plan, except for their controller. */
int cgroup_plan_make(struct cgroup_plan *plan, const struct resources *resources, unsigned v1, unsigned v2,
                     bool has_v2, struct error *error);
void cgroup_plan_free(struct cgroup_plan *plan);

struct cgroup_place {
    const struct cgroup_mount *mount;
    int directory; /* -1: none of its own here */
    size_t made;   /* length of the first part of the path that this process has made here; 0: none */
};
struct cgroup {
    struct cgroup_mounts mounts;
    struct cgroup_place *places; /* one for each mount */
    struct cgroup_hierarchy *hierarchies;
    size_t hierarchy_count;
    char *path, *scope;
    int entrance;     /* cgroup_follow()'s directory of version 2; -1: none */
    int place_holder; /* a process that keeps a scope alive; 0: none */
};

/* The place where a controller is, NULL if it has no directory; for CONTROLLER_CORE, version 2's. */
struct cgroup_place *cgroup_place_of(struct cgroup *cgroup, enum cgroup_controller controller);
/* Where processes are tracked: version 2, or else the freezer, or else any. */
struct cgroup_place *cgroup_place_tracking(struct cgroup *cgroup);
/* What a place's directory is called on the host. To free; NULL: no memory. */
char *cgroup_full_path(const struct cgroup_mount *mount, const char *path);
/* Makes those of version 2 (of the tracking controller if there is none) and of the controllers `needed`; and
 * of those `wanted`, as far as they can be had. On failure the caller calls cgroup_remove_made(). */
/* -EBUSY if processes are where the domain's cgroups are to be. */
int cgroup_check_free(struct cgroup *cgroup, struct error *error);
int cgroup_make_places(struct cgroup *cgroup, unsigned needed, unsigned wanted, struct error *error);
void cgroup_remove_made(struct cgroup *cgroup);
/* For a domain that runs: those of version 1 that are missing, with all its processes. */
int cgroup_add_places(struct cgroup *cgroup, unsigned controllers, struct error *error);
int cgroup_enable_controllers(struct cgroup *cgroup, struct cgroup_place *place, unsigned needed,
                              unsigned wanted, struct error *error);
/* From outside: slow, see cgroup.h. */
int cgroup_move(const struct cgroup *cgroup, const struct cgroup_place *place, pid_t pid,
                struct error *error);
bool cgroup_is_refusal(int code); /* for want of rights */
extern const char cgroup_delegate_hint[], cgroup_v1_hint[];
/* Writes a file of a directory at once. 0 or negative errno. */
int cgroup_write(int directory, const char *file, const char *text);
int cgroup_apply(struct cgroup *cgroup, const struct cgroup_plan *plan, struct error *error);
int cgroup_apply_devices(struct cgroup *cgroup, const struct resources *resources, bool update,
                         struct error *error);
/* Calls for the directory and all below it, children first. Stops at the first negative result. */
int cgroup_walk(int directory, int (*visit)(int directory, void *opaque), void *opaque);

/*
 * A program of BPF_PROG_TYPE_CGROUP_DEVICE for the rules: each bit of an access is decided by the last rule
 * that names the device and the bit; where none does, it is allowed. Returns the number of instructions, or 0
 * if they are more than `capacity` (CGROUP_DEVICE_INSTRUCTIONS suffices).
 */
#define CGROUP_DEVICE_INSTRUCTIONS(rules) (10 + 6 * (rules))
size_t cgroup_device_program(const struct resource_device_rule *rules, size_t count, struct bpf_insn *program,
                             size_t capacity);
int cgroup_bpf_attach(int directory, const struct resource_device_rule *rules, size_t count,
                      struct error *error);
void cgroup_bpf_detach(int directory); /* visor's own program, if there is one */

/*
 * The same rules as version 1 keeps them: a default and exceptions from it. -EINVAL: a rule exempts a part of
 * what another covers, which version 1 cannot say.
 */
struct cgroup_device_list {
    bool allow;                              /* what holds for all others */
    struct resource_device_rule *exceptions; /* `allow` is the opposite; type is b or c */
    size_t count, capacity;
};
int cgroup_device_list_make(struct cgroup_device_list *list, const struct resource_device_rule *rules,
                            size_t count, struct error *error);
/* Of devices.list's text. */
int cgroup_device_list_parse(struct cgroup_device_list *list, const char *text, struct error *error);
void cgroup_device_list_free(struct cgroup_device_list *list);
/* "c 1:3 rwm": returns `text`. */
#define CGROUP_DEVICE_TEXT 64
char *cgroup_device_text(const struct resource_device_rule *rule, char text[CGROUP_DEVICE_TEXT]);

/* Asks systemd, the host's or the user's, for a scope with the process `pid` in it. `*path`: a cgroup below
 * the scope's, which has not been made. To free. */
int cgroup_systemd_start(const char *slice, const char *scope, bool user, int pid, char **path,
                         struct error *error);
bool cgroup_systemd_runs(void);

#endif
