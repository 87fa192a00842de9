/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

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

int limits_prepare(struct limits *limits, const struct container_options *options,
                   const struct oci_config *config, struct error *error)
{
    const struct oci_linux *platform = &config->platform;
    struct resources resources = {0};
    *limits = (struct limits){0};
    if (platform->seccomp)
        return error_set(error, -ENOTSUP, "linux.seccomp: filters are not supported yet");
    int code =
        platform->resources ? resources_parse(&resources, platform->resources, "linux.resources", error) : 0;
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
    };
    code = cgroup_create(&limits->cgroup, &request, &resources, error);
    resources_free(&resources);
    return code;
}

int limits_open(struct limits *limits, const struct store_record *record, struct error *error)
{
    return cgroup_open(&limits->cgroup, record->cgroup_path, record->cgroup_scope, error);
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
}

int limits_enter(struct limits *limits, struct error *error)
{
    return cgroup_enter_self(limits->cgroup, cgroup_directory(limits->cgroup) >= 0, error);
}
