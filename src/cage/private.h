/* SPDX-License-Identifier: GPL-2.0-or-later */
/* private: what the files of the cage share. */
#ifndef VISOR_CAGE_PRIVATE_H
#define VISOR_CAGE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "cage/cage.h"

/* Only builds with sanitizers are not static. */
#define CAGE_SANITIZED (!VISOR_STATIC)

/* Shared by keeper and child. Who is caught writes into it what he likes: the keeper believes it as far as
 * it is shown to somebody, and takes numbers for numbers. */
struct cage_page {
    _Atomic uint32_t parts;     /* a set of PART_* */
    _Atomic uint32_t forbidden; /* a call's number + 1 */
};

enum cage_part {
    PART_USER = 1 << 0,
    PART_PID = 1 << 1,
    PART_MOUNT = 1 << 2,
    PART_NETWORK = 1 << 3,
    PART_IPC = 1 << 4,
    PART_UTS = 1 << 5,
    PART_CGROUP = 1 << 6,
    PART_RIGHTS = 1 << 7,
    PART_LIMITS = 1 << 8,
    PART_FILTER = 1 << 9,
};

enum { CAGE_SPACE_NETWORK, CAGE_SPACE_MOUNT, CAGE_SPACES };

struct cage {
    struct cage_options options;
    struct cage_page *page;
    pid_t keeper;
    int keeper_fd;  /* a pidfd of it; -1: none */
    int spaces;     /* a socket between the two: see spaces.c; -1: none */
    bool preparing; /* the keeper's thread is there */
    pthread_t thread;
    int prepared[CAGE_SPACES]; /* by it; -1: none */
    unsigned parts;            /* what the child has so far */
    bool has_root;             /* an empty one, with its namespace */
};

/* Sockets for it, before the child is made; then each keeps its end. */
void spaces_open(struct cage *cage, int *child);
/* In the child: enters what the keeper has prepared, and notes it in cage->parts. */
void spaces_enter(struct cage *cage);

/* An empty root for the calling thread's mount namespace, which is its own; -errno. */
int walls_empty_root(void);
/* Each gives up one thing for good, and notes it in cage->parts. What the host refuses is an error only if
 * the whole cage is required. */
int walls_namespaces(struct cage *cage, struct error *error);
int walls_root(struct cage *cage, struct error *error);
int walls_rights(struct cage *cage, struct error *error);
int walls_limits(struct cage *cage, struct error *error);
/* A directory that is open would lead out. */
int walls_descriptors(struct error *error);

/* For who calls it: the keeper's death is its own. -ESRCH: it is dead. */
int cage_die_with_keeper(const struct cage *cage);
/* `code` < 0, for a part that is not there: the error if it is required, 0 if not. */
int cage_missing(const struct cage *cage, int code, const char *what, struct error *error);

/* The table's rows for this kind. */
int cage_filter_enter(struct cage_page *page, unsigned engines, struct error *error);

#endif
