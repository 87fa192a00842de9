/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * code_store: see code_store.h.
 *
 * The file: a header with an index, then the entries. The index is a hash table of sets as wide as a cache
 * line, in levels: what finds its set full goes to the next, larger level, and in the last something is
 * forgotten. So a small store, of which each short-lived process maps anew what it looks at, has few pages of
 * index. Writers hold a lock of the file, which the kernel releases for
 * those that die; nobody waits long for it, since a store is an optimisation. An entry is in the index only
 * when all of it is in the file; readers take no lock.
 */
#include "translator/code_store.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/macros.h"
#include "translator/pages.h"

#define STORE_SIZE (128u << 20)
#define SET_SLOTS  16u
#define LEVELS     3u
#define BATCH_SIZE (128u << 10)
#define ALIGNMENT  8u
#define LOCK_TRIES 20

/* So no user can cut it off under the others' mappings. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* A slot: bits of the hash, which spare looking at most of the wrong entries, and offset / ALIGNMENT of the
 * entry. */
#define OFFSET_BITS 24
_Static_assert(STORE_SIZE / ALIGNMENT == 1u << OFFSET_BITS, "a slot has room for any offset");

struct index_set {
    _Alignas(64) _Atomic uint32_t slots[SET_SLOTS]; /* 0: empty */
};

/* Of each level: how many sets, as a power of two, and where in the index they are. */
static const struct {
    unsigned bits, first;
} levels[LEVELS] = {{8, 0}, {12, 1u << 8}, {14, (1u << 8) + (1u << 12)}};
#define SET_COUNT ((1u << 8) + (1u << 12) + (1u << 14))

struct header {
    struct translator_key key;
    uint32_t used; /* bytes of the store, from its start; for who has the lock */
    _Alignas(4096) struct index_set sets[SET_COUNT];
};

/* Followed, each aligned, by the guest bytes, exits, restarts, relocs, insns and the code. */
struct entry {
    uint64_t pc, start, end;
    uint32_t offset; /* its own: no bytes in the midst of another entry are taken for one */
    uint32_t size;   /* of all */
    uint32_t code_size;
    uint16_t exit_count, restart_count, reloc_count, insn_count;
    uint32_t flags_dead, mode;
};

struct code_store {
    _Atomic int fd; /* -1: not in use */
    bool full;
    const struct header *header; /* owned mapping of the whole file; address space only while not in use */
    uint32_t batch_used;
    _Alignas(ALIGNMENT) uint8_t batch[BATCH_SIZE];
};

/* -- life ------------------------------------------------------------------------------------------------ */

/* The guest's limit of file sizes holds for a store too, and the signal for exceeding it is the guest's. */
static bool may_write(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur >= STORE_SIZE;
}

int code_store_create(const struct translator_key *key)
{
    if (!may_write())
        return -EFBIG;
    const struct {
        struct translator_key key;
        uint32_t used;
    } head = {*key, sizeof(struct header)};
    int fd = memfd_create("visor-translations", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, STORE_SIZE) < 0 || pwrite(fd, &head, sizeof head, 0) != sizeof head ||
        fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
        int code = errno ? -errno : -EIO;
        close(fd);
        return code;
    }
    return fd;
}

/* Address space without anything in it, or with zeros, where the file was. */
static void *map_nothing(void *at, int protection)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED : 0);
    return mmap(at, STORE_SIZE, protection, flags, -1, 0);
}

struct code_store *code_store_new(void)
{
    struct code_store *store = malloc(sizeof *store);
    if (!store)
        return NULL;
    store->fd = -1;
    store->full = false;
    store->batch_used = 0;
    store->header = map_nothing(NULL, PROT_NONE);
    if ((const void *)store->header == MAP_FAILED) {
        free(store);
        return NULL;
    }
    return store;
}

void code_store_free(struct code_store *store)
{
    if (!store)
        return;
    munmap((void *)store->header, STORE_SIZE);
    free(store);
}

bool code_store_use(struct code_store *store, int fd, const struct translator_key *key)
{
    struct translator_key found;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0 || (seals & SEALS) != SEALS || lseek(fd, 0, SEEK_END) != STORE_SIZE ||
        pread(fd, &found, sizeof found, 0) != sizeof found || memcmp(&found, key, sizeof found) != 0)
        return false;
    if (mmap((void *)store->header, STORE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
        return false;
    pages_hide_from_dumps((void *)store->header, STORE_SIZE);
    store->full = false;
    store->batch_used = 0;
    store->fd = fd;
    return true;
}

bool code_store_in_use(const struct code_store *store)
{
    return store && store->fd >= 0;
}

void code_store_renumber(struct code_store *store, int fd)
{
    store->fd = fd;
}

void code_store_leave(struct code_store *store)
{
    store->fd = -1;
    store->batch_used = 0;
    /* Zeros: another thread may be reading. If even this fails, better no address space than that of others.
     */
    if (map_nothing((void *)store->header, PROT_READ) == MAP_FAILED)
        munmap((void *)store->header, STORE_SIZE);
}

/* -- finding --------------------------------------------------------------------------------------------- */

/* Its highest bits choose the set, the lowest are kept in the slot. */
static uint32_t hash(uint64_t pc)
{
    return (uint32_t)(pc * 0x9e3779b97f4a7c15u >> 32);
}

static uint32_t slot_of(uint64_t pc, uint32_t offset)
{
    return hash(pc) << OFFSET_BITS | offset / ALIGNMENT;
}

static const struct index_set *set_of(const struct code_store *store, uint64_t pc, unsigned level)
{
    return &store->header->sets[levels[level].first + (hash(pc) >> (32 - levels[level].bits))];
}

/* Takes `size` bytes at *at, and what aligns the next. */
static const void *take(const uint8_t **at, size_t size)
{
    const void *p = *at;
    *at += ALIGN_UP(size, (size_t)ALIGNMENT);
    return p;
}

static size_t size_of(size_t guest, const struct code_parts *code)
{
    return sizeof(struct entry) + ALIGN_UP(guest, (size_t)ALIGNMENT) +
           code->exit_count * sizeof *code->exits + code->restart_count * sizeof *code->restarts +
           ALIGN_UP(code->reloc_count * sizeof *code->relocs, (size_t)ALIGNMENT) +
           code->insn_count * sizeof *code->insns + ALIGN_UP((size_t)code->size, (size_t)ALIGNMENT);
}
_Static_assert(sizeof(struct entry) % ALIGNMENT == 0 && sizeof(struct host_exit) % ALIGNMENT == 0 &&
                   sizeof(struct host_restart) % ALIGNMENT == 0 && sizeof(struct host_insn) % ALIGNMENT == 0,
               "the parts of an entry follow each other without gaps");

/* True if [at, at + 4) is inside the code. */
static bool inside(const struct code_parts *code, uint32_t at)
{
    return code->size >= 4 && at <= code->size - 4;
}

/* True if that is a displacement that code_cache_link() may change. */
static bool is_slot(const struct code_parts *code, uint32_t at)
{
    return inside(code, at) && at % 8 <= 4;
}

/* What code_cache_add() relies on. */
static bool is_sound(const struct code_parts *code)
{
    for (unsigned i = 0; i < code->exit_count; i++) {
        const struct host_exit *exit = &code->exits[i];
        if (!is_slot(code, exit->slot) || !is_slot(code, exit->direct) || exit->stub >= code->size ||
            !inside(code, exit->stub + HOST_STUB_NUMBER) || exit->store >= code->size)
            return false;
    }
    for (unsigned i = 0; i < code->restart_count; i++) {
        const struct host_restart *restart = &code->restarts[i];
        if (restart->start > restart->end || restart->end > code->size)
            return false;
    }
    for (unsigned i = 0; i < code->reloc_count; i++) {
        if (!inside(code, code->relocs[i].offset) || code->relocs[i].routine >= HOST_ROUTINE_COUNT)
            return false;
    }
    return true;
}

/* The parts of the entry with this head in `room` bytes. False: no sound entry. */
static bool read_parts(const struct entry *head, const uint8_t *at, size_t room, struct stored_code *found)
{
    struct code_parts *code = &found->code;
    size_t guest = head->end - head->start;

    *code = (struct code_parts){
        .size = head->code_size,
        .exit_count = head->exit_count,
        .restart_count = head->restart_count,
        .reloc_count = head->reloc_count,
        .insn_count = head->insn_count,
        .flags_dead = head->flags_dead != 0,
    };
    found->mode = head->mode;
    found->start = head->start;
    found->end = head->end;
    if (head->start > head->pc || head->end <= head->pc || guest > BATCH_SIZE || !code->size ||
        code->size > HOST_CODE_MAX || size_of(guest, code) > room)
        return false;
    at += sizeof *head;
    found->guest = take(&at, guest);
    code->exits = take(&at, code->exit_count * sizeof *code->exits);
    code->restarts = take(&at, code->restart_count * sizeof *code->restarts);
    code->relocs = take(&at, code->reloc_count * sizeof *code->relocs);
    code->insns = take(&at, code->insn_count * sizeof *code->insns);
    code->bytes = take(&at, code->size);
    return is_sound(code);
}

bool code_store_find(const struct code_store *store, uint64_t pc, unsigned *cursor, struct stored_code *found)
{
    const uint8_t *memory = (const uint8_t *)store->header;

    while (*cursor < LEVELS * SET_SLOTS) {
        const struct index_set *set = set_of(store, pc, *cursor / SET_SLOTS);
        uint32_t slot = atomic_load_explicit(&set->slots[(*cursor)++ % SET_SLOTS], memory_order_acquire);
        uint32_t offset = slot % (1u << OFFSET_BITS) * ALIGNMENT;
        if (!slot)
            return false; /* slots are filled in this order */
        if (slot != slot_of(pc, offset) || offset < sizeof(struct header) ||
            offset > STORE_SIZE - sizeof(struct entry))
            continue;
        struct entry head;
        memcpy(&head, memory + offset, sizeof head);
        if (head.pc == pc && head.offset == offset &&
            read_parts(&head, memory + offset, STORE_SIZE - offset, found))
            return true;
    }
    return false;
}

/* -- adding ---------------------------------------------------------------------------------------------- */

static void put(uint8_t **at, const void *bytes, size_t size)
{
    if (size)
        memcpy(*at, bytes, size);
    *at += ALIGN_UP(size, (size_t)ALIGNMENT);
}

void code_store_add(struct code_store *store, uint64_t pc, const struct stored_code *made)
{
    const struct code_parts *code = &made->code;
    size_t guest = made->end - made->start, size = size_of(guest, code);
    if (store->fd < 0 || store->full || size > BATCH_SIZE)
        return;
    if (size > BATCH_SIZE - store->batch_used)
        code_store_flush(store);
    if (size > BATCH_SIZE - store->batch_used)
        store->batch_used = 0; /* not written, since others do all the time: forgotten */

    uint8_t *at = store->batch + store->batch_used;
    const struct entry entry = {
        .pc = pc,
        .start = made->start,
        .end = made->end,
        .size = (uint32_t)size,
        .code_size = code->size,
        .exit_count = (uint16_t)code->exit_count,
        .restart_count = (uint16_t)code->restart_count,
        .reloc_count = (uint16_t)code->reloc_count,
        .insn_count = (uint16_t)code->insn_count,
        .flags_dead = code->flags_dead,
        .mode = made->mode,
    };
    put(&at, &entry, sizeof entry);
    put(&at, made->guest, guest);
    put(&at, code->exits, code->exit_count * sizeof *code->exits);
    put(&at, code->restarts, code->restart_count * sizeof *code->restarts);
    put(&at, code->relocs, code->reloc_count * sizeof *code->relocs);
    put(&at, code->insns, code->insn_count * sizeof *code->insns);
    put(&at, code->bytes, code->size);
    store->batch_used += (uint32_t)size;
}

/* The lock is the process's, not the descriptor's, which all users share. */
static bool lock_file(int fd)
{
    const struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    for (unsigned i = 0; i < LOCK_TRIES; i++) {
        if (fcntl(fd, F_SETLK, &lock) == 0)
            return true;
        if (errno != EAGAIN && errno != EACCES)
            return false;
        sched_yield();
    }
    return false;
}

static void unlock_file(int fd)
{
    const struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_len = 1};
    fcntl(fd, F_SETLK, &lock);
}

static bool write_at(int fd, const void *bytes, size_t size, size_t offset)
{
    return pwrite(fd, bytes, size, (off_t)offset) == (ssize_t)size;
}

/* The first empty slot, or in a full index the one of the last set that the entry's place happens to name. */
static const _Atomic uint32_t *free_slot(const struct code_store *store, uint64_t pc, uint32_t offset)
{
    const struct index_set *set = NULL;
    for (unsigned level = 0; level < LEVELS; level++) {
        set = set_of(store, pc, level);
        for (unsigned i = 0; i < SET_SLOTS; i++) {
            if (!atomic_load_explicit(&set->slots[i], memory_order_relaxed))
                return &set->slots[i];
        }
    }
    return &set->slots[offset / ALIGNMENT % SET_SLOTS];
}

static bool publish(const struct code_store *store, uint64_t pc, uint32_t offset)
{
    const uint32_t slot = slot_of(pc, offset);
    const size_t at = (size_t)((uintptr_t)free_slot(store, pc, offset) - (uintptr_t)store->header);
    return write_at(store->fd, &slot, sizeof slot, at);
}

/* The batch behind what is in the file, then its end, then the index: whoever dies in between leaves nothing
 * that is found. With the lock of the file. */
static void write_batch(struct code_store *store)
{
    uint32_t base = store->header->used, size = store->batch_used;

    if (base < sizeof(struct header) || base % ALIGNMENT || base > STORE_SIZE - size) {
        store->full = true;
        return;
    }
    for (uint32_t at = 0; at < size;) {
        struct entry *entry = (struct entry *)(void *)(store->batch + at);
        entry->offset = base + at;
        at += entry->size;
    }
    const uint32_t used = base + size;
    if (!write_at(store->fd, store->batch, size, base) ||
        !write_at(store->fd, &used, sizeof used, offsetof(struct header, used)))
        return;
    for (uint32_t at = 0; at < size;) {
        const struct entry *entry = (const struct entry *)(const void *)(store->batch + at);
        if (!publish(store, entry->pc, base + at))
            return;
        at += entry->size;
    }
}

void code_store_flush(struct code_store *store)
{
    if (!store->batch_used || !may_write() || !lock_file(store->fd))
        return;
    write_batch(store);
    unlock_file(store->fd);
    store->batch_used = 0;
}

void code_store_forget(struct code_store *store)
{
    store->batch_used = 0;
}
