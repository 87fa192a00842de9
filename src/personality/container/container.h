/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * container: an OS-level domain: processes of the host in namespaces, with a root, limits and rights of their
 * own, as a bundle of the OCI runtime specification describes it.
 *
 * The operations are the specification's (runtime.md). Each is complete in itself: a container is made by one
 * process, started by another and deleted by a third; what they have to know of each other is in the state
 * root (store.h). There is no process of visor's beside a running container.
 *
 *     container_create(&options, …)      everything is made; the first process waits, with no program yet
 *     container_start()                  that process executes the program
 *     container_kill(), container_execute(), container_freeze() …
 *     container_delete()                 once it is stopped
 */
#ifndef VISOR_PERSONALITY_CONTAINER_CONTAINER_H
#define VISOR_PERSONALITY_CONTAINER_CONTAINER_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "personality/container/oci_config.h"

enum container_status {
    CONTAINER_CREATING,
    CONTAINER_CREATED,
    CONTAINER_RUNNING,
    CONTAINER_PAUSED,
    CONTAINER_STOPPED
};

struct container_options {
    const char *state_root, *id;
    const char *bundle;         /* the directory with config.json */
    const char *config;         /* the configuration's path, if it is another file; or NULL */
    const char *console_socket; /* where to send the terminal's master; NULL: keep it in `terminal` */
    const char *pid_file;       /* or NULL */
    unsigned preserve_fds;      /* descriptors from 3 on that the program is to have */
    const int *stdio;           /* three descriptors for its standard streams; NULL: the caller's */
    bool no_pivot, no_new_keyring, systemd_cgroup;
    bool foreground; /* the caller stays: it starts the container by container_go() and waits for it */
    /* The caller is this container's for all of its life: its first process ends with it. It has called
     * self_exe_protect() when it began; without this, create may begin the whole command anew. */
    bool resident;
    bool keep_namespaces; /* the caller wants to enter those of users and of the network */
    /* Where the configuration has no linux.seccomp: by visor's own profile (seccomp.h). */
    bool default_filter;
};

/* A container that this process has just made. */
struct container_new {
    pid_t pid;
    int channel;  /* to the first process, for container_go(); -1: without `foreground` */
    int terminal; /* the master, or -1 */
    /* With `keep_namespaces`, descriptors of its namespaces, the caller's to close; else, or if they could
     * not be had, -1. Later an ordinary user cannot open those of his own container. */
    int users, network;
    bool poststart; /* there are hooks to be run after the start */
};

/* Nothing is left of it after a failure. -EEXIST: the id is taken. */
int container_create(const struct container_options *options, struct container_new *made,
                     struct error *error);
/* With `foreground`: starts what was created. Closes the channel. */
int container_go(const struct container_options *options, struct container_new *made, struct error *error);

int container_start(const char *state_root, const char *id, struct error *error);
/* A signal to the first process, or all. -ESRCH: it is not running. */
int container_kill(const char *state_root, const char *id, int signal, bool all, struct error *error);
/* -EBUSY: it is not stopped, unless `force`, which kills it. With `force`, none of that name is no error. */
int container_delete(const char *state_root, const char *id, bool force, struct error *error);
int container_freeze(const char *state_root, const char *id, bool freeze, struct error *error);

struct resources;
/* Other limits, of those that *resources names (resources.h); -EINVAL: it is stopped. */
int container_update(const char *state_root, const char *id, const struct resources *resources,
                     struct error *error);

struct store_entry;
struct container_state {
    struct store_entry *entry; /* its record; NULL while it is being created */
    enum container_status status;
};
int container_state(const char *state_root, const char *id, struct container_state *state,
                    struct error *error);
void container_state_free(struct container_state *state);
/* "created". */
const char *container_status_name(enum container_status status);
/* As the specification has it (runtime.md, "State"), and more properties: a new reference. */
json_t *container_state_document(const struct container_state *state);

/* The processes in it, as this process's PID namespace numbers them. Free `*pids`. */
int container_processes(const char *state_root, const char *id, pid_t **pids, size_t *count,
                        struct error *error);

/* Its control groups, to be closed; those that it does not have are not present (cgroup.h). */
struct cgroup;
int container_cgroup(const char *state_root, const char *id, struct cgroup **out, struct error *error);
/* What it has used; and its first process. Where it has no cgroups nothing is known of it. */
struct cgroup_statistics;
int container_statistics(const char *state_root, const char *id, struct cgroup_statistics *statistics,
                         pid_t *first, struct error *error);

struct container_execution {
    const char *state_root, *id;
    const struct oci_process *process;                         /* NULL: the container's own, after `change` */
    void (*change)(struct oci_process *process, void *opaque); /* what the command line says otherwise */
    void *opaque;
    /* Then these: NULL: nothing else. A user as the container knows him (container_user.h), whose home is
     * then HOME; and variables, NAME=VALUE, to the NULL at their end. */
    const char *user;
    const char *const *environment;
    const char *console_socket, *pid_file; /* or NULL */
    unsigned preserve_fds;
    const int *stdio; /* three descriptors for its standard streams; NULL: the caller's */
};
/* One more process in a container that runs: it executes its program. It is the caller's child; made->channel
 * is -1. An error that is about the program itself begins with "exec: ". This process may begin again, with
 * the same command line, before anything is done. */
int container_execute(const struct container_execution *execution, struct container_new *made,
                      struct error *error);

/* How a checkpoint is made or used: the options of CRIU, the program that does it. Texts may be NULL. */
struct container_checkpoint {
    const char *image_path; /* the directory of its files; made if it is not there. Not NULL */
    const char *work_path;  /* that of the log; NULL: the same */
    const char
        *parent_path; /* of an earlier one, relative to image_path: only what has changed since is written */
    const char *page_server;    /* "ADDRESS:PORT": memory goes there instead */
    const char *manage_cgroups; /* "soft", "full", "strict" and others: by CRIU; NULL: visor puts processes
                                   where they belong */
    const char *lsm_profile, *lsm_mount_context;
    bool leave_running;                                       /* the container goes on */
    bool pre_dump;                                            /* only its memory, and it goes on */
    bool tcp_established, ext_unix_sk, shell_job, file_locks; /* what it may have open */
    bool lazy_pages, auto_dedup;                              /* how memory is kept */
    bool empty_network;                                       /* its network is not restored */
    int status_fd;                                            /* where CRIU says that it serves pages; -1 */
};
/* Writes the container's processes to files; then it is deleted, unless told otherwise. -ENOENT: the host has
 * no CRIU. -EINVAL: it does not run. -EIO: CRIU cannot; the error has its last words and where its log is. */
int container_checkpoint(const char *state_root, const char *id,
                         const struct container_checkpoint *checkpoint, struct error *error);
/* A container of a bundle and such files: it runs then, as the caller's child. */
int container_restore(const struct container_options *options, const struct container_checkpoint *checkpoint,
                      struct container_new *made, struct error *error);

#endif
