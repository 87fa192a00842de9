/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/host_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/cgroup.h"

/* To be told when somebody has waited for 150 of 2000 ms: windows that are a multiple of two seconds take no
 * rights. */
#define TRIGGER "some 150000 2000000"

/* A file of pressure. */
struct source {
    struct host_memory *memory;
    int fd;
    bool triggers;
    bool known; /* `total` is, microseconds, as at the last look */
    uint64_t total;
    struct loop_watch *watch; /* NULL: nobody tells */
};

struct host_memory {
    void (*pressed)(void *opaque);
    void *opaque;
    int info;
    struct cgroup_level levels[CGROUP_LEVELS_MAX];
    size_t level_count;
    struct source sources[CGROUP_LEVELS_MAX + 1];
    unsigned source_count;
    uint64_t looked; /* nanoseconds */
};

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* -- the files ------------------------------------------------------------------------------------------- */

bool host_memory_parse_pressure(const char *text, uint64_t *total)
{
    const char *at = strncmp(text, "some ", 5) == 0 ? strstr(text, " total=") : NULL;
    return at && sscanf(at, " total=%" SCNu64, total) == 1;
}

static bool find_kib(const char *text, const char *name, uint64_t *bytes)
{
    const char *at = strstr(text, name);
    uint64_t number;
    if (!at || (at != text && at[-1] != '\n') || sscanf(at + strlen(name), "%" SCNu64, &number) != 1 ||
        number > UINT64_MAX >> 10)
        return false;
    *bytes = number << 10;
    return true;
}

bool host_memory_parse_info(const char *text, uint64_t *all, uint64_t *available)
{
    return find_kib(text, "MemTotal:", all) && find_kib(text, "MemAvailable:", available);
}

static bool read_text(int fd, char *text, size_t size)
{
    ssize_t length = fd >= 0 ? pread(fd, text, size - 1, 0) : -1;
    text[length > 0 ? length : 0] = '\0';
    return length > 0;
}

static bool read_total(const struct source *source, uint64_t *total)
{
    char text[256];
    return read_text(source->fd, text, sizeof text) && host_memory_parse_pressure(text, total);
}

/* -- being told ------------------------------------------------------------------------------------------ */

/* A cgroup that is gone would tell for ever. */
static void told(void *opaque, unsigned events)
{
    struct source *source = opaque;
    uint64_t total;
    (void)events;
    if (!read_total(source, &total)) {
        loop_watch_remove(source->watch);
        source->watch = NULL;
        return;
    }
    source->memory->pressed(source->memory->opaque);
}

/* Of what is no kernel's file, or may not be written, nobody tells. */
void host_memory_watch(struct host_memory *memory, struct loop *loop, void (*pressed)(void *opaque),
                       void *opaque)
{
    memory->pressed = pressed;
    memory->opaque = opaque;
    for (unsigned i = 0; i < memory->source_count; i++) {
        struct source *source = &memory->sources[i];
        if (source->triggers && source->known && write(source->fd, TRIGGER, sizeof TRIGGER) == sizeof TRIGGER)
            source->watch = loop_watch_add(loop, source->fd, LOOP_URGENT, told, source, NULL);
    }
}

static void add_source(struct host_memory *memory, int fd, bool triggers)
{
    struct source *source = &memory->sources[memory->source_count++];
    *source = (struct source){.memory = memory, .fd = fd, .triggers = triggers};
    source->known = read_total(source, &source->total);
}

static void add_host(struct host_memory *memory)
{
    const char *other = getenv(HOST_MEMORY_PRESSURE), *info = getenv(HOST_MEMORY_INFO);
    const char *path = other ? other : "/proc/pressure/memory";
    int fd = open(path, O_RDWR | O_CLOEXEC);
    /* only where triggers are known to be it is written to: a file for trials stays as it is */
    const bool triggers = fd >= 0 && lseek(fd, 0, SEEK_END) <= 0;
    if (fd < 0)
        fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        add_source(memory, fd, triggers);
    memory->info = open(info ? info : "/proc/meminfo", O_RDONLY | O_CLOEXEC);
}

int host_memory_new(struct host_memory **out, struct error *error)
{
    struct host_memory *memory = calloc(1, sizeof *memory);
    *out = NULL;
    if (!memory)
        return error_set(error, -ENOMEM, "out of memory");
    *memory = (struct host_memory){.info = -1, .looked = now()};
    int code = cgroup_levels_open(memory->levels, &memory->level_count, error);
    if (code) {
        host_memory_free(memory);
        return code;
    }
    add_host(memory);
    for (size_t i = 0; i < memory->level_count; i++) {
        struct cgroup_level *level = &memory->levels[i];
        if (level->pressure >= 0)
            add_source(memory, level->pressure, level->triggers);
        level->pressure = -1; /* the source has it */
    }
    *out = memory;
    return 0;
}

void host_memory_free(struct host_memory *memory)
{
    if (!memory)
        return;
    for (unsigned i = 0; i < memory->source_count; i++) {
        if (memory->sources[i].watch)
            loop_watch_remove(memory->sources[i].watch);
        close(memory->sources[i].fd);
    }
    cgroup_levels_close(memory->levels, memory->level_count);
    if (memory->info >= 0)
        close(memory->info);
    free(memory);
}

/* -- looking --------------------------------------------------------------------------------------------- */

static void look_at(struct source *source, uint64_t elapsed, struct balance_host *host)
{
    uint64_t total;
    const bool known = read_total(source, &total);
    if (known && source->known && total > source->total && elapsed)
        host->stalled = MAX(host->stalled, (unsigned)MIN((total - source->total) * 1000 / elapsed, 1000));
    source->known = known;
    source->total = known ? total : 0;
}

void host_memory_look(struct host_memory *memory, struct balance_host *host)
{
    const uint64_t time = now(), elapsed = (time - memory->looked) / 1000;
    uint64_t all, available;
    char text[2048];
    balance_host_begin(host);
    if (read_text(memory->info, text, sizeof text) && host_memory_parse_info(text, &all, &available))
        balance_host_add(host, all, available);
    for (size_t i = 0; i < memory->level_count; i++) {
        if (cgroup_level_look(&memory->levels[i], &all, &available))
            balance_host_add(host, all, available);
    }
    for (unsigned i = 0; i < memory->source_count; i++)
        look_at(&memory->sources[i], elapsed, host);
    memory->looked = time;
}

/* -- equal pages ----------------------------------------------------------------------------------------- */

#define KSM_RUN "/sys/kernel/mm/ksm/run"

static bool read_path(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool done = read_text(fd, text, size);
    if (fd >= 0)
        close(fd);
    return done;
}

void host_merges_tell(void)
{
    char text[16];
    if (read_path(KSM_RUN, text, sizeof text) && text[0] != '1')
        fprintf(stderr, "visor: --ksm: the host merges no pages until 1 is written to " KSM_RUN "\n");
}

bool host_merged(pid_t pid, uint64_t *bytes)
{
    char path[64], text[512];
    uint64_t pages;
    snprintf(path, sizeof path, "/proc/%d/ksm_stat", (int)pid);
    const char *at = read_path(path, text, sizeof text) ? strstr(text, "ksm_merging_pages ") : NULL;
    if (!at || sscanf(at, "ksm_merging_pages %" SCNu64, &pages) != 1)
        return false;
    *bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}
