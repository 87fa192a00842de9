/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory_map: what answers at which guest-physical address.
 *
 * A map has regions: RAM and ROM, which are pieces of a memory_backing (host memory), and MMIO, which calls a
 * device. They come, go and move while the machine runs, as PCI base address registers do. Where regions
 * overlap, the one of higher priority answers; among equals the one that was added or moved last.
 *
 * Who reads the map never locks: lookups go to a flat view, an immutable sorted array that is replaced as a
 * whole. An old view, and a region that was removed, are freed when every reader has passed a point at which
 * it holds nothing of them: a thread that looks things up without holding the machine's lock has a
 * memory_reader and calls memory_reader_pass() now and then (a vCPU: at every exit), or says that it sleeps.
 * Changes are made under the machine's lock.
 *
 * Device callbacks are called under the machine's lock: who calls memory_read() and the like for an address
 * that may be a device's holds it.
 */
#ifndef VISOR_MEMORY_MEMORY_MAP_H
#define VISOR_MEMORY_MEMORY_MAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define MEMORY_PAGE_SHIFT 12
#define MEMORY_PAGE_SIZE  (UINT64_C(1) << MEMORY_PAGE_SHIFT)

/* How a device is accessed, in memory and I/O space. `size` is 1, 2, 4 or 8 and at most `max_size`, `offset`
 * (in the region) a multiple of it: other accesses are split. Upper bits of values are ignored. */
struct access_ops {
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
    void (*write)(void *opaque, uint64_t offset, unsigned size, uint64_t value);
    unsigned max_size; /* 0: 8 */
};

enum memory_page_flag {
    MEMORY_PAGE_CODE = 1,  /* a translator has made code from this page and wants to hear of writes */
    MEMORY_PAGE_DIRTY = 2, /* written since the flag was cleared; kept while the backing tracks that */
};

/* How an engine whose guest writes to host memory without a word tells of it afterwards. */
struct memory_dirty_source {
    /* From now on, or no longer; pages are clean when it begins. 0, or a negative errno; ending never fails.
     */
    int (*track)(void *opaque, bool on);
    /* Calls memory_backing_mark_dirty() for what was written since it began, or was asked last. */
    int (*collect)(void *opaque);
    void *opaque;
};

/* Who else writes to a backing's pages without a word: the host's kernel, which serves queues of a guest's.
 * He does not while it is kept which pages were written. */
struct memory_writer {
    /* It is about to be kept, or is no more. */
    void (*tracked)(void *opaque, bool on);
    void *opaque;
    struct memory_writer *next;
};

/* Host memory, visor's own and no child's: zero and unallocated until touched. */
struct memory_backing {
    uint64_t size;
    uint8_t *host;               /* aligned to huge pages */
    bool huge;                   /* of pages that the host has reserved for it */
    bool foreign;                /* a device's memory, which somebody else has mapped at `host` */
    bool pinned;                 /* devices of the host's reach its pages where they are */
    uint64_t plain;              /* bytes at its start that get no huge pages */
    _Atomic uint8_t *page_flags; /* a byte for each page */
    _Atomic bool tracks_dirty;
    /* Called after pages with MEMORY_PAGE_CODE were written by anyone but the translator's own code. */
    void (*code_written)(void *opaque, struct memory_backing *backing, uint64_t offset, uint64_t length);
    /* No page counts as written any more: who writes by other ways than these functions is to tell of the
     * next write to each. */
    void (*dirty_cleared)(void *opaque);
    void *opaque;
    const struct memory_dirty_source *dirty_source; /* the engine's; NULL: it sets the flags itself */
    struct memory_writer *writers;
    bool merges; /* equal pages of it and of others may be one on the host */
    int pagemap; /* what memory_backing_touched() looks into; -1: it is opened each time */
    /* What memory_backing_map_file() has mapped, in order. */
    struct memory_file_piece {
        uint64_t start, end;
    } * pieces;
    unsigned piece_count;
};

/* `size` is a multiple of the page size. The host may give it huge pages as it likes. */
struct memory_backing *memory_backing_create(const char *name, uint64_t size, struct error *error);
/* All of it is huge pages, 2 MiB each, which the host reserves now. `size` is a multiple of that. */
struct memory_backing *memory_backing_create_huge(const char *name, uint64_t size, struct error *error);
/* So many bytes at its start get no huge pages, which the host would have to clear, and to keep, for little:
 * the guest would not have one there. Before it is used; not of pages that the host has reserved. */
void memory_backing_keep_plain(struct memory_backing *backing, uint64_t length);
/* Not memory but what a device of the host's has mapped at `host`, which stays the caller's: never given
 * back, never cleared. Accesses to it are as wide as the guest's where these are aligned and have 1, 2, 4 or
 * 8 bytes. NULL with error. */
struct memory_backing *memory_backing_wrap(const char *name, void *host, uint64_t size, struct error *error);
/* For when no region and no reader uses it. */
void memory_backing_free(struct memory_backing *backing);

/* Which pages were written since when: by the guest, whatever the engine, and by devices. Begins, begins anew
 * or ends to be kept. A negative errno: the engine cannot; nothing is kept. No processor runs meanwhile. */
int memory_backing_track_dirty(struct memory_backing *backing, bool on);
/* Those since it began, or since they were last taken: bit n % 64 of pages[n / 64] for page n; the others are
 * cleared. From now on they count anew. No processor runs meanwhile. A negative errno, -EINVAL: it is not
 * kept; else nothing is lost for the next time. */
int memory_backing_take_dirty(struct memory_backing *backing, uint64_t *pages);
/* The writer stays the caller's. Under the machine's lock. */
void memory_backing_writer_add(struct memory_backing *backing, struct memory_writer *writer);
void memory_backing_writer_remove(struct memory_backing *backing, struct memory_writer *writer);
/* For engines, and what tells of writes otherwise. */
static inline void memory_backing_mark_dirty(struct memory_backing *backing, uint64_t page)
{
    _Atomic uint8_t *flags = &backing->page_flags[page];
    if (!(atomic_load_explicit(flags, memory_order_relaxed) & MEMORY_PAGE_DIRTY))
        atomic_fetch_or(flags, MEMORY_PAGE_DIRTY);
}

/* Host memory was written not through memory_write(). */
void memory_backing_written(struct memory_backing *backing, uint64_t offset, uint64_t length);

/* All of it is zeros again, and mapped from no file. Nobody uses it meanwhile. */
int memory_backing_clear(struct memory_backing *backing, struct error *error);
/* Whole pages, which were not mapped so before, have what the file has at `file_offset`, without being read
 * before somebody needs them; what is written to them is not written to the file, which stays as it is as
 * long as there is the backing. In ascending order. A negative errno: it cannot be mapped; huge pages never.
 */
int memory_backing_map_file(struct memory_backing *backing, uint64_t offset, uint64_t length, int fd,
                            uint64_t file_offset);
/* Whole pages are zeros again, and cost the host nothing where that is possible. */
void memory_backing_discard(struct memory_backing *backing, uint64_t offset, uint64_t length);
/* The host may make equal pages of it and of others one, which is undone when they are written (KSM), or no
 * more. -EOPNOTSUPP: its kernel cannot. */
int memory_backing_merge(struct memory_backing *backing, bool on, struct error *error);
/* From now on its pages stay where they are, since devices of the host's know them by their places: nothing
 * is given back to the host, equal pages are not merged, and no file is mapped. -EBUSY: its pages are already
 * merged, or a file's. */
int memory_backing_pin(struct memory_backing *backing, struct error *error);
/* Of `count` pages from number `first` on, whether they can be anything but zeros: those that were never
 * touched are not. */
void memory_backing_touched(const struct memory_backing *backing, uint64_t first, uint64_t count,
                            bool *touched);
/* Opens what that needs, for a process that will be able to open nothing. */
void memory_backing_prepare_touched(struct memory_backing *backing);

enum memory_kind {
    MEMORY_RAM,
    MEMORY_ROM, /* reads as memory; writes go to the callback if there is one */
    MEMORY_MMIO,
};

struct memory_region {
    const char *name;
    enum memory_kind kind;
    uint64_t base, size;
    int priority;
    bool enabled;
    const struct access_ops *ops;
    void *opaque;
    struct memory_backing *backing;
    uint64_t backing_offset;
    void (*released)(void *opaque); /* may be NULL: removed, and nobody can be calling `ops` any more */

    struct memory_map *map;
    uint64_t order; /* of being added or moved */
    struct memory_region *next;
};

/* A part of the view that one region answers. */
struct memory_range {
    uint64_t start, last;
    struct memory_region *region;
    uint64_t offset; /* in the region */
    uint8_t *host;   /* of `start`, for RAM and ROM */
};

struct memory_view {
    struct memory_view *retired; /* the next older one that waits to be freed */
    struct memory_region *removed;
    uint64_t generation; /* of the map at which it was replaced */
    unsigned count;
    struct memory_range ranges[]; /* sorted, disjoint */
};

struct memory_reader {
    _Atomic uint64_t seen; /* generation of the map it may still see; UINT64_MAX while asleep */
    struct memory_reader *next;
};

/* A write by the guest that an engine may turn into a signal of an eventfd, without leaving guest code: to
 * `offset` of a region of MMIO. Where an engine does not, and for who else writes there, the region's
 * callback is called as ever, and does what the signal is for. Under the machine's lock. */
struct memory_signal {
    struct memory_region *region;
    uint64_t offset;
    unsigned size; /* of the write; 0: any */
    int fd;        /* an eventfd, the owner's; gets 1 added */
    struct memory_signal *next;
};

/* Told of every change, after it, under the machine's lock. */
struct memory_listener {
    void (*changed)(void *opaque, const struct memory_view *old, const struct memory_view *now);
    void (*signals_changed)(void *opaque); /* one came or went; may be NULL */
    void *opaque;
    struct memory_listener *next;
};

struct memory_map {
    uint64_t last; /* highest address there is */
    _Atomic(struct memory_view *) view;
    _Atomic uint64_t generation;
    struct memory_view *retired;
    struct memory_region *regions;
    uint64_t order;
    struct memory_reader *readers;
    struct memory_listener *listeners;
    struct memory_signal *signals;
};

int memory_map_init(struct memory_map *map, uint64_t last, struct error *error);
/* Frees the map's regions too. No reader is left. */
void memory_map_destroy(struct memory_map *map);

/* New regions. They belong to the map; `name` stays the caller's. NULL with `error` if the addresses or the
 * piece of the backing do not exist, or memory has run out. */
struct memory_region *memory_add_ram(struct memory_map *map, const char *name, uint64_t base, uint64_t size,
                                     int priority, struct memory_backing *backing, uint64_t backing_offset,
                                     struct error *error);
/* `ops` may be NULL; only its write is used. */
struct memory_region *memory_add_rom(struct memory_map *map, const char *name, uint64_t base, uint64_t size,
                                     int priority, struct memory_backing *backing, uint64_t backing_offset,
                                     const struct access_ops *ops, void *opaque, struct error *error);
struct memory_region *memory_add_mmio(struct memory_map *map, const char *name, uint64_t base, uint64_t size,
                                      int priority, const struct access_ops *ops, void *opaque,
                                      struct error *error);
/* Where a guest puts a region is no error: what lies beyond the end of the map is not seen. The errors are
 * -ENOMEM and leave everything as it was. */
int memory_region_place(struct memory_region *region, uint64_t base, bool enabled, struct error *error);
int memory_region_remove(struct memory_region *region, struct error *error);

/* The signal and its descriptor stay the caller's, until it is removed: then no engine knows them any more.
 */
void memory_signal_add(struct memory_map *map, struct memory_signal *signal);
void memory_signal_remove(struct memory_map *map, struct memory_signal *signal);
/* Where the view has the place of the signal. False: nowhere. */
bool memory_signal_address(const struct memory_view *view, const struct memory_signal *signal,
                           uint64_t *address);

void memory_listener_add(struct memory_map *map, struct memory_listener *listener);
void memory_listener_remove(struct memory_map *map, struct memory_listener *listener);

void memory_reader_add(struct memory_map *map, struct memory_reader *reader);
void memory_reader_remove(struct memory_map *map, struct memory_reader *reader);
/* By the reader itself: it has no pointer from an earlier lookup; between sleep and wake, which nest not, it
 * looks nothing up. */
void memory_reader_pass(struct memory_map *map, struct memory_reader *reader);
void memory_reader_sleep(struct memory_reader *reader);
void memory_reader_wake(struct memory_map *map, struct memory_reader *reader);
/* Frees what no reader can see any more, as every change does too. True if nothing is left to free. */
bool memory_map_reclaim(struct memory_map *map);

/* The range that has this address, or NULL. Valid until the reader passes. */
const struct memory_range *memory_find(struct memory_map *map, uint64_t address);

/* Copy between guest memory and a buffer. -EFAULT: somewhere nothing answers; what is before that was copied.
 * Aligned pieces of 2, 4 and 8 bytes are copied at once. */
int memory_read(struct memory_map *map, uint64_t address, void *buffer, size_t length);
int memory_write(struct memory_map *map, uint64_t address, const void *buffer, size_t length);

/* Host memory of [address, address + length), if that is in one region of RAM, or of ROM and not to be
 * written; else NULL. Who writes by it tells memory_written(). */
uint8_t *memory_pointer(struct memory_map *map, uint64_t address, uint64_t length, bool write);
void memory_written(struct memory_map *map, uint64_t address, uint64_t length);

/* Gives the whole pages within [address, address + length) back to the host, as far as they are RAM; they
 * read as zeros from then on. Those of pinned memory stay as they are. */
void memory_discard(struct memory_map *map, uint64_t address, uint64_t length);

/* One access by an instruction, 1, 2, 4 or 8 bytes at any alignment. Where nothing answers, ones are read
 * and writes are lost; -EFAULT says that this happened. */
int memory_mmio_read(struct memory_map *map, uint64_t address, unsigned size, uint64_t *value);
int memory_mmio_write(struct memory_map *map, uint64_t address, unsigned size, uint64_t value);

#endif
