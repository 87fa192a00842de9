/* SPDX-License-Identifier: GPL-2.0-or-later */
/* up: from what there is to what the file says. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domain/end.h"
#include "domain/nets.h"
#include "domain/process.h"
#include "group/lock.h"
#include "group/networks.h"
#include "group/work_private.h"

/* What became of a domain. */
enum result {
    AS_IT_WAS,
    MADE,
    STARTED,
    FAILED, /* or it was not begun, since one that it needs has failed */
};

struct run {
    const struct group_work *work;
    const struct group_up *up;
    struct group_member *members;
    unsigned count;
    struct group_step steps[GROUP_DOMAINS_MAX];
    enum result results[GROUP_DOMAINS_MAX];
    char ids[GROUP_DOMAINS_MAX][STORE_ID_DIGITS + 1];
    int code; /* the first failure */
};

/* Tells of what went wrong with a domain. */
static int report(struct run *run, unsigned index, struct error *error)
{
    const char *name = run->work->group->domains[index].full_name;
    error_prefix(error, "%s: ", name);
    run->work->failed(error);
    run->results[index] = FAILED;
    run->code = run->code ? run->code : error->code;
    return error->code;
}

static int open_one(const struct run *run, unsigned index, struct domain *domain, struct error *error)
{
    *domain = (struct domain){0};
    snprintf(domain->name, sizeof domain->name, "%s", run->work->group->domains[index].full_name);
    return domain_open(domain, run->work->store, run->ids[index], error);
}

/* -- making ---------------------------------------------------------------------------------------------- */

static int create(struct run *run, unsigned index, const char *what)
{
    const struct group_domain *own = &run->work->group->domains[index];
    struct domain domain;
    struct error error = ERROR_INIT;
    int code = domain_nets_look(run->work->store, &own->config, &error);
    if (!code)
        code = domain_create(&domain, run->work->store, &own->config, own->full_name, false, &error);
    if (code)
        return report(run, index, &error);
    memcpy(run->ids[index], domain.id, sizeof run->ids[index]);
    domain_close(&domain);
    run->results[index] = MADE;
    run->work->told(own->full_name, what);
    return 0;
}

static int recreate(struct run *run, unsigned index)
{
    const struct group_member *member = run->steps[index].member;
    int code = group_stop_members(run->work, member, 1, run->up->seconds);
    if (!code)
        code = group_remove_member(run->work, member);
    if (!code)
        return create(run, index, "created");
    run->results[index] = FAILED;
    run->code = run->code ? run->code : code;
    return code;
}

/* Removes what this has just made: nothing is to be left half done. */
static void uncreate(struct run *run)
{
    for (unsigned i = 0; i < run->work->group->count; i++) {
        struct group_member member = {0};
        if (run->results[i] != MADE)
            continue;
        memcpy(member.id, run->ids[i], sizeof member.id);
        memcpy(member.full_name, run->work->group->domains[i].full_name, sizeof member.full_name);
        group_remove_member(run->work, &member);
    }
}

static int create_missing(struct run *run)
{
    int code = 0;
    for (unsigned i = 0; !code && i < run->work->group->count; i++) {
        const unsigned index = run->work->group->order[i];
        if (run->steps[index].action == GROUP_CREATE)
            code = create(run, index, "created");
    }
    if (code)
        uncreate(run);
    return code;
}

/* -- waiting --------------------------------------------------------------------------------------------- */

/* In a child, which does not outlive its parent: its exit status is the domain's. */
static void child_wait(const struct run *run, unsigned index, pid_t parent)
{
    struct domain domain;
    int status;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int code = getppid() == parent ? domain_store_reopen(run->work->store, NULL) : -ECHILD;
    if (!code)
        code = open_one(run, index, &domain, NULL);
    if (!code)
        code = domain_wait(&domain, &status, NULL);
    _exit(code ? 255 : status);
}

/* Signals are blocked but while it waits, so that none comes too early. */
void group_await_child(const struct group_work *work, pid_t child)
{
    sigset_t all, before;
    struct pollfd wait = {.fd = pidfd_open(child, 0), .events = POLLIN};
    bool ended = wait.fd < 0;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    while (!ended) {
        if (work->interrupted && work->interrupted()) {
            kill(child, SIGKILL);
            break;
        }
        ended = ppoll(&wait, 1, NULL, &before) > 0 || errno != EINTR;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (wait.fd >= 0)
        close(wait.fd);
}

/* The exit status of a domain, which a child waits for: a signal to this command ends the wait. -EINTR. */
static int wait_for_end(const struct run *run, unsigned index, int *status, struct error *error)
{
    const pid_t parent = getpid();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        child_wait(run, index, parent);
    if (child < 0)
        return error_set(error, -errno, "cannot make a process: %s", strerror(errno));
    group_await_child(run->work, child);
    while (waitpid(child, status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(*status))
        return error_set(error, -EINTR, "the wait for %s was ended", run->work->group->domains[index].name);
    *status = WEXITSTATUS(*status);
    return 0;
}

/* What it needs. */
static int wait_for_needs(const struct run *run, const struct group_domain *domain, struct error *error)
{
    for (unsigned i = 0; i < domain->need_count; i++) {
        const struct group_need *need = &domain->needs[i];
        const char *name = run->work->group->domains[need->domain].name;
        int status = 0;
        if (run->results[need->domain] == FAILED)
            return error_set(error, -ECANCELED, "it is not started, since it needs %s", name);
        if (need->condition == GROUP_READY) {
            int code = group_wait_ready(run->work, &run->work->group->domains[need->domain],
                                        run->ids[need->domain], error);
            if (code)
                return code;
        }
        if (need->condition != GROUP_COMPLETED)
            continue;
        int code = wait_for_end(run, need->domain, &status, error);
        if (code)
            return code;
        if (status)
            return error_set(error, -ECANCELED, "it is not started, since %s has ended with status %d", name,
                             status);
    }
    return 0;
}

/* -- starting -------------------------------------------------------------------------------------------- */

static int start(struct run *run, unsigned index)
{
    const struct group_domain *own = &run->work->group->domains[index];
    struct domain domain;
    struct domain_state state;
    struct error error = ERROR_INIT;
    int code = wait_for_needs(run, own, &error);
    if (!code)
        code = open_one(run, index, &domain, &error);
    if (code)
        return report(run, index, &error);
    code = domain_lock(&domain, &error);
    if (!code)
        code = domain_look(&domain, &state, &error);
    const bool lives = !code && domain_state_lives(&state);
    if (!code && !lives)
        code = domain_start(&domain, &error);
    domain_close(&domain);
    if (code)
        return report(run, index, &error);
    if (!lives) {
        run->results[index] = STARTED;
        run->work->told(own->full_name, "started");
    }
    return 0;
}

static void bring_up(struct run *run)
{
    const struct group *group = run->work->group;
    for (unsigned i = 0; i < group->count; i++) {
        const unsigned index = group->order[i];
        const enum group_action action = run->steps[index].action;
        int code = 0;
        if (run->work->interrupted && run->work->interrupted())
            return;
        if (action == GROUP_RECREATE)
            code = recreate(run, index);
        if (!code && action != GROUP_NOTHING && run->up->start)
            start(run, index);
    }
}

/* Stops what this has started. */
static void take_down(struct run *run)
{
    const struct group *group = run->work->group;
    unsigned all = 0, count = 0;
    free(run->members);
    run->members = NULL;
    if (group_members(run->work->store, group->name, &run->members, &all, NULL))
        return;
    for (unsigned i = 0; i < all; i++) {
        const unsigned index = group_find(group, run->members[i].name);
        if (index < group->count && run->results[index] == STARTED)
            run->members[count++] = run->members[i];
    }
    group_stop_members(run->work, run->members, count, run->up->seconds);
}

static void remove_orphans(struct run *run)
{
    const unsigned count = group_sort_orphans(run->work->group, run->members, run->count);
    int code = group_stop_members(run->work, run->members, count, run->up->seconds);
    for (unsigned i = 0; i < count; i++) {
        int failed = group_remove_member(run->work, &run->members[i]);
        code = code ? code : failed;
    }
    run->code = run->code ? run->code : code;
}

static void up_locked(struct run *run)
{
    const struct group *group = run->work->group;
    struct error error = ERROR_INIT;
    run->code = group_members(run->work->store, group->name, &run->members, &run->count, &error);
    if (!run->code && run->up->orphans)
        remove_orphans(run);
    bool made[GROUP_NETWORKS_MAX] = {false};
    if (!run->code)
        run->code = group_networks_make(run->work, made, &error);
    if (error.code)
        run->work->failed(&error);
    if (run->code) {
        group_networks_unmake(run->work, made);
        return;
    }
    group_plan(group, run->members, run->count, run->up->wanted, run->up->recreate, run->steps);
    for (unsigned i = 0; i < group->count; i++) {
        if (run->steps[i].member)
            memcpy(run->ids[i], run->steps[i].member->id, sizeof run->ids[i]);
    }
    if (create_missing(run)) {
        group_networks_unmake(run->work, made);
        return;
    }
    bring_up(run);
    if (run->code && run->up->whole)
        take_down(run);
}

int group_up(const struct group_work *work, const struct group_up *up)
{
    struct error error = ERROR_INIT;
    struct run *run = calloc(1, sizeof *run);
    int lock = run ? group_lock(work->store, work->group->name, work->waits, work->interrupted, &error)
                   : error_set(&error, -ENOMEM, "out of memory");
    if (lock < 0) {
        work->failed(&error);
        free(run);
        return lock;
    }
    run->work = work;
    run->up = up;
    up_locked(run);
    group_unlock(lock);
    const int code = run->code;
    free(run->members);
    free(run);
    return code;
}
