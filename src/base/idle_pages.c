/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/idle_pages.h"

#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/macros.h"

#define PAGE         4096ul      /* where they are larger, the kernel refuses what is not aligned: no harm */
#define WORTH_A_LOOK (64u << 10) /* bytes of constants with addresses */
#define AT_ONCE      64u         /* pages */
#define RANGES_MOST  64u         /* of a program and its libraries */

/* Of /proc/PID/pagemap. */
#define IS_PRESENT (1ull << 63)
#define IS_SWAPPED (1ull << 62)
#define IS_FILES   (1ull << 61) /* as in the file: it has not been written to */

static void part_return(uintptr_t first, uintptr_t end)
{
    if (first < end)
        madvise((void *)first, end - first, MADV_DONTNEED);
}

static bool is_own(uint64_t entry)
{
    return entry & IS_SWAPPED || (entry & IS_PRESENT && !(entry & IS_FILES));
}

/* Constants with addresses in them have been writable until they were relocated: all but the pages that are
 * this process's own since then. Nobody can write them now. */
static void relocated_return(int pages, uintptr_t first, uintptr_t end)
{
    uint64_t entries[AT_ONCE];
    uintptr_t from = first;
    if (lseek(pages, (off_t)(first / PAGE * sizeof entries[0]), SEEK_SET) < 0)
        return;
    while (first < end) {
        const size_t count = MIN((end - first) / PAGE, AT_ONCE);
        if (read(pages, entries, count * sizeof entries[0]) != (ssize_t)(count * sizeof entries[0]))
            break;
        for (size_t i = 0; i < count; i++, first += PAGE) {
            if (!is_own(entries[i]))
                continue;
            part_return(from, first);
            from = first + PAGE;
        }
    }
    part_return(from, first);
}

struct ranges {
    int pages;
    unsigned count;
    struct {
        uintptr_t first, end;
    } ranges[RANGES_MOST];
};

/* Only noted: the table of segments is itself in one of them. */
static int object_note(struct dl_phdr_info *object, size_t size, void *opaque)
{
    struct ranges *all = opaque;
    (void)size;
    for (unsigned i = 0; i < object->dlpi_phnum && all->count < RANGES_MOST; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        const uintptr_t begin = object->dlpi_addr + segment->p_vaddr, end = begin + segment->p_memsz;
        if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W)) {
            all->ranges[all->count].first = begin & ~(PAGE - 1);
            all->ranges[all->count++].end = ALIGN_UP(end, PAGE);
        } else if (segment->p_type == PT_GNU_RELRO && segment->p_memsz >= WORTH_A_LOOK) {
            relocated_return(all->pages, ALIGN_UP(begin, PAGE), end & ~(PAGE - 1));
        }
    }
    return 0;
}

int idle_pages_open(void)
{
    return open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

void idle_pages_return_by(int pages)
{
    struct ranges all = {.pages = pages};
    dl_iterate_phdr(object_note, &all);
    for (unsigned i = 0; i < all.count; i++)
        part_return(all.ranges[i].first, all.ranges[i].end);
    if (pages >= 0)
        close(pages);
}

void idle_pages_return(void)
{
    idle_pages_return_by(idle_pages_open());
}
