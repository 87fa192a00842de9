/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_trace: any call of the table, with any arguments and any bytes where they point, gives one line of
 * printable characters. The input: the call's number (2 bytes), its result (8), the arguments (6 times 8, of
 * which small ones are offsets into the memory), the memory.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/macros.h"
#include "personality/linux/arch.h"

enum { HEAD = 2 + 8 + 6 * 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *memory;
static size_t memory_size;
static unsigned lines;

int64_t linux_plain_syscall(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                            uint64_t f)
{
    const uint8_t *text = (const uint8_t *)b;
    (void)a, (void)d, (void)e, (void)f;
    if (number != SYS_write || !c || text[c - 1] != '\n')
        abort();
    for (uint64_t i = 0; i + 1 < c; i++) {
        if (text[i] < ' ' || text[i] > '~')
            abort();
    }
    lines++;
    return (int64_t)c;
}

/* The input's memory begins at this address. */
#define BASE 0x10000ull

int guest_read(void *to, uint64_t from, size_t length)
{
    if (from < BASE || from - BASE > memory_size || length > memory_size - (from - BASE))
        return -EFAULT;
    memcpy(to, memory + (from - BASE), length);
    return 0;
}

ssize_t guest_strlen(uint64_t address, size_t max)
{
    if (address < BASE || address - BASE >= memory_size)
        return -EFAULT;
    size_t there = memory_size - (address - BASE),
           length = strnlen((const char *)memory + (address - BASE), MIN(max, there));
    if (length == max)
        return -ENAMETOOLONG;
    return length == there ? -EFAULT : (ssize_t)length;
}

ssize_t guest_read_string(char *buffer, size_t size, uint64_t address)
{
    ssize_t length = guest_strlen(address, size);
    if (length >= 0)
        memcpy(buffer, memory + (address - BASE), (size_t)length + 1);
    return length;
}

#define CALL(number, name, format) {#name, NULL, format},
#define PASS(number, name, format) {#name, NULL, format},
#define NONE(number, name, format) {#name, NULL, format},
static const struct linux_syscall calls[] = {
#include "personality/linux/syscalls.def"
};
#undef CALL
#undef PASS
#undef NONE

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct linux_arch arch = {.word_size = 8};
    static int own_fds[OWN_FD_COUNT];
    struct linux_process process = {.own_fds = own_fds, .arch = &arch};
    struct linux_thread thread = {.tid = 1, .process = &process};
    uint16_t number;
    int64_t result;
    uint64_t a[6];

    if (size < HEAD)
        return 0;
    memcpy(&number, data, sizeof number);
    memcpy(&result, data + 2, sizeof result);
    memcpy(a, data + 10, sizeof a);
    memory = data + HEAD;
    memory_size = size - HEAD;
    const struct linux_syscall *call = &calls[number % ARRAY_SIZE(calls)];

    lines = 0;
    linux_trace_enter(&thread, call, a);
    linux_trace_leave(&thread, call, a, result);
    if (lines != 1 && lines != 2)
        abort();
    return 0;
}
