/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A debugger that says anything, to a target with some memory; packets get their frame here, or not. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86/state.h"
#include "debug/gdb.h"

static struct x86_state states[2];
static uint8_t memory[4096];
static struct gdb_session session;

static unsigned next_thread(void *opaque, unsigned thread)
{
    (void)opaque;
    return thread < 2 ? thread + 1 : 0;
}

static void thread_text(void *opaque, unsigned thread, char *text, size_t size)
{
    (void)opaque;
    if (size > 1) {
        text[0] = (char)('0' + thread);
        text[1] = '\0';
    }
}

static int get_state(void *opaque, unsigned thread, void *state)
{
    (void)opaque;
    *(struct x86_state *)state = states[thread - 1]; /* the sanitizer sees any other number */
    return 0;
}

static int set_state(void *opaque, unsigned thread, const void *state)
{
    (void)opaque;
    states[thread - 1] = *(const struct x86_state *)state;
    return 0;
}

static int read_memory(void *opaque, unsigned thread, uint64_t address, void *buffer, size_t size)
{
    (void)opaque, (void)thread;
    if (address > sizeof memory || size > sizeof memory - address)
        return -EFAULT;
    memcpy(buffer, memory + address, size);
    return 0;
}

static int write_memory(void *opaque, unsigned thread, uint64_t address, const void *buffer, size_t size)
{
    (void)opaque, (void)thread;
    if (address > sizeof memory || size > sizeof memory - address)
        return -EFAULT;
    memcpy(memory + address, buffer, size);
    return 0;
}

static int set_breakpoints(void *opaque, const struct gdb_breakpoint *breakpoints, unsigned count)
{
    (void)opaque;
    for (unsigned i = 0; i < count; i++) {
        if (breakpoints[i].address == 0xdead)
            return -ENOTSUP;
    }
    return 0;
}

static void resume(void *opaque, const struct gdb_resume *how)
{
    (void)opaque, (void)how;
}

static void stop(void *opaque)
{
    (void)opaque;
    gdb_stopped(&session, &(struct gdb_stop){.reason = GDB_STOP_INTERRUPT, .thread = 2});
}

static void kill_domain(void *opaque)
{
    (void)opaque;
}

static void swallow(void *opaque, const void *data, size_t size)
{
    static volatile uint8_t last;
    (void)opaque;
    for (size_t i = 0; i < size; i++)
        last = ((const uint8_t *)data)[i]; /* all of it can be read */
    (void)last;
}

static ssize_t auxiliary(void *opaque, void *buffer, size_t size)
{
    (void)opaque;
    memset(buffer, '#', size < 100 ? size : 100);
    return size < 100 ? (ssize_t)size : 100;
}

static ssize_t executable(void *opaque, char *path, size_t size)
{
    (void)opaque;
    return snprintf(path, size, "/bin/true");
}

static ssize_t signal_info(void *opaque, unsigned thread, void *buffer, size_t size)
{
    (void)opaque, (void)thread;
    memset(buffer, '}', size < 128 ? size : 128);
    return thread == 1 ? -ESRCH : 128;
}

static int open_file(void *opaque, const char *path)
{
    (void)opaque;
    return path[0] == '/' ? open("/dev/zero", O_RDONLY | O_CLOEXEC) : -ENOENT;
}

static const struct gdb_process process = {auxiliary, executable, signal_info, open_file};

static const struct gdb_target target = {
    .arch = &gdb_arch_x86_64,
    .process = &process,
    .next_thread = next_thread,
    .thread_text = thread_text,
    .get_state = get_state,
    .set_state = set_state,
    .read = read_memory,
    .write = write_memory,
    .set_breakpoints = set_breakpoints,
    .resume = resume,
    .interrupt = stop,
    .kill = kill_domain,
};

/* A line of the input becomes a packet with its sum; one that begins with a zero byte goes as it is. */
static void feed_line(const uint8_t *line, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t sum = 0;
    if (size && line[0] == 0) {
        gdb_feed(&session, line + 1, size - 1);
        return;
    }
    for (size_t i = 0; i < size; i++)
        sum += line[i];
    const char tail[3] = {'#', digits[sum >> 4], digits[sum & 15]};
    gdb_feed(&session, "$", 1);
    gdb_feed(&session, line, size);
    gdb_feed(&session, tail, sizeof tail);
    gdb_feed(&session, "\x03", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(states, 0, sizeof states);
    memset(memory, 0, sizeof memory);
    gdb_begin(&session, &target, &(const struct gdb_stop){.thread = 1}, swallow, NULL);
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t length = end ? (size_t)(end - data) - at : size - at;
        feed_line(data + at, length);
        at += length + 1;
    }
    gdb_end(&session);
    return 0;
}
