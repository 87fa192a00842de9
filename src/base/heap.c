/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * heap: see heap.h. Blocks of some forty sizes, each with a list of free ones, cut from larger pieces; what
 * is larger is mapped. Every step of a list is one store, so that whoever dies in between harms nothing.
 */
#include "base/heap.h"

#if VISOR_STATIC

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/lock.h"
#include "base/macros.h"

#define UNIT        16ul          /* alignment, and the header's size */
#define PIECE_SIZE  (256ul << 10) /* what is mapped at a time */
#define SMALL_MAX   (64ul << 10)  /* of a block with its header; larger ones are mapped by themselves */
#define CLASS_COUNT 52
#define MAPPED      UINT32_MAX
#define PAGE        4096ul

/* In front of what the caller gets. */
struct header {
    uint32_t class; /* or MAPPED */
    uint32_t shift; /* from the block's start to the header, for the caller's alignment */
    size_t size;    /* of the block, headers included */
};
_Static_assert(sizeof(struct header) == UNIT, "alignment");

struct block {
    struct block *next;
};

static struct lock lock;
static struct block *blocks[CLASS_COUNT];
static uint8_t *piece, *piece_end;

/* Sizes of classes: 32, 48, then four to each power of two. */
static size_t class_size(unsigned class)
{
    if (class < 2)
        return 32 + 16ul * class;
    return (4ul + (class - 2) % 4) << ((class - 2) / 4 + 4);
}

static unsigned class_of(size_t size)
{
    if (size <= 32)
        return 0;
    if (size <= 48)
        return 1;
    unsigned power = 63 - (unsigned)__builtin_clzl(size - 1); /* 2^power < size, but for the power itself */
    unsigned class = (power - 6) * 4 + 2 + (unsigned)(((size - 1) >> (power - 2)) & 3) + 1;
    return size <= 64 ? 2 : class;
}

static void *map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* With the lock held. What is left of the last piece is too small to matter. */
static void *cut(size_t size)
{
    if ((size_t)(piece_end - piece) < size) {
        uint8_t *new = map(PIECE_SIZE);
        if (!new)
            return NULL;
        piece_end = new; /* in this order there is never more than there is */
        piece = new;
        piece_end = new + PIECE_SIZE;
    }
    void *p = piece;
    piece += size;
    return p;
}

static void *take_small(unsigned class, bool *zeroed)
{
    lock_take(&lock);
    struct block *block = blocks[class];
    *zeroed = !block;
    if (block)
        blocks[class] = block->next;
    else
        block = cut(class_size(class));
    lock_release(&lock);
    return block;
}

static void *allocate(size_t alignment, size_t size, bool *zeroed)
{
    size_t whole = size + UNIT + (alignment > UNIT ? alignment : 0);
    unsigned class = MAPPED;
    uint8_t *block;

    if (whole < size || whole > PTRDIFF_MAX)
        whole = 0;
    if (whole > SMALL_MAX) {
        whole = ALIGN_UP(whole, PAGE);
        block = map(whole);
        *zeroed = true;
    } else {
        class = class_of(whole);
        block = whole ? take_small(class, zeroed) : NULL;
        whole = class_size(class);
    }
    if (!block) {
        errno = ENOMEM;
        return NULL;
    }
    uint8_t *p = (uint8_t *)ALIGN_UP((uintptr_t)block + UNIT, alignment);
    struct header *header = (struct header *)p - 1;
    header->class = class;
    header->shift = (uint32_t)((uint8_t *)header - block);
    header->size = whole;
    return p;
}

static size_t room(const struct header *header)
{
    return header->size - header->shift - UNIT;
}

void *malloc(size_t size)
{
    bool zeroed;
    return allocate(UNIT, size, &zeroed);
}

void free(void *p)
{
    if (!p)
        return;
    const int saved = errno;
    struct header *header = (struct header *)p - 1;
    struct block *block = (struct block *)((uint8_t *)header - header->shift);
    const unsigned class = header->class;
    if (class == MAPPED) {
        munmap(block, header->size);
        errno = saved;
        return;
    }
    lock_take(&lock);
    block->next = blocks[class];
    blocks[class] = block;
    lock_release(&lock);
    errno = saved;
}

void *calloc(size_t count, size_t size)
{
    size_t all;
    bool zeroed;

    if (__builtin_mul_overflow(count, size, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    void *p = allocate(UNIT, all, &zeroed);
    if (p && !zeroed)
        memset(p, 0, all);
    return p;
}

void *realloc(void *p, size_t size)
{
    if (!p)
        return malloc(size);
    struct header *header = (struct header *)p - 1;
    if (size <= room(header) && (size >= room(header) / 4 || header->class != MAPPED))
        return p;
    if (header->class == MAPPED && !header->shift && size > SMALL_MAX && size < PTRDIFF_MAX - 2 * PAGE) {
        size_t whole = ALIGN_UP(size + UNIT, PAGE);
        header = mremap(header, header->size, whole, MREMAP_MAYMOVE);
        if (header == MAP_FAILED)
            return NULL;
        header->size = whole;
        return header + 1;
    }
    void *new = malloc(size);
    if (new) {
        memcpy(new, p, MIN(size, room(header)));
        free(p);
    }
    return new;
}

void *memalign(size_t alignment, size_t size)
{
    bool zeroed;
    if (alignment & (alignment - 1) || alignment > SMALL_MAX) {
        errno = EINVAL;
        return NULL;
    }
    return allocate(MAX(alignment, UNIT), size, &zeroed);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    const int saved = errno;
    void *p = memalign(alignment, size);
    int code = p ? 0 : errno;
    errno = saved;
    if (p)
        *out = p;
    return code;
}

size_t malloc_usable_size(void *p)
{
    return p ? room((struct header *)p - 1) : 0;
}

/* A free block's first bytes are the list's. */
void heap_return(void)
{
    lock_take(&lock);
    for (unsigned class = class_of(2 * PAGE); class < CLASS_COUNT; class ++)
        for (struct block *block = blocks[class]; block; block = block->next) {
            const uintptr_t first = ALIGN_UP((uintptr_t)(block + 1), PAGE);
            const uintptr_t end = ((uintptr_t)block + class_size(class)) & ~(PAGE - 1);
            if (first < end)
                madvise((void *)first, end - first, MADV_DONTNEED);
        }
    lock_release(&lock);
}

void heap_lock(void)
{
    lock_take(&lock);
}

void heap_unlock(void)
{
    lock_release(&lock);
}

void heap_recover(uint32_t lock_number)
{
    if (lock_inherit(&lock, lock_number))
        lock_release(&lock);
}

/* libc calls its own malloc by these names, if it is there, when it forks and when a thread ends. Without
 * them a program at a fixed high address cannot be linked: 0 is too far from it. */
void __malloc_fork_lock_parent(void);
void __malloc_fork_unlock_parent(void);
void __malloc_fork_unlock_child(void);
void __malloc_arena_thread_freeres(void);

void __malloc_fork_lock_parent(void) {}

void __malloc_fork_unlock_parent(void) {}

void __malloc_fork_unlock_child(void) {}

void __malloc_arena_thread_freeres(void) {}

#else

void heap_return(void) {}

void heap_lock(void) {}

void heap_unlock(void) {}

void heap_recover(uint32_t lock_number)
{
    (void)lock_number;
}

#endif
