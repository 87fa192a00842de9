/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_processes: the processes in containers and programs, which are the host's. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "domain/process_facts.h"
#include "domain/top.h"
#include "domain/visit_kinds.h"

static uint64_t since_boot(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void user_text(uid_t user, char text[16])
{
    if (user)
        snprintf(text, 16, "%u", (unsigned)user);
    else
        strcpy(text, "root");
}

static int by_host(const void *one, const void *two)
{
    const struct domain_process *a = one, *b = two;
    return a->host < b->host ? -1 : a->host > b->host;
}

/* So far the parents are numbered as the host does: their numbers inside, if they are in the list, or none.
 */
static void parents_find(struct domain_process *list, unsigned count)
{
    if (count)
        qsort(list, count, sizeof *list, by_host);
    for (unsigned i = 0; i < count; i++) {
        struct domain_process key = {.host = list[i].parent};
        const struct domain_process *parent = bsearch(&key, list, count, sizeof *list, by_host);
        list[i].parent = parent ? parent->pid : 0;
    }
}

static int list_make(const pid_t *pids, size_t number, struct domain_process **list, unsigned *count,
                     struct error *error)
{
    const uint64_t now = since_boot();
    *list = calloc(number + 1, sizeof **list);
    if (!*list)
        return error_set(error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < number; i++) {
        struct process_facts facts;
        struct domain_process *process = &(*list)[*count];
        if (!process_facts_read(pids[i], true, &facts))
            continue; /* it has ended */
        *process = (struct domain_process){
            .pid = facts.inner,
            .parent = facts.parent,
            .host = facts.pid,
            .state = facts.state,
            .cpu = facts.cpu,
            .elapsed = now > facts.start ? now - facts.start : 0,
            .memory = facts.memory,
        };
        user_text(facts.inner_user, process->user);
        process_facts_command(pids[i], process->command, sizeof process->command);
        (*count)++;
    }
    parents_find(*list, *count);
    return 0;
}

int domain_container_top(struct domain_visit *visit, struct domain_process **list, unsigned *count,
                         struct error *error)
{
    pid_t *pids;
    size_t number;
    int code = domain_container_processes(visit, &pids, &number, error);
    if (code)
        return code;
    code = list_make(pids, number, list, count, error);
    free(pids);
    return code;
}

int domain_program_top(struct domain_visit *visit, struct domain_process **list, unsigned *count,
                       struct error *error)
{
    pid_t *pids;
    size_t number;
    int code = domain_program_processes(visit, &pids, &number, error);
    if (code)
        return code;
    code = list_make(pids, number, list, count, error);
    free(pids);
    return code;
}
