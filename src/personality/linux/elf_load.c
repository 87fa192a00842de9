/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elf load: maps the segments of an ELF image, as the kernel's binfmt_elf does. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/macros.h"
#include "personality/linux/elf.h"
#include "personality/linux/memory.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static int map_failed(struct error *error, int64_t code, uint64_t address)
{
    return error_set(error, (int)code, "cannot map the program at %#llx: %s", (unsigned long long)address,
                     strerror((int)-code));
}

/* Address space for the whole image, of which the segments then take their parts. */
static int64_t reserve(struct linux_process *process, const struct elf_image *image, uint64_t hint)
{
    uint64_t size = image->high - image->low;
    uint64_t room = size + image->alignment - GUEST_PAGE_SIZE;
    unsigned flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

    int64_t at = linux_memory_map(process, hint, room, PROT_NONE, flags, -1, 0);
    if (at < 0)
        return at;
    uint64_t start = ALIGN_UP((uint64_t)at, image->alignment);
    uint64_t end = (uint64_t)at + room;
    if (start > (uint64_t)at)
        linux_memory_unmap(process, (uint64_t)at, start - (uint64_t)at);
    if (end > start + size)
        linux_memory_unmap(process, start + size, end - start - size);
    return (int64_t)start;
}

/* The part of a segment that is not in the file: the rest of its last page is cleared, to the page's end,
 * which the dynamic loader counts on, and pages follow. */
static int64_t map_zeros(struct linux_process *process, const struct elf_segment *segment, uint64_t bias,
                         unsigned flags)
{
    uint64_t file_end = segment->address + segment->file_size + bias;
    uint64_t end = segment->address + segment->memory_size + bias;
    uint64_t page = ALIGN_UP(file_end, GUEST_PAGE_SIZE);

    if (segment->file_size && page > file_end && segment->protection & PROT_WRITE) {
        static const char zeros[GUEST_PAGE_SIZE];
        if (guest_write(file_end, zeros, page - file_end) < 0)
            return -EFAULT;
    }
    if (!segment->file_size)
        page = ALIGN_DOWN(file_end, GUEST_PAGE_SIZE);
    if (end <= page)
        return 0;
    return linux_memory_map(process, page, ALIGN_UP(end, GUEST_PAGE_SIZE) - page, segment->protection,
                            flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int64_t map_segment(struct linux_process *process, int fd, const struct elf_segment *segment,
                           uint64_t bias, unsigned flags)
{
    uint64_t start = ALIGN_DOWN(segment->address, GUEST_PAGE_SIZE);

    if (segment->file_size) {
        int64_t at = linux_memory_map(process, start + bias, segment->address + segment->file_size - start,
                                      segment->protection, flags | MAP_PRIVATE, fd,
                                      ALIGN_DOWN(segment->offset, GUEST_PAGE_SIZE));
        if (at < 0)
            return at;
    }
    return segment->memory_size > segment->file_size ? map_zeros(process, segment, bias, flags) : 0;
}

/* Gives back the holes between the segments. */
static void release_holes(struct linux_process *process, const struct elf_image *image, uint64_t bias)
{
    for (uint64_t at = image->low; at < image->high;) {
        uint64_t next = image->high, covered = 0;
        for (unsigned i = 0; i < image->segment_count; i++) {
            uint64_t start = ALIGN_DOWN(image->segments[i].address, GUEST_PAGE_SIZE);
            uint64_t end =
                ALIGN_UP(image->segments[i].address + image->segments[i].memory_size, GUEST_PAGE_SIZE);
            if (start <= at && at < end)
                covered = MAX(covered, end);
            else if (start > at)
                next = MIN(next, start);
        }
        if (!covered)
            linux_memory_unmap(process, at + bias, next - at);
        at = covered ? covered : next;
    }
}

int elf_load(struct linux_process *process, int fd, const struct elf_image *image, uint64_t hint,
             uint64_t *bias, struct error *error)
{
    unsigned flags = MAP_FIXED;

    *bias = 0;
    if (image->relocatable) {
        int64_t at = reserve(process, image, hint);
        if (at < 0)
            return map_failed(error, at, hint);
        *bias = (uint64_t)at - image->low;
    } else {
        /* Where the file says. Something of visor's may be in the way, so reserve without replacing. */
        int64_t at =
            linux_memory_map(process, image->low, image->high - image->low, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        if (at < 0)
            return map_failed(error, at, image->low);
    }
    for (unsigned i = 0; i < image->segment_count; i++) {
        int64_t code = map_segment(process, fd, &image->segments[i], *bias, flags);
        if (code < 0)
            return map_failed(error, code, image->segments[i].address + *bias);
    }
    release_holes(process, image, *bias);
    return 0;
}
