/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cage: what a process that runs a guest's code gives up before it does, so that who gets out of the guest
 * is nowhere: docs/security.md.
 *
 * It belongs to two processes, the keeper and its child:
 *
 *     cage_new(&cage, &options, &error);      the keeper, which has one thread
 *     pid = cage_fork(cage, &error);          0 in the child, which still has all the keeper's rights:
 *                                             it opens, connects and starts what it will need,
 *     cage_enter(cage, engines, &error);      gives up the rest,
 *     cage_thread(CAGE_VCPU);                 and in each thread that it makes from then on, first thing
 *     cage_parts(cage, &parts);               the keeper, at any time: what the child has told
 *     cage_forbidden(cage);                   and once it is dead, whether a forbidden call was its end
 *
 * What the host refuses (namespaces in a container, for example) is left out, or with `required` an error.
 *
 * There is none in builds with sanitizers, whose run time reads /proc and traces its own process:
 * cage_fork() is fork() there, and cage_enter() tells that nothing of it is there.
 */
#ifndef VISOR_CAGE_CAGE_H
#define VISOR_CAGE_CAGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/* What a thread is for, which says what it may call. The first has made the others, and may whatever they
 * may. */
enum cage_kind {
    CAGE_LOOP,  /* the event loop: requests, connections, timers */
    CAGE_VCPU,  /* runs guest code, and devices at its accesses */
    CAGE_BLOCK, /* reads and writes disks */
};

/* What a process has: engines, and what else has calls of its own. */
enum cage_engine {
    CAGE_ENGINE_KVM = 1 << 0,
    CAGE_ENGINE_TRANSLATE = 1 << 1, /* makes new executable memory */
    CAGE_VFIO = 1 << 2,             /* no engine: PCI devices of the host's */
    CAGE_VHOST = 1 << 3,            /* likewise: queues that the host's kernel serves */
};

/* Of who dies of a call that is forbidden: as a shell has SIGSYS. */
#define CAGE_STATUS_FORBIDDEN (128 + 31)

struct cage_options {
    bool required; /* what the host refuses is an error */
    bool prepares; /* the keeper calls cage_prepare() and cage_prepared() */
    bool terminal; /* it uses the keeper's terminal in the foreground: without a PID namespace, in whose first
                      process SIGTSTP does nothing */
};

/* What of it there is. */
struct cage_parts {
    bool user;    /* an id that nobody else has, or a user namespace */
    bool pid;     /* a PID namespace: no other process can be named */
    bool mount;   /* a mount namespace with nothing in it */
    bool network; /* a network namespace with nothing in it */
    bool ipc;     /* namespaces of their own */
    bool uts;
    bool cgroup;
    bool rights; /* no capabilities, none to be gained */
    bool limits; /* no core files, no more descriptors and threads than are needed */
    bool filter; /* a table of the system calls for each kind of thread */
};

struct cage;

int cage_new(struct cage **out, const struct cage_options *options, struct error *error);
void cage_free(struct cage *cage);

/*
 * As fork(), in namespaces of processes and, for who has no rights, of users, with his own ids in it and no
 * others. The caller has one thread. The child dies with the thread that has called this. Its own process id
 * is not what the keeper knows it by. < 0: -errno.
 */
pid_t cage_fork(struct cage *cage, struct error *error);

/*
 * In the keeper, while the child is at its work: the first begins what takes the kernel long of its walls, by
 * a thread, and the second waits for that and has the child know of it. What there is not the child makes.
 */
void cage_prepare(struct cage *cage);
void cage_prepared(struct cage *cage);

#define CAGE_DESCRIPTORS 2
/* In the child: what it keeps open until it enters; how many these are. */
unsigned cage_descriptors(const struct cage *cage, int fds[CAGE_DESCRIPTORS]);

/*
 * In the child, while it has one thread: from now on no path leads anywhere. `engines`: a set of enum
 * cage_engine. Directories that it has open would lead out, and are an error (-EISDIR).
 */
int cage_enter(struct cage *cage, unsigned engines, struct error *error);

/* First thing in a thread: it calls nothing but what its kind needs. Nothing happens in a process that is in
 * no cage; a thread that cannot be held ends the process. */
void cage_thread(enum cage_kind kind);

/* In the keeper. Until cage_enter() there is nothing. */
void cage_parts(const struct cage *cage, struct cage_parts *parts);
/* In the keeper, when the child is dead: the number of the call it has died of; -1: of none. */
int cage_forbidden(const struct cage *cage);

/* "openat"; what has no name here is its number. Valid until the next call. */
const char *cage_call_name(int number);

/* What of a cage this host gives to this user, by a child that enters one. -errno: none could be tried. */
int cage_try(struct cage_parts *parts, struct error *error);

#endif
