/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/oci_check.h"

#include <ctype.h>
#include <errno.h>
#include <linux/sched.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "base/macros.h"
#include "personality/container/oci_names.h"

static int refuse(struct error *error, const char *path, const char *message)
{
    return error_set(error, -EINVAL, "%s: %s", path, message);
}

static int refuse_name(struct error *error, const char *path, const char *name, const char *what)
{
    return error_set(error, -EINVAL, "%s: there is no %s \"%s\"", path, what, name);
}

/* "1.0.2-dev" is of 1.x; a later minor version only adds what may be ignored. */
static int check_version(const struct oci_config *config, struct error *error)
{
    char *end;
    unsigned long major = strtoul(config->version, &end, 10);
    if (end == config->version || *end != '.')
        return error_set(error, -EINVAL, "ociVersion: \"%s\" is not a version, such as \"1.0.2\"",
                         config->version);
    if (major != 1)
        return error_set(error, -EINVAL, "ociVersion: %s is not served; %s to %s are", config->version,
                         OCI_VERSION_MIN, OCI_VERSION);
    return 0;
}

static int check_platform(const struct oci_config *config, struct error *error)
{
    const struct {
        const char *name;
        const json_t *section;
    } others[] = {
        {"windows", config->windows}, {"solaris", config->solaris}, {"vm", config->vm}, {"zos", config->zos}};

    for (unsigned i = 0; i < ARRAY_SIZE(others) && !config->has_linux; i++) {
        if (others[i].section)
            return error_set(error, -EINVAL, "%s: a container of this platform cannot run on Linux",
                             others[i].name);
    }
    return 0;
}

static int check_rlimits(struct oci_process *process, struct error *error)
{
    for (unsigned i = 0; i < process->rlimits_count; i++) {
        struct oci_rlimit *limit = &process->rlimits[i];
        char path[64];
        uint64_t value;
        snprintf(path, sizeof path, "process.rlimits[%u].type", i);
        if (!oci_name_find(oci_rlimit_names, limit->type, &value))
            return refuse_name(error, path, limit->type, "resource");
        limit->resource = (int)value;
        for (unsigned j = 0; j < i; j++) {
            if (process->rlimits[j].resource == limit->resource)
                return error_set(error, -EINVAL, "%s: %s is there twice", path, limit->type);
        }
        if (limit->soft > limit->hard)
            return error_set(error, -EINVAL,
                             "process.rlimits[%u]: the soft limit of %s is above the hard one", i,
                             limit->type);
    }
    return 0;
}

/* Names that are none are worth a warning only, says the specification. */
static void find_capabilities(struct oci_capabilities *capabilities)
{
    for (unsigned set = 0; set < OCI_CAPABILITY_SETS; set++) {
        for (unsigned i = 0; i < capabilities->names_count[set]; i++) {
            uint64_t number;
            if (oci_name_find(oci_capability_names, capabilities->names[set][i], &number))
                capabilities->sets[set] |= UINT64_C(1) << number;
            else if (!capabilities->unknown)
                capabilities->unknown = capabilities->names[set][i];
        }
    }
}

static int check_scheduler(struct oci_process *process, struct error *error)
{
    struct oci_scheduler *scheduler = &process->scheduler;
    uint64_t value;
    if (process->has_scheduler) {
        if (!oci_name_find(oci_scheduler_names, scheduler->policy, &value))
            return refuse_name(error, "process.scheduler.policy", scheduler->policy, "policy");
        scheduler->policy_number = (uint32_t)value;
        for (unsigned i = 0; i < scheduler->flags_count; i++) {
            if (!oci_name_find(oci_scheduler_flags, scheduler->flags[i], &value))
                return refuse_name(error, "process.scheduler.flags", scheduler->flags[i], "flag");
            scheduler->flag_bits |= value;
        }
    }
    if (process->has_io_priority) {
        if (!oci_name_find(oci_io_class_names, process->io_priority.class, &value))
            return refuse_name(error, "process.ioPriority.class", process->io_priority.class, "class");
        process->io_priority.class_number = (int)value;
    }
    return 0;
}

static int check_list(const char *property, const char *text, struct number_list *list, struct error *error)
{
    if (!text || !text[0] || number_list_parse(list, text))
        return 0;
    return error_set(error, -EINVAL, "%s: \"%.80s\" is not a list as \"0-3,7\"", property, text);
}

static int check_affinity(struct oci_process *process, struct error *error)
{
    int code = check_list("process.execCPUAffinity.initial", process->exec_cpu_affinity.initial,
                          &process->exec_cpu_affinity.initial_list, error);
    return code < 0 ? code
                    : check_list("process.execCPUAffinity.final", process->exec_cpu_affinity.final,
                                 &process->exec_cpu_affinity.final_list, error);
}

static int check_groups(struct json_binding *binding, struct oci_user *user, struct error *error)
{
    if (!user->additional_gids_json)
        return 0;
    if (!json_is_array(user->additional_gids_json))
        return refuse(error, "process.user.additionalGids", "an array is wanted");
    size_t count = json_array_size(user->additional_gids_json);
    user->additional_gids = json_bind_allocate(binding, count, sizeof *user->additional_gids);
    if (!user->additional_gids)
        return error_set(error, -ENOMEM, "cannot read the configuration: out of memory");
    for (size_t i = 0; i < count; i++) {
        const json_t *gid = json_array_get(user->additional_gids_json, i);
        if (!json_is_integer(gid) || json_integer_value(gid) < 0 || json_integer_value(gid) >= UINT32_MAX)
            return error_set(error, -EINVAL, "process.user.additionalGids[%zu]: not the number of a group",
                             i);
        user->additional_gids[i] = (gid_t)json_integer_value(gid);
    }
    user->additional_gids_count = (unsigned)count;
    return 0;
}

int oci_check_process(struct json_binding *binding, struct oci_process *process, struct error *error)
{
    if (!process->args_count)
        return refuse(error, "process.args", process->args ? "at least one is wanted" : "missing");
    if (process->cwd[0] != '/')
        return error_set(error, -EINVAL, "process.cwd: \"%s\" is not an absolute path", process->cwd);
    find_capabilities(&process->capabilities);
    int code = check_rlimits(process, error);
    if (code == 0)
        code = check_groups(binding, &process->user, error);
    if (code == 0)
        code = check_affinity(process, error);
    return code < 0 ? code : check_scheduler(process, error);
}

static int check_namespaces(struct oci_linux *platform, struct error *error)
{
    for (unsigned i = 0; i < platform->namespaces_count; i++) {
        struct oci_namespace *namespace = &platform->namespaces[i];
        char path[64];
        snprintf(path, sizeof path, "linux.namespaces[%u]", i);
        if (!oci_name_find(oci_namespace_names, namespace->type, &namespace->flag))
            return refuse_name(error, path, namespace->type, "kind of namespace");
        if ((platform->new_namespaces | platform->joined_namespaces) & namespace->flag)
            return error_set(error, -EINVAL, "%s: %s is there twice", path, namespace->type);
        if (namespace->path && !namespace->path[0])
        namespace->path = NULL;
        if (namespace->path && namespace->path[0] != '/')
            return error_set(error, -EINVAL, "%s.path: \"%s\" is not an absolute path", path,
                             namespace->path);
        *(namespace->path ? &platform->joined_namespaces : &platform->new_namespaces) |= namespace->flag;
    }
    return 0;
}

static bool has(const struct oci_linux *platform, uint64_t namespace)
{
    return (platform->new_namespaces | platform->joined_namespaces) & namespace;
}

static int check_user_namespace(const struct oci_linux *platform, struct error *error)
{
    bool maps = platform->uid_maps_count || platform->gid_maps_count;
    if (maps && !has(platform, CLONE_NEWUSER))
        return refuse(error, "linux.uidMappings", "there is no user namespace among linux.namespaces");
    if (platform->new_namespaces & CLONE_NEWUSER && (!platform->uid_maps_count || !platform->gid_maps_count))
        return refuse(error, platform->uid_maps_count ? "linux.gidMappings" : "linux.uidMappings",
                      "missing, and a user namespace is to be made");
    if ((platform->has_monotonic || platform->has_boottime) && !(platform->new_namespaces & CLONE_NEWTIME))
        return refuse(error, "linux.timeOffsets", "there is no new time namespace among linux.namespaces");
    return 0;
}

static int check_mounts(struct oci_config *config, struct error *error)
{
    for (unsigned i = 0; i < config->mounts_count; i++) {
        struct oci_mount *mount = &config->mounts[i];
        const char **data = json_bind_allocate(&config->binding, mount->option_count, sizeof *data);
        int code = data
                       ? mount_options_parse(&mount->parsed, mount->options, mount->option_count, data, error)
                       : error_set(error, -ENOMEM, "out of memory");
        if (code < 0) {
            error_prefix(error, "mounts[%u].options: ", i);
            return code;
        }
        const char *problem = NULL;
        if (!mount->destination[0])
            problem = "destination: empty";
        else if (mount->type && strcmp(mount->type, "bind") == 0)
            mount->parsed.bind = true; /* as is customary, though the specification goes by the options */
        if (!problem && mount->parsed.bind && !mount->source)
            problem = "source: missing";
        if (!problem && !mount->parsed.bind && !mount->parsed.remount && !mount->type)
            problem = "type: missing";
        if (!problem && !mount->uid_maps_count != !mount->gid_maps_count)
            problem = "uidMappings: they come together with gidMappings";
        if (!problem && mount->uid_maps_count && !mount->parsed.bind)
            problem = "uidMappings: only for bind mounts";
        if (!problem && mount->parsed.idmap && !mount->uid_maps_count &&
            !has(&config->platform, CLONE_NEWUSER))
            problem = "options: idmap, but there are neither uidMappings nor a user namespace";
        if (problem)
            return error_set(error, -EINVAL, "mounts[%u].%s", i, problem);
    }
    return 0;
}

static int check_hooks(const struct oci_config *config, struct error *error)
{
    for (unsigned kind = 0; kind < OCI_HOOK_KINDS; kind++) {
        for (unsigned i = 0; i < config->hooks[kind].hooks_count; i++) {
            const char *path = config->hooks[kind].hooks[i].path;
            if (path[0] != '/')
                return error_set(error, -EINVAL, "hooks.%s[%u].path: \"%s\" is not an absolute path",
                                 oci_hook_names[kind], i, path);
        }
    }
    return 0;
}

static int check_devices(const struct oci_linux *platform, struct error *error)
{
    for (unsigned i = 0; i < platform->devices_count; i++) {
        const struct oci_device *device = &platform->devices[i];
        char path[64];
        snprintf(path, sizeof path, "linux.devices[%u]", i);
        if (strlen(device->type) != 1 || !strchr("cbup", device->type[0]))
            return refuse_name(error, path, device->type, "type of device");
        if (device->path[0] != '/')
            return error_set(error, -EINVAL, "%s.path: \"%s\" is not an absolute path", path, device->path);
        if (device->type[0] != 'p' && (!device->has_major || !device->has_minor))
            return error_set(error, -EINVAL, "%s.%s: missing", path, device->has_major ? "minor" : "major");
    }
    return 0;
}

static int check_paths(const char *name, const char *const *paths, unsigned count, struct error *error)
{
    for (unsigned i = 0; i < count; i++) {
        if (paths[i][0] != '/')
            return error_set(error, -EINVAL, "linux.%s[%u]: \"%s\" is not an absolute path", name, i,
                             paths[i]);
    }
    return 0;
}

/* Only what a namespace of the container's own keeps from the host may be set. */
static int check_sysctls(const struct oci_linux *platform, struct error *error)
{
    static const struct {
        const char *prefix;
        uint64_t namespace;
        const char *name;
    } rows[] = {
        {"net.", CLONE_NEWNET, "network"},          {"fs.mqueue.", CLONE_NEWIPC, "ipc"},
        {"kernel.msg", CLONE_NEWIPC, "ipc"},        {"kernel.sem", CLONE_NEWIPC, "ipc"},
        {"kernel.shm", CLONE_NEWIPC, "ipc"},        {"kernel.hostname", CLONE_NEWUTS, "uts"},
        {"kernel.domainname", CLONE_NEWUTS, "uts"}, {"user.", CLONE_NEWUSER, "user"},
    };

    for (unsigned i = 0; i < platform->sysctls_count; i++) {
        const char *name = platform->sysctls[i].name;
        unsigned row = 0;
        char dotted[128];
        size_t length = strlen(name);
        bool slashes = strchr(name, '/') && (!strchr(name, '.') || strchr(name, '/') < strchr(name, '.'));
        for (size_t j = 0; j <= length && j < sizeof dotted; j++)
            dotted[j] = slashes && name[j] == '/' ? '.' : name[j];
        while (row < ARRAY_SIZE(rows) && strncmp(dotted, rows[row].prefix, strlen(rows[row].prefix)) != 0)
            row++;
        if (length >= sizeof dotted || strstr(name, "..") || name[0] == '/')
            return error_set(error, -EINVAL, "linux.sysctl: \"%s\" is not the name of a setting", name);
        if (row == ARRAY_SIZE(rows))
            return error_set(error, -EINVAL,
                             "linux.sysctl: %s belongs to no namespace: it would change the host", name);
        if (!has(platform, rows[row].namespace))
            return error_set(error, -EINVAL,
                             "linux.sysctl: %s would change the host: there is no %s namespace among "
                             "linux.namespaces",
                             name, rows[row].name);
    }
    return 0;
}

static int check_memory_policy(struct oci_linux *platform, struct error *error)
{
    uint64_t value;
    if (!platform->has_memory_policy)
        return 0;
    if (!oci_name_find(oci_memory_policy_names, platform->memory_policy.mode, &value))
        return refuse_name(error, "linux.memoryPolicy.mode", platform->memory_policy.mode, "mode");
    platform->memory_policy.number = (int)value;
    for (unsigned i = 0; i < platform->memory_policy.flags_count; i++) {
        if (!oci_name_find(oci_memory_policy_flags, platform->memory_policy.flags[i], &value))
            return refuse_name(error, "linux.memoryPolicy.flags", platform->memory_policy.flags[i], "flag");
        platform->memory_policy.number |= (int)value;
    }
    return check_list("linux.memoryPolicy.nodes", platform->memory_policy.nodes,
                      &platform->memory_policy.list, error);
}

static int check_line(struct error *error, const char *path, const char *text)
{
    return text && (!text[0] || strchr(text, '\n')) ? refuse(error, path, "a line is wanted, without its end")
                                                    : 0;
}

static int check_rdt(const struct oci_rdt *rdt, struct error *error)
{
    char path[48];
    if (rdt->class && strcmp(rdt->class, "/") != 0 &&
        (!rdt->class[0] || strchr(rdt->class, '/') || strchr(rdt->class, '\n') || rdt->class[0] == '.'))
        return refuse(error, "linux.intelRdt.closID",
                      "it is not the name of a class of service, or \"/\" for the default one");
    int code = check_line(error, "linux.intelRdt.memBwSchema", rdt->bandwidth);
    if (code == 0 && rdt->bandwidth && strncmp(rdt->bandwidth, "MB:", 3) != 0)
        code = refuse(error, "linux.intelRdt.memBwSchema", "it does not begin with \"MB:\"");
    if (code == 0 && rdt->l3 && !rdt->l3[0])
        code = refuse(error, "linux.intelRdt.l3CacheSchema", "empty");
    for (unsigned i = 0; code == 0 && i < rdt->schemata_count; i++) {
        snprintf(path, sizeof path, "linux.intelRdt.schemata[%u]", i);
        code = check_line(error, path, rdt->schemata[i]);
    }
    return code;
}

static int check_linux(struct oci_linux *platform, struct error *error)
{
    uint64_t value;
    int code = check_namespaces(platform, error);
    if (code == 0)
        code = check_user_namespace(platform, error);
    if (code == 0)
        code = check_devices(platform, error);
    if (code == 0)
        code = check_sysctls(platform, error);
    if (code == 0)
        code = check_memory_policy(platform, error);
    if (code == 0)
        code = check_paths("maskedPaths", platform->masked_paths, platform->masked_paths_count, error);
    if (code == 0)
        code = check_paths("readonlyPaths", platform->readonly_paths, platform->readonly_paths_count, error);
    if (code < 0)
        return code;
    if (platform->rootfs_propagation && platform->rootfs_propagation[0] &&
        !oci_name_find(oci_propagation_names, platform->rootfs_propagation, &platform->propagation))
        return refuse_name(error, "linux.rootfsPropagation", platform->rootfs_propagation, "propagation");
    if (platform->personality.domain &&
        !oci_name_find(oci_personality_names, platform->personality.domain, &value))
        return refuse_name(error, "linux.personality.domain", platform->personality.domain, "domain");
    if (platform->personality.flags_count)
        return refuse(error, "linux.personality.flags", "the specification has none so far");
    return platform->has_rdt ? check_rdt(&platform->rdt, error) : 0;
}

/* As the kernel takes it. */
static bool is_device_name(const char *name, size_t size)
{
    if (!size || size >= IF_NAMESIZE || (name[0] == '.' && size < 3 && name[size - 1] == '.'))
        return false;
    for (size_t i = 0; i < size; i++)
        if (name[i] == '/' || name[i] == ':' || name[i] == '%' || isspace((unsigned char)name[i]))
            return false;
    return true;
}

static int read_net_device(struct oci_net_device *device, const char *name, const json_t *value,
                           struct error *error)
{
    const json_t *new_name;
    char path[80];
    snprintf(path, sizeof path, "linux.netDevices.%.40s", name);
    if (!json_is_object(value))
        return refuse(error, path, "an object is wanted");
    int code = json_member(value, "name", JSON_STRING, path, &new_name, error);
    if (code < 0)
        return code;
    device->name = name;
    device->new_name = new_name && json_string_value(new_name)[0] ? json_string_value(new_name) : name;
    const size_t size = strlen(device->new_name);
    const bool template = size > 2 && strcmp(device->new_name + size - 2, "%d") == 0;
    if (!is_device_name(name, strlen(name)))
        return refuse(error, path, "it is not the name of a network device");
    strcat(path, ".name");
    return is_device_name(device->new_name, template ? size - 2 : size)
               ? 0
               : refuse(error, path, "it is not the name of a network device, nor one that ends with \"%d\"");
}

static int read_net_devices(struct oci_config *config, struct error *error)
{
    struct oci_linux *platform = &config->platform;
    const json_t *object = platform->net_devices_json;
    const char *name;
    json_t *value;
    int code = 0;
    if (!object)
        return 0;
    if (!json_is_object(object))
        return refuse(error, "linux.netDevices", "an object is wanted");
    if (!json_object_size(object))
        return 0;
    if (!has(platform, CLONE_NEWNET))
        return refuse(error, "linux.netDevices", "there is no network namespace among linux.namespaces");
    platform->net_devices =
        json_bind_allocate(&config->binding, json_object_size(object), sizeof *platform->net_devices);
    if (!platform->net_devices)
        return error_set(error, -ENOMEM, "out of memory");
    json_object_foreach((json_t *)object, name, value)
    {
        if (code == 0)
            code = read_net_device(&platform->net_devices[platform->net_devices_count++], name, value, error);
    }
    return code;
}

static int check_rest(const struct oci_config *config, struct error *error)
{
    if (!config->has_root)
        return refuse(error, "root", "missing");
    if (!config->root.path[0])
        return refuse(error, "root.path", "empty");
    if (config->hostname && config->hostname[0] && !has(&config->platform, CLONE_NEWUTS))
        return refuse(error, "hostname", "there is no uts namespace among linux.namespaces");
    if (config->domainname && config->domainname[0] && !has(&config->platform, CLONE_NEWUTS))
        return refuse(error, "domainname", "there is no uts namespace among linux.namespaces");
    for (unsigned i = 0; i < config->annotations_count; i++) {
        if (!config->annotations[i].name[0])
            return refuse(error, "annotations", "a key is empty");
    }
    return 0;
}

int oci_check_config(struct oci_config *config, struct error *error)
{
    int code = check_version(config, error);
    if (code == 0)
        code = check_platform(config, error);
    if (code == 0)
        code = check_linux(&config->platform, error); /* which the others ask for namespaces */
    if (code == 0)
        code = read_net_devices(config, error);
    if (code == 0)
        code = check_rest(config, error);
    if (code == 0 && config->has_process)
        code = oci_check_process(&config->binding, &config->process, error);
    if (code == 0)
        code = check_mounts(config, error);
    return code < 0 ? code : check_hooks(config, error);
}
