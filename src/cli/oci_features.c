/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oci features: what this runtime knows of the specification (features.md, features-linux.md). */
#include <jansson.h>
#include <stdio.h>

#include "cli/oci.h"
#include "personality/container/mount_option.h"
#include "personality/container/oci_config.h"
#include "personality/container/oci_names.h"

static json_t *names(const struct oci_name *table)
{
    json_t *array = json_array();
    for (; table->name; table++)
        json_array_append_new(array, json_string(table->name));
    return array;
}

static int run_features(void *state, int count, char **words)
{
    (void)state;
    (void)words;
    if (!oci_check_words(&oci_features, count, 0, 0))
        return STATUS_USAGE;
    json_t *hooks = json_array(), *mount_options = json_array();
    for (unsigned i = 0; i < OCI_HOOK_KINDS; i++)
        json_array_append_new(hooks, json_string(oci_hook_names[i]));
    for (unsigned i = 0; mount_option_name(i); i++)
        json_array_append_new(mount_options, json_string(mount_option_name(i)));
    json_t *platform = json_pack(
        "{s:o, s:o, s:{s:b, s:b, s:b, s:b, s:b}, s:{s:b}, s:{s:b}, s:{s:b}, s:{s:b, s:b, s:b}, s:{s:b}, s:{s:{s:b}}}",
        "namespaces", names(oci_namespace_names), "capabilities", names(oci_capability_names), "cgroup", "v1",
        1, "v2", 1, "systemd", 1, "systemdUser", 1, "rdma", 1, "seccomp", "enabled", 1, "apparmor", "enabled",
        1, "selinux", "enabled", 1, "intelRdt", "enabled", 1, "schemata", 1, "monitoring", 1, "netDevices",
        "enabled", 1, "mountExtensions", "idmap", "enabled", 1);
    json_t *document = json_pack("{s:s, s:s, s:o, s:o, s:o, s:{s:s}}", "ociVersionMin", OCI_VERSION_MIN,
                                 "ociVersionMax", OCI_VERSION, "hooks", hooks, "mountOptions", mount_options,
                                 "linux", platform, "annotations", "org.visor.version", VISOR_VERSION);
    json_dumpf(document, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(document);
    return STATUS_OK;
}

static const struct command_option options[] = {{0}};

const struct command oci_features = {
    .name = "oci features",
    .arguments = "",
    .summary = "Prints what of the specification this runtime knows, as JSON",
    .options = options,
    .run = run_features,
};
