/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seccomp: filters of system calls: `linux.seccomp` of the OCI runtime specification 1.1 (config-linux.md,
 * "Seccomp"), and visor's own profile for domains that bring none.
 *
 *     seccomp_profile_parse(&profile, object, "linux.seccomp", &error);
 *     seccomp_filter_compile(&filter, &profile, cache, &error);   in the parent: libseccomp's work, or its
 * cache seccomp_filter_load(&filter, &listener, &error);            in the child, the last thing before
 * execve() seccomp_listener_send(...) if filter.notifies seccomp_filter_free(&filter);
 * seccomp_profile_free(&profile);
 *
 * Names begin with seccomp_profile_, seccomp_filter_ and seccomp_listener_, since libseccomp has
 * seccomp_load() and others.
 *
 * The child only loads a program of the kernel's: it allocates nothing. Without CAP_SYS_ADMIN in its user
 * namespace it must have set no_new_privs before.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_SECCOMP_H
#define VISOR_PERSONALITY_CONTAINER_SECCOMP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct seccomp_argument {
    unsigned index;            /* 0 to 5 */
    unsigned operation;        /* libseccomp's SCMP_CMP_* */
    uint64_t value, value_two; /* SCMP_CMP_MASKED_EQ: mask, then what is to be left */
};

struct seccomp_rule {
    const char **names;
    size_t name_count;
    uint32_t action;                    /* libseccomp's SCMP_ACT_*, with its error number */
    struct seccomp_argument *arguments; /* all must match */
    size_t argument_count;
};

struct seccomp_profile { /* strings are the document's; arrays are of malloc() */
    uint32_t default_action;
    uint32_t *architectures; /* SCMP_ARCH_*; the host's own is always there */
    size_t architecture_count;
    uint32_t flags;                                /* SECCOMP_FILTER_FLAG_* of <linux/seccomp.h> */
    const char *listener_path, *listener_metadata; /* NULL: none */
    bool guards_terminal; /* nobody may put characters into a terminal's input: TIOCSTI, TIOCLINUX */
    struct seccomp_rule *rules;
    size_t rule_count;
};

/* Reads the object `linux.seccomp`; `prefix` says where it is, for messages. -EINVAL names the field with a
 * type, an action, operator, architecture or flag that is none. Names of system calls are not looked at: see
 * seccomp_filter_compile(). After an error nothing is to be freed. */
int seccomp_profile_parse(struct seccomp_profile *profile, const json_t *object, const char *prefix,
                          struct error *error);
/*
 * visor's own, for domains of kind container: all that programs need; error EPERM for calls that reach beyond
 * the container (modules, clocks, kexec, BPF, raw ports, mounts ...) unless the capability that guards one is
 * among `capabilities` (bit CAP_x), and ENOSYS for calls that this visor does not know.
 */
int seccomp_profile_default(struct seccomp_profile *profile, uint64_t capabilities, struct error *error);
void seccomp_profile_free(struct seccomp_profile *profile);

struct seccomp_filter {
    void *program; /* struct sock_filter[count], of malloc() */
    size_t count;
    uint32_t flags;
    bool notifies; /* an action is SCMP_ACT_NOTIFY: seccomp_filter_load() gives a listener */
};

/*
 * The kernel's program for a profile. Calls whose names libseccomp does not know for any of the architectures
 * are left out (the specification allows it, and profiles name calls of many kernels). `cache`: a folder for
 * results, made if it is missing, 0700 and the caller's own, or NULL: none. What is found there is used only
 * if it is a file of the caller's that nobody else can write, and is made for the same content, architecture
 * and version of libseccomp; a cache that cannot be used is no error.
 */
int seccomp_filter_compile(struct seccomp_filter *filter, const struct seccomp_profile *profile,
                           const char *cache, struct error *error);
void seccomp_filter_free(struct seccomp_filter *filter);

/*
 * Loads the filter into the calling thread (or all of the process, if flag TSYNC is in the profile).
 * `*listener`: the descriptor of notifications, close-on-exec, or -1. Only system calls; the error names the
 * flag if the kernel does not know one. */
int seccomp_filter_load(const struct seccomp_filter *filter, int *listener, struct error *error);

/*
 * Sends the listener to the agent that listens on the Unix stream socket at `path`: one message, the
 * specification's "Container Process State", made of `metadata` (may be NULL), `pid` (the process that has
 * loaded the filter, as visor sees it) and `state` (the container's state, borrowed), and the descriptor as
 * SCM_RIGHTS, named "seccompFd". The descriptor stays the caller's.
 */
int seccomp_listener_send(const char *path, const char *metadata, int listener, pid_t pid, json_t *state,
                          struct error *error);

#endif
