/* SPDX-License-Identifier: GPL-2.0-or-later */
/* work: what is done to a group's domains, one command at a time. */
#ifndef VISOR_GROUP_WORK_H
#define VISOR_GROUP_WORK_H

#include "group/group.h"

struct group_work {
    const struct group *group;
    struct domain_store *store; /* open */
    /* Something was done to a domain: "created", "recreated", "started", "stopped", "removed". */
    void (*told)(const char *full_name, const char *what);
    /* Something could not be done; the error names the domain. */
    void (*failed)(const struct error *error);
    void (*waits)(const char *name); /* another command changes the group; see lock.h */
    /* Whether nothing more is to be begun. May be NULL. */
    bool (*interrupted)(void);
};

struct group_up {
    const bool *wanted; /* by the domains' indices: what is asked for; NULL: all */
    bool recreate;      /* also what has not changed */
    bool start;         /* what was made, too */
    bool whole;         /* if one cannot be started, those that this has started are stopped */
    bool orphans;       /* domains of the group that are not in the file any more are removed */
    int seconds;        /* how long a domain may take to end by itself; -1: as its configuration says */
};

/*
 * Makes and starts what the file says, in the order of needs. What is missing is made before anything is
 * started: if that fails nothing has changed. If a domain cannot be started, those that need it are not, and
 * the others are. -errno: something could not be done, and failed() was told of it.
 */
int group_up(const struct group_work *work, const struct group_up *up);

/* Stops domains of the group, those that need others before these, and each as group_up.seconds says. `only`:
 * a flag for each of the file's domains; NULL: all that there are. */
int group_stop(const struct group_work *work, const bool *only, int seconds);
/* Stops and removes them, and the group's networks. */
int group_down(const struct group_work *work, int seconds);

/* How many domains the group has that are not in the file; told() is called for each, with `what`. */
unsigned group_orphans(const struct group_work *work, const char *what);

#endif
