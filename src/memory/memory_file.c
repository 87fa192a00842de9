/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Backings and files: what was never touched, what is a file's until it is written, what is zeros again. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/macros.h"
#include "memory/memory_private.h"

/* /proc/self/pagemap, as the kernel's documentation of it has it: present, or swapped out. */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)

#define HUGE_2M (21 << MAP_HUGE_SHIFT)

/* What all mappings of guests' memory have. */
static void advise(const struct memory_backing *backing, uint8_t *at, uint64_t length)
{
    madvise(at, length, MADV_DONTFORK);
    if (backing->merges)
        madvise(at, length, MADV_MERGEABLE);
}

int memory_backing_merge(struct memory_backing *backing, bool on, struct error *error)
{
    if (on == backing->merges)
        return 0;
    if (backing->pinned)
        return error_set(error, -EBUSY,
                         "cannot merge equal pages of memory: devices of the host's reach them");
    if (madvise(backing->host, backing->size, on ? MADV_MERGEABLE : MADV_UNMERGEABLE) < 0) {
        const bool missing = errno == EINVAL;
        return error_set(error, missing ? -EOPNOTSUPP : -errno, "cannot %s equal pages of memory: %s",
                         on ? "merge" : "take apart",
                         missing ? "the host's kernel has no KSM" : strerror(errno));
    }
    backing->merges = on;
    return 0;
}

int memory_backing_pin(struct memory_backing *backing, struct error *error)
{
    if (backing->merges || backing->piece_count)
        return error_set(error, -EBUSY, "devices of the host's cannot reach memory whose pages are %s",
                         backing->merges ? "merged" : "a file's");
    backing->pinned = true;
    return 0;
}

/* Hosts give huge pages to private memory that asks for them; to shared memory most do not. */
int memory_map_private(struct memory_backing *backing, uint64_t offset, uint64_t length)
{
    uint8_t *at = backing->host + offset;
    const int kind = backing->huge ? MAP_HUGETLB | HUGE_2M : MAP_NORESERVE;
    if (mmap(at, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | kind, -1, 0) ==
        MAP_FAILED)
        return -errno;
    const uint64_t plain = offset < backing->plain ? MIN(backing->plain - offset, length) : 0;
    if (plain)
        madvise(at, plain, MADV_NOHUGEPAGE);
    if (!backing->huge && plain < length)
        madvise(at + plain, length - plain, MADV_HUGEPAGE);
    advise(backing, at, length);
    return 0;
}

void memory_backing_keep_plain(struct memory_backing *backing, uint64_t length)
{
    if (backing->huge)
        return;
    backing->plain = MIN(length, backing->size);
    madvise(backing->host, backing->plain, MADV_NOHUGEPAGE);
}

int memory_backing_clear(struct memory_backing *backing, struct error *error)
{
    if (backing->huge || backing->pinned) { /* pages to exchange them for there may be none */
        memory_backing_discard(backing, 0, backing->size);
        return 0;
    }
    int code = memory_map_private(backing, 0, backing->size);
    if (code)
        return error_set(error, code, "cannot clear the guest's memory: %s", strerror(-code));
    free(backing->pieces);
    backing->pieces = NULL;
    backing->piece_count = 0;
    return 0;
}

int memory_backing_map_file(struct memory_backing *backing, uint64_t offset, uint64_t length, int fd,
                            uint64_t file_offset)
{
    if (backing->huge || backing->pinned)
        return -ENOTSUP;
    struct memory_file_piece *last = backing->piece_count ? &backing->pieces[backing->piece_count - 1] : NULL;
    if (!last || last->end != offset) {
        struct memory_file_piece *more =
            realloc(backing->pieces, (backing->piece_count + 1) * sizeof *backing->pieces);
        if (!more)
            return -ENOMEM;
        backing->pieces = more;
        last = NULL;
    }
    if (mmap(backing->host + offset, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED,
             fd, (off_t)file_offset) == MAP_FAILED)
        return -errno;
    advise(backing, backing->host + offset, length);
    if (last)
        last->end += length;
    else
        backing->pieces[backing->piece_count++] = (struct memory_file_piece){offset, offset + length};
    return 0;
}

/* The first piece that ends behind an offset. */
static unsigned piece_after(const struct memory_backing *backing, uint64_t offset)
{
    unsigned low = 0, high = backing->piece_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (backing->pieces[middle].end > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Where a file's bytes would come back, private pages take their place. A host that has no room for more
 * mappings keeps the pages. */
static void discard_one(struct memory_backing *backing, uint64_t offset, uint64_t length, bool of_file)
{
    if (!backing->pinned && (of_file ? !memory_map_private(backing, offset, length)
                                     : !madvise(backing->host + offset, length, MADV_DONTNEED)))
        return;
    memset(backing->host + offset, 0, length);
}

void memory_backing_discard(struct memory_backing *backing, uint64_t offset, uint64_t length)
{
    if (backing->foreign)
        return;
    const uint64_t end = offset + length;
    unsigned next = piece_after(backing, offset);
    for (uint64_t at = offset, stop; at < end; at = stop) {
        const struct memory_file_piece *piece = next < backing->piece_count ? &backing->pieces[next] : NULL;
        const bool of_file = piece && piece->start <= at;
        stop = !piece ? end : MIN(end, of_file ? piece->end : piece->start);
        next += of_file;
        discard_one(backing, at, stop - at, of_file);
    }
    memory_backing_written(backing, offset, length);
}

static int pagemap_open(void)
{
    return open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

void memory_backing_prepare_touched(struct memory_backing *backing)
{
    if (backing->pagemap < 0)
        backing->pagemap = pagemap_open();
}

void memory_backing_touched(const struct memory_backing *backing, uint64_t first, uint64_t count,
                            bool *touched)
{
    const uint64_t begin = first << MEMORY_PAGE_SHIFT, end = begin + (count << MEMORY_PAGE_SHIFT);
    uint64_t entries[4096];
    const int fd = backing->pagemap >= 0 ? backing->pagemap : pagemap_open();
    for (uint64_t done = 0, some; done < count; done += some) {
        some = MIN(count - done, ARRAY_SIZE(entries));
        const uint64_t page = (uintptr_t)backing->host / MEMORY_PAGE_SIZE + first + done;
        const size_t size = some * sizeof entries[0];
        const bool known =
            fd >= 0 && pread(fd, entries, size, (off_t)(page * sizeof entries[0])) == (ssize_t)size;
        for (uint64_t i = 0; i < some; i++)
            touched[done + i] = !known || (entries[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED));
    }
    if (fd >= 0 && fd != backing->pagemap)
        close(fd);
    for (unsigned i = piece_after(backing, begin); i < backing->piece_count && backing->pieces[i].start < end;
         i++) {
        const uint64_t from = MAX(backing->pieces[i].start, begin), to = MIN(backing->pieces[i].end, end);
        memset(touched + ((from - begin) >> MEMORY_PAGE_SHIFT), true, (to - from) >> MEMORY_PAGE_SHIFT);
    }
}
