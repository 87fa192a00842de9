/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_cgroup: texts that name cgroups. The first byte says what the rest is: a list of mounts, a process'
 * own cgroups, linux.cgroupsPath in either form, devices.list, or linux.resources, of which a plan is made. A
 * path that is taken stays below the root, and names nothing but directories.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "personality/container/cgroup_private.h"
#include "personality/container/seccomp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_mounts(const char *text, size_t size)
{
    struct cgroup_mounts mounts;
    if (cgroup_mounts_parse(&mounts, text, size, NULL) < 0)
        return;
    for (size_t i = 0; i < mounts.count; i++) {
        if (mounts.items[i].version == 1 && !*mounts.items[i].names)
            abort();
        free(cgroup_own_path(text, &mounts.items[i]));
    }
    cgroup_mounts_free(&mounts);
}

static void try_path(const char *text)
{
    char *path;
    if (cgroup_path_resolve(text, "/base", &path, NULL) < 0)
        return;
    if (path[0] != '/' || !path[1] || strstr(path, "//") || strstr(path, "/../") || strstr(path, "/./") ||
        strchr(path, '\n'))
        abort();
    free(path);
}

static void try_scope(const char *text)
{
    char *slice, *scope;
    if (cgroup_path_systemd(text, "id", false, &slice, &scope, NULL) < 0)
        return;
    if (strchr(slice, '/') || strchr(scope, '/'))
        abort();
    free(slice);
    free(scope);
}

static void try_resources(const char *text, size_t size)
{
    struct resources resources;
    struct cgroup_plan plan;
    struct cgroup_device_list list;
    json_t *document = json_loadb(text, size, JSON_DECODE_ANY, NULL);
    if (document && resources_parse(&resources, document, "linux.resources", NULL) == 0) {
        for (unsigned version = 1; version <= 2; version++)
            if (cgroup_plan_make(&plan, &resources, version == 1 ? ~0u : 0, version == 2 ? ~0u : 0,
                                 version == 2, NULL) == 0)
                cgroup_plan_free(&plan);
        if (cgroup_device_list_make(&list, resources.devices, resources.device_count, NULL) == 0)
            cgroup_device_list_free(&list);
        resources_free(&resources);
    }
    json_decref(document);
}

static void try_filter(const char *text, size_t size)
{
    struct seccomp_profile profile;
    json_t *document = json_loadb(text, size, JSON_DECODE_ANY, NULL);
    if (document && seccomp_profile_parse(&profile, document, "linux.seccomp", NULL) == 0) {
        for (size_t i = 0; i < profile.rule_count; i++)
            if (profile.rules[i].name_count == 0)
                abort();
        seccomp_profile_free(&profile);
    }
    json_decref(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cgroup_device_list list;
    char *text = malloc(size + 1); /* of its exact size, for the sanitizer */
    if (!text || size == 0) {
        free(text);
        return 0;
    }
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0]) {
    case 'm': try_mounts(text, size - 1); break;
    case 'p': try_path(text); break;
    case 's': try_scope(text); break;
    case 'r': try_resources(text, size - 1); break;
    case 'f': try_filter(text, size - 1); break;
    case 'd':
        if (cgroup_device_list_parse(&list, text, NULL) == 0)
            cgroup_device_list_free(&list);
    }
    free(text);
    return 0;
}
