/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_other: whatever another process has in its memory where visor's structures should be, what is made of
 * it are sets of ranges in order, and files of /proc can be written from them. The input is patches of a
 * sound process's memory: each an offset of two bytes, a length of one, and the bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "personality/linux/memory.h"
#include "personality/linux/other.h"
#include "personality/linux/proc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The other's memory begins here; the words are small, so that addresses in it are near. */
#define BASE 0x1000
static uint64_t memory[2048];

static bool read_memory(const struct linux_reader *reader, void *to, uint64_t from, size_t size)
{
    (void)reader;
    if (from < BASE || from - BASE > sizeof memory || size > sizeof memory - (from - BASE))
        return false;
    memcpy(to, (const uint8_t *)memory + (from - BASE), size);
    return true;
}

/* Where this process's own structures would be if it were the other. */
static void write_sound_process(void)
{
    struct linux_process process = {.vdso = 0x5000, .stack_start = 0x6000, .stack_end = 0x9000};
    memset(memory, 0, sizeof memory);
    memory[0] = 0x6e6f63616562f00dull;
    memory[1] = BASE + 512;
    process.memory = (void *)(uintptr_t)(BASE + 4096);
    process.actions = (void *)(uintptr_t)(BASE + 8192);
    process.own_fds = (int *)(uintptr_t)(BASE + 16);
    memcpy(memory + 64, &process, sizeof process);
}

static void check_ranges(struct linux_process *process,
                         bool (*next)(struct linux_process *, uint64_t, struct address_range *))
{
    struct address_range range;
    for (uint64_t at = 0; next(process, at, &range); at = range.end) {
        if (range.start >= range.end || range.start < at)
            abort();
    }
}

/* Texts of this process with what is known of the other. */
static void convert(FILE *stream, struct linux_process *other, enum linux_proc_file file, const char *path)
{
    FILE *host = fopen(path, "re"), *maps = fopen("/proc/self/maps", "re");
    if (!host || !maps)
        abort();
    if (file == LINUX_PROC_MAPS)
        linux_proc_convert_maps(stream, other, host);
    else
        linux_proc_convert_status(stream, other, file, host, maps);
    fclose(maps);
    fclose(host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct linux_reader reader = {read_memory, -1};
    char *text = NULL;
    size_t text_size = 0;
    write_sound_process();
    for (size_t at = 0; at + 3 <= size;) {
        size_t offset = (data[at] | (size_t)data[at + 1] << 8) % sizeof memory, length = data[at + 2];
        length = MIN(MIN(length, size - at - 3), sizeof memory - offset);
        memcpy((uint8_t *)memory + offset, data + at + 3, length);
        at += 3 + length;
    }
    struct linux_process *other = linux_other_read(&reader, BASE);
    if (!other)
        return 0;
    check_ranges(other, linux_memory_next_guest);
    check_ranges(other, linux_memory_next_executable);
    check_ranges(other, linux_memory_next_unreadable);
    FILE *stream = open_memstream(&text, &text_size);
    if (stream) {
        convert(stream, other, LINUX_PROC_MAPS, "/proc/self/maps");
        convert(stream, other, LINUX_PROC_STAT, "/proc/self/stat");
        convert(stream, other, LINUX_PROC_STATUS, "/proc/self/status");
        fclose(stream);
    }
    free(text);
    linux_other_free(other);
    return 0;
}
