/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * oci_config: config.json of a bundle (OCI runtime specification 1.x, config.md and config-linux.md) as C
 * structs.
 *
 * What is wrong with a configuration in itself is found here, before anything is made: missing and mistyped
 * properties, names that are none, duplicates, what contradicts itself. An error begins with the property:
 * "process.args: missing". Unknown properties are ignored, as the specification demands; unknown values are
 * errors. What the host cannot do is found where it is tried.
 *
 * All text is that of the JSON document, which the configuration holds.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_OCI_CONFIG_H
#define VISOR_PERSONALITY_CONTAINER_OCI_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "personality/container/json_bind.h"
#include "personality/container/mount_option.h"
#include "personality/container/number_list.h"

#define OCI_VERSION     "1.3.0" /* of the specification that is served */
#define OCI_VERSION_MIN "1.0.0"

struct oci_id_map {
    uint32_t container, host, size;
};

struct oci_mount {
    const char *destination;
    const char *type, *source; /* NULL: not given */
    const char **options;
    unsigned option_count;
    struct oci_id_map *uid_maps, *gid_maps;
    unsigned uid_maps_count, gid_maps_count;
    struct mount_options parsed; /* of `options` */
};

struct oci_user {
    uint32_t uid, gid;
    uint32_t umask;
    bool has_umask;
    const json_t *additional_gids_json;
    gid_t *additional_gids;
    unsigned additional_gids_count;
};

struct oci_rlimit {
    const char *type;
    uint64_t soft, hard;
    int resource; /* RLIMIT_*, of `type` */
};

enum {
    OCI_CAPABILITY_BOUNDING,
    OCI_CAPABILITY_EFFECTIVE,
    OCI_CAPABILITY_INHERITABLE,
    OCI_CAPABILITY_PERMITTED,
    OCI_CAPABILITY_AMBIENT,
    OCI_CAPABILITY_SETS
};

struct oci_capabilities {
    const char **names[OCI_CAPABILITY_SETS];
    unsigned names_count[OCI_CAPABILITY_SETS];
    uint64_t sets[OCI_CAPABILITY_SETS]; /* bit CAP_x */
    const char *unknown;                /* the first name that is none, which is worth a warning; or NULL */
};

struct oci_scheduler {
    const char *policy;
    int32_t nice, priority;
    const char **flags;
    unsigned flags_count;
    uint64_t runtime, deadline, period; /* nanoseconds */
    uint32_t policy_number;
    uint64_t flag_bits;
};

struct oci_process {
    bool terminal;
    struct {
        uint32_t height, width;
    } console_size;
    bool has_console_size;
    struct oci_user user;
    const char **args, **environment; /* end with NULL */
    unsigned args_count, environment_count;
    const char *cwd;
    struct oci_rlimit *rlimits;
    unsigned rlimits_count;
    struct oci_capabilities capabilities;
    bool has_capabilities;
    bool no_new_privileges;
    int32_t oom_score_adj;
    bool has_oom_score_adj;
    const char *apparmor_profile, *selinux_label; /* NULL: none */
    struct oci_scheduler scheduler;
    bool has_scheduler;
    struct {
        const char *class;
        int32_t priority;
        int class_number;
    } io_priority;
    bool has_io_priority;
    struct {
        const char *initial, *final; /* NULL: not given; else the lists are there */
        struct number_list initial_list, final_list;
    } exec_cpu_affinity;
};

struct oci_hook {
    const char *path;
    const char **args, **environment;
    unsigned args_count, environment_count;
    uint32_t timeout; /* seconds; 0: none */
    bool has_timeout;
};

enum oci_hook_kind {
    OCI_HOOK_PRESTART,
    OCI_HOOK_CREATE_RUNTIME,
    OCI_HOOK_CREATE_CONTAINER,
    OCI_HOOK_START_CONTAINER,
    OCI_HOOK_POSTSTART,
    OCI_HOOK_POSTSTOP,
    OCI_HOOK_KINDS
};

struct oci_hooks {
    struct oci_hook *hooks;
    unsigned hooks_count;
};

struct oci_namespace {
    const char *type;
    const char *path; /* NULL: a new one */
    uint64_t flag;    /* CLONE_NEW*, of `type` */
};

struct oci_device {
    const char *type, *path;
    int64_t major, minor;
    bool has_major, has_minor;
    uint32_t mode, uid, gid;
    bool has_mode;
};

/* linux.intelRdt (config-linux.md, "IntelRdt"). */
struct oci_rdt {
    const char *class; /* closID; NULL: one of its own */
    const char *l3, *bandwidth, **schemata;
    unsigned schemata_count;
    /* enableCMT and enableMBM are version 1.1's, and ask for the same. */
    bool monitoring, cache_monitoring, bandwidth_monitoring;
};

/* linux.netDevices (config-linux.md, "Network Devices"). */
struct oci_net_device {
    const char *name, *new_name; /* the latter may end with "%d" */
};

struct oci_time_offset {
    int64_t seconds;
    uint32_t nanoseconds;
};

struct oci_linux {
    struct oci_namespace *namespaces;
    unsigned namespaces_count;
    struct oci_id_map *uid_maps, *gid_maps;
    unsigned uid_maps_count, gid_maps_count;
    struct oci_time_offset monotonic, boottime;
    bool has_monotonic, has_boottime;
    struct oci_device *devices;
    unsigned devices_count;
    struct json_pair *sysctls;
    unsigned sysctls_count;
    const char *cgroups_path;
    const char *rootfs_propagation;
    const char **masked_paths, **readonly_paths;
    unsigned masked_paths_count, readonly_paths_count;
    const char *mount_label;
    struct {
        const char *domain;
        const char **flags;
        unsigned flags_count;
    } personality;
    struct {
        const char *mode, *nodes;
        const char **flags;
        unsigned flags_count;
        int number; /* for set_mempolicy(2): of `mode` and `flags` */
        struct number_list list;
    } memory_policy;
    bool has_memory_policy;
    struct oci_rdt rdt;
    bool has_rdt;
    struct oci_net_device *net_devices;
    unsigned net_devices_count;
    const json_t *resources, *seccomp, *net_devices_json; /* NULL: not given */
    uint64_t new_namespaces;                              /* CLONE_NEW* of those without a path */
    uint64_t joined_namespaces;                           /* and of those with one */
    uint64_t propagation;                                 /* of rootfs_propagation: MS_* */
};

struct oci_config {
    struct json_binding binding;
    const char *version;
    struct {
        const char *path;
        bool readonly;
    } root;
    bool has_root, has_process, has_linux;
    struct oci_process process;
    struct oci_mount *mounts;
    unsigned mounts_count;
    const char *hostname, *domainname;
    struct oci_hooks hooks[OCI_HOOK_KINDS];
    struct json_pair *annotations;
    unsigned annotations_count;
    struct oci_linux platform;                  /* the section "linux", which gnu17 has as a macro */
    const json_t *windows, *solaris, *vm, *zos; /* sections of other platforms */
};

/* Reads config.json's text; what it cannot be run with is -EINVAL. */
int oci_config_parse(struct oci_config **out, const char *text, size_t size, struct error *error);
/* The same of the file `name` in the directory `directory`. */
int oci_config_read(struct oci_config **out, int directory, const char *name, struct error *error);
void oci_config_free(struct oci_config *config); /* may be NULL */

/* process.json of `exec --process`: the specification's object `process`. */
struct oci_process_file {
    struct json_binding binding;
    struct oci_process process;
};
int oci_process_parse(struct oci_process_file **out, const char *text, size_t size, struct error *error);
int oci_process_read(struct oci_process_file **out, const char *path, struct error *error);
void oci_process_free(struct oci_process_file *file); /* may be NULL */

/* The configuration's namespace of this kind (CLONE_NEW*), or NULL: the container shares the host's. */
const struct oci_namespace *oci_config_namespace(const struct oci_config *config, uint64_t flag);

/* The names that the specification has, as `features` lists them. */
extern const char *const oci_hook_names[OCI_HOOK_KINDS];

#endif
