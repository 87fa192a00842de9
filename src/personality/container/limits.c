/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/limits.h"

#include <errno.h>
#include <limits.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/channel.h"
#include "personality/container/foreign.h"

#define ALL_ACCESS (RESOURCE_DEVICE_READ | RESOURCE_DEVICE_WRITE | RESOURCE_DEVICE_MKNOD)
/* What is killed may take this long to be gone. */
#define REMOVE_MILLISECONDS 5000

/* Whatever the rules say, a container has the devices that it is promised (config-linux.md, "Default
 * Devices"), may make nodes, which gives no access, and has terminals. */
static const struct resource_device_rule default_rules[] = {
    {true, 'c', -1, -1, RESOURCE_DEVICE_MKNOD},
    {true, 'b', -1, -1, RESOURCE_DEVICE_MKNOD},
    {true, 'c', 1, 3, ALL_ACCESS},    /* null */
    {true, 'c', 1, 5, ALL_ACCESS},    /* zero */
    {true, 'c', 1, 7, ALL_ACCESS},    /* full */
    {true, 'c', 1, 8, ALL_ACCESS},    /* random */
    {true, 'c', 1, 9, ALL_ACCESS},    /* urandom */
    {true, 'c', 5, 0, ALL_ACCESS},    /* tty */
    {true, 'c', 5, 2, ALL_ACCESS},    /* ptmx */
    {true, 'c', 136, -1, ALL_ACCESS}, /* of devpts */
};

static int add_default_rules(struct resources *resources, struct error *error)
{
    if (!resources->devices_set || !resources->device_count)
        return 0;
    size_t count = resources->device_count;
    struct resource_device_rule *rules =
        realloc(resources->devices, (count + ARRAY_SIZE(default_rules)) * sizeof *rules);
    if (!rules)
        return error_set(error, -ENOMEM, "cannot read linux.resources.devices: out of memory");
    memcpy(rules + count, default_rules, sizeof default_rules);
    resources->devices = rules;
    resources->device_count = count + ARRAY_SIZE(default_rules);
    return 0;
}

/* Whether clone() is let through, perhaps under conditions which a plain one meets. */
static bool lets_clone(const struct seccomp_profile *profile)
{
    bool lets = profile->default_action == SCMP_ACT_ALLOW || profile->default_action == SCMP_ACT_LOG;
    for (size_t i = 0; i < profile->rule_count; i++) {
        const struct seccomp_rule *rule = &profile->rules[i];
        for (size_t j = 0; j < rule->name_count; j++) {
            if (strcmp(rule->names[j], "clone") != 0)
                continue;
            if (rule->action == SCMP_ACT_ALLOW || rule->action == SCMP_ACT_LOG)
                lets = true;
            else if (!rule->argument_count)
                return false;
        }
    }
    return lets;
}

static int compile_filter(struct limits *limits, const char *state_root, const struct oci_config *config,
                          bool default_filter, struct error *error)
{
    const json_t *object = config->platform.seccomp;
    struct seccomp_profile profile;
    char cache[PATH_MAX];
    if (!object && !default_filter)
        return 0;
    int code = object ? seccomp_profile_parse(&profile, object, "linux.seccomp", error)
                      : seccomp_profile_default(
                            &profile, config->process.capabilities.sets[OCI_CAPABILITY_BOUNDING], error);
    if (code < 0)
        return code;
    snprintf(cache, sizeof cache, "%s/.seccomp", state_root);
    code = seccomp_filter_compile(&limits->filter, &profile, cache, error);
    limits->has_filter = code == 0;
    limits->filter_forks = lets_clone(&profile);
    limits->listener_path = profile.listener_path;
    limits->listener_metadata = profile.listener_metadata;
    seccomp_profile_free(&profile);
    return code;
}

int limits_prepare(struct limits *limits, const struct container_options *options,
                   const struct oci_config *config,
                   int (*located)(void *opaque, const char *path, struct error *error), void *opaque,
                   struct error *error)
{
    const struct oci_linux *platform = &config->platform;
    struct resources resources = {0};
    *limits = (struct limits){0};
    int code = compile_filter(limits, options->state_root, config, options->default_filter, error);
    if (code == 0 && platform->resources)
        code = resources_parse(&resources, platform->resources, "linux.resources", error);
    if (code == 0)
        code = add_default_rules(&resources, error);
    if (code < 0) {
        resources_free(&resources);
        return code;
    }
    const struct cgroup_request request = {
        .id = options->id,
        .path = platform->cgroups_path && platform->cgroups_path[0] ? platform->cgroups_path : NULL,
        .systemd = options->systemd_cgroup,
        .located = located,
        .opaque = opaque,
        .statistics =
            platform->cgroups_path && platform->cgroups_path[0], /* who says where will look there */
    };
    code = cgroup_create(&limits->cgroup, &request, &resources, error);
    resources_free(&resources);
    return code;
}

int limits_open(struct limits *limits, const char *state_root, const struct store_record *record,
                const struct oci_config *config, struct error *error)
{
    *limits = (struct limits){0};
    int code = compile_filter(limits, state_root, config, record->default_filter, error);
    if (code == 0)
        code = cgroup_open(&limits->cgroup, record->cgroup_path, record->cgroup_scope, error);
    return code < 0 ? code : cgroup_follow(limits->cgroup, record->pid, error);
}

void limits_record(const struct limits *limits, struct store_record *record)
{
    record->cgroup_path = cgroup_path(limits->cgroup);
    record->cgroup_scope = cgroup_scope(limits->cgroup);
}

int limits_directory(const struct limits *limits)
{
    return limits->cgroup ? cgroup_directory(limits->cgroup) : -1;
}

void limits_remove(struct limits *limits)
{
    struct error ignored = ERROR_INIT; /* it follows another error, which is told */
    if (limits->cgroup)
        cgroup_delete(limits->cgroup, REMOVE_MILLISECONDS, &ignored);
}

void limits_release(struct limits *limits)
{
    cgroup_close(limits->cgroup);
    limits->cgroup = NULL;
    if (limits->has_filter)
        seccomp_filter_free(&limits->filter);
    limits->has_filter = false;
}

int limits_enter(struct limits *limits, struct error *error)
{
    return cgroup_enter_self(limits->cgroup, cgroup_directory(limits->cgroup) >= 0, error);
}

int limits_send_listener(const struct limits *limits, int listener, pid_t pid, const char *state,
                         struct error *error)
{
    if (!limits->listener_path)
        return error_set(error, -EINVAL, "linux.seccomp.listenerPath: missing, and a rule notifies");
    json_t *document = json_loads(state, 0, NULL);
    int code = document ? seccomp_listener_send(limits->listener_path, limits->listener_metadata, listener,
                                                pid, document, error)
                        : error_set(error, -ENOMEM, "out of memory");
    json_decref(document);
    return code;
}

static int load_filter(struct limits *limits, int channel, struct error *error)
{
    int listener = -1;
    int code = seccomp_filter_load(&limits->filter, &listener, error);
    seccomp_filter_free(&limits->filter);
    limits->has_filter = false;
    if (code < 0 || listener < 0)
        return code;
    channel_send(channel, CHANNEL_LISTENER, listener);
    close(listener);
    return channel_expect(channel, CHANNEL_TAKEN, error);
}

int limits_become(struct limits *limits, const struct oci_process *process, const int descriptors[2],
                  int channel, struct process_program *program, struct error *error)
{
    bool inside = false;
    int code = process_take(process, descriptors[0], descriptors[1], &inside, error);
    if (code == 0 && limits->has_filter && !process->no_new_privileges)
        code = load_filter(limits, channel, error);
    if (code == 0)
        code = process_become(process, inside, program, error);
    if (code == 0)
        code = foreign_prepare(process, channel, program, error);
    if (code == 0 && limits->has_filter &&
        limits->filter.notifies) /* while there is somebody to give it to */
        code = load_filter(limits, channel, error);
    return code;
}

int limits_execute(struct limits *limits, const struct oci_process *process,
                   const struct process_program *program, struct error *error)
{
    int code = limits->has_filter ? load_filter(limits, -1, error) : 0;
    return code < 0 ? code : process_execute(process, program, error);
}
