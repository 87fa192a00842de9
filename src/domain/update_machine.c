/* SPDX-License-Identifier: GPL-2.0-or-later */
/* update_machine: less memory, or again more, for a machine that runs: its guest gives it away by the
 * balloon, if it has a driver for it. More than the machine was started with waits for the next start. */
#include <errno.h>

#include "control/qmp_client.h"
#include "domain/control.h"
#include "domain/host_limits.h"
#include "domain/host_memory.h"
#include "domain/pin.h"
#include "domain/update.h"
#include "domain/visit_kinds.h"

#define ANSWER_MS 5000

static int get_size(struct qmp_client *client, uint64_t *size, struct error *error)
{
    json_t *answer = NULL;
    int code = qmp_client_execute(client, "query-memory-size-summary", NULL, &answer, error);
    *size = (uint64_t)json_integer_value(json_object_get(answer, "base-memory"));
    json_decref(answer);
    return code;
}

/* -ENXIO: there is no driver for the balloon. */
static int set_balloon(struct qmp_client *client, uint64_t size, struct error *error)
{
    int code =
        qmp_client_execute(client, "balloon", json_pack("{s:I}", "value", (json_int_t)size), NULL, error);
    return code == -EREMOTEIO && qmp_client_class(client) == QMP_DEVICE_NOT_ACTIVE ? -ENXIO : code;
}

static int set_bounds(struct qmp_client *client, const struct domain_config *wanted, struct error *error)
{
    const bool automatic = wanted->machine.memory_min || wanted->machine.memory_max;
    json_t *arguments = json_pack("{s:b, s:I, s:I}", "automatic", automatic, "min",
                                  (json_int_t)domain_config_memory_least(wanted), "max",
                                  (json_int_t)domain_config_memory_most(wanted));
    return qmp_client_execute(client, "x-set-balance", arguments, NULL, error);
}

/* What is more than the machine was started with waits; so does what its balloon cannot do. */
static int set_memory(struct qmp_client *client, const struct domain_config *wanted,
                      struct domain_change *changes, unsigned count, struct error *error)
{
    struct domain_change *memory = domain_change_find(changes, count, "memory"),
                         *most = domain_change_find(changes, count, "memory_max");
    uint64_t size;
    int code = get_size(client, &size, error);
    if (!code)
        code = set_bounds(client, wanted, error);
    if (!code && memory)
        code = set_balloon(client, wanted->machine.memory, error); /* up to its size */
    if (memory)
        memory->waits = code == -ENXIO || (!code && wanted->machine.memory > size);
    if (most)
        most->waits = !code && wanted->machine.memory_max > size;
    return code == -ENXIO ? 0 : code;
}

static int set_merge(struct qmp_client *client, const struct domain_config *wanted, struct error *error)
{
    if (wanted->machine.ksm)
        host_merges_tell();
    return qmp_client_execute(client, "x-set-memory-merge",
                              json_pack("{s:b}", "enabled", wanted->machine.ksm), NULL, error);
}

static bool is_about_memory(struct domain_change *changes, unsigned count)
{
    return domain_change_find(changes, count, "memory") || domain_change_find(changes, count, "memory_min") ||
           domain_change_find(changes, count, "memory_max");
}

/* What is of the host's processors is this process's to do, outside. */
static int set_processors(struct domain_visit *visit, const struct domain_config *wanted,
                          struct domain_change *changes, unsigned count, struct error *error)
{
    const pid_t pid = domain_machine_process(visit), keeper = visit->state.process.pid;
    int code = 0;
    if (domain_change_find(changes, count, "cpu_limit") || domain_change_find(changes, count, "cpu_shares"))
        code = host_limits_update(visit->domain, wanted, &pid, 1, error);
    if (!code && domain_change_find(changes, count, "pin"))
        code = pin_machine(&wanted->machine.pin, pid, error);
    if (!code && keeper != pid && domain_change_find(changes, count, "pin"))
        code = pin_machine(&wanted->machine.pin, keeper, error);
    return code;
}

static bool needs_control(struct domain_change *changes, unsigned count)
{
    return is_about_memory(changes, count) || domain_change_find(changes, count, "ksm");
}

static int apply(struct qmp_client *client, const struct domain_config *wanted, struct domain_change *changes,
                 unsigned count, struct error *error)
{
    int code = domain_change_find(changes, count, "ksm") ? set_merge(client, wanted, error) : 0;
    if (!code && is_about_memory(changes, count))
        code = set_memory(client, wanted, changes, count, error);
    return code;
}

/* As it was; the error is that of what has failed. */
static void undo(struct qmp_client *client, const struct domain_config *old, struct domain_change *changes,
                 unsigned count)
{
    if (is_about_memory(changes, count))
        set_bounds(client, old, NULL);
    if (domain_change_find(changes, count, "ksm"))
        set_merge(client, old, NULL);
}

static int apply_inside(struct domain_visit *visit, const struct domain_config *wanted,
                        struct domain_change *changes, unsigned count, struct error *error)
{
    struct qmp_client *client;
    char path[PATH_MAX];
    domain_run_path(visit->domain, DOMAIN_CONTROL_FILE, path);
    int code = qmp_client_connect(&client, path, ANSWER_MS, error);
    if (code)
        return code == -ENOENT || code == -ECONNREFUSED ? -ESRCH : code;
    code = apply(client, wanted, changes, count, error);
    if (code)
        undo(client, &visit->config, changes, count);
    qmp_client_close(client);
    return code;
}

int domain_machine_update(struct domain_visit *visit, const struct domain_config *wanted,
                          struct domain_change *changes, unsigned count, struct error *error)
{
    int code = set_processors(visit, wanted, changes, count, error);
    if (!code && needs_control(changes, count))
        code = apply_inside(visit, wanted, changes, count, error);
    if (code && code != -ESRCH)
        set_processors(visit, &visit->config, changes, count, NULL); /* as it was */
    return code;
}
