/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/host_limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_file.h"
#include "domain/container_document.h"
#include "domain/stats_processes.h"
#include "personality/container/cgroup.h"

#define RECORD_FILE "cgroup" /* in RUN/ID */
#define RECORD_MOST 65536
#define SHARES_NONE 1024 /* the weight of who asks for nothing */
/* What is killed may take this long to be gone. */
#define REMOVE_MILLISECONDS 5000

struct host_limits host_limits_of(const struct domain_config *config)
{
    if (strcmp(config->kind, "machine") == 0)
        return (struct host_limits){config->machine.cpu_limit, config->machine.cpu_shares};
    if (strcmp(config->kind, "program") == 0)
        return (struct host_limits){config->program.cpus, config->program.cpu_shares};
    return (struct host_limits){0};
}

/* `all`: what is not limited is to be so, too. */
static struct resources resources_of(const struct host_limits *limits, bool all)
{
    struct resources resources = {0};
    if (limits->cpus || all) {
        const int64_t quota = limits->cpus ? container_cpu_quota(limits->cpus) : -1;
        resources.cpu.quota = (struct resource_number){true, quota};
        resources.cpu.period = (struct resource_number){true, CONTAINER_CPU_PERIOD};
    }
    if (limits->cpu_shares || all)
        resources.cpu.shares =
            (struct resource_number){true, limits->cpu_shares ? (int64_t)limits->cpu_shares : SHARES_NONE};
    return resources;
}

/* -- what is written down -------------------------------------------------------------------------------- */

static int open_run(const struct domain *domain)
{
    return openat(domain->store->run, domain->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

struct making {
    const struct domain *domain;
    pid_t pid; /* who is to be in it, and where he was before is written down, too */
};

static int write_down(void *opaque, const char *path, struct error *error)
{
    const struct making *making = opaque;
    char *before = NULL;
    int run = open_run(making->domain);
    int code = run < 0 ? error_set(error, -errno, "cannot open the domain's directory: %s", strerror(errno))
                       : cgroup_whereabouts(making->pid, &before, error);
    if (!code) {
        json_t *document = json_pack("{s:s, s:s}", "path", path, "before", before);
        code = json_file_write(run, RECORD_FILE, document, false, error);
        json_decref(document);
    }
    free(before);
    if (run >= 0)
        close(run);
    return code;
}

/* NULL: there is none. `record`, may be NULL, is a new reference. */
static struct cgroup *open_recorded(const struct domain *domain, json_t **record)
{
    struct cgroup *cgroup = NULL;
    int run = open_run(domain);
    json_t *document = run >= 0 ? json_file_read(run, RECORD_FILE, RECORD_MOST, NULL) : NULL;
    const char *path = json_string_value(json_object_get(document, "path"));
    if (run >= 0)
        close(run);
    if (path && cgroup_open(&cgroup, path, NULL, NULL) < 0)
        cgroup = NULL;
    if (cgroup && record)
        *record = document;
    else
        json_decref(document);
    return cgroup;
}

/* -- making them ----------------------------------------------------------------------------------------- */

static int make(struct cgroup **out, const struct domain *domain, const struct host_limits *limits, pid_t pid,
                struct error *error)
{
    const struct resources resources = resources_of(limits, false);
    struct making making = {domain, pid};
    const struct cgroup_request request = {.id = domain->id, .located = write_down, .opaque = &making};
    return cgroup_create(out, &request, &resources, error);
}

/* A domain that is started again has it already. */
static int renew(struct cgroup *cgroup, const struct host_limits *limits, struct error *error)
{
    const struct resources resources = resources_of(limits, true);
    return cgroup_update(cgroup, &resources, error);
}

int host_limits_make(struct cgroup **out, const struct domain *domain, const struct domain_config *config,
                     struct error *error)
{
    const struct host_limits limits = host_limits_of(config);
    *out = NULL;
    if (!limits.cpus && !limits.cpu_shares)
        return 0;
    if (!domain)
        return error_set(error, -EINVAL, "only what is listed can have limits of processor time");
    struct cgroup *cgroup = open_recorded(domain, NULL);
    if (cgroup && cgroup_exists(cgroup)) {
        int code = renew(cgroup, &limits, error);
        if (!code)
            *out = cgroup;
        else
            cgroup_close(cgroup);
        return code;
    }
    cgroup_close(cgroup);
    return make(out, domain, &limits, getpid(), error);
}

static int move_all(struct cgroup *cgroup, const pid_t *pids, size_t count, struct error *error)
{
    int code = 0;
    for (size_t i = 0; !code && i < count; i++) {
        code = cgroup_enter(cgroup, pids[i], error);
        code = code == -ESRCH ? 0 : code;
    }
    return code;
}

int host_limits_update(const struct domain *domain, const struct domain_config *config, const pid_t *pids,
                       size_t count, struct error *error)
{
    const struct host_limits limits = host_limits_of(config);
    struct cgroup *cgroup = open_recorded(domain, NULL);
    if (cgroup && cgroup_exists(cgroup)) {
        int code = renew(cgroup, &limits, error);
        cgroup_close(cgroup);
        return code;
    }
    cgroup_close(cgroup);
    if ((!limits.cpus && !limits.cpu_shares) || !count)
        return 0;
    int code = make(&cgroup, domain, &limits, pids[0], error);
    if (code)
        return code;
    code = move_all(cgroup, pids, count, error);
    cgroup_close(cgroup);
    return code;
}

/* -- telling --------------------------------------------------------------------------------------------- */

static void take(struct domain_amount *amount, const struct cgroup_value *value)
{
    if (value->known)
        *amount = stats_amount(value->value);
}

void host_limits_stats(const struct domain *domain, struct domain_stats *stats)
{
    struct cgroup *cgroup = open_recorded(domain, NULL);
    struct cgroup_statistics all;
    if (cgroup && cgroup_exists(cgroup) && cgroup_statistics(cgroup, &all, NULL) == 0) {
        take(&stats->cpu_periods, &all.cpu.periods);
        take(&stats->cpu_throttled, &all.cpu.throttled);
        take(&stats->cpu_throttled_time, &all.cpu.throttled_time);
    }
    cgroup_close(cgroup);
}

/* -- removing them --------------------------------------------------------------------------------------- */

static bool is_inside(struct cgroup *cgroup)
{
    pid_t *pids = NULL;
    size_t count = 0;
    bool inside = false;
    if (cgroup_processes(cgroup, &pids, &count, NULL) < 0)
        return true; /* nobody is killed on a guess */
    for (size_t i = 0; i < count; i++)
        inside |= pids[i] == getpid();
    free(pids);
    return inside;
}

void host_limits_remove(const struct domain *domain)
{
    struct error error = ERROR_INIT;
    json_t *record = NULL;
    struct cgroup *cgroup = open_recorded(domain, &record);
    if (!cgroup)
        return;
    const char *before = json_string_value(json_object_get(record, "before"));
    int code = 0;
    if (is_inside(cgroup) && before)
        code = cgroup_leave(cgroup, before, &error);
    if (!code && !is_inside(cgroup)) {
        cgroup_kill(cgroup, NULL);
        code = cgroup_delete(cgroup, REMOVE_MILLISECONDS, &error);
    }
    if (code)
        error_report(&error);
    json_decref(record);
    cgroup_close(cgroup);
}
