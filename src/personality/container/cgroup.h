/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup: the control groups of one domain: limits, freezing, killing, statistics. Version 1, version 2 and
 * hosts that have both (the hybrid of systemd and others: controllers in version 1, process tracking in
 * version 2).
 *
 * The life of a container's:
 *
 *     cgroup_create(&cgroup, &request, &resources, &error);   makes them and sets the limits
 *     clone3(CLONE_INTO_CGROUP, cgroup_directory(cgroup));    if that is not -1
 *     child: cgroup_enter_self(cgroup, cloned_into, &error);  first thing, while it has one thread
 *     cgroup_settle(cgroup);                                  the child is inside
 *     cgroup_path(cgroup), cgroup_scope(cgroup) go to the state file; cgroup_close(cgroup)
 *     later commands: cgroup_open(&cgroup, path, scope, &error); cgroup_update(), cgroup_freeze(),
 * cgroup_kill() ... cgroup_delete(cgroup, &error);
 *
 * cgroup_enter_self() is the fast way: a process that moves itself alone takes no lock of the whole system,
 * where moving it from outside waits for a grace period of RCU, milliseconds (docs/container-limits.md has
 * figures).
 *
 * Directories are made only where they serve: on a hybrid host the one in version 2 (entering by clone,
 * freezing, killing, CPU time and pressure) and those of the version 1 controllers which a limit needs or
 * request.statistics asks for.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_CGROUP_H
#define VISOR_PERSONALITY_CONTAINER_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "personality/container/resources.h"

struct cgroup;

enum cgroup_mode {
    CGROUP_NONE,   /* no cgroup file system is mounted */
    CGROUP_V1,     /* version 1 only */
    CGROUP_HYBRID, /* controllers in version 1, and version 2 is mounted beside it */
    CGROUP_V2,     /* version 2 only */
};

/* What the host has, for `features`, `check` and the statistics. */
struct cgroup_host_facts {
    enum cgroup_mode mode;
    char v2_mount[256];       /* "": none */
    char v1_controllers[128]; /* "cpu,memory", "" */
    char v2_controllers[128]; /* of the root */
    bool systemd;             /* systemd is the host's init: --systemd-cgroup can be served */
};
int cgroup_host(struct cgroup_host_facts *facts, struct error *error);

/* The caller is root of the host, and not of a user namespace as podman's for ordinary users: that root is a
 * user of the host, for systemd and where devices are concerned. */
bool cgroup_host_root(void);

struct cgroup_request {
    const char *id;   /* the domain's id: the last part of the path where `path` is NULL */
    const char *path; /* linux.cgroupsPath, or NULL. "/a/b": from the mount's root. "a/b": below visor's own
                         place. With `systemd`: "slice:prefix:name" */
    bool systemd;     /* --systemd-cgroup: ask systemd for a scope */
    /* Called, may be NULL, when the path is known and nothing has been made, so that it can be written down:
     * what a killed visor has left is found then. A negative result ends cgroup_create(). Not for scopes,
     * which end by themselves. */
    int (*located)(void *opaque, const char *path, struct error *error);
    void *opaque;
    bool statistics; /* memory, pids and block I/O are to be counted for this domain even if not limited */
};

/*
 * Makes the cgroups and applies the resources; nothing is left behind by a failure. A directory that is there
 * already is taken if no process is in it, else -EBUSY.
 *
 * Rootless: below what is delegated to the user. Where nothing is and no limits are asked for: 0, and
 * cgroup_present() is false (all functions can be called; what cannot be served says so). Limits without
 * delegation: -EPERM, and the hint says how to get it. Device rules are no limits in this sense: an
 * unprivileged user namespace cannot make devices anyway.
 * A controller that the host does not have: -ENOTSUP naming it and the field that needs it.
 * -EINVAL: the path has "..", or is not of the systemd form; a value that the kernel refuses (named).
 */
int cgroup_create(struct cgroup **out, const struct cgroup_request *request,
                  const struct resources *resources, struct error *error);

/* Those made before: `path` of cgroup_path() and `scope` of cgroup_scope(), which may both be NULL. Succeeds
 * also when they are gone; cgroup_exists() says. */
int cgroup_open(struct cgroup **out, const char *path, const char *scope, struct error *error);
/* Closes descriptors and frees; the cgroups stay. May be NULL. */
void cgroup_close(struct cgroup *cgroup);

bool cgroup_present(const struct cgroup *cgroup);     /* there are any at all */
bool cgroup_exists(const struct cgroup *cgroup);      /* their directories are still there */
const char *cgroup_path(const struct cgroup *cgroup); /* from the mounts' roots, "/a/b"; NULL: not present */
const char *cgroup_scope(
    const struct cgroup *cgroup); /* systemd's name, "user:NAME" in a user's manager; NULL: none */

enum cgroup_mode cgroup_mode(const struct cgroup *cgroup); /* the host's, without another look */

/* For clone3(CLONE_INTO_CGROUP): the directory in version 2, or -1. It is the cgroup's and close-on-exec. */
int cgroup_directory(const struct cgroup *cgroup);
/* The calling process, which has one thread, enters all; those of version 2 are left out if `cloned_into`.
 * Allocates nothing; needs no path: may be called in any namespace, before privileges are dropped. */
int cgroup_enter_self(struct cgroup *cgroup, bool cloned_into, struct error *error);
/* Another process enters (`exec` prefers the two above). Slow on version 1. */
int cgroup_enter(struct cgroup *cgroup, pid_t pid, struct error *error);
/* Where a process is now, as /proc/PID/cgroup says; to free. And the calling process goes back to where one
 * was, from the hierarchies in which `cgroup` has a directory. */
int cgroup_whereabouts(pid_t pid, char **text, struct error *error);
int cgroup_leave(struct cgroup *cgroup, const char *text, struct error *error);
/*
 * For `exec`: cgroup_directory() and cgroup_enter_self() are, in version 2, where the process `pid` of the
 * domain is from now on. A domain that has made cgroups of its own (systemd in a container does) may have
 * given its controllers to them, and then lets nobody into its own any more. No error if `pid` is elsewhere
 * or has ended.
 */
int cgroup_follow(struct cgroup *cgroup, pid_t pid, struct error *error);
/* The first process is inside (it has said so: entering is its own doing): what has held its place, under
 * systemd, goes. */
void cgroup_settle(struct cgroup *cgroup);

/*
 * The domain may make cgroups below its own in version 2, as the user `uid` of the host: its directory and
 * the files that the kernel lists for delegation become that user's. For containers that have a cgroup
 * namespace of their own and /sys/fs/cgroup to write in; see "Cgroup ownership" of the specification. Version
 * 1 is never given away.
 */
int cgroup_give(struct cgroup *cgroup, uid_t uid, struct error *error);

/*
 * The mounts that a container may see as its /sys/fs/cgroup: only hierarchies in which it has a directory of
 * its own: elsewhere it would see, and perhaps change, what belongs to the host.
 */
struct cgroup_hierarchy {
    int version;             /* 1 or 2 */
    const char *controllers; /* version 1, as mounted: "cpu,cpuacct" or "name=systemd"; version 2: "" */
    const char *mount_point; /* on the host */
    const char *directory;   /* the domain's, below the mount point: "/a/b" */
};
/* The name of its directory in a container's /sys/fs/cgroup, where there are several. */
const char *cgroup_hierarchy_name(const struct cgroup_hierarchy *hierarchy);
size_t cgroup_hierarchies(const struct cgroup *cgroup, const struct cgroup_hierarchy **out);

/* Changes what `resources` names while processes run; device rules are replaced as a whole, at once. A value
 * that cannot be set leaves the ones before it changed; the error names it. */
int cgroup_update(struct cgroup *cgroup, const struct resources *resources, struct error *error);

/* Returns when all processes stand still, or run again. -ENOTSUP: not present, or no freezer. */
int cgroup_freeze(struct cgroup *cgroup, bool freeze, struct error *error);
/* 1 frozen, 0 not, or negative. */
int cgroup_frozen(struct cgroup *cgroup, struct error *error);

/* The processes in it and below it, in no order. Free `*pids`. Numbers are those of the caller's PID
 * namespace. */
int cgroup_processes(struct cgroup *cgroup, pid_t **pids, size_t *count, struct error *error);
/* SIGKILL for all, in it and below it, frozen ones too. Does not wait for their end. */
int cgroup_kill(struct cgroup *cgroup, struct error *error);
/* Another signal for all; those that are made meanwhile may be missed. */
int cgroup_signal(struct cgroup *cgroup, int signal, struct error *error);

/* Kills nobody. Waits up to `milliseconds` for processes that are on their way out; then -EBUSY. Cgroups that
 * were made below go too. Directories that were made above (/visor) stay. No directory there: 0. */
int cgroup_delete(struct cgroup *cgroup, unsigned milliseconds, struct error *error);

/* A number that the host may not have; all are in bytes, nanoseconds or counts. */
struct cgroup_value {
    bool known;
    uint64_t value; /* UINT64_MAX in a limit: none */
};
struct cgroup_pressure { /* PSI: shares of time in percent, total in microseconds */
    bool known;
    double average10, average60, average300;
    uint64_t total;
};
enum { CGROUP_PRESSURE_CPU, CGROUP_PRESSURE_MEMORY, CGROUP_PRESSURE_IO, CGROUP_PRESSURES };

struct cgroup_statistics {
    struct {
        struct cgroup_value usage, user, system;                /* nanoseconds */
        struct cgroup_value periods, throttled, throttled_time; /* counts; nanoseconds */
    } cpu;
    struct {
        struct cgroup_value usage, peak, limit;     /* bytes */
        struct cgroup_value swap_usage, swap_limit; /* swap alone, in both versions */
        struct cgroup_value anonymous, file, kernel, inactive_file;
        struct cgroup_value page_faults, major_page_faults, oom_kills, limit_hits;
    } memory;
    struct {
        struct cgroup_value current, limit, limit_hits;
    } pids;
    struct {
        struct cgroup_value read_bytes, write_bytes, reads, writes; /* of all devices */
    } io;
    struct {
        struct cgroup_pressure some, full;
    } pressure[CGROUP_PRESSURES];
};
/* What can be read is; a file that is not there leaves its values unknown. */
int cgroup_statistics(struct cgroup *cgroup, struct cgroup_statistics *statistics, struct error *error);

/*
 * What memory the cgroups around the calling process let it have: those that it is in now, with all above
 * them, whatever becomes of it later. Descriptors for reading, which work on in any namespace; -1: there is
 * no such file here. On a hybrid host limits and pressure may be in two levels.
 */
struct cgroup_level {
    int version;
    int limit, usage, statistics; /* of memory */
    int pressure;                 /* PSI of memory; triggers can be set if it could be opened for writing */
    bool triggers;
};
#define CGROUP_LEVELS_MAX 32
int cgroup_levels_open(struct cgroup_level levels[CGROUP_LEVELS_MAX], size_t *count, struct error *error);
void cgroup_levels_close(struct cgroup_level *levels, size_t count);
/* False: it has no limit. `available`: bytes that those in it can still have, file pages that the kernel
 * would give up for that included. */
bool cgroup_level_look(const struct cgroup_level *level, uint64_t *limit, uint64_t *available);

/*
 * Events of memory that has run out. cgroup_oom_watch(): a descriptor, the caller's to close, that does not
 * block and becomes readable (eventfd of version 1; inotify of version 2's memory.events), after which
 * cgroup_oom_kills() is to be asked: how many processes have been killed for it, so far; in version 1 it may
 * be told before they are counted. -ENOTSUP: memory is not controlled here.
 */
int cgroup_oom_watch(struct cgroup *cgroup, struct error *error);
/* Makes the descriptor ready for the next poll(). */
void cgroup_oom_rearm(int descriptor);
int cgroup_oom_kills(struct cgroup *cgroup, uint64_t *kills, struct error *error);

#endif
