/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oci_config: the tables of config.json's properties, and reading it. oci_check.c looks at the values. */
#include "personality/container/oci_config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "personality/container/oci_check.h"

const char *const oci_hook_names[OCI_HOOK_KINDS] = {
    [OCI_HOOK_PRESTART] = "prestart",
    [OCI_HOOK_CREATE_RUNTIME] = "createRuntime",
    [OCI_HOOK_CREATE_CONTAINER] = "createContainer",
    [OCI_HOOK_START_CONTAINER] = "startContainer",
    [OCI_HOOK_POSTSTART] = "poststart",
    [OCI_HOOK_POSTSTOP] = "poststop",
};

static const struct json_field id_map_fields[] = {
    {.name = "containerID",
     .kind = JSON_NUMBER,
     .required = true,
     .width = 4,
     .most = UINT32_MAX,
     .offset = offsetof(struct oci_id_map, container)},
    {.name = "hostID",
     .kind = JSON_NUMBER,
     .required = true,
     .width = 4,
     .most = UINT32_MAX,
     .offset = offsetof(struct oci_id_map, host)},
    {.name = "size",
     .kind = JSON_NUMBER,
     .required = true,
     .width = 4,
     .most = UINT32_MAX,
     .offset = offsetof(struct oci_id_map, size)},
    {0},
};

static const struct json_field mount_fields[] = {
    {.name = "destination",
     .kind = JSON_TEXT,
     .required = true,
     .offset = offsetof(struct oci_mount, destination)},
    JSON_BIND_TEXT(struct oci_mount, "type", type),
    JSON_BIND_TEXT(struct oci_mount, "source", source),
    {.name = "options",
     .kind = JSON_TEXTS,
     .offset = offsetof(struct oci_mount, options),
     .count = offsetof(struct oci_mount, option_count)},
    JSON_BIND_STRUCTS(struct oci_mount, "uidMappings", uid_maps, id_map_fields),
    JSON_BIND_STRUCTS(struct oci_mount, "gidMappings", gid_maps, id_map_fields),
    {0},
};

static const struct json_field user_fields[] = {
    JSON_BIND_NUMBER(struct oci_user, "uid", uid, 0, UINT32_MAX - 1),
    JSON_BIND_NUMBER(struct oci_user, "gid", gid, 0, UINT32_MAX - 1),
    {.name = "umask",
     .kind = JSON_NUMBER,
     .width = 4,
     .most = 0777,
     .offset = offsetof(struct oci_user, umask),
     .has_present = true,
     .present = offsetof(struct oci_user, has_umask)},
    JSON_BIND_RAW(struct oci_user, "additionalGids", additional_gids_json),
    {0},
};

static const struct json_field rlimit_fields[] = {
    {.name = "type", .kind = JSON_TEXT, .required = true, .offset = offsetof(struct oci_rlimit, type)},
    {.name = "soft",
     .kind = JSON_NUMBER,
     .required = true,
     .width = 8,
     .least = -1,
     .most = UINT64_MAX,
     .offset = offsetof(struct oci_rlimit, soft)},
    {.name = "hard",
     .kind = JSON_NUMBER,
     .required = true,
     .width = 8,
     .least = -1,
     .most = UINT64_MAX,
     .offset = offsetof(struct oci_rlimit, hard)},
    {0},
};

#define CAPABILITY_SET(name_, set)                                                                           \
    {                                                                                                        \
        .name = name_, .kind = JSON_TEXTS, .offset = offsetof(struct oci_capabilities, names[set]),          \
        .count = offsetof(struct oci_capabilities, names_count[set])                                         \
    }
static const struct json_field capability_fields[] = {
    CAPABILITY_SET("bounding", OCI_CAPABILITY_BOUNDING),
    CAPABILITY_SET("effective", OCI_CAPABILITY_EFFECTIVE),
    CAPABILITY_SET("inheritable", OCI_CAPABILITY_INHERITABLE),
    CAPABILITY_SET("permitted", OCI_CAPABILITY_PERMITTED),
    CAPABILITY_SET("ambient", OCI_CAPABILITY_AMBIENT),
    {0},
};

static const struct json_field scheduler_fields[] = {
    {.name = "policy", .kind = JSON_TEXT, .required = true, .offset = offsetof(struct oci_scheduler, policy)},
    JSON_BIND_NUMBER(struct oci_scheduler, "nice", nice, -20, 19),
    JSON_BIND_NUMBER(struct oci_scheduler, "priority", priority, 0, 99),
    JSON_BIND_TEXTS(struct oci_scheduler, "flags", flags),
    JSON_BIND_NUMBER(struct oci_scheduler, "runtime", runtime, 0, UINT64_MAX),
    JSON_BIND_NUMBER(struct oci_scheduler, "deadline", deadline, 0, UINT64_MAX),
    JSON_BIND_NUMBER(struct oci_scheduler, "period", period, 0, UINT64_MAX),
    {0},
};

static const struct json_field console_size_fields[] = {
    JSON_BIND_NUMBER(struct oci_process, "height", console_size.height, 0, UINT16_MAX),
    JSON_BIND_NUMBER(struct oci_process, "width", console_size.width, 0, UINT16_MAX),
    {0},
};

static const struct json_field io_priority_fields[] = {
    {.name = "class",
     .kind = JSON_TEXT,
     .required = true,
     .offset = offsetof(struct oci_process, io_priority.class)},
    JSON_BIND_NUMBER(struct oci_process, "priority", io_priority.priority, 0, 7),
    {0},
};

static const struct json_field affinity_fields[] = {
    JSON_BIND_TEXT(struct oci_process, "initial", exec_cpu_affinity.initial),
    JSON_BIND_TEXT(struct oci_process, "final", exec_cpu_affinity.final),
    {0},
};

static const struct json_field process_fields[] = {
    JSON_BIND_FLAG(struct oci_process, "terminal", terminal),
    {.name = "consoleSize",
     .kind = JSON_STRUCT,
     .fields = console_size_fields,
     .has_present = true,
     .present = offsetof(struct oci_process, has_console_size)},
    JSON_BIND_STRUCT(struct oci_process, "user", user, user_fields),
    JSON_BIND_TEXTS(struct oci_process, "args", args),
    JSON_BIND_TEXTS(struct oci_process, "env", environment),
    {.name = "cwd", .kind = JSON_TEXT, .required = true, .offset = offsetof(struct oci_process, cwd)},
    JSON_BIND_STRUCTS(struct oci_process, "rlimits", rlimits, rlimit_fields),
    {.name = "capabilities",
     .kind = JSON_STRUCT,
     .offset = offsetof(struct oci_process, capabilities),
     .fields = capability_fields,
     .has_present = true,
     .present = offsetof(struct oci_process, has_capabilities)},
    JSON_BIND_FLAG(struct oci_process, "noNewPrivileges", no_new_privileges),
    {.name = "oomScoreAdj",
     .kind = JSON_NUMBER,
     .width = 4,
     .least = -1000,
     .most = 1000,
     .offset = offsetof(struct oci_process, oom_score_adj),
     .has_present = true,
     .present = offsetof(struct oci_process, has_oom_score_adj)},
    JSON_BIND_TEXT(struct oci_process, "apparmorProfile", apparmor_profile),
    JSON_BIND_TEXT(struct oci_process, "selinuxLabel", selinux_label),
    {.name = "scheduler",
     .kind = JSON_STRUCT,
     .offset = offsetof(struct oci_process, scheduler),
     .fields = scheduler_fields,
     .has_present = true,
     .present = offsetof(struct oci_process, has_scheduler)},
    {.name = "ioPriority",
     .kind = JSON_STRUCT,
     .fields = io_priority_fields,
     .has_present = true,
     .present = offsetof(struct oci_process, has_io_priority)},
    {.name = "execCPUAffinity", .kind = JSON_STRUCT, .fields = affinity_fields},
    {0},
};

static const struct json_field root_fields[] = {
    {.name = "path", .kind = JSON_TEXT, .required = true, .offset = offsetof(struct oci_config, root.path)},
    JSON_BIND_FLAG(struct oci_config, "readonly", root.readonly),
    {0},
};

static const struct json_field hook_fields[] = {
    {.name = "path", .kind = JSON_TEXT, .required = true, .offset = offsetof(struct oci_hook, path)},
    JSON_BIND_TEXTS(struct oci_hook, "args", args),
    JSON_BIND_TEXTS(struct oci_hook, "env", environment),
    {.name = "timeout",
     .kind = JSON_NUMBER,
     .width = 4,
     .least = 1,
     .most = INT32_MAX / 1000,
     .offset = offsetof(struct oci_hook, timeout),
     .has_present = true,
     .present = offsetof(struct oci_hook, has_timeout)},
    {0},
};

#define HOOKS(name_, kind_)                                                                                  \
    {                                                                                                        \
        .name = name_, .kind = JSON_STRUCTS, .offset = offsetof(struct oci_config, hooks[kind_].hooks),      \
        .width = sizeof(struct oci_hook), .count = offsetof(struct oci_config, hooks[kind_].hooks_count),    \
        .fields = hook_fields                                                                                \
    }
static const struct json_field hooks_fields[] = {
    HOOKS("prestart", OCI_HOOK_PRESTART),
    HOOKS("createRuntime", OCI_HOOK_CREATE_RUNTIME),
    HOOKS("createContainer", OCI_HOOK_CREATE_CONTAINER),
    HOOKS("startContainer", OCI_HOOK_START_CONTAINER),
    HOOKS("poststart", OCI_HOOK_POSTSTART),
    HOOKS("poststop", OCI_HOOK_POSTSTOP),
    {0},
};

static const struct json_field namespace_fields[] = {
    {.name = "type", .kind = JSON_TEXT, .required = true, .offset = offsetof(struct oci_namespace, type)},
    JSON_BIND_TEXT(struct oci_namespace, "path", path),
    {0},
};

static const struct json_field device_fields[] = {
    {.name = "type", .kind = JSON_TEXT, .required = true, .offset = offsetof(struct oci_device, type)},
    {.name = "path", .kind = JSON_TEXT, .required = true, .offset = offsetof(struct oci_device, path)},
    {.name = "major",
     .kind = JSON_NUMBER,
     .width = 8,
     .most = 0xfff,
     .offset = offsetof(struct oci_device, major),
     .has_present = true,
     .present = offsetof(struct oci_device, has_major)},
    {.name = "minor",
     .kind = JSON_NUMBER,
     .width = 8,
     .most = 0xfffff,
     .offset = offsetof(struct oci_device, minor),
     .has_present = true,
     .present = offsetof(struct oci_device, has_minor)},
    {.name = "fileMode",
     .kind = JSON_NUMBER,
     .width = 4,
     .most = UINT32_MAX,
     .offset = offsetof(struct oci_device, mode),
     .has_present = true,
     .present = offsetof(struct oci_device, has_mode)},
    JSON_BIND_NUMBER(struct oci_device, "uid", uid, 0, UINT32_MAX - 1),
    JSON_BIND_NUMBER(struct oci_device, "gid", gid, 0, UINT32_MAX - 1),
    {0},
};

static const struct json_field time_offset_fields[] = {
    JSON_BIND_NUMBER(struct oci_time_offset, "secs", seconds, INT64_MIN, INT64_MAX),
    JSON_BIND_NUMBER(struct oci_time_offset, "nanosecs", nanoseconds, 0, 999999999),
    {0},
};

static const struct json_field time_offsets_fields[] = {
    {.name = "monotonic",
     .kind = JSON_STRUCT,
     .offset = offsetof(struct oci_linux, monotonic),
     .fields = time_offset_fields,
     .has_present = true,
     .present = offsetof(struct oci_linux, has_monotonic)},
    {.name = "boottime",
     .kind = JSON_STRUCT,
     .offset = offsetof(struct oci_linux, boottime),
     .fields = time_offset_fields,
     .has_present = true,
     .present = offsetof(struct oci_linux, has_boottime)},
    {0},
};

static const struct json_field personality_fields[] = {
    {.name = "domain",
     .kind = JSON_TEXT,
     .required = true,
     .offset = offsetof(struct oci_linux, personality.domain)},
    JSON_BIND_TEXTS(struct oci_linux, "flags", personality.flags),
    {0},
};

static const struct json_field memory_policy_fields[] = {
    {.name = "mode",
     .kind = JSON_TEXT,
     .required = true,
     .offset = offsetof(struct oci_linux, memory_policy.mode)},
    JSON_BIND_TEXT(struct oci_linux, "nodes", memory_policy.nodes),
    JSON_BIND_TEXTS(struct oci_linux, "flags", memory_policy.flags),
    {0},
};

static const struct json_field rdt_fields[] = {
    JSON_BIND_TEXT(struct oci_rdt, "closID", class),
    JSON_BIND_TEXT(struct oci_rdt, "l3CacheSchema", l3),
    JSON_BIND_TEXT(struct oci_rdt, "memBwSchema", bandwidth),
    JSON_BIND_TEXTS(struct oci_rdt, "schemata", schemata),
    JSON_BIND_FLAG(struct oci_rdt, "enableMonitoring", monitoring),
    JSON_BIND_FLAG(struct oci_rdt, "enableCMT", cache_monitoring),
    JSON_BIND_FLAG(struct oci_rdt, "enableMBM", bandwidth_monitoring),
    {0},
};

static const struct json_field linux_fields[] = {
    JSON_BIND_STRUCTS(struct oci_linux, "namespaces", namespaces, namespace_fields),
    JSON_BIND_STRUCTS(struct oci_linux, "uidMappings", uid_maps, id_map_fields),
    JSON_BIND_STRUCTS(struct oci_linux, "gidMappings", gid_maps, id_map_fields),
    {.name = "timeOffsets", .kind = JSON_STRUCT, .fields = time_offsets_fields},
    JSON_BIND_STRUCTS(struct oci_linux, "devices", devices, device_fields),
    JSON_BIND_MAP(struct oci_linux, "sysctl", sysctls),
    JSON_BIND_TEXT(struct oci_linux, "cgroupsPath", cgroups_path),
    JSON_BIND_RAW(struct oci_linux, "resources", resources),
    JSON_BIND_TEXT(struct oci_linux, "rootfsPropagation", rootfs_propagation),
    JSON_BIND_RAW(struct oci_linux, "seccomp", seccomp),
    JSON_BIND_TEXTS(struct oci_linux, "maskedPaths", masked_paths),
    JSON_BIND_TEXTS(struct oci_linux, "readonlyPaths", readonly_paths),
    JSON_BIND_TEXT(struct oci_linux, "mountLabel", mount_label),
    {.name = "intelRdt",
     .kind = JSON_STRUCT,
     .offset = offsetof(struct oci_linux, rdt),
     .fields = rdt_fields,
     .has_present = true,
     .present = offsetof(struct oci_linux, has_rdt)},
    JSON_BIND_RAW(struct oci_linux, "netDevices", net_devices_json),
    {.name = "memoryPolicy",
     .kind = JSON_STRUCT,
     .fields = memory_policy_fields,
     .has_present = true,
     .present = offsetof(struct oci_linux, has_memory_policy)},
    {.name = "personality", .kind = JSON_STRUCT, .fields = personality_fields},
    {0},
};

static const struct json_field config_fields[] = {
    {.name = "ociVersion",
     .kind = JSON_TEXT,
     .required = true,
     .offset = offsetof(struct oci_config, version)},
    {.name = "root",
     .kind = JSON_STRUCT,
     .fields = root_fields,
     .has_present = true,
     .present = offsetof(struct oci_config, has_root)},
    JSON_BIND_STRUCTS(struct oci_config, "mounts", mounts, mount_fields),
    {.name = "process",
     .kind = JSON_STRUCT,
     .offset = offsetof(struct oci_config, process),
     .fields = process_fields,
     .has_present = true,
     .present = offsetof(struct oci_config, has_process)},
    JSON_BIND_TEXT(struct oci_config, "hostname", hostname),
    JSON_BIND_TEXT(struct oci_config, "domainname", domainname),
    {.name = "hooks", .kind = JSON_STRUCT, .fields = hooks_fields},
    JSON_BIND_MAP(struct oci_config, "annotations", annotations),
    {.name = "linux",
     .kind = JSON_STRUCT,
     .offset = offsetof(struct oci_config, platform),
     .fields = linux_fields,
     .has_present = true,
     .present = offsetof(struct oci_config, has_linux)},
    JSON_BIND_RAW(struct oci_config, "windows", windows),
    JSON_BIND_RAW(struct oci_config, "solaris", solaris),
    JSON_BIND_RAW(struct oci_config, "vm", vm),
    JSON_BIND_RAW(struct oci_config, "zos", zos),
    {0},
};

/* The document is there, or the reason why not. */
static int take_config(struct oci_config **out, struct oci_config *config, int code, struct error *error)
{
    if (code == 0)
        code = json_bind(&config->binding, config->binding.document, config_fields, config, error);
    if (code == 0)
        code = oci_check_config(config, error);
    if (code < 0)
        oci_config_free(config);
    else
        *out = config;
    return code;
}

int oci_config_parse(struct oci_config **out, const char *text, size_t size, struct error *error)
{
    struct oci_config *config = calloc(1, sizeof *config);
    if (!config)
        return error_set(error, -ENOMEM, "cannot read the configuration: out of memory");
    return take_config(out, config, json_binding_parse(&config->binding, text, size, error), error);
}

int oci_config_read(struct oci_config **out, int directory, const char *name, struct error *error)
{
    struct oci_config *config = calloc(1, sizeof *config);
    if (!config)
        return error_set(error, -ENOMEM, "cannot read the configuration: out of memory");
    return take_config(out, config, json_binding_read(&config->binding, directory, name, error), error);
}

void oci_config_free(struct oci_config *config)
{
    if (!config)
        return;
    json_binding_free(&config->binding);
    free(config);
}

static int take_process(struct oci_process_file **out, struct oci_process_file *file, int code,
                        struct error *error)
{
    if (code == 0)
        code = json_bind(&file->binding, file->binding.document, process_fields, &file->process, error);
    if (code == 0)
        code = oci_check_process(&file->binding, &file->process, error);
    if (code < 0)
        oci_process_free(file);
    else
        *out = file;
    return code;
}

int oci_process_parse(struct oci_process_file **out, const char *text, size_t size, struct error *error)
{
    struct oci_process_file *file = calloc(1, sizeof *file);
    if (!file)
        return error_set(error, -ENOMEM, "cannot read the process: out of memory");
    return take_process(out, file, json_binding_parse(&file->binding, text, size, error), error);
}

int oci_process_read(struct oci_process_file **out, const char *path, struct error *error)
{
    struct oci_process_file *file = calloc(1, sizeof *file);
    if (!file)
        return error_set(error, -ENOMEM, "cannot read the process: out of memory");
    int code = take_process(out, file, json_binding_read(&file->binding, AT_FDCWD, path, error), error);
    if (code < 0)
        error_prefix(error, "%s: ", path);
    return code;
}

void oci_process_free(struct oci_process_file *file)
{
    if (!file)
        return;
    json_binding_free(&file->binding);
    free(file);
}

const struct oci_namespace *oci_config_namespace(const struct oci_config *config, uint64_t flag)
{
    for (unsigned i = 0; i < config->platform.namespaces_count; i++) {
        if (config->platform.namespaces[i].flag == flag)
            return &config->platform.namespaces[i];
    }
    return NULL;
}
