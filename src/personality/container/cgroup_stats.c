/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a domain has used, and the events of memory that has run out. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/cgroup_private.h"

#define V1_NO_LIMIT (UINT64_C(1) << 62) /* version 1 says "none" by the largest multiple of a page */

/* A number of a file of "KEY NUMBER" lines, or the file's only one if there is no key. */
struct number {
    enum cgroup_controller controller;
    int version;            /* 0: both have it */
    const char *file, *key; /* rows of one file stand together: it is read once */
    size_t offset;
    uint64_t factor; /* to the struct's unit */
};
#define NUMBER(controller, version, file, key, member, factor)                                               \
    {                                                                                                        \
        CONTROLLER_##controller, version, file, key, offsetof(struct cgroup_statistics, member), factor      \
    }

static const struct number numbers[] = {
    NUMBER(CORE, 2, "cpu.stat", "usage_usec", cpu.usage, 1000),
    NUMBER(CORE, 2, "cpu.stat", "user_usec", cpu.user, 1000),
    NUMBER(CORE, 2, "cpu.stat", "system_usec", cpu.system, 1000),
    NUMBER(CORE, 2, "cpu.stat", "nr_periods", cpu.periods, 1),
    NUMBER(CORE, 2, "cpu.stat", "nr_throttled", cpu.throttled, 1),
    NUMBER(CORE, 2, "cpu.stat", "throttled_usec", cpu.throttled_time, 1000),
    NUMBER(CPU, 1, "cpu.stat", "nr_periods", cpu.periods, 1),
    NUMBER(CPU, 1, "cpu.stat", "nr_throttled", cpu.throttled, 1),
    NUMBER(CPU, 1, "cpu.stat", "throttled_time", cpu.throttled_time, 1),
    NUMBER(CPUACCT, 1, "cpuacct.usage", NULL, cpu.usage, 1),
    NUMBER(CPUACCT, 1, "cpuacct.usage_user", NULL, cpu.user, 1),
    NUMBER(CPUACCT, 1, "cpuacct.usage_sys", NULL, cpu.system, 1),
    NUMBER(MEMORY, 2, "memory.current", NULL, memory.usage, 1),
    NUMBER(MEMORY, 2, "memory.peak", NULL, memory.peak, 1),
    NUMBER(MEMORY, 2, "memory.max", NULL, memory.limit, 1),
    NUMBER(MEMORY, 2, "memory.swap.current", NULL, memory.swap_usage, 1),
    NUMBER(MEMORY, 2, "memory.swap.max", NULL, memory.swap_limit, 1),
    NUMBER(MEMORY, 2, "memory.stat", "anon", memory.anonymous, 1),
    NUMBER(MEMORY, 2, "memory.stat", "file", memory.file, 1),
    NUMBER(MEMORY, 2, "memory.stat", "kernel", memory.kernel, 1),
    NUMBER(MEMORY, 2, "memory.stat", "inactive_file", memory.inactive_file, 1),
    NUMBER(MEMORY, 2, "memory.stat", "pgfault", memory.page_faults, 1),
    NUMBER(MEMORY, 2, "memory.stat", "pgmajfault", memory.major_page_faults, 1),
    NUMBER(MEMORY, 2, "memory.events", "oom_kill", memory.oom_kills, 1),
    NUMBER(MEMORY, 2, "memory.events", "max", memory.limit_hits, 1),
    NUMBER(MEMORY, 1, "memory.usage_in_bytes", NULL, memory.usage, 1),
    NUMBER(MEMORY, 1, "memory.max_usage_in_bytes", NULL, memory.peak, 1),
    NUMBER(MEMORY, 1, "memory.limit_in_bytes", NULL, memory.limit, 1),
    NUMBER(MEMORY, 1, "memory.memsw.usage_in_bytes", NULL, memory.swap_usage, 1), /* with memory: see below */
    NUMBER(MEMORY, 1, "memory.memsw.limit_in_bytes", NULL, memory.swap_limit, 1),
    NUMBER(MEMORY, 1, "memory.failcnt", NULL, memory.limit_hits, 1),
    NUMBER(MEMORY, 1, "memory.kmem.usage_in_bytes", NULL, memory.kernel, 1),
    NUMBER(MEMORY, 1, "memory.stat", "total_rss", memory.anonymous, 1),
    NUMBER(MEMORY, 1, "memory.stat", "total_cache", memory.file, 1),
    NUMBER(MEMORY, 1, "memory.stat", "total_inactive_file", memory.inactive_file, 1),
    NUMBER(MEMORY, 1, "memory.stat", "total_pgfault", memory.page_faults, 1),
    NUMBER(MEMORY, 1, "memory.stat", "total_pgmajfault", memory.major_page_faults, 1),
    NUMBER(MEMORY, 1, "memory.oom_control", "oom_kill", memory.oom_kills, 1),
    NUMBER(PIDS, 0, "pids.current", NULL, pids.current, 1),
    NUMBER(PIDS, 0, "pids.max", NULL, pids.limit, 1),
    NUMBER(PIDS, 0, "pids.events", "max", pids.limit_hits, 1),
};

/* The number at the text: "max" is UINT64_MAX. */
static bool parse_number(const char *text, uint64_t *value)
{
    char *end;
    if (!strncmp(text, "max", 3)) {
        *value = UINT64_MAX;
        return true;
    }
    *value = strtoull(text, &end, 10);
    return end != text;
}

static bool find_number(const char *text, const char *key, uint64_t *value)
{
    size_t length = key ? strlen(key) : 0;
    if (!key)
        return parse_number(text, value);
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
        if (!strncmp(text, key, length) && text[length] == ' ')
            return parse_number(text + length + 1, value);
    return false;
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 ..." for each device. */
static void read_io_v2(const char *text, struct cgroup_statistics *statistics)
{
    const struct {
        const char *key;
        struct cgroup_value *value;
    } keys[] = {{" rbytes=", &statistics->io.read_bytes},
                {" wbytes=", &statistics->io.write_bytes},
                {" rios=", &statistics->io.reads},
                {" wios=", &statistics->io.writes}};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        keys[i].value->known = true;
        for (const char *next = text; (next = strstr(next, keys[i].key));) {
            next += strlen(keys[i].key);
            keys[i].value->value += strtoull(next, NULL, 10);
        }
    }
}

/* "8:0 Read 4096" for each device. */
static void read_io_v1(int directory, const char *const *files, struct cgroup_value *reads,
                       struct cgroup_value *writes)
{
    ssize_t size;
    char *text = NULL;
    for (; *files && !text; files++)
        text = cgroup_read_file(directory, *files, &size);
    if (!text)
        return;
    reads->known = writes->known = true;
    for (const char *next = text; (next = strstr(next, " Read "));)
        reads->value += strtoull(next += 6, NULL, 10);
    for (const char *next = text; (next = strstr(next, " Write "));)
        writes->value += strtoull(next += 7, NULL, 10);
    free(text);
}

static void read_io(struct cgroup *cgroup, struct cgroup_statistics *statistics)
{
    static const char *const bytes[] = {"blkio.throttle.io_service_bytes_recursive",
                                        "blkio.throttle.io_service_bytes", NULL};
    static const char *const counts[] = {"blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced",
                                         NULL};
    struct cgroup_place *place = cgroup_place_of(cgroup, CONTROLLER_BLOCK_IO);
    ssize_t size;
    if (!place)
        return;
    if (place->mount->version == 1) {
        read_io_v1(place->directory, bytes, &statistics->io.read_bytes, &statistics->io.write_bytes);
        read_io_v1(place->directory, counts, &statistics->io.reads, &statistics->io.writes);
        return;
    }
    char *text = cgroup_read_file(place->directory, "io.stat", &size);
    if (text)
        read_io_v2(text, statistics);
    free(text);
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", and "full ...". */
static void read_pressure(const char *text, const char *key, struct cgroup_pressure *pressure)
{
    const char *line = strstr(text, key);
    if (line)
        pressure->known =
            sscanf(line + strlen(key), " avg10=%lf avg60=%lf avg300=%lf total=%" SCNu64, &pressure->average10,
                   &pressure->average60, &pressure->average300, &pressure->total) == 4;
}

static void read_pressures(struct cgroup *cgroup, struct cgroup_statistics *statistics)
{
    static const char *const files[CGROUP_PRESSURES] = {[CGROUP_PRESSURE_CPU] = "cpu.pressure",
                                                        [CGROUP_PRESSURE_MEMORY] = "memory.pressure",
                                                        [CGROUP_PRESSURE_IO] = "io.pressure"};
    struct cgroup_place *place = cgroup_place_of(cgroup, CONTROLLER_CORE);
    for (size_t i = 0; place && i < CGROUP_PRESSURES; i++) {
        ssize_t size;
        char *text = cgroup_read_file(place->directory, files[i], &size);
        if (!text)
            continue;
        read_pressure(text, "some", &statistics->pressure[i].some);
        read_pressure(text, "full", &statistics->pressure[i].full);
        free(text);
    }
}

/* Version 1 counts swap with memory and has large numbers for limits that are none. */
static void finish_v1(struct cgroup_statistics *statistics)
{
    struct cgroup_value *swap = &statistics->memory.swap_usage, *limit = &statistics->memory.swap_limit;
    uint64_t memory_limit = statistics->memory.limit.value;
    if (swap->known)
        swap->value -= MIN(swap->value, statistics->memory.usage.value);
    if (limit->known)
        limit->value =
            limit->value >= V1_NO_LIMIT ? UINT64_MAX : limit->value - MIN(limit->value, memory_limit);
    if (memory_limit >= V1_NO_LIMIT)
        statistics->memory.limit.value = UINT64_MAX;
}

int cgroup_statistics(struct cgroup *cgroup, struct cgroup_statistics *statistics, struct error *error)
{
    const char *file = "";
    char *text = NULL;
    *statistics = (struct cgroup_statistics){0};
    if (!cgroup_exists(cgroup))
        return error_set(error, -ENOTSUP, "the container has no cgroups, so nothing is counted for it");
    const struct cgroup_place *previous = NULL;
    for (const struct number *number = numbers; number < numbers + ARRAY_SIZE(numbers); number++) {
        const struct cgroup_place *place = cgroup_place_of(cgroup, number->controller);
        uint64_t value;
        ssize_t size;
        if (!place || (number->version && place->mount->version != number->version))
            continue;
        if (strcmp(file, number->file) != 0 || place != previous) {
            free(text);
            text = cgroup_read_file(place->directory, number->file, &size);
            file = number->file;
            previous = place;
        }
        if (text && find_number(text, number->key, &value))
            *(struct cgroup_value *)((char *)statistics + number->offset) =
                (struct cgroup_value){true, value == UINT64_MAX ? value : value * number->factor};
    }
    free(text);
    struct cgroup_place *memory = cgroup_place_of(cgroup, CONTROLLER_MEMORY);
    if (memory && memory->mount->version == 1)
        finish_v1(statistics);
    read_io(cgroup, statistics);
    read_pressures(cgroup, statistics);
    return 0;
}

static struct cgroup_place *memory_place(struct cgroup *cgroup, struct error *error)
{
    struct cgroup_place *place = cgroup_place_of(cgroup, CONTROLLER_MEMORY);
    if (!place) {
        error_set(error, -ENOTSUP,
                  "the container's memory is not counted, so nothing tells when it has run out");
        error_hint(error, "give it a limit of memory");
    }
    return place;
}

/* Version 1: "EVENTFD FILE" in cgroup.event_control. */
static int watch_v1(int directory)
{
    char text[32];
    int control = openat(directory, "memory.oom_control", O_RDONLY | O_CLOEXEC);
    if (control < 0)
        return -errno;
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int result = event < 0 ? -errno : event;
    if (event >= 0) {
        snprintf(text, sizeof text, "%d %d", event, control);
        int written = cgroup_write(directory, "cgroup.event_control", text);
        if (written < 0) {
            close(event);
            result = written;
        }
    }
    close(control);
    return result;
}

static int watch_v2(int directory)
{
    char path[64];
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    snprintf(path, sizeof path, "/proc/self/fd/%d/memory.events", directory);
    if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY) < 0) {
        int code = -errno;
        if (watch >= 0)
            close(watch);
        return code;
    }
    return watch;
}

int cgroup_oom_watch(struct cgroup *cgroup, struct error *error)
{
    struct cgroup_place *place = memory_place(cgroup, error);
    if (!place)
        return -ENOTSUP;
    int result = (place->mount->version == 1 ? watch_v1 : watch_v2)(place->directory);
    if (result < 0)
        return error_set(error, result, "cannot watch the memory of the cgroup %s: %s", cgroup->path,
                         strerror(-result));
    return result;
}

void cgroup_oom_rearm(int descriptor)
{
    char text[4096];
    ssize_t size = read(descriptor, text, sizeof text);
    (void)size; /* that it was read is what counts */
}

int cgroup_oom_kills(struct cgroup *cgroup, uint64_t *kills, struct error *error)
{
    struct cgroup_place *place = memory_place(cgroup, error);
    ssize_t size;
    if (!place)
        return -ENOTSUP;
    const char *file = place->mount->version == 1 ? "memory.oom_control" : "memory.events";
    char *text = cgroup_read_file(place->directory, file, &size);
    int result = text ? 0 : (int)size;
    *kills = 0;
    if (text && !find_number(text, "oom_kill", kills))
        result = -ENODATA;
    free(text);
    if (result < 0)
        return error_set(error, result, "cannot read %s of the cgroup %s: %s", file, cgroup->path,
                         strerror(-result));
    return 0;
}
