/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/machine_qmp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/qmp_table.h"
#include "machine/machine_dirty.h"

#define TARGET "x86_64"

/* A command that is answered when the loop has served what it has asked of the machine. */
struct served {
    struct loop_call turn;
    struct machine_qmp *qmp;
    struct qmp_call *call;
    bool goes_on; /* the machine is to run then */
    struct served *next;
};

struct machine_qmp {
    struct machine *machine;
    struct qmp_server *server;
    struct machine_qmp_options options;
    struct machine_observer observer;
    struct served *waiting;
    struct machine_dirty dirty;
};

/* -- what happens ---------------------------------------------------------------------------------------- */

static const char *end_reason(const struct machine_news *news)
{
    static const char *const by[] = {[MACHINE_GUEST] = "guest-reset",
                                     [MACHINE_SIGNAL] = "host-signal",
                                     [MACHINE_TERMINAL] = "host-ui",
                                     [MACHINE_CONTROL] = "host-qmp-system-reset"};
    switch (news->end) {
    case MACHINE_OFF:
    case MACHINE_TOLD: return "guest-shutdown";
    case MACHINE_PANIC: return "guest-panic";
    case MACHINE_FAILED: return "host-error";
    case MACHINE_ENDED: return news->asker == MACHINE_CONTROL ? "host-qmp-quit" : by[news->asker];
    case MACHINE_RESET:
    case MACHINE_SHUTDOWN: break;
    }
    return by[news->asker];
}

static void told_end(struct qmp_server *server, const struct machine_news *news)
{
    const bool guest = news->asker == MACHINE_GUEST && news->end != MACHINE_FAILED;
    if (news->end == MACHINE_PANIC)
        qmp_server_event(server, "GUEST_PANICKED", json_pack("{s:s}", "action", "poweroff"));
    qmp_server_event(server, news->kind == MACHINE_ENDS ? "SHUTDOWN" : "RESET",
                     json_pack("{s:b, s:s}", "guest", guest, "reason", end_reason(news)));
}

static void told_disk(struct qmp_server *server, const struct machine_news *news)
{
    const bool full = news->error == -ENOSPC;
    qmp_server_event(server, "BLOCK_IO_ERROR",
                     json_pack("{s:s, s:s, s:s, s:b, s:o}", "device", news->device, "operation",
                               news->write ? "write" : "read", "action", full ? "stop" : "report", "nospace",
                               full, "reason", qmp_text(strerror(-news->error))));
}

static void happened(void *opaque, const struct machine_news *news)
{
    const struct machine_qmp *qmp = opaque;
    struct qmp_server *server = qmp->server;
    switch (news->kind) {
    case MACHINE_STOPPED: qmp_server_event(server, "STOP", NULL); break;
    case MACHINE_WENT_ON: qmp_server_event(server, "RESUME", NULL); break;
    case MACHINE_BUTTON: qmp_server_event(server, "POWERDOWN", NULL); break;
    case MACHINE_RESTARTS:
    case MACHINE_ENDS: told_end(server, news); break;
    case MACHINE_DISK: told_disk(server, news); break;
    case MACHINE_BALLOON:
        qmp_server_event(server, "BALLOON_CHANGE", json_pack("{s:I}", "actual", (json_int_t)news->memory));
        break;
    }
}

/* -- what it does ---------------------------------------------------------------------------------------- */

static struct machine *machine_of(const struct qmp_call *call)
{
    return ((struct machine_qmp *)qmp_call_opaque(call))->machine;
}

/* Why a machine stands still, for people; NULL: it does not. */
static const char *standstill(const struct machine *machine)
{
    const unsigned pauses = machine->pauses;
    return pauses & MACHINE_PAUSE_DEBUGGER ? "a debugger looks at it"
           : pauses & MACHINE_PAUSE_SPACE  ? "the host has no room for what the guest writes to a disk"
           : pauses                        ? "it is paused"
                                           : NULL;
}

static void served_end(struct served *served, const char *refusal)
{
    struct served **link = &served->qmp->waiting;
    struct error error = ERROR_INIT;
    while (*link != served)
        link = &(*link)->next;
    *link = served->next;
    if (refusal) {
        error_set(&error, -EBUSY, "%s", refusal);
        qmp_call_fail(served->call, QMP_GENERIC_ERROR, &error);
    } else {
        qmp_call_return(served->call, NULL);
    }
    free(served);
}

static void served_turn(void *opaque)
{
    struct served *served = opaque;
    const char *reason = served->goes_on ? standstill(served->qmp->machine) : NULL;
    char text[160];
    if (reason)
        snprintf(text, sizeof text, "the machine still stands still: %s", reason);
    served_end(served, reason ? text : NULL);
}

/* The loop's next turn comes after what has been asked of the machine before. */
static int when_served(struct qmp_call *call, bool goes_on, struct error *error)
{
    struct machine_qmp *qmp = qmp_call_opaque(call);
    struct served *served = calloc(1, sizeof *served);
    if (!served)
        return error_set(error, -ENOMEM, "out of memory");
    *served = (struct served){{.function = served_turn, .opaque = served}, qmp, call, goes_on, qmp->waiting};
    qmp->waiting = served;
    loop_post(qmp->machine->loop, &served->turn);
    return QMP_LATER;
}

QMP_COMMAND(stop)
{
    QMP_UNUSED;
    machine_pause(machine_of(call), MACHINE_PAUSE_USER);
    return when_served(call, false, error);
}

QMP_COMMAND(cont)
{
    QMP_UNUSED;
    machine_resume(machine_of(call), MACHINE_PAUSE_USER);
    return when_served(call, true, error);
}

QMP_COMMAND(system_reset)
{
    QMP_UNUSED;
    machine_ask(machine_of(call), MACHINE_REQUEST_RESET, MACHINE_CONTROL);
    return 0;
}

QMP_COMMAND(system_powerdown)
{
    QMP_UNUSED;
    machine_ask(machine_of(call), MACHINE_REQUEST_POWER_BUTTON, MACHINE_CONTROL);
    return 0;
}

QMP_COMMAND(quit)
{
    QMP_UNUSED;
    machine_ask(machine_of(call), MACHINE_REQUEST_END, MACHINE_CONTROL);
    return 0;
}

QMP_COMMAND(human_monitor_command)
{
    QMP_UNUSED;
    error_set(error, -ENOTSUP, "visor has no human monitor: what it can is in query-commands");
    return -ENOTSUP;
}

/* -- what it is ------------------------------------------------------------------------------------------ */

QMP_COMMAND(query_status)
{
    QMP_UNUSED;
    const unsigned pauses = machine_of(call)->pauses;
    const char *status = pauses & MACHINE_PAUSE_DEBUGGER ? "debug"
                         : pauses & MACHINE_PAUSE_SPACE  ? "io-error"
                         : pauses                        ? "paused"
                                                         : "running";
    *result = json_pack("{s:s, s:b}", "status", status, "running", !pauses);
    return 0;
}

QMP_COMMAND(query_name)
{
    QMP_UNUSED;
    const struct machine_qmp *qmp = qmp_call_opaque(call);
    *result = json_object();
    if (qmp->options.name)
        json_object_set_new(*result, "name", qmp_text(qmp->options.name));
    return 0;
}

QMP_COMMAND(query_uuid)
{
    QMP_UNUSED;
    const struct machine_qmp *qmp = qmp_call_opaque(call);
    const char *uuid = qmp->options.uuid;
    *result = json_pack("{s:s}", "UUID", uuid ? uuid : "00000000-0000-0000-0000-000000000000");
    return 0;
}

QMP_COMMAND(query_cpus_fast)
{
    QMP_UNUSED;
    const struct machine_qmp *qmp = qmp_call_opaque(call);
    const struct machine_qmp_options *options = &qmp->options;
    *result = json_array();
    for (unsigned i = 0; i < qmp->machine->vcpu_count; i++) {
        pid_t thread = qmp->machine->vcpus[i].thread_id;
        if (options->thread_outside)
            thread = options->thread_outside(options->opaque, thread);
        json_array_append_new(*result, json_pack("{s:i, s:i, s:s}", "cpu-index", (int)i, "thread-id",
                                                 (int)thread, "target", TARGET));
    }
    return 0;
}

QMP_COMMAND(query_kvm)
{
    QMP_UNUSED;
    const bool enabled = !strcmp(machine_of(call)->engine->name, "kvm");
    *result = json_pack("{s:b, s:b}", "enabled", enabled, "present", enabled);
    return 0;
}

/* Of those engines that count them. */
QMP_COMMAND(query_exits)
{
    QMP_UNUSED;
    struct machine *machine = machine_of(call);
    *result = json_array();
    for (unsigned i = 0; machine->engine->vcpu_exits && i < machine->vcpu_count; i++) {
        struct engine_exit_count counts[ENGINE_EXITS_MOST];
        const struct engine_vcpu *vcpu = machine->vcpus[i].vcpu;
        const unsigned count = vcpu ? machine->engine->vcpu_exits(vcpu, counts) : 0;
        for (unsigned j = 0; j < count; j++)
            json_array_append_new(*result, json_pack("{s:i, s:s, s:I}", "cpu-index", (int)i, "reason",
                                                     counts[j].reason, "count", (json_int_t)counts[j].count));
    }
    return 0;
}

QMP_COMMAND(query_target)
{
    QMP_UNUSED;
    *result = json_pack("{s:s}", "arch", TARGET);
    return 0;
}

QMP_COMMAND(query_machines)
{
    QMP_UNUSED;
    *result = json_pack("[{s:s, s:b, s:i, s:b, s:b, s:b}]", "name", machine_of(call)->type->name,
                        "is-default", 1, "cpu-max", MACHINE_VCPUS_MAX, "hotpluggable-cpus", 0,
                        "numa-mem-supported", 0, "deprecated", 0);
    return 0;
}

QMP_COMMAND(query_memory_size_summary)
{
    QMP_UNUSED;
    *result =
        json_pack("{s:I, s:i}", "base-memory", (json_int_t)machine_of(call)->ram->size, "plugged-memory", 0);
    return 0;
}

QMP_COMMAND(set_memory_merge)
{
    QMP_UNUSED;
    return memory_backing_merge(machine_of(call)->ram, json_is_true(json_object_get(arguments, "enabled")),
                                error);
}

QMP_COMMAND(calc_dirty_rate)
{
    struct machine_qmp *qmp = qmp_call_opaque(call);
    const json_int_t seconds = json_integer_value(json_object_get(arguments, "calc-time"));
    (void)result;
    return machine_dirty_begin(&qmp->dirty, seconds > 0 ? (uint64_t)seconds : 0, error);
}

QMP_COMMAND(query_dirty_rate)
{
    QMP_UNUSED;
    static const char *const status[] = {[MACHINE_DIRTY_UNSTARTED] = "unstarted",
                                         [MACHINE_DIRTY_MEASURING] = "measuring",
                                         [MACHINE_DIRTY_MEASURED] = "measured"};
    const struct machine_dirty *dirty = &((struct machine_qmp *)qmp_call_opaque(call))->dirty;
    *result = json_pack("{s:s, s:I, s:I, s:i, s:s}", "status", status[dirty->status], "start-time",
                        (json_int_t)dirty->start, "calc-time", (json_int_t)dirty->seconds, "sample-pages", 0,
                        "mode", "dirty-bitmap");
    if (dirty->status != MACHINE_DIRTY_MEASURED)
        return 0;
    const uint64_t rate = dirty->pages * MEMORY_PAGE_SIZE / dirty->seconds >> 20;
    json_object_set_new(*result, "dirty-rate", json_integer((json_int_t)rate));
    json_object_set_new(*result, "x-dirty-pages", json_integer((json_int_t)dirty->pages));
    return 0;
}

/* -- the table ------------------------------------------------------------------------------------------- */

QMP_ENUM_OF(run_state, "running", "paused", "io-error", "debug");
QMP_OBJECT_OF(status_info, {"status", &run_state, false}, {"running", &qmp_boolean, false});
QMP_OBJECT_OF(name_info, {"name", &qmp_string, true});
QMP_OBJECT_OF(uuid_info, {"UUID", &qmp_string, false});
QMP_OBJECT_OF(cpu_info, {"cpu-index", &qmp_integer, false}, {"thread-id", &qmp_integer, false},
              {"target", &qmp_string, false});
QMP_ARRAY_OF(cpu_info);
QMP_OBJECT_OF(kvm_info, {"enabled", &qmp_boolean, false}, {"present", &qmp_boolean, false});
QMP_OBJECT_OF(exit_info, {"cpu-index", &qmp_integer, false}, {"reason", &qmp_string, false},
              {"count", &qmp_integer, false});
QMP_ARRAY_OF(exit_info);
QMP_OBJECT_OF(target_info, {"arch", &qmp_string, false});
QMP_OBJECT_OF(machine_info, {"name", &qmp_string, false}, {"is-default", &qmp_boolean, true},
              {"cpu-max", &qmp_integer, false}, {"hotpluggable-cpus", &qmp_boolean, false},
              {"numa-mem-supported", &qmp_boolean, false}, {"deprecated", &qmp_boolean, false});
QMP_ARRAY_OF(machine_info);
QMP_OBJECT_OF(memory_info, {"base-memory", &qmp_integer, false}, {"plugged-memory", &qmp_integer, true});
QMP_ENUM_OF(dirty_status, "unstarted", "measuring", "measured");
QMP_ENUM_OF(dirty_mode, "dirty-bitmap");
QMP_OBJECT_OF(dirty_info, {"dirty-rate", &qmp_integer, true}, {"status", &dirty_status, false},
              {"start-time", &qmp_integer, false}, {"calc-time", &qmp_integer, false},
              {"sample-pages", &qmp_integer, false}, {"mode", &dirty_mode, false},
              {"x-dirty-pages", &qmp_integer, true});
static const struct qmp_field dirty_arguments[] = {
    {"calc-time", &qmp_integer, false}, {"mode", &dirty_mode, true}, {0}};
static const struct qmp_field merge_arguments[] = {{"enabled", &qmp_boolean, false}, {0}};
static const struct qmp_field monitor_arguments[] = {
    {"command-line", &qmp_string, false}, {"cpu-index", &qmp_integer, true}, {0}};

static const struct qmp_command commands[] = {
    {.name = "stop", .returns = &qmp_nothing, .run = stop},
    {.name = "cont", .returns = &qmp_nothing, .run = cont},
    {.name = "system_reset", .returns = &qmp_nothing, .run = system_reset},
    {.name = "system_powerdown", .returns = &qmp_nothing, .run = system_powerdown},
    {.name = "quit", .returns = &qmp_nothing, .run = quit},
    {.name = "x-set-memory-merge",
     .arguments = merge_arguments,
     .returns = &qmp_nothing,
     .run = set_memory_merge},
    {.name = "calc-dirty-rate",
     .arguments = dirty_arguments,
     .returns = &qmp_nothing,
     .run = calc_dirty_rate},
    {.name = "query-dirty-rate", .returns = &dirty_info, .run = query_dirty_rate},
    {.name = "human-monitor-command",
     .arguments = monitor_arguments,
     .returns = &qmp_string,
     .run = human_monitor_command},
    {.name = "query-status", .returns = &status_info, .run = query_status},
    {.name = "query-name", .returns = &name_info, .run = query_name},
    {.name = "query-uuid", .returns = &uuid_info, .run = query_uuid},
    {.name = "query-cpus-fast", .returns = &cpu_info_array, .run = query_cpus_fast},
    {.name = "query-kvm", .returns = &kvm_info, .run = query_kvm},
    {.name = "x-query-exits", .returns = &exit_info_array, .run = query_exits},
    {.name = "query-target", .returns = &target_info, .run = query_target},
    {.name = "query-machines", .returns = &machine_info_array, .run = query_machines},
    {.name = "query-memory-size-summary", .returns = &memory_info, .run = query_memory_size_summary},
    {0},
};

QMP_ENUM_OF(reason, "guest-shutdown", "guest-reset", "guest-panic", "host-error", "host-signal", "host-ui",
            "host-qmp-quit", "host-qmp-system-reset");
QMP_ENUM_OF(panic_action, "poweroff");
QMP_ENUM_OF(disk_operation, "read", "write");
QMP_ENUM_OF(disk_action, "report", "stop");
static const struct qmp_field end_data[] = {{"guest", &qmp_boolean, false}, {"reason", &reason, false}, {0}};
static const struct qmp_field panic_data[] = {{"action", &panic_action, false}, {0}};
static const struct qmp_field disk_data[] = {
    {"device", &qmp_string, false},  {"operation", &disk_operation, false}, {"action", &disk_action, false},
    {"nospace", &qmp_boolean, true}, {"reason", &qmp_string, false},        {0}};
static const struct qmp_field balloon_data[] = {{"actual", &qmp_integer, false}, {0}};

/* What a guest can cause as often as it likes has an interval. */
static const struct qmp_event events[] = {
    {.name = "STOP"},
    {.name = "RESUME"},
    {.name = "POWERDOWN"},
    {.name = "RESET", .data = end_data},
    {.name = "SHUTDOWN", .data = end_data},
    {.name = "GUEST_PANICKED", .data = panic_data},
    {.name = "BLOCK_IO_ERROR", .data = disk_data, .interval_ms = 1000},
    {.name = "BALLOON_CHANGE", .data = balloon_data, .interval_ms = 1000},
    {0},
};

static const struct qmp_table table = {commands, events};

int machine_qmp_new(struct machine_qmp **out, struct machine *machine, struct qmp_server *server,
                    const struct machine_qmp_options *options, struct error *error)
{
    struct machine_qmp *qmp = calloc(1, sizeof *qmp);
    if (!qmp)
        return error_set(error, -ENOMEM, "out of memory for a machine's control");
    qmp->machine = machine;
    qmp->server = server;
    qmp->options = *options;
    qmp->observer = (struct machine_observer){.happened = happened, .opaque = qmp};
    machine_dirty_init(&qmp->dirty, machine);
    int code = qmp_server_add(server, &table, qmp, error);
    if (!code && machine->type->qmp)
        code = qmp_server_add(server, machine->type->qmp, machine, error);
    if (code) {
        free(qmp);
        return code;
    }
    machine_observe(machine, &qmp->observer);
    *out = qmp;
    return 0;
}

void machine_qmp_free(struct machine_qmp *qmp)
{
    if (!qmp)
        return;
    machine_forget(qmp->machine, &qmp->observer);
    machine_dirty_end(&qmp->dirty);
    while (qmp->waiting) {
        loop_cancel(qmp->machine->loop, &qmp->waiting->turn);
        served_end(qmp->waiting, "the machine has ended");
    }
    free(qmp);
}
