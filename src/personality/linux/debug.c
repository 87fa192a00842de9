/* SPDX-License-Identifier: GPL-2.0-or-later */
/* debug: the program's threads, as they run, tell and stand still. See debug.h. */
#include "personality/linux/debug.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/linux/memory.h"
#include "personality/linux/signal.h"
#include "personality/linux/start.h"

#define SERVER_STACK (256u << 10)
/* The longest instruction: how far before a breakpoint one can begin that reaches over it. */
#define INSTRUCTION_MAX 16

/* -- life cycle -------------------------------------------------------------------------------------------
 */

void linux_debug_print(const struct linux_process *process, char text[LINUX_DEBUG_TEXT])
{
    const struct linux_debugger *debugger = process->debugger;
    if (!debugger) {
        snprintf(text, LINUX_DEBUG_TEXT, LINUX_DEBUG_NONE);
        return;
    }
    const struct gdb_settings *settings = &debugger->session.settings;
    snprintf(text, LINUX_DEBUG_TEXT, "%d,%d,%d,%d,%" PRIx64 ",%" PRIx64 ",%" PRIx64,
             process->own_fds[OWN_DEBUG_LISTEN], debugger->begun ? process->own_fds[OWN_DEBUG] : -1,
             settings->no_ack, settings->exec_events, settings->passed[0], settings->passed[1],
             settings->passed[2]);
}

void linux_debug_inherit(const struct linux_process *process, bool on)
{
    static const enum linux_own_fd inherited[] = {OWN_DEBUG_LISTEN, OWN_DEBUG};
    for (unsigned i = 0; process->debugger && i < ARRAY_SIZE(inherited); i++) {
        if (process->own_fds[inherited[i]] >= 0)
            fcntl(process->own_fds[inherited[i]], F_SETFD, on ? 0 : FD_CLOEXEC);
    }
}

/* The thread that listens takes no signals: they are the program's. */
static int start_server(struct linux_debugger *debugger, struct error *error)
{
    const uint64_t all = ~0ull;
    uint64_t before;
    pthread_attr_t attributes;
    pthread_t server;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, SERVER_STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    linux_plain_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&all, (uintptr_t)&before, 8, 0, 0);
    const int code = pthread_create(&server, &attributes, linux_debug_serve, debugger);
    linux_plain_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&before, 0, 8, 0, 0);
    pthread_attr_destroy(&attributes);
    return code ? error_set(error, -code, "cannot start a thread for the debugger: %s", strerror(code)) : 0;
}

int linux_debug_new(struct linux_process *process, const struct linux_debug_start *start, struct error *error)
{
    if (!process->arch->debug)
        return error_set(error, -ENOTSUP, "%s programs cannot be debugged", process->arch->machine);
    struct linux_debugger *debugger = calloc(1, sizeof *debugger);
    if (!debugger)
        return error_set(error, -ENOMEM, "out of memory for the debugger");
    debugger->process = process;
    process->own_fds[OWN_DEBUG_LISTEN] = linux_hide_fd(start->listen_fd, true);
    process->own_fds[OWN_DEBUG] = linux_hide_fd(start->fd, true);
    linux_debug_target_init(debugger);
    if (start->fd >= 0) {
        gdb_begin_again(&debugger->session, &debugger->target, &start->settings, linux_debug_send, debugger);
        debugger->begun = debugger->executed = true;
    } else {
        debugger->state = LINUX_DEBUG_STOPS;
    }
    process->debugger = debugger;
    linux_actions_tell(process->actions);
    return start_server(debugger, error);
}

void linux_debug_fork_child(struct linux_thread *thread, bool shares_files)
{
    struct linux_process *process = thread->process;
    if (!thread->under_debugger)
        return;
    for (unsigned fd = OWN_DEBUG_LISTEN; fd <= OWN_DEBUG && !shares_files; fd++) {
        if (process->own_fds[fd] >= 0)
            close(process->own_fds[fd]);
        process->own_fds[fd] = -1;
    }
    process->debugger = process->space->debugger = NULL;
    thread->debugged = NULL;
    thread->under_debugger = false;
    thread->cpu->watch = NULL;
}

/* -- code -------------------------------------------------------------------------------------------------
 */

/* How many of `size` bytes at `pc` are before the next breakpoint. */
static size_t bytes_before_break(const struct linux_debugger *debugger, uint64_t pc, size_t size)
{
    for (unsigned i = 0; i < debugger->break_count; i++) {
        const uint64_t distance = debugger->breakpoints[i].address - pc;
        if (distance < size)
            size = distance;
    }
    return size;
}

size_t linux_debug_fetch(void *context, uint64_t pc, void *bytes, size_t size)
{
    const struct linux_process *process = context;
    const struct linux_thread *thread = linux_current();
    const size_t fetched = linux_memory_fetch(context, pc, bytes, size);
    if (!process->debugger || (thread && thread->passes_breaks))
        return fetched;
    return bytes_before_break(process->debugger, pc, fetched);
}

/* One instruction, whatever breakpoint there is. */
static enum translator_exit execute_one(struct linux_thread *thread)
{
    thread->stepping = thread->passes_breaks = true;
    enum translator_exit exit = translator_step(thread->cpu, 0);
    thread->stepping = thread->passes_breaks = false;
    return exit == TRANSLATOR_LOOKUP ? TRANSLATOR_NONE : exit;
}

/* Until something has to be served, which is not that a breakpoint is in the way. */
static enum translator_exit execute(struct linux_thread *thread, const struct linux_debugger *debugger)
{
    if (thread->steps) {
        thread->process->arch->step(thread);
        return TRANSLATOR_NONE;
    }
    enum translator_exit exit = translator_run(thread->cpu);
    if (exit != TRANSLATOR_FETCH_FAULT)
        return exit;
    const uint64_t pc = thread->process->arch->pc(thread->cpu);
    const size_t before = bytes_before_break(debugger, pc, INSTRUCTION_MAX);
    if (thread->debugged && before == 0)
        return TRANSLATOR_NONE; /* the next turn tells of it */
    return before < INSTRUCTION_MAX ? execute_one(thread) : exit;
}

/* -- memory -----------------------------------------------------------------------------------------------
 */

static void note_access(struct linux_debugged *debugged, uint64_t address, size_t size, bool write)
{
    const struct linux_debugger *debugger = debugged->thread->process->debugger;
    for (unsigned i = debugger->break_count; i < debugger->breakpoint_count && !debugged->hit; i++) {
        const struct gdb_breakpoint *b = &debugger->breakpoints[i];
        const bool concerned = b->kind == GDB_WATCH_ACCESS || (b->kind == GDB_WATCH_WRITE) == write;
        if (concerned && address < b->address + b->length && b->address < address + size) {
            debugged->hit = true;
            debugged->hit_by = *b;
        }
    }
}

static void watch_cpu(struct translator_cpu *cpu, uint64_t address, unsigned size, bool write)
{
    note_access(((struct linux_thread *)cpu->owner)->debugged, address, size, write);
}

void linux_debug_access(struct linux_thread *thread, uint64_t address, size_t size, bool write)
{
    if (UNLIKELY(thread->cpu->watch != NULL))
        note_access(thread->debugged, address, size, write);
}

/* -- standing still ---------------------------------------------------------------------------------------
 */

/* The guest cannot block the signal, and finds none of it: see linux_debug_asks(). */
static void ask_to_stop(const struct linux_debugger *debugger, const struct linux_debugged *debugged)
{
    const pid_t pid = (pid_t)linux_plain_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
    siginfo_t info = {.si_signo = SIGSEGV, .si_code = SI_QUEUE};
    info.si_pid = pid;
    info.si_value.sival_ptr = (void *)(uintptr_t)debugger;
    linux_plain_syscall(SYS_rt_tgsigqueueinfo, (uint64_t)pid, (uint64_t)debugged->thread->tid, SIGSEGV,
                        (uintptr_t)&info, 0, 0);
}

bool linux_debug_asks(const struct linux_thread *thread, const siginfo_t *info)
{
    return thread->debugged && info->si_signo == SIGSEGV && info->si_code == SI_QUEUE &&
           info->si_value.sival_ptr == thread->process->debugger;
}

void linux_debug_stop(struct linux_debugger *debugger, const struct gdb_stop *stop)
{
    const pid_t self = (pid_t)linux_plain_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
    debugger->state = LINUX_DEBUG_STOPS;
    debugger->stop = *stop;
    for (struct linux_debugged *d = debugger->threads; d; d = d->next) {
        atomic_store(&d->held, true);
        if (!d->parked && d->thread->tid != self)
            ask_to_stop(debugger, d);
    }
    linux_debug_note_stopped(debugger);
}

static bool is_there(const struct linux_debugger *debugger, unsigned tid)
{
    for (const struct linux_debugged *d = debugger->threads; d; d = d->next)
        if ((unsigned)d->thread->tid == tid)
            return true;
    return false;
}

void linux_debug_note_stopped(struct linux_debugger *debugger)
{
    if (debugger->state != LINUX_DEBUG_STOPS || !debugger->threads)
        return;
    for (const struct linux_debugged *d = debugger->threads; d; d = d->next)
        if (!d->parked)
            return;
    debugger->state = LINUX_DEBUG_STANDS;
    if (!is_there(debugger, debugger->stop.thread))
        debugger->stop.thread = (unsigned)debugger->threads->thread->tid;
    if (debugger->begun) {
        gdb_stopped(&debugger->session, &debugger->stop);
    } else if (debugger->process->own_fds[OWN_DEBUG] >= 0) {
        gdb_begin(&debugger->session, &debugger->target, &debugger->stop, linux_debug_send, debugger);
        atomic_store(&debugger->begun, 1);
        linux_plain_syscall(SYS_futex, (uintptr_t)&debugger->begun, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
    }
}

void linux_debug_let_go(struct linux_debugged *debugged)
{
    debugged->parked = false;
    atomic_store(&debugged->held, false);
    atomic_fetch_add(&debugged->turns, 1);
    linux_plain_syscall(SYS_futex, (uintptr_t)&debugged->turns, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

/* Called with the lock held, which it gives up. Who has been let go comes back even if all are to stop again
 * by the time it wakes up: then it is to park again. */
static void park(struct linux_debugger *debugger, struct linux_debugged *debugged)
{
    struct linux_thread *thread = debugged->thread;
    const struct linux_debug_arch *arch = thread->process->arch->debug;
    if (arch->settle)
        arch->settle(thread->cpu);
    const uint32_t turn = debugged->turns;
    debugged->parked = true;
    linux_debug_note_stopped(debugger);
    lock_release(&debugger->lock);
    while (atomic_load(&debugged->turns) == turn)
        linux_plain_syscall(SYS_futex, (uintptr_t)&debugged->turns, FUTEX_WAIT_PRIVATE, turn, 0, 0, 0);
}

/* Takes the lock when all run. */
static void lock_running(struct linux_debugger *debugger, struct linux_debugged *debugged)
{
    for (;;) {
        lock_take(&debugger->lock);
        if (debugger->state == LINUX_DEBUG_RUNS)
            return;
        park(debugger, debugged);
    }
}

/* Stops all and waits until the debugger has seen it. What it will come upon again is left for then if the
 * debugger has stopped for something else. */
static void tell(struct linux_debugged *debugged, const struct gdb_stop *stop)
{
    struct linux_debugger *debugger = debugged->thread->process->debugger;
    lock_take(&debugger->lock);
    if (debugger->state == LINUX_DEBUG_RUNS && !debugger->begun) { /* it has just left */
        lock_release(&debugger->lock);
        return;
    }
    if (debugger->state == LINUX_DEBUG_RUNS)
        linux_debug_stop(debugger, stop);
    park(debugger, debugged);
}

/* -- a thread's turn --------------------------------------------------------------------------------------
 */

static struct linux_debugged *enter(struct linux_thread *thread)
{
    struct linux_debugger *debugger = thread->process->debugger;
    struct linux_debugged *debugged = calloc(1, sizeof *debugged);
    if (!debugged)
        linux_die(SIGKILL); /* as the kernel does it when memory is short */
    debugged->thread = thread;
    lock_take(&debugger->lock);
    debugged->next = debugger->threads;
    debugger->threads = debugged;
    debugged->held = debugger->state != LINUX_DEBUG_RUNS;
    if (!debugger->stop.thread)
        debugger->stop = (struct gdb_stop){.reason = GDB_STOP_TRAP, .thread = (unsigned)thread->tid};
    thread->debugged = debugged;
    const bool executed = debugger->executed;
    debugger->executed = false;
    lock_release(&debugger->lock);
    if (executed)
        tell(debugged, &(const struct gdb_stop){.reason = GDB_STOP_EXEC, .thread = (unsigned)thread->tid});
    return debugged;
}

/* The breakpoint at this address, or NULL. */
static const struct gdb_breakpoint *find_break(const struct linux_debugger *debugger, uint64_t pc)
{
    for (unsigned i = 0; i < debugger->break_count; i++)
        if (debugger->breakpoints[i].address == pc)
            return &debugger->breakpoints[i];
    return NULL;
}

/* One instruction, then what there is to tell of it. */
static void take_step(struct linux_thread *thread, struct linux_debugged *debugged)
{
    const struct linux_debugger *debugger = thread->process->debugger;
    const unsigned turns = debugged->turns;
    const bool watches = debugger->breakpoint_count > debugger->break_count;
    struct gdb_stop stop = {.thread = (unsigned)thread->tid};

    debugged->hit = false;
    thread->cpu->watch = watches ? watch_cpu : NULL;
    const enum translator_exit exit = execute_one(thread);
    if (exit != TRANSLATOR_NONE)
        linux_thread_serve(thread, exit);
    if (thread->debugged != debugged || thread->exiting) /* it is another process by now, or ends */
        return;
    thread->cpu->watch = NULL;
    if (debugged->turns != turns) /* it has stood still meanwhile */
        return;
    if (debugged->hit) {
        stop.reason = GDB_STOP_WATCHPOINT;
        stop.address = debugged->hit_by.address;
        stop.kind = debugged->hit_by.kind;
        tell(debugged, &stop);
    } else if (debugged->step) {
        stop.reason = GDB_STOP_TRAP;
        tell(debugged, &stop);
    }
}

/* Signals are delivered; a step ends at the first instruction of a handler. */
static void deliver(struct linux_thread *thread, struct linux_debugged *debugged)
{
    const struct linux_arch *arch = thread->process->arch;
    const uint64_t pc = arch->pc(thread->cpu);
    linux_signals_deliver(thread, NULL);
    if (debugged && debugged->step && arch->pc(thread->cpu) != pc)
        tell(debugged, &(const struct gdb_stop){.reason = GDB_STOP_TRAP, .thread = (unsigned)thread->tid});
}

void linux_debug_turn(struct linux_thread *thread)
{
    struct linux_debugger *debugger = thread->process->space->debugger;
    struct linux_debugged *debugged = thread->debugged;
    const struct gdb_breakpoint *at;

    if (!debugged && thread->process->debugger)
        debugged = enter(thread);
    if (debugged && atomic_load(&debugged->held)) {
        lock_take(&debugger->lock);
        park(debugger, debugged);
    } else if (thread->signal_pending) {
        deliver(thread, debugged);
    } else if (debugged && (debugged->step || debugger->breakpoint_count > debugger->break_count) &&
               (debugged->step || !find_break(debugger, thread->process->arch->pc(thread->cpu)))) {
        take_step(thread, debugged);
    } else if (debugged && (at = find_break(debugger, thread->process->arch->pc(thread->cpu)))) {
        const struct gdb_stop stop = {
            .reason = GDB_STOP_BREAKPOINT, .thread = (unsigned)thread->tid, .kind = at->kind};
        tell(debugged, &stop);
    } else {
        const enum translator_exit exit = execute(thread, debugger);
        if (exit != TRANSLATOR_NONE)
            linux_thread_serve(thread, exit);
    }
}

/* -- signals, and the end ---------------------------------------------------------------------------------
 */

/* The signal that the debugger says instead, as if visor had sent it. */
static void exchange(siginfo_t *info, int signal)
{
    memset(info, 0, sizeof *info);
    info->si_signo = signal;
    info->si_code = SI_USER;
    info->si_pid = (pid_t)linux_plain_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
    info->si_uid = (uid_t)linux_plain_syscall(SYS_getuid, 0, 0, 0, 0, 0, 0);
}

bool linux_debug_signal(struct linux_thread *thread, siginfo_t *info)
{
    struct linux_debugged *debugged = thread->debugged;
    struct linux_debugger *debugger = thread->process->debugger;
    if (!debugged)
        return true;
    lock_running(debugger, debugged);
    if (!debugger->begun || !gdb_wants_signal(&debugger->session, info->si_signo)) {
        lock_release(&debugger->lock);
        return true;
    }
    const struct gdb_stop stop = {
        .reason = GDB_STOP_SIGNAL, .thread = (unsigned)thread->tid, .signal = info->si_signo};
    debugged->tells_signal = true;
    debugged->info = *info;
    debugged->signal = info->si_signo; /* if the debugger leaves */
    linux_debug_stop(debugger, &stop);
    park(debugger, debugged);
    debugged->tells_signal = false;
    if (debugged->signal && debugged->signal != info->si_signo)
        exchange(info, debugged->signal);
    return debugged->signal != 0;
}

void linux_debug_exited(struct linux_thread *thread, int status)
{
    struct linux_debugger *debugger = thread->process->debugger;
    if (!thread->debugged)
        return;
    lock_running(debugger, thread->debugged);
    if (debugger->begun)
        gdb_exited(&debugger->session, (unsigned)status);
    lock_release(&debugger->lock);
}

void linux_debug_killed(struct linux_thread *thread, int signal)
{
    struct linux_debugger *debugger = thread->process->debugger;
    if (!thread->debugged)
        return;
    lock_running(debugger, thread->debugged);
    if (debugger->begun)
        gdb_killed(&debugger->session, signal);
    lock_release(&debugger->lock);
}

void linux_debug_leave(struct linux_thread *thread)
{
    struct linux_debugger *debugger = thread->process->debugger;
    struct linux_debugged *debugged = thread->debugged, **from;
    if (!debugged)
        return;
    lock_running(debugger, debugged);
    if (thread->leader)
        debugger->leader_status = thread->exit_status;
    for (from = &debugger->threads; *from != debugged; from = &(*from)->next)
        continue;
    *from = debugged->next;
    const bool last = !debugger->threads;
    if (last && debugger->begun)
        gdb_exited(&debugger->session, (unsigned)debugger->leader_status);
    lock_release(&debugger->lock);
    thread->debugged = NULL;
    free(debugged);
    if (last)
        linux_plain_syscall(SYS_exit_group, (uint64_t)debugger->leader_status, 0, 0, 0, 0, 0);
}
