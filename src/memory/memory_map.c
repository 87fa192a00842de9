/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Regions, the flat view made of them, and when the old ones may go. memory_access.c looks things up. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/macros.h"
#include "memory/memory_private.h"

static int refuse_size(const char *name, uint64_t size, bool huge, struct error *error)
{
    if (!size || size % MEMORY_PAGE_SIZE || size > (UINT64_C(1) << 46))
        return error_set(error, -EINVAL, "%s: no memory can have a size of %#llx bytes", name,
                         (unsigned long long)size);
    if (huge && size % MEMORY_HUGE_PAGE) {
        error_set(error, -EINVAL, "%s: %llu bytes are no whole number of huge pages of 2 MiB", name,
                  (unsigned long long)size);
        return -EINVAL;
    }
    return 0;
}

#define HUGE_PAGES "/sys/kernel/mm/hugepages/hugepages-2048kB/"

static unsigned long long read_number(const char *path)
{
    unsigned long long number = 0;
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%llu", &number) != 1)
        number = 0;
    if (file)
        fclose(file);
    return number;
}

/* Pages that are reserved for somebody count as free until they are used. */
static int refuse_huge(const char *name, uint64_t size, int code, struct error *error)
{
    const unsigned long long wanted = size / MEMORY_HUGE_PAGE,
                             free_pages = read_number(HUGE_PAGES "free_hugepages"),
                             reserved = read_number(HUGE_PAGES "resv_hugepages"),
                             all = read_number(HUGE_PAGES "nr_hugepages"),
                             left = free_pages > reserved ? free_pages - reserved : 0;
    if (code != -ENOMEM)
        return error_set(error, code, "%s: cannot get huge pages: %s", name, strerror(-code));
    error_set(error, code, "%s: %llu huge pages of 2 MiB are needed, and the host has %llu to give", name,
              wanted, left);
    error_hint(error, "as root: echo %llu > " HUGE_PAGES "nr_hugepages", all + wanted - MIN(left, wanted));
    return code;
}

/* Address space at the boundary of a huge page, of which nothing is used. NULL with errno. */
static uint8_t *reserve(uint64_t size)
{
    uint8_t *reserved =
        mmap(NULL, size + MEMORY_HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED)
        return NULL;
    uint8_t *host = (uint8_t *)ALIGN_UP((uintptr_t)reserved, MEMORY_HUGE_PAGE), *end = host + size;
    if (host > reserved)
        munmap(reserved, (size_t)(host - reserved));
    munmap(end, (size_t)(reserved + size + MEMORY_HUGE_PAGE - end));
    return host;
}

static int flags_map(struct memory_backing *backing)
{
    void *flags = mmap(NULL, backing->size >> MEMORY_PAGE_SHIFT, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (flags == MAP_FAILED)
        return -errno;
    backing->page_flags = flags;
    return 0;
}

static int backing_map(struct memory_backing *backing)
{
    const int code = flags_map(backing);
    if (code)
        return code;
    backing->host = reserve(backing->size);
    return backing->host ? memory_map_private(backing, 0, backing->size) : -errno;
}

static struct memory_backing *backing_create(const char *name, uint64_t size, bool huge, struct error *error)
{
    if (refuse_size(name, size, huge, error))
        return NULL;
    struct memory_backing *backing = calloc(1, sizeof *backing);
    if (backing) {
        backing->size = size;
        backing->huge = huge;
        backing->pagemap = -1;
    }
    const int code = backing ? backing_map(backing) : -ENOMEM;
    if (!code)
        return backing;
    memory_backing_free(backing);
    if (huge)
        refuse_huge(name, size, code, error);
    else
        error_set(error, code, "%s: cannot get %llu bytes of memory: %s", name, (unsigned long long)size,
                  strerror(-code));
    return NULL;
}

struct memory_backing *memory_backing_create(const char *name, uint64_t size, struct error *error)
{
    return backing_create(name, size, false, error);
}

struct memory_backing *memory_backing_create_huge(const char *name, uint64_t size, struct error *error)
{
    return backing_create(name, size, true, error);
}

struct memory_backing *memory_backing_wrap(const char *name, void *host, uint64_t size, struct error *error)
{
    if (refuse_size(name, size, false, error))
        return NULL;
    struct memory_backing *backing = calloc(1, sizeof *backing);
    if (backing)
        *backing = (struct memory_backing){.size = size, .host = host, .foreign = true, .pagemap = -1};
    const int code = backing ? flags_map(backing) : -ENOMEM;
    if (!code)
        return backing;
    free(backing);
    error_set(error, code, "%s: cannot get memory for it: %s", name, strerror(-code));
    return NULL;
}

void memory_backing_free(struct memory_backing *backing)
{
    if (!backing)
        return;
    if (backing->host && !backing->foreign)
        munmap(backing->host, backing->size);
    if (backing->page_flags)
        munmap((void *)backing->page_flags, backing->size >> MEMORY_PAGE_SHIFT);
    if (backing->pagemap >= 0)
        close(backing->pagemap);
    free(backing->pieces);
    free(backing);
}

static int compare_address(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Which comes first in the list of regions: the one that answers where both would. */
static bool region_wins(const struct memory_region *a, const struct memory_region *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->order > b->order;
}

static bool region_seen(const struct memory_region *region, const struct memory_map *map)
{
    return region->enabled && region->base <= map->last;
}

/* The last address that the region has in the map. */
static uint64_t region_last(const struct memory_region *region, const struct memory_map *map)
{
    uint64_t room = map->last - region->base;
    return region->base + MIN(room, region->size - 1);
}

static void view_append(struct memory_view *view, struct memory_region *region, uint64_t start, uint64_t last)
{
    struct memory_range *previous = view->count ? &view->ranges[view->count - 1] : NULL;
    if (previous && previous->region == region && previous->last + 1 == start) {
        previous->last = last;
        return;
    }
    struct memory_range *range = &view->ranges[view->count++];
    *range =
        (struct memory_range){.start = start, .last = last, .region = region, .offset = start - region->base};
    if (region->backing)
        range->host = region->backing->host + region->backing_offset + range->offset;
}

/* The flat view of the regions as they are now, or NULL if memory has run out. */
static struct memory_view *view_build(const struct memory_map *map)
{
    size_t most = 0;
    for (const struct memory_region *region = map->regions; region; region = region->next)
        most += 2;
    struct memory_view *view = calloc(1, sizeof *view + most * sizeof view->ranges[0]);
    uint64_t *starts = calloc(most + 1, sizeof *starts); /* where another region may begin to answer */
    if (!view || !starts) {
        free(view);
        free(starts);
        return NULL;
    }
    size_t count = 0;
    for (const struct memory_region *region = map->regions; region; region = region->next) {
        if (!region_seen(region, map))
            continue;
        starts[count++] = region->base;
        if (region_last(region, map) < map->last)
            starts[count++] = region_last(region, map) + 1;
    }
    qsort(starts, count, sizeof *starts, compare_address);
    for (size_t i = 0; i < count; i++) {
        uint64_t last = i + 1 < count ? starts[i + 1] - 1 : map->last;
        if (i + 1 < count && starts[i] == starts[i + 1])
            continue;
        struct memory_region *region = map->regions;
        while (region && !(region_seen(region, map) && region->base <= starts[i] &&
                           region_last(region, map) >= starts[i]))
            region = region->next;
        if (region)
            view_append(view, region, starts[i], last);
    }
    free(starts);
    return view;
}

static void regions_insert(struct memory_map *map, struct memory_region *region)
{
    struct memory_region **link = &map->regions;
    while (*link && region_wins(*link, region))
        link = &(*link)->next;
    region->next = *link;
    *link = region;
}

static void regions_take(struct memory_map *map, struct memory_region *region)
{
    struct memory_region **link = &map->regions;
    while (*link != region)
        link = &(*link)->next;
    *link = region->next;
}

bool memory_map_reclaim(struct memory_map *map)
{
    uint64_t seen = UINT64_MAX;
    atomic_thread_fence(memory_order_seq_cst); /* against memory_reader_wake() */
    for (struct memory_reader *reader = map->readers; reader; reader = reader->next) {
        uint64_t one = atomic_load_explicit(&reader->seen, memory_order_acquire);
        seen = MIN(seen, one);
    }
    struct memory_view **link = &map->retired;
    while (*link) {
        struct memory_view *view = *link;
        if (view->generation > seen) {
            link = &view->retired;
            continue;
        }
        *link = view->retired;
        if (view->removed && view->removed->released)
            view->removed->released(view->removed->opaque);
        free(view->removed);
        free(view);
    }
    return !map->retired;
}

/* Makes `view` what lookups see; `removed`, which may be NULL, goes with the old one. */
static void view_replace(struct memory_map *map, struct memory_view *view, struct memory_region *removed)
{
    struct memory_view *old = atomic_load_explicit(&map->view, memory_order_relaxed);
    atomic_store_explicit(&map->view, view, memory_order_release);
    old->generation = atomic_fetch_add(&map->generation, 1) + 1;
    old->removed = removed;
    for (struct memory_listener *listener = map->listeners; listener; listener = listener->next)
        listener->changed(listener->opaque, old, view);
    old->retired = map->retired;
    map->retired = old;
    memory_map_reclaim(map);
}

int memory_map_init(struct memory_map *map, uint64_t last, struct error *error)
{
    *map = (struct memory_map){.last = last};
    struct memory_view *view = view_build(map);
    if (!view)
        return error_set(error, -ENOMEM, "no memory for the machine's memory map");
    atomic_init(&map->view, view);
    return 0;
}

void memory_map_destroy(struct memory_map *map)
{
    map->readers = NULL;
    memory_map_reclaim(map);
    while (map->regions) {
        struct memory_region *region = map->regions;
        map->regions = region->next;
        if (region->released)
            region->released(region->opaque);
        free(region);
    }
    free(atomic_load(&map->view));
    *map = (struct memory_map){0};
}

static struct memory_region *region_add(struct memory_map *map, const struct memory_region *like,
                                        struct error *error)
{
    bool backed = like->kind != MEMORY_MMIO;
    if (!like->size || like->base > map->last || like->size - 1 > map->last - like->base ||
        (backed && (!like->backing || like->backing_offset > like->backing->size ||
                    like->size > like->backing->size - like->backing_offset))) {
        error_set(error, -EINVAL, "%s: there is no place for %#llx bytes at %#llx", like->name,
                  (unsigned long long)like->size, (unsigned long long)like->base);
        return NULL;
    }
    struct memory_region *region = malloc(sizeof *region);
    struct memory_view *view = NULL;
    if (region) {
        *region = *like;
        region->map = map;
        region->enabled = true;
        region->order = ++map->order;
        regions_insert(map, region);
        view = view_build(map);
    }
    if (!view) {
        if (region)
            regions_take(map, region);
        free(region);
        error_set(error, -ENOMEM, "%s: no memory for the machine's memory map", like->name);
        return NULL;
    }
    view_replace(map, view, NULL);
    return region;
}

struct memory_region *memory_add_ram(struct memory_map *map, const char *name, uint64_t base, uint64_t size,
                                     int priority, struct memory_backing *backing, uint64_t backing_offset,
                                     struct error *error)
{
    struct memory_region region = {
        .name = name,
        .kind = MEMORY_RAM,
        .base = base,
        .size = size,
        .priority = priority,
        .backing = backing,
        .backing_offset = backing_offset,
    };
    return region_add(map, &region, error);
}

struct memory_region *memory_add_rom(struct memory_map *map, const char *name, uint64_t base, uint64_t size,
                                     int priority, struct memory_backing *backing, uint64_t backing_offset,
                                     const struct access_ops *ops, void *opaque, struct error *error)
{
    struct memory_region region = {
        .name = name,
        .kind = MEMORY_ROM,
        .base = base,
        .size = size,
        .priority = priority,
        .backing = backing,
        .backing_offset = backing_offset,
        .ops = ops,
        .opaque = opaque,
    };
    return region_add(map, &region, error);
}

struct memory_region *memory_add_mmio(struct memory_map *map, const char *name, uint64_t base, uint64_t size,
                                      int priority, const struct access_ops *ops, void *opaque,
                                      struct error *error)
{
    struct memory_region region = {
        .name = name,
        .kind = MEMORY_MMIO,
        .base = base,
        .size = size,
        .priority = priority,
        .ops = ops,
        .opaque = opaque,
    };
    return region_add(map, &region, error);
}

int memory_region_place(struct memory_region *region, uint64_t base, bool enabled, struct error *error)
{
    struct memory_map *map = region->map;
    struct memory_region before = *region;
    if (before.base == base && before.enabled == enabled)
        return 0;
    regions_take(map, region);
    region->base = base;
    region->enabled = enabled;
    region->order = map->order + 1;
    regions_insert(map, region);
    struct memory_view *view = view_build(map);
    if (!view) {
        regions_take(map, region);
        *region = before;
        regions_insert(map, region);
        return error_set(error, -ENOMEM, "%s: no memory for the machine's memory map", region->name);
    }
    map->order++;
    view_replace(map, view, NULL);
    return 0;
}

int memory_region_remove(struct memory_region *region, struct error *error)
{
    struct memory_map *map = region->map;
    regions_take(map, region);
    struct memory_view *view = view_build(map);
    if (!view) {
        regions_insert(map, region);
        return error_set(error, -ENOMEM, "%s: no memory for the machine's memory map", region->name);
    }
    view_replace(map, view, region);
    return 0;
}

void memory_listener_add(struct memory_map *map, struct memory_listener *listener)
{
    listener->next = map->listeners;
    map->listeners = listener;
}

void memory_listener_remove(struct memory_map *map, struct memory_listener *listener)
{
    struct memory_listener **link = &map->listeners;
    while (*link && *link != listener)
        link = &(*link)->next;
    if (*link)
        *link = listener->next;
}

static void tell_signals(const struct memory_map *map)
{
    for (struct memory_listener *listener = map->listeners; listener; listener = listener->next)
        if (listener->signals_changed)
            listener->signals_changed(listener->opaque);
}

void memory_signal_add(struct memory_map *map, struct memory_signal *signal)
{
    signal->next = map->signals;
    map->signals = signal;
    tell_signals(map);
}

void memory_signal_remove(struct memory_map *map, struct memory_signal *signal)
{
    struct memory_signal **link = &map->signals;
    while (*link && *link != signal)
        link = &(*link)->next;
    if (!*link)
        return;
    *link = signal->next;
    tell_signals(map);
}

bool memory_signal_address(const struct memory_view *view, const struct memory_signal *signal,
                           uint64_t *address)
{
    const uint64_t last = signal->offset + MAX(signal->size, 1u) - 1;
    for (unsigned i = 0; i < view->count; i++) {
        const struct memory_range *range = &view->ranges[i];
        if (range->region != signal->region || signal->offset < range->offset ||
            last - range->offset > range->last - range->start)
            continue;
        *address = range->start + (signal->offset - range->offset);
        return true;
    }
    return false;
}

void memory_reader_add(struct memory_map *map, struct memory_reader *reader)
{
    atomic_store(&reader->seen, atomic_load(&map->generation));
    reader->next = map->readers;
    map->readers = reader;
}

void memory_reader_remove(struct memory_map *map, struct memory_reader *reader)
{
    struct memory_reader **link = &map->readers;
    while (*link && *link != reader)
        link = &(*link)->next;
    if (*link)
        *link = reader->next;
}

void memory_reader_pass(struct memory_map *map, struct memory_reader *reader)
{
    uint64_t generation = atomic_load_explicit(&map->generation, memory_order_acquire);
    if (atomic_load_explicit(&reader->seen, memory_order_relaxed) != generation)
        atomic_store_explicit(&reader->seen, generation, memory_order_release);
}

void memory_reader_sleep(struct memory_reader *reader)
{
    atomic_store_explicit(&reader->seen, UINT64_MAX, memory_order_release);
}

void memory_reader_wake(struct memory_map *map, struct memory_reader *reader)
{
    atomic_store(&reader->seen, atomic_load(&map->generation));
    atomic_thread_fence(memory_order_seq_cst); /* the updater sees this, or we see its view */
}
