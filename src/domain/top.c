/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/top.h"

#include <stdlib.h>

#include "domain/visit.h"

static int by_pid(const void *one, const void *two)
{
    const struct domain_process *a = one, *b = two;
    return a->pid < b->pid ? -1 : a->pid > b->pid;
}

int domain_visit_top(struct domain_visit *visit, struct domain_process **list, unsigned *count,
                     struct error *error)
{
    const struct domain_visits *visits = visit->kind->visits;
    *list = NULL;
    *count = 0;
    int code = visits && visits->top ? visits->top(visit, list, count, error)
                                     : domain_kind_cannot(visit->kind, "looked into", error);
    if (!code && *count)
        qsort(*list, *count, sizeof **list, by_pid);
    return code;
}
