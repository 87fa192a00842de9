/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pages: zeroed memory straight from the kernel, which costs nothing where it is not touched: for tables that
 * most processes use little of. */
#ifndef VISOR_TRANSLATOR_PAGES_H
#define VISOR_TRANSLATOR_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/* A core dump is of the guest; and the kernel would look at every page of what is only reserved. */
static inline void *pages_hide_from_dumps(void *p, size_t size)
{
    madvise(p, size, MADV_DONTDUMP);
    return p;
}

/* NULL: out of memory. */
static inline void *pages_new(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : pages_hide_from_dumps(p, size);
}

/* Of huge pages, if the host has them: `size` is a multiple of PAGES_HUGE. For what is used at random. */
#define PAGES_HUGE ((size_t)2 << 20)
static inline void *pages_new_huge(size_t size)
{
    uint8_t *p = pages_new(size + PAGES_HUGE);
    if (!p)
        return NULL;
    const size_t before = -(uintptr_t)p & (PAGES_HUGE - 1);
    if (before)
        munmap(p, before);
    munmap(p + before + size, PAGES_HUGE - before);
    madvise(p + before, size, MADV_HUGEPAGE);
    return p + before;
}

static inline void pages_free(void *p, size_t size)
{
    if (p)
        munmap(p, size);
}

/* Makes all of it zeros again. */
static inline void pages_clear(void *p, size_t size)
{
    if (madvise(p, size, MADV_DONTNEED) < 0) /* locked by the guest's mlockall() */
        memset(p, 0, size);
}

/* Whether the child of a fork finds zeros there, or a copy. False: it cannot be had. */
static inline bool pages_wipe_on_fork(void *p, size_t size, bool wipe)
{
    return madvise(p, size, wipe ? MADV_WIPEONFORK : MADV_KEEPONFORK) == 0;
}

/* Has the kernel prepare memory ahead of its use, many pages at a time: a fault for each costs more. An older
 * kernel does not, and they fault one by one. */
static inline void pages_prepare(void *p, size_t size)
{
    madvise(p, size, MADV_POPULATE_WRITE);
}

#endif
