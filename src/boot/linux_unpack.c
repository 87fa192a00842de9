/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linux_unpack: does what a bzImage's own code does before the kernel proper: unpacks the payload, an
 * ELF file with a list of relocations after it, moves its segments into place, and relocates it to a random
 * virtual address (KASLR). The guest's processor takes seconds for that, the host's a fraction of one.
 *
 * Whatever is not exactly as expected is left to the kernel. The boot protocol documents the payload; the
 * relocations are lists of 32-bit virtual addresses, read from the end backwards to a zero each: of 32-bit
 * values; in a 64-bit kernel then, before Linux 6.15, of 32-bit values to be decreased, and of 64-bit values.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <elf.h>

#include "base/macros.h"
#include "boot/bytes.h"
#include "boot/elf_kernel.h"
#include "boot/linux_header.h"
#include "boot/unpack.h"

#define VIRTUAL_SIZE (UINT64_C(1) << 30)   /* of the mapping that a 64-bit kernel is moved about in */
#define LOW_SIZE     (UINT64_C(512) << 20) /* likewise for 32 bits, in physical memory */

struct unpacked {
    uint8_t *host;   /* of the guest's memory: the file, then the image */
    uint64_t size;   /* of the file with its relocations */
    uint64_t room;   /* bytes from `host` on that are the kernel's */
    uint64_t linked; /* physical address that the image was linked for */
    bool wide;
    uint64_t file_end;          /* of the ELF file */
    uint64_t virtual_start;     /* of the image */
    uint64_t image_size, entry; /* from the image's start: what was loaded, and the entry */
};

static bool random_choice(uint64_t count, uint64_t *choice)
{
    uint64_t value;
    if (getrandom(&value, sizeof value, GRND_NONBLOCK) != sizeof value)
        return false;
    *choice = count ? value % count : 0;
    return true;
}

/* An address at random from the preferred one on, with the initial RAM disk's size left above it. */
static bool choose_place(struct loader *load, const struct linux_header *h, uint64_t initrd_size, bool random,
                         uint64_t *address)
{
    uint64_t end = MIN(load->config->layout.below, h->flags & XLF_KERNEL_64 ? UINT64_MAX : LOW_SIZE);
    uint64_t slot = 0, slots = 0;
    uint64_t need = h->init_size + ALIGN_UP(MIN(initrd_size, end), 0x1000);
    if (need > end || h->preferred > end - need || h->preferred % h->alignment)
        return false;
    if (random) {
        slots = (end - need - h->preferred) / h->alignment + 1;
        if (!random_choice(slots, &slot))
            return false;
    }
    *address = h->preferred + slot * h->alignment;
    return loader_claim(load, *address, h->init_size);
}

/* The payload, whose last four bytes are its size unpacked, to where the kernel will be. */
static bool unpack_payload(struct loader *load, const struct linux_header *h, uint64_t address,
                           struct unpacked *u)
{
    if (h->payload_size < 8 || h->payload_size > h->code_size)
        return false;
    uint8_t *packed = malloc(h->payload_size);
    bool good = packed && !boot_file_read(load->config->kernel, h->payload, packed, h->payload_size, NULL);
    if (good) {
        u->size = bytes_get32(packed + h->payload_size - 4);
        u->room = h->init_size;
        u->host = memory_pointer(load->memory, address, h->init_size, true);
        good = u->host && u->size <= h->init_size;
    }
    if (good) {
        /* gzip ends with the size itself, other formats have had it appended. */
        size_t own = bytes_get16(packed) == 0x8b1f ? 0 : 4;
        good = unpack(packed, h->payload_size - own, u->host, u->size);
        memory_written(load->memory, address, h->init_size);
    }
    free(packed);
    return good;
}

/* Moves what is loaded down to its place, in the order of the file, so that nothing is overwritten before it
 * was moved. */
static bool move_segments(struct unpacked *u, const struct elf_kernel *elf)
{
    uint64_t done = 0; /* bytes of the image */
    for (unsigned i = 0; i < elf->count; i++) {
        const struct elf_segment *s = &elf->segments[i];
        if (s->type != PT_LOAD)
            continue;
        uint64_t to = s->address - u->linked;
        if (s->address < u->linked || to > s->offset || to < done || s->offset > u->file_end ||
            s->file_size > u->file_end - s->offset || s->file_size > s->memory_size ||
            s->memory_size > u->room - to)
            return false;
        memmove(u->host + to, u->host + s->offset, s->file_size);
        if (!done)
            u->virtual_start = s->virtual_address - to;
        done = to + s->file_size;
    }
    u->image_size = done;
    u->entry = elf->entry - u->linked;
    return done && elf->entry >= u->linked && u->entry < done;
}

static bool place_image(struct unpacked *u, bool wide)
{
    struct elf_kernel elf;
    struct boot_file *file = boot_file_of_memory("unpacked", u->host, u->size);
    bool good = file && elf_kernel_read(file, u->host, u->size, &elf) && elf.wide == wide &&
                elf.sections_end <= u->size;
    boot_file_close(file);
    u->wide = wide;
    u->file_end = good ? elf.sections_end : 0;
    return good && move_segments(u, &elf);
}

/* The zero before a list whose last element is at `end` - 4; 0: there is none after the ELF file. */
static uint64_t list_start(const struct unpacked *u, uint64_t end)
{
    while (end >= u->file_end + 4) {
        end -= 4;
        if (!bytes_get32(u->host + end))
            return end;
    }
    return 0;
}

/* Adds to all values that a list names; false: there is one outside of the image. */
static bool relocate(struct unpacked *u, uint64_t start, uint64_t end, unsigned size, uint64_t delta)
{
    for (uint64_t at = start + 4; at < end; at += 4) {
        uint32_t address = bytes_get32(u->host + at);
        uint64_t place = (u->wide ? (uint64_t)(int64_t)(int32_t)address : address) - u->virtual_start;
        if (place > u->image_size || u->image_size - place < size)
            return false;
        uint8_t *value = u->host + place;
        bytes_put(value, bytes_get(value, size) + delta, size);
    }
    return true;
}

/* 64 bits: by how much virtual addresses are moved is chosen here, whatever the physical ones are. */
static bool relocate64(struct unpacked *u, const struct linux_header *h)
{
    uint64_t third = list_start(u, u->size), second = third ? list_start(u, third) : 0;
    uint64_t first = second && second != u->file_end ? list_start(u, second) : 0;
    uint64_t most = VIRTUAL_SIZE - u->linked, slot;
    if (h->init_size > most || !second || (first ? first : second) != u->file_end ||
        !random_choice((most - h->init_size) / h->alignment + 1, &slot))
        return false;
    uint64_t delta = slot * h->alignment;
    if (!relocate(u, third, u->size, 4, delta))
        return false;
    if (!first)
        return relocate(u, second, third, 8, delta);
    return relocate(u, second, third, 4, -delta) && relocate(u, first, second, 8, delta);
}

/* 32 bits: virtual addresses move as the physical ones do. */
static bool relocate32(struct unpacked *u, uint64_t address)
{
    uint64_t start = list_start(u, u->size);
    return start && start == u->file_end && relocate(u, start, u->size, 4, address - u->linked);
}

/* Whether one of the words of the command line is this, or begins with it if it ends with an equals sign. */
static bool has_option(const char *line, const char *option)
{
    size_t length = strlen(option);
    bool begins = option[length - 1] == '=';
    for (const char *at = line; at && (at = strstr(at, option)); at += length)
        if ((at == line || at[-1] == ' ') && (begins || !at[length] || at[length] == ' '))
            return true;
    return false;
}

bool linux_unpack(struct loader *load, const struct linux_header *h, uint64_t initrd_size,
                  struct linux_kernel *kernel)
{
    struct unpacked u = {.linked = h->preferred};
    unsigned claims = load->claim_count;
    const char *line = load->config->command_line;
    bool wide = h->flags & XLF_KERNEL_64, random = !has_option(line, "nokaslr");
    /* What the kernel is told of its memory decides where it may be: it sees to that itself. */
    if (has_option(line, "mem=") || has_option(line, "memmap="))
        return false;
    if (!h->relocatable || h->preferred >= (wide ? VIRTUAL_SIZE : LOW_SIZE) ||
        !choose_place(load, h, initrd_size, random, &kernel->address))
        return false;
    bool good = unpack_payload(load, h, kernel->address, &u) && place_image(&u, wide);
    if (good && random)
        good = wide ? relocate64(&u, h) : relocate32(&u, kernel->address);
    if (good) {
        kernel->entry = kernel->address + u.entry;
        kernel->randomized = random;
    } else {
        load->claim_count = claims;
    }
    return good;
}
