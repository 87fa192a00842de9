/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cgroup: making, entering and deleting a domain's control groups. */
#include "personality/container/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "personality/container/cgroup_private.h"

#define DEFAULT_BASE "/visor" /* where relative paths and ids are, for who may write at the root */

struct cgroup_place *cgroup_place_of(struct cgroup *cgroup, enum cgroup_controller controller)
{
    struct cgroup_place *v2 = NULL;
    for (size_t i = 0; i < cgroup->mounts.count; i++) {
        struct cgroup_place *place = &cgroup->places[i];
        if (place->mount->version == 2)
            v2 = place->directory >= 0 ? place : NULL;
        else if (controller < CONTROLLERS && place->mount->controllers & CONTROLLER_BIT(controller))
            return place->directory >= 0 ? place : NULL;
    }
    bool has = controller == CONTROLLER_CORE || (v2 && v2->mount->controllers & CONTROLLER_BIT(controller));
    return has ? v2 : NULL;
}

struct cgroup_place *cgroup_place_tracking(struct cgroup *cgroup)
{
    struct cgroup_place *place = cgroup_place_of(cgroup, CONTROLLER_CORE);
    if (!place)
        place = cgroup_place_of(cgroup, CONTROLLER_FREEZER);
    for (size_t i = 0; !place && i < cgroup->mounts.count; i++)
        if (cgroup->places[i].directory >= 0)
            place = &cgroup->places[i];
    return place;
}

bool cgroup_present(const struct cgroup *cgroup)
{
    return cgroup->path != NULL;
}

bool cgroup_exists(const struct cgroup *cgroup)
{
    return cgroup->path && cgroup_place_tracking((struct cgroup *)cgroup) != NULL;
}

const char *cgroup_path(const struct cgroup *cgroup)
{
    return cgroup->path;
}

const char *cgroup_scope(const struct cgroup *cgroup)
{
    return cgroup->scope;
}

enum cgroup_mode cgroup_mode(const struct cgroup *cgroup)
{
    return cgroup_mounts_mode(&cgroup->mounts);
}

int cgroup_directory(const struct cgroup *cgroup)
{
    struct cgroup_place *place = cgroup_place_of((struct cgroup *)cgroup, CONTROLLER_CORE);
    return cgroup->entrance >= 0 ? cgroup->entrance : place ? place->directory : -1;
}

const char *cgroup_hierarchy_name(const struct cgroup_hierarchy *hierarchy)
{
    const char *name = hierarchy->version == 2 ? "unified" : hierarchy->controllers;
    return strncmp(name, "name=", 5) == 0 ? name + 5 : name;
}

size_t cgroup_hierarchies(const struct cgroup *cgroup, const struct cgroup_hierarchy **out)
{
    *out = cgroup->hierarchies;
    return cgroup->hierarchy_count;
}

static int allocate(struct cgroup **out, bool thorough, struct error *error)
{
    struct cgroup *cgroup = calloc(1, sizeof *cgroup);
    *out = NULL;
    if (!cgroup)
        return error_set(error, -ENOMEM, "no memory for a cgroup");
    int result = cgroup_mounts_read(&cgroup->mounts, thorough, error);
    if (result == 0) {
        size_t count = cgroup->mounts.count ? cgroup->mounts.count : 1;
        cgroup->places = calloc(count, sizeof *cgroup->places);
        cgroup->hierarchies = calloc(count, sizeof *cgroup->hierarchies);
        if (!cgroup->places || !cgroup->hierarchies)
            result = error_set(error, -ENOMEM, "no memory for a cgroup");
    }
    if (result < 0) {
        cgroup_mounts_free(&cgroup->mounts);
        free(cgroup->places);
        free(cgroup->hierarchies);
        free(cgroup);
        return result;
    }
    for (size_t i = 0; i < cgroup->mounts.count; i++)
        cgroup->places[i] = (struct cgroup_place){&cgroup->mounts.items[i], -1, 0};
    cgroup->entrance = -1;
    *out = cgroup;
    return 0;
}

void cgroup_close(struct cgroup *cgroup)
{
    if (!cgroup)
        return;
    cgroup_settle(cgroup);
    for (size_t i = 0; i < cgroup->mounts.count; i++)
        if (cgroup->places[i].directory >= 0)
            close(cgroup->places[i].directory);
    if (cgroup->entrance >= 0)
        close(cgroup->entrance);
    cgroup_mounts_free(&cgroup->mounts);
    free(cgroup->places);
    free(cgroup->hierarchies);
    free(cgroup->path);
    free(cgroup->scope);
    free(cgroup);
}

static void list_hierarchies(struct cgroup *cgroup)
{
    cgroup->hierarchy_count = 0;
    for (size_t i = 0; i < cgroup->mounts.count; i++) {
        const struct cgroup_mount *mount = cgroup->places[i].mount;
        if (cgroup->places[i].directory >= 0)
            cgroup->hierarchies[cgroup->hierarchy_count++] =
                (struct cgroup_hierarchy){mount->version, mount->names, mount->point, cgroup->path};
    }
}

bool cgroup_host_root(void)
{
    unsigned inside = 1, outside = 1, count = 0;
    ssize_t size;
    char *text = geteuid() == 0 ? cgroup_read_file(AT_FDCWD, "/proc/self/uid_map", &size) : NULL;
    bool all = text && sscanf(text, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 &&
               outside == 0 && count == UINT32_MAX;
    free(text);
    return all;
}

/* Where relative paths are relative to: NULL if the user may make cgroups nowhere. */
static char *find_base(struct cgroup *cgroup)
{
    const struct cgroup_mount *v2 = cgroup_mounts_v2(&cgroup->mounts);
    const struct cgroup_mount *mount = v2 ? v2 : cgroup->mounts.items;
    if (access(mount->point, W_OK) == 0)
        return strdup(DEFAULT_BASE);
    ssize_t size;
    char *text = v2 ? cgroup_read_file(AT_FDCWD, "/proc/self/cgroup", &size) : NULL;
    char *own = text ? cgroup_own_path(text, v2) : NULL;
    free(text);
    /* beside the own one, since one with processes in it cannot pass controllers on; or else below it */
    char *slash = own ? strrchr(own, '/') : NULL;
    for (unsigned step = 0; slash && slash != own && step < 2; step++) {
        *slash = step ? '/' : '\0';
        char *path = cgroup_full_path(v2, own), *procs = NULL;
        bool writable = path && access(path, W_OK) == 0 && asprintf(&procs, "%s/cgroup.procs", path) > 0 &&
                        access(procs, W_OK) == 0;
        free(path);
        free(procs);
        if (writable)
            return own;
    }
    free(own);
    return NULL;
}

/* No cgroups: fine if no limits are asked for. */
static int do_without(struct cgroup *cgroup, const struct cgroup_plan *plan, struct error *error)
{
    if (plan->count) {
        const struct cgroup_mount *mount = cgroup->mounts.count ? cgroup->mounts.items : NULL;
        error_set(error, -EPERM,
                  "linux.resources.%s: no cgroup is delegated to this user, so there can be no limits",
                  plan->settings[0].field);
        if (mount && mount->version == 2 && cgroup->mounts.count == 1)
            error_hint(error, "%s", cgroup_delegate_hint);
        else
            error_hint(error,
                       "cgroup version 1 cannot be delegated; boot with systemd.unified_cgroup_hierarchy=1");
        return -EPERM;
    }
    for (size_t i = 0; i < cgroup->mounts.count; i++) {
        if (cgroup->places[i].directory >= 0)
            close(cgroup->places[i].directory);
        cgroup->places[i].directory = -1;
    }
    free(cgroup->path);
    free(cgroup->scope);
    cgroup->path = cgroup->scope = NULL;
    return 0;
}

/* systemd wants a process in a scope from the start; this one goes when the domain's own is there. */
static int start_place_holder(void)
{
    int pid = fork();
    if (pid != 0)
        return pid < 0 ? -errno : pid;
    close_range(0, ~0U, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        pause();
}

void cgroup_settle(struct cgroup *cgroup)
{
    if (cgroup->place_holder <= 0)
        return;
    kill(cgroup->place_holder, SIGKILL);
    while (waitpid(cgroup->place_holder, NULL, 0) < 0 && errno == EINTR)
        continue;
    cgroup->place_holder = 0;
}

static int find_path_systemd(struct cgroup *cgroup, const struct cgroup_request *request, struct error *error)
{
    bool user = !cgroup_host_root();
    char *slice, *scope;
    int result = cgroup_path_systemd(request->path, request->id, user, &slice, &scope, error);
    if (result < 0)
        return result;
    result = start_place_holder();
    if (result < 0) {
        error_set(error, result, "cannot start a process for the scope %s: %s", scope, strerror(-result));
    } else {
        cgroup->place_holder = result;
        result = cgroup_systemd_start(slice, scope, user, cgroup->place_holder, &cgroup->path, error);
    }
    if (result == 0 && asprintf(&cgroup->scope, "%s%s", user ? "user:" : "", scope) < 0) {
        cgroup->scope = NULL;
        result = error_set(error, -ENOMEM, "no memory for a scope's name");
    }
    free(slice);
    free(scope);
    return result;
}

/* cgroup->path stays NULL where there is no place for this user. */
static int find_path(struct cgroup *cgroup, const struct cgroup_request *request, struct error *error)
{
    if (request->systemd)
        return find_path_systemd(cgroup, request, error);
    const char *path = request->path && *request->path ? request->path : request->id;
    if (cgroup->mounts.count == 0)
        return 0;
    char *base = path[0] == '/' ? strdup("") : find_base(cgroup);
    if (!base)
        return 0;
    int result = cgroup_path_resolve(path, base, &cgroup->path, error);
    free(base);
    return result;
}

/* Version 2 counts processor time by itself; callers that know version 1 look for it there all the same. */
#define STATISTICS_CONTROLLERS                                                                               \
    (CONTROLLER_BIT(CONTROLLER_MEMORY) | CONTROLLER_BIT(CONTROLLER_PIDS) |                                   \
     CONTROLLER_BIT(CONTROLLER_BLOCK_IO) | CONTROLLER_BIT(CONTROLLER_CPUACCT))

/* Makes the plan, with version 2's controllers only where it needs any. */
static int plan_for(struct cgroup *cgroup, const struct resources *resources, struct cgroup_plan *plan,
                    struct error *error)
{
    static const struct resources nothing;
    bool v2 = cgroup_mounts_v2(&cgroup->mounts) != NULL;
    int result = -ENOTSUP;
    for (unsigned tries = 0; tries < 2 && result == -ENOTSUP; tries++) {
        if (tries)
            cgroup_mounts_read_controllers(&cgroup->mounts);
        result = cgroup_plan_make(plan, resources ? resources : &nothing,
                                  cgroup_mounts_controllers(&cgroup->mounts, 1),
                                  cgroup_mounts_controllers(&cgroup->mounts, 2), v2, error);
    }
    return result;
}

static int build(struct cgroup *cgroup, const struct cgroup_request *request, const struct cgroup_plan *plan,
                 const struct resources *resources, struct error *error)
{
    int result = find_path(cgroup, request, error);
    if (result == 0 && cgroup->path && request->located && !request->systemd) {
        result = cgroup_check_free(cgroup, error);
        if (result == 0)
            result = request->located(request->opaque, cgroup->path, error);
    }
    if (result == 0 && !cgroup->path) {
        result = do_without(cgroup, plan, error);
    } else if (result == 0) {
        result = cgroup_make_places(cgroup, plan->controllers,
                                    request->statistics ? STATISTICS_CONTROLLERS : 0, error);
        if (cgroup_is_refusal(result) && !cgroup_place_tracking(cgroup)) {
            cgroup_remove_made(cgroup);
            result = do_without(cgroup, plan, error);
        }
    }
    if (result == 0 && cgroup->path)
        result = cgroup_apply(cgroup, plan, error);
    if (result == 0 && cgroup->path && resources && resources->device_count && cgroup_host_root())
        result = cgroup_apply_devices(cgroup, resources, false, error);
    return result;
}

int cgroup_create(struct cgroup **out, const struct cgroup_request *request,
                  const struct resources *resources, struct error *error)
{
    struct cgroup *cgroup = NULL;
    struct cgroup_plan plan;
    int result = -ENOTSUP;
    *out = NULL;
    /* a controller that is not there may be mounted at another place */
    for (unsigned thorough = 0; thorough < 2 && result == -ENOTSUP; thorough++) {
        cgroup_close(cgroup);
        result = allocate(&cgroup, thorough, error);
        if (result == 0)
            result = plan_for(cgroup, resources, &plan, error);
    }
    if (result == 0) {
        result = build(cgroup, request, &plan, resources, error);
        cgroup_plan_free(&plan);
    }
    if (result < 0) {
        if (cgroup && cgroup->path) {
            cgroup_settle(cgroup);
            cgroup_remove_made(cgroup);
        }
        cgroup_close(cgroup);
        return result;
    }
    list_hierarchies(cgroup);
    *out = cgroup;
    return 0;
}

int cgroup_open(struct cgroup **out, const char *path, const char *scope, struct error *error)
{
    struct cgroup *cgroup;
    int result = allocate(&cgroup, false, error);
    *out = NULL;
    if (result < 0)
        return result;
    if (path)
        result = cgroup_path_resolve(path, "", &cgroup->path, error);
    if (result == 0 && scope && !(cgroup->scope = strdup(scope)))
        result = error_set(error, -ENOMEM, "no memory for a cgroup");
    for (size_t i = 0; result == 0 && path && i < cgroup->mounts.count; i++) {
        char *full = cgroup_full_path(cgroup->places[i].mount, cgroup->path);
        cgroup->places[i].directory = full ? open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        free(full);
    }
    if (result < 0) {
        cgroup_close(cgroup);
        return result;
    }
    list_hierarchies(cgroup);
    *out = cgroup;
    return 0;
}

int cgroup_enter_self(struct cgroup *cgroup, bool cloned_into, struct error *error)
{
    for (size_t i = 0; i < cgroup->mounts.count; i++) {
        const struct cgroup_place *place = &cgroup->places[i];
        bool v2 = place->mount->version == 2;
        if (place->directory < 0 || (v2 && cloned_into))
            continue;
        int directory = v2 ? cgroup_directory(cgroup) : place->directory;
        int result = cgroup_write(directory, v2 ? "cgroup.procs" : "tasks", "0");
        if (result < 0)
            return error_set(error, result, "cannot enter the cgroup %s%s: %s", place->mount->point,
                             cgroup->path, strerror(-result));
    }
    return 0;
}

int cgroup_follow(struct cgroup *cgroup, pid_t pid, struct error *error)
{
    const struct cgroup_mount *v2 = cgroup_mounts_v2(&cgroup->mounts);
    size_t length = cgroup->path ? strlen(cgroup->path) : 0;
    char name[48];
    ssize_t size;
    if (!v2 || !cgroup->path)
        return 0;
    snprintf(name, sizeof name, "/proc/%d/cgroup", pid);
    char *text = cgroup_read_file(AT_FDCWD, name, &size), *own = text ? cgroup_own_path(text, v2) : NULL;
    char *path = NULL;
    free(text);
    bool below = own && !strncmp(own, cgroup->path, length) && own[length] == '/';
    if (below && !(path = cgroup_full_path(v2, own))) {
        free(own);
        return error_set(error, -ENOMEM, "no memory for a cgroup's path");
    }
    free(own);
    if (cgroup->entrance >= 0)
        close(cgroup->entrance);
    cgroup->entrance = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(path);
    return 0;
}

int cgroup_move(const struct cgroup *cgroup, const struct cgroup_place *place, pid_t pid, struct error *error)
{
    char text[16];
    snprintf(text, sizeof text, "%d", pid);
    int result = cgroup_write(place->directory, "cgroup.procs", text);
    if (result < 0)
        return error_set(error, result, "cannot put process %d into the cgroup %s%s: %s", pid,
                         place->mount->point, cgroup->path, strerror(-result));
    return 0;
}

int cgroup_enter(struct cgroup *cgroup, pid_t pid, struct error *error)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < cgroup->mounts.count; i++)
        if (cgroup->places[i].directory >= 0)
            result = cgroup_move(cgroup, &cgroup->places[i], pid, error);
    return result;
}

int cgroup_whereabouts(pid_t pid, char **text, struct error *error)
{
    char path[48];
    ssize_t size;
    snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
    *text = cgroup_read_file(AT_FDCWD, path, &size);
    return *text ? 0 : error_set(error, (int)size, "cannot read %s: %s", path, strerror((int)-size));
}

/* All threads of it, whatever that costs. */
int cgroup_leave(struct cgroup *cgroup, const char *text, struct error *error)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < cgroup->mounts.count; i++) {
        const struct cgroup_mount *mount = cgroup->places[i].mount;
        char *path = cgroup->places[i].directory >= 0 ? cgroup_own_path(text, mount) : NULL;
        char *full = path ? cgroup_full_path(mount, path) : NULL;
        int directory = full ? open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (full)
            result = directory < 0 ? -errno : cgroup_write(directory, "cgroup.procs", "0");
        if (result < 0)
            error_set(error, result, "cannot go back to the cgroup %s: %s", full, strerror(-result));
        if (directory >= 0)
            close(directory);
        free(full);
        free(path);
    }
    return result;
}

static int update(struct cgroup *cgroup, const struct resources *resources, const struct cgroup_plan *plan,
                  struct error *error)
{
    struct cgroup_place *v2 = cgroup_place_of(cgroup, CONTROLLER_CORE);
    int result = v2 ? cgroup_enable_controllers(cgroup, v2, plan->controllers, 0, error) : 0;
    if (result == 0)
        result = cgroup_add_places(cgroup, plan->controllers, error);
    list_hierarchies(cgroup);
    if (result == 0)
        result = cgroup_apply(cgroup, plan, error);
    return result == 0 ? cgroup_apply_devices(cgroup, resources, true, error) : result;
}

int cgroup_update(struct cgroup *cgroup, const struct resources *resources, struct error *error)
{
    struct cgroup_plan plan;
    if (!cgroup_exists(cgroup))
        return error_set(error, -ENOTSUP, "the container has no cgroups, so it has no limits to change");
    int result = plan_for(cgroup, resources, &plan, error);
    if (result == 0)
        result = update(cgroup, resources, &plan, error);
    cgroup_plan_free(&plan);
    return result;
}
