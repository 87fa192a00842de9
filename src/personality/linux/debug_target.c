/* SPDX-License-Identifier: GPL-2.0-or-later */
/* debug: the debugger's connection, and what it does to the process. All of it is under the debugger's lock,
 * and while the program stands still, but for an interrupt. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/linux/debug.h"
#include "personality/linux/memory.h"
#include "personality/linux/signal.h"

/* -- threads ----------------------------------------------------------------------------------------------
 */

static struct linux_debugged *find_thread(const struct linux_debugger *debugger, unsigned tid)
{
    struct linux_debugged *d = debugger->threads;
    while (d && (unsigned)d->thread->tid != tid)
        d = d->next;
    return d;
}

static unsigned next_thread(void *opaque, unsigned thread)
{
    const struct linux_debugger *debugger = opaque;
    unsigned next = 0;
    for (const struct linux_debugged *d = debugger->threads; d; d = d->next) {
        const unsigned tid = (unsigned)d->thread->tid;
        if (tid > thread && (!next || tid < next))
            next = tid;
    }
    return next;
}

static void thread_text(void *opaque, unsigned thread, char *text, size_t size)
{
    char path[64];
    (void)opaque;
    snprintf(path, sizeof path, "/proc/self/task/%u/comm", thread);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t length = fd < 0 ? 0 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[MAX(length, 0)] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

static int get_state(void *opaque, unsigned thread, void *state)
{
    const struct linux_debugger *debugger = opaque;
    const struct linux_debugged *debugged = find_thread(debugger, thread);
    if (!debugged)
        return -ESRCH;
    debugger->process->arch->debug->get(debugged->thread->cpu, state);
    return 0;
}

static int set_state(void *opaque, unsigned thread, const void *state)
{
    const struct linux_debugger *debugger = opaque;
    const struct linux_debugged *debugged = find_thread(debugger, thread);
    if (!debugged)
        return -ESRCH;
    debugger->process->arch->debug->set(debugged->thread->cpu, state);
    return 0;
}

/* -- memory -----------------------------------------------------------------------------------------------
 */

/* This thread has all signals blocked, so it lets the kernel find bad addresses. */
static bool copy_memory(long number, uint64_t address, void *buffer, size_t size)
{
    const struct iovec own = {buffer, size}, guest = {(void *)(uintptr_t)address, size};
    const uint64_t pid = (uint64_t)linux_plain_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
    return linux_plain_syscall(number, pid, (uintptr_t)&own, 1, (uintptr_t)&guest, 1, 0) == (int64_t)size;
}

static int read_memory(void *opaque, unsigned thread, uint64_t address, void *buffer, size_t size)
{
    struct linux_process *process = ((struct linux_debugger *)opaque)->process;
    (void)thread;
    if (!size)
        return 0;
    if (address >= GUEST_ADDRESS_END || !linux_memory_is_guest(process->space, address, size))
        return -EFAULT;
    return copy_memory(SYS_process_vm_readv, address, buffer, size) ? 0 : -EFAULT;
}

/* Through the kernel's view of this process, which may write to what the program may only read. */
static bool write_protected(uint64_t address, const void *buffer, size_t size)
{
    const int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    const bool done = fd >= 0 && pwrite(fd, buffer, size, (off_t)address) == (ssize_t)size;
    if (fd >= 0)
        close(fd);
    return done;
}

static int write_memory(void *opaque, unsigned thread, uint64_t address, const void *buffer, size_t size)
{
    struct linux_process *process = ((struct linux_debugger *)opaque)->process;
    (void)thread;
    if (!size)
        return 0;
    if (address >= GUEST_ADDRESS_END || !linux_memory_is_guest(process->space, address, size))
        return -EFAULT;
    linux_memory_unwatch(process->space, address, size);
    const bool done = copy_memory(SYS_process_vm_writev, address, (void *)(uintptr_t)buffer, size) ||
                      write_protected(address, buffer, size);
    linux_memory_invalidate(process->space, address, size);
    return done ? 0 : -EFAULT;
}

/* -- breakpoints ------------------------------------------------------------------------------------------
 */

static bool is_break(const struct gdb_breakpoint *breakpoint)
{
    return breakpoint->kind == GDB_BREAK_SOFTWARE || breakpoint->kind == GDB_BREAK_HARDWARE;
}

static void forget_breaks(const struct linux_debugger *debugger)
{
    for (unsigned i = 0; i < debugger->break_count; i++)
        translator_invalidate(debugger->process->translator, debugger->breakpoints[i].address, 1);
}

static int set_breakpoints(void *opaque, const struct gdb_breakpoint *breakpoints, unsigned count)
{
    struct linux_debugger *debugger = opaque;
    unsigned at = 0;
    forget_breaks(debugger);
    for (unsigned i = 0; i < count; i++)
        if (is_break(&breakpoints[i]))
            debugger->breakpoints[at++] = breakpoints[i];
    debugger->break_count = at;
    for (unsigned i = 0; i < count; i++)
        if (!is_break(&breakpoints[i]))
            debugger->breakpoints[at++] = breakpoints[i];
    debugger->breakpoint_count = at;
    forget_breaks(debugger);
    return 0;
}

/* -- running ----------------------------------------------------------------------------------------------
 */

/* A thread that does not wait for the answer to one gets the signal as if another process had sent it. */
static void give_signal(struct linux_debugged *debugged, int signal)
{
    const uint64_t pid = (uint64_t)linux_plain_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
    if (debugged->tells_signal)
        debugged->signal = signal;
    else if (signal)
        linux_plain_syscall(SYS_tgkill, pid, (uint64_t)debugged->thread->tid, (uint64_t)signal, 0, 0, 0);
}

static void resume(void *opaque, const struct gdb_resume *how)
{
    struct linux_debugger *debugger = opaque;
    if (debugger->state != LINUX_DEBUG_STANDS)
        return;
    debugger->state = LINUX_DEBUG_RUNS;
    for (struct linux_debugged *d = debugger->threads; d; d = d->next) {
        const unsigned tid = (unsigned)d->thread->tid;
        if (how->alone && tid != how->step)
            continue;
        d->step = tid == how->step;
        if (!debugger->session.ended) /* else it keeps what it waits with */
            give_signal(d, tid == how->signal_thread ? how->signal : 0);
        linux_debug_let_go(d);
    }
}

static void interrupt(void *opaque)
{
    struct linux_debugger *debugger = opaque;
    if (debugger->state == LINUX_DEBUG_RUNS)
        linux_debug_stop(debugger, &(const struct gdb_stop){.reason = GDB_STOP_INTERRUPT,
                                                            .thread = next_thread(debugger, 0)});
}

static void kill_process(void *opaque)
{
    (void)opaque;
    linux_plain_syscall(SYS_kill, (uint64_t)linux_plain_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0), SIGKILL, 0, 0,
                        0, 0);
}

/* -- what only programs have ------------------------------------------------------------------------------
 */

static ssize_t auxiliary(void *opaque, void *buffer, size_t size)
{
    const struct linux_process *process = ((struct linux_debugger *)opaque)->process;
    size = MIN(size, (size_t)process->auxv_size);
    return read_memory(opaque, 0, process->auxv_address, buffer, size) < 0 ? -EFAULT : (ssize_t)size;
}

static ssize_t executable(void *opaque, char *path, size_t size)
{
    const struct linux_process *process = ((struct linux_debugger *)opaque)->process;
    const size_t length = strlen(process->exe_path);
    if (length >= size)
        return -ENAMETOOLONG;
    memcpy(path, process->exe_path, length);
    return (ssize_t)length;
}

static ssize_t signal_info(void *opaque, unsigned thread, void *buffer, size_t size)
{
    const struct linux_debugged *debugged = find_thread(opaque, thread);
    if (!debugged || !debugged->info.si_signo)
        return -ESRCH;
    memcpy(buffer, &debugged->info, MIN(size, sizeof debugged->info)); /* the guests' is laid out the same */
    return (ssize_t)MIN(size, sizeof debugged->info);
}

static int open_file(void *opaque, const char *path)
{
    (void)opaque;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? -errno : fd;
}

void linux_debug_target_init(struct linux_debugger *debugger)
{
    static const struct gdb_process process = {auxiliary, executable, signal_info, open_file};
    debugger->target = (struct gdb_target){
        .arch = debugger->process->arch->debug->gdb,
        .process = &process,
        .opaque = debugger,
        .next_thread = next_thread,
        .thread_text = thread_text,
        .get_state = get_state,
        .set_state = set_state,
        .read = read_memory,
        .write = write_memory,
        .set_breakpoints = set_breakpoints,
        .resume = resume,
        .interrupt = interrupt,
        .kill = kill_process,
    };
}

/* -- the connection ---------------------------------------------------------------------------------------
 */

/* What cannot be sent is lost, and so is the connection: who reads from it finds out. */
void linux_debug_send(void *opaque, const void *data, size_t size)
{
    const struct linux_debugger *debugger = opaque;
    const int fd = debugger->process->own_fds[OWN_DEBUG];
    for (const char *at = data; size;) {
        const int64_t sent =
            linux_plain_syscall(SYS_sendto, (uint64_t)fd, (uintptr_t)at, size, MSG_NOSIGNAL, 0, 0);
        if (sent <= 0 && sent != -EINTR)
            return;
        at += MAX(sent, 0);
        size -= (size_t)MAX(sent, 0);
    }
}

static void hang_up(struct linux_debugger *debugger)
{
    const int fd = debugger->process->own_fds[OWN_DEBUG];
    gdb_end(&debugger->session);
    if (debugger->state != LINUX_DEBUG_RUNS) { /* it was about to stand still */
        debugger->state = LINUX_DEBUG_STANDS;
        resume(debugger, &(const struct gdb_resume){0});
    }
    atomic_store(&debugger->begun, 0);
    debugger->process->own_fds[OWN_DEBUG] = -1;
    close(fd);
}

/* The session begins when all stand still, which they may do already. */
static void connected(struct linux_debugger *debugger)
{
    const int one = 1, fd = accept4(debugger->process->own_fds[OWN_DEBUG_LISTEN], NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (debugger->process->own_fds[OWN_DEBUG] >= 0) { /* one at a time */
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    lock_take(&debugger->lock);
    debugger->process->own_fds[OWN_DEBUG] = linux_hide_fd(fd, false);
    interrupt(debugger);
    if (debugger->state == LINUX_DEBUG_STANDS)
        debugger->state = LINUX_DEBUG_STOPS;
    linux_debug_note_stopped(debugger);
    lock_release(&debugger->lock);
    while (!atomic_load(&debugger->begun))
        linux_plain_syscall(SYS_futex, (uintptr_t)&debugger->begun, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0);
}

static void receive(struct linux_debugger *debugger)
{
    char data[4096];
    const ssize_t size = recv(debugger->process->own_fds[OWN_DEBUG], data, sizeof data, MSG_DONTWAIT);
    const bool lost = size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
    lock_take(&debugger->lock);
    if (size > 0)
        gdb_feed(&debugger->session, data, (size_t)size);
    if (lost || debugger->session.ended)
        hang_up(debugger);
    lock_release(&debugger->lock);
}

void *linux_debug_serve(void *opaque)
{
    struct linux_debugger *debugger = opaque;
    for (;;) {
        const int *fds = debugger->process->own_fds;
        struct pollfd polled[] = {{fds[OWN_DEBUG_LISTEN], POLLIN, 0}, {fds[OWN_DEBUG], POLLIN, 0}};
        if (poll(polled, ARRAY_SIZE(polled), -1) < 0)
            continue;
        if (polled[1].revents)
            receive(debugger);
        if (polled[0].revents)
            connected(debugger);
    }
    return NULL;
}
