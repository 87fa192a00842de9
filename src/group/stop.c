/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stop: the end of a group's domains. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "domain/end.h"
#include "group/lock.h"
#include "group/networks.h"
#include "group/work_private.h"

/* One domain that is stopped, by a thread of its own, since each may take its time. */
struct task {
    const struct group_member *member;
    unsigned seconds, level;
    bool lived, has_thread;
    pthread_t thread;
    int code;
    struct error error;
};

/* Descriptors of a store cannot be shared by threads: its locks belong to them. */
static void *task_run(void *opaque)
{
    struct task *task = opaque;
    struct domain_store store;
    struct domain domain = {0};
    task->code = domain_store_open(&store, false, &task->error);
    if (task->code)
        return NULL;
    snprintf(domain.name, sizeof domain.name, "%s", task->member->full_name);
    task->code = domain_open(&domain, &store, task->member->id, &task->error);
    if (!task->code) {
        task->code = domain_stop(&domain, task->seconds, &task->error);
        domain_close(&domain);
    } else if (task->code == -ENOENT) {
        task->code = 0;
    }
    domain_store_close(&store);
    return NULL;
}

/* Those that the file does not have any more come first: they may need any other. */
static unsigned level_of(const struct group *group, const struct group_member *member)
{
    const unsigned index = group_find(group, member->name);
    return index < group->count ? group->domains[index].level : UINT_MAX;
}

/* Stops those of one level. */
static int level_stop(const struct group_work *work, struct task *tasks, unsigned count, unsigned level)
{
    int code = 0;
    for (unsigned i = 0; i < count; i++) {
        if (tasks[i].level != level)
            continue;
        tasks[i].has_thread = pthread_create(&tasks[i].thread, NULL, task_run, &tasks[i]) == 0;
        if (!tasks[i].has_thread)
            task_run(&tasks[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        if (tasks[i].level != level)
            continue;
        if (tasks[i].has_thread)
            pthread_join(tasks[i].thread, NULL);
        if (tasks[i].code)
            error_prefix(&tasks[i].error, "%s: ", tasks[i].member->full_name);
        if (tasks[i].code)
            work->failed(&tasks[i].error);
        else if (tasks[i].lived)
            work->told(tasks[i].member->full_name, "stopped");
        code = code ? code : tasks[i].code;
    }
    return code;
}

int group_stop_members(const struct group_work *work, const struct group_member *members, unsigned count,
                       int seconds)
{
    struct task *tasks = calloc(count + 1, sizeof *tasks);
    struct error error = ERROR_INIT;
    int code = 0;
    unsigned most = 0;
    bool orphans = false;
    if (!tasks) {
        error_set(&error, -ENOMEM, "out of memory");
        work->failed(&error);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < count; i++) {
        tasks[i].member = &members[i];
        tasks[i].seconds = seconds < 0 ? members[i].stop_timeout : (unsigned)seconds;
        tasks[i].lived = domain_state_lives(&members[i].state);
        tasks[i].level = level_of(work->group, &members[i]);
        orphans |= tasks[i].level == UINT_MAX;
        most = tasks[i].level == UINT_MAX ? most : MAX(most, tasks[i].level);
    }
    if (orphans)
        code = level_stop(work, tasks, count, UINT_MAX);
    for (unsigned level = most + 1; level-- > 0;) {
        int failed = level_stop(work, tasks, count, level);
        code = code ? code : failed;
    }
    free(tasks);
    return code;
}

int group_remove_member(const struct group_work *work, const struct group_member *member)
{
    struct domain domain = {0};
    struct domain_state state;
    struct error error = ERROR_INIT;
    snprintf(domain.name, sizeof domain.name, "%s", member->full_name);
    int code = domain_open(&domain, work->store, member->id, &error);
    if (code == -ENOENT)
        return 0; /* it was to be removed at its end */
    if (!code)
        code = domain_lock(&domain, &error);
    if (!code)
        code = domain_look(&domain, &state, &error);
    if (!code && domain_state_lives(&state))
        code = error_set(&error, -EBUSY, "somebody has started it again");
    if (code) {
        domain_close(&domain);
    } else {
        code = domain_remove(&domain, &error);
    }
    if (code == -ENOENT)
        return 0;
    if (!code) {
        work->told(member->full_name, "removed");
        return 0;
    }
    error_prefix(&error, "%s: ", member->full_name);
    work->failed(&error);
    return code;
}

unsigned group_sort_orphans(const struct group *group, struct group_member *members, unsigned count)
{
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++) {
        if (group_find(group, members[i].name) < group->count)
            continue;
        struct group_member member = members[i];
        members[i] = members[found];
        members[found++] = member;
    }
    return found;
}

/* Takes the lock and tells who there is. The lock; -errno: see failed(). */
static int begin(const struct group_work *work, struct group_member **members, unsigned *count)
{
    struct error error = ERROR_INIT;
    int lock = group_lock(work->store, work->group->name, work->waits, work->interrupted, &error);
    int code = lock < 0 ? lock : group_members(work->store, work->group->name, members, count, &error);
    if (!code)
        return lock;
    work->failed(&error);
    if (lock >= 0)
        group_unlock(lock);
    return code;
}

int group_stop(const struct group_work *work, const bool *only, int seconds)
{
    struct group_member *members;
    unsigned all, count = 0;
    int lock = begin(work, &members, &all);
    if (lock < 0)
        return lock;
    for (unsigned i = 0; i < all; i++) {
        const unsigned index = group_find(work->group, members[i].name);
        if (!only || (index < work->group->count && only[index]))
            members[count++] = members[i];
    }
    int code = group_stop_members(work, members, count, seconds);
    free(members);
    group_unlock(lock);
    return code;
}

int group_down(const struct group_work *work, int seconds)
{
    struct group_member *members;
    struct error error = ERROR_INIT;
    unsigned count;
    int lock = begin(work, &members, &count);
    if (lock < 0)
        return lock;
    int code = group_stop_members(work, members, count, seconds);
    for (unsigned i = 0; i < count; i++) {
        int failed = group_remove_member(work, &members[i]);
        code = code ? code : failed;
    }
    int failed = group_networks_remove(work, &error);
    if (failed)
        work->failed(&error);
    free(members);
    group_unlock(lock);
    return code ? code : failed;
}

unsigned group_orphans(const struct group_work *work, const char *what)
{
    struct group_member *members;
    unsigned count, found = 0;
    if (group_members(work->store, work->group->name, &members, &count, NULL) == 0)
        found = group_sort_orphans(work->group, members, count);
    for (unsigned i = 0; i < found; i++)
        work->told(members[i].full_name, what);
    free(members);
    return found;
}
