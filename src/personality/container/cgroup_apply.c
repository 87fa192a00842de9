/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Carries out a plan: writes settings, in as few system calls as there are settings. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "personality/container/cgroup_private.h"

int cgroup_write(int directory, const char *file, const char *text)
{
    int fd = openat(directory, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    size_t length = strlen(text);
    ssize_t written;
    do
        written = write(fd, text, length);
    while (written < 0 && errno == EINTR);
    int result = written < 0 ? -errno : written < (ssize_t)length ? -EIO : 0;
    close(fd);
    return result;
}

static int check_usage(int directory, const struct cgroup_setting *setting, struct error *error)
{
    ssize_t size;
    char *text = cgroup_read_file(directory, "memory.current", &size);
    uint64_t usage = text ? strtoull(text, NULL, 10) : 0, limit = strtoull(setting->value, NULL, 10);
    free(text);
    if (usage > limit)
        return error_set(error, -EBUSY,
                         "linux.resources.%s: %" PRIu64
                         " bytes are in use, more than the new limit of %" PRIu64,
                         setting->field, usage, limit);
    return 0;
}

/* "QUOTA" from the file before " PERIOD" of the setting. */
static void keep_quota(int directory, struct cgroup_setting *setting)
{
    ssize_t size;
    char *text = cgroup_read_file(directory, setting->file, &size), period[sizeof setting->value];
    if (text)
        text[strcspn(text, " \n")] = '\0';
    snprintf(period, sizeof period, "%s", setting->value);
    snprintf(setting->value, sizeof setting->value, "%.20s%.60s", text ? text : "max", period);
    free(text);
}

static int write_setting(int directory, struct cgroup_setting *setting)
{
    const char *text = setting->text ? setting->text : setting->value;
    int result = cgroup_write(directory, setting->file, text);
    if (result == -ENOENT && setting->other_file[0])
        result = cgroup_write(directory, setting->other_file, setting->other_value);
    if (setting->optional && (result == -ENOENT || result == -EOPNOTSUPP))
        result = 0;
    return result;
}

static int report(const struct cgroup *cgroup, const struct cgroup_setting *setting, int result,
                  struct error *error)
{
    const char *text = setting->text ? setting->text : setting->value;
    int length = (int)strcspn(text, "\n");
    length = length > 100 ? 100 : length;
    if (result == -ENOENT)
        return error_set(error, -ENOTSUP, "linux.resources.%s: this kernel has no file %s in the cgroup %s",
                         setting->field, setting->file, cgroup->path);
    error_set(error, result, "linux.resources.%s: cannot write '%.*s' to %s of the cgroup %s: %s",
              setting->field, length, text, setting->file, cgroup->path, strerror(-result));
    if (result == -EBUSY && setting->controller == CONTROLLER_MEMORY)
        error_hint(error, "more memory is in use than that; stop programs first, or choose a higher limit");
    if (result == -EINVAL && setting->controller == CONTROLLER_CPUSET)
        error_hint(error, "the list must be of processors or nodes that the cgroup above has");
    return result;
}

/* The place's directory, or the reason why there is none. */
static int place_directory(struct cgroup *cgroup, const struct cgroup_setting *setting, struct error *error)
{
    struct cgroup_place *place = cgroup_place_of(cgroup, setting->controller);
    if (place)
        return place->directory;
    return error_set(
        error, -ENOTSUP, "linux.resources.%s: the container %s%s has no cgroup of the controller '%s'",
        setting->field, cgroup->path ? "at " : "", cgroup->path ? cgroup->path : "without cgroups",
        cgroup_controller_name(setting->controller, 1));
}

/* Settings whose range depends on others' are tried again as long as any of them gets through. */
static int write_again(struct cgroup *cgroup, struct cgroup_setting **refused, size_t count, int result,
                       struct error *error)
{
    while (count) {
        size_t left = 0;
        for (size_t i = 0; i < count; i++) {
            struct cgroup_place *place = cgroup_place_of(cgroup, refused[i]->controller);
            int written = write_setting(place->directory, refused[i]);
            if (written < 0) {
                result = written;
                refused[left++] = refused[i];
            }
        }
        if (left == count)
            return report(cgroup, refused[0], result, error);
        count = left;
    }
    return 0;
}

int cgroup_apply(struct cgroup *cgroup, const struct cgroup_plan *plan, struct error *error)
{
    struct cgroup_setting *refused[16];
    size_t refused_count = 0;
    int last = 0;
    for (size_t i = 0; i < plan->count; i++) {
        struct cgroup_setting *setting = &plan->settings[i];
        int directory = place_directory(cgroup, setting, error), result = directory;
        if (directory < 0)
            return result;
        if (setting->checks_usage && (result = check_usage(directory, setting, error)) < 0)
            return result;
        if (setting->keeps_quota)
            keep_quota(directory, setting);
        result = write_setting(directory, setting);
        bool range = result == -EINVAL || result == -EBUSY;
        if (range && setting->again && refused_count < sizeof refused / sizeof *refused) {
            refused[refused_count++] = setting;
            last = result;
        } else if (result < 0) {
            return report(cgroup, setting, result, error);
        }
    }
    return write_again(cgroup, refused, refused_count, last, error);
}

/* Of the rule what `other`, which may be NULL, does not have. */
static unsigned access_missing(const struct resource_device_rule *rule,
                               const struct cgroup_device_list *other)
{
    unsigned access = rule->access;
    for (size_t k = 0; other && k < other->count; k++)
        if (other->exceptions[k].type == rule->type && other->exceptions[k].major == rule->major &&
            other->exceptions[k].minor == rule->minor)
            access &= ~other->exceptions[k].access;
    return access;
}

/* The lines of `list` that `other` does not have, each by a write of its own. */
static int write_missing(int directory, const char *file, const struct cgroup_device_list *list,
                         const struct cgroup_device_list *other, struct error *error)
{
    int fd = -1, result = 0;
    for (size_t i = 0; i < list->count && result == 0; i++) {
        struct resource_device_rule rule = list->exceptions[i];
        char text[CGROUP_DEVICE_TEXT];
        rule.access = access_missing(&rule, other);
        if (!rule.access)
            continue;
        cgroup_device_text(&rule, text);
        if (fd < 0)
            fd = openat(directory, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || write(fd, text, strlen(text)) < 0)
            result = error_set(error, -errno, "linux.resources.devices: cannot write '%s' to %s: %s", text,
                               file, strerror(errno));
    }
    if (fd >= 0)
        close(fd);
    return result;
}

/* From what the kernel has now to what is wanted: what is new is allowed before what is gone is denied. */
static int change_list(int directory, const struct cgroup_device_list *want,
                       const struct cgroup_device_list *have, bool update, struct error *error)
{
    bool start = want->allow ? update : have->allow;
    if (start) {
        int result = cgroup_write(directory, want->allow ? "devices.allow" : "devices.deny", "a");
        if (result < 0)
            return error_set(error, result, "linux.resources.devices: cannot %s all devices: %s",
                             want->allow ? "allow" : "deny", strerror(-result));
    }
    const char *set = want->allow ? "devices.deny" : "devices.allow";
    const char *unset = want->allow ? "devices.allow" : "devices.deny";
    int result = write_missing(directory, set, want, start ? NULL : have, error);
    if (result == 0 && !start)
        result = write_missing(directory, unset, have, want, error);
    return result;
}

static int apply_v1(int directory, const struct cgroup_device_list *want, bool update, struct error *error)
{
    struct cgroup_device_list have = {.allow = true}; /* a new one has its parent's, which is mostly all */
    int result = 0;
    if (update) {
        ssize_t size;
        char *text = cgroup_read_file(directory, "devices.list", &size);
        result = text ? cgroup_device_list_parse(&have, text, error)
                      : error_set(error, (int)size, "cannot read devices.list: %s", strerror((int)-size));
        free(text);
    }
    if (result == 0)
        result = change_list(directory, want, &have, update, error);
    cgroup_device_list_free(&have);
    return result;
}

/* Hybrid: in version 1, which is cheaper, or, if it cannot say them, in version 2. Whatever is not used lets
 * all pass. */
int cgroup_apply_devices(struct cgroup *cgroup, const struct resources *resources, bool update,
                         struct error *error)
{
    struct cgroup_place *v1 = cgroup_place_of(cgroup, CONTROLLER_DEVICES);
    struct cgroup_place *v2 = cgroup_place_of(cgroup, CONTROLLER_CORE);
    struct cgroup_device_list want = {0};
    int result = -EINVAL;
    if (!resources->device_count)
        return 0;
    if (!v1 && !v2)
        return error_set(error, -ENOTSUP,
                         "linux.resources.devices: the container has no cgroup for rules of devices");
    if (v1)
        result = cgroup_device_list_make(&want, resources->devices, resources->device_count, error);
    if (result == 0) {
        result = apply_v1(v1->directory, &want, update, error);
        if (result == 0 && update && v2)
            cgroup_bpf_detach(v2->directory);
    } else if (result == -EINVAL && v2) {
        result = cgroup_bpf_attach(v2->directory, resources->devices, resources->device_count, error);
        if (result == 0 && update && v1)
            cgroup_write(v1->directory, "devices.allow", "a");
    }
    cgroup_device_list_free(&want);
    return result;
}
