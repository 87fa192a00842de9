/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All of it is on the loop's thread, under the machine's lock. The session is begun when the machine stands
 * still for it; what the debugger sends before that waits in its socket. */
#include "machine/machine_gdb.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "debug/gdb.h"

struct machine_gdb {
    struct machine *machine;
    int listen_fd, fd; /* fd: of the debugger, -1: there is none */
    struct loop_watch *listen_watch, *watch;
    bool begun;           /* the session */
    unsigned step;        /* thread that was to execute one instruction; 0: none */
    struct buffer output; /* that the socket has not taken yet */
    struct engine_breakpoint breakpoints[GDB_BREAKPOINTS_MAX];
    unsigned breakpoint_count;
    struct gdb_target target;
    struct gdb_session session;
};

/* -- what is debugged ------------------------------------------------------------------------------------ */

static struct engine_vcpu *vcpu_of(const struct machine_gdb *gdb, unsigned thread)
{
    return gdb->machine->vcpus[thread - 1].vcpu;
}

static unsigned next_thread(void *opaque, unsigned thread)
{
    const struct machine_gdb *gdb = opaque;
    return thread < gdb->machine->vcpu_count ? thread + 1 : 0;
}

static void thread_text(void *opaque, unsigned thread, char *text, size_t size)
{
    static const char *const activities[] = {
        [X86_ACTIVE] = "running", [X86_HALTED] = "halted", [X86_WAITS_FOR_SIPI] = "not started"};
    struct machine_gdb *gdb = opaque;
    struct x86_state state;
    gdb->machine->engine->vcpu_get_state(vcpu_of(gdb, thread), &state);
    const char *activity =
        state.activity < sizeof activities / sizeof activities[0] ? activities[state.activity] : "";
    snprintf(text, size, "vCPU %u, %s", thread - 1, activity);
}

static int get_state(void *opaque, unsigned thread, void *state)
{
    struct machine_gdb *gdb = opaque;
    gdb->machine->engine->vcpu_get_state(vcpu_of(gdb, thread), state);
    return 0;
}

static int set_state(void *opaque, unsigned thread, const void *state)
{
    struct machine_gdb *gdb = opaque;
    gdb->machine->engine->vcpu_set_state(vcpu_of(gdb, thread), state);
    return 0;
}

/* The engine takes the lock itself. No vCPU runs. */
static int read_memory(void *opaque, unsigned thread, uint64_t address, void *buffer, size_t size)
{
    struct machine_gdb *gdb = opaque;
    pthread_mutex_unlock(&gdb->machine->lock);
    int code = gdb->machine->engine->vcpu_read(vcpu_of(gdb, thread), address, buffer, size);
    pthread_mutex_lock(&gdb->machine->lock);
    return code;
}

static int write_memory(void *opaque, unsigned thread, uint64_t address, const void *buffer, size_t size)
{
    struct machine_gdb *gdb = opaque;
    pthread_mutex_unlock(&gdb->machine->lock);
    int code = gdb->machine->engine->vcpu_write(vcpu_of(gdb, thread), address, buffer, size);
    pthread_mutex_lock(&gdb->machine->lock);
    return code;
}

/* To all vCPUs, and to one of them that it is to execute one instruction. */
static int tell_vcpus(struct machine_gdb *gdb)
{
    int code = 0;
    for (unsigned thread = 1; !code && thread <= gdb->machine->vcpu_count; thread++) {
        const struct engine_debug debug = {
            .breakpoints = gdb->breakpoints, .count = gdb->breakpoint_count, .step = thread == gdb->step};
        code = gdb->machine->engine->vcpu_set_debug(vcpu_of(gdb, thread), &debug, NULL);
    }
    return code;
}

static int set_breakpoints(void *opaque, const struct gdb_breakpoint *breakpoints, unsigned count)
{
    struct machine_gdb *gdb = opaque;
    for (unsigned i = 0; i < count; i++) {
        struct engine_breakpoint *breakpoint = &gdb->breakpoints[i];
        *breakpoint =
            (struct engine_breakpoint){.address = breakpoints[i].address, .length = breakpoints[i].length};
        switch (breakpoints[i].kind) {
        case GDB_BREAK_SOFTWARE:
        case GDB_BREAK_HARDWARE: breakpoint->kind = ENGINE_BREAK_EXECUTE; break;
        case GDB_WATCH_WRITE: breakpoint->kind = ENGINE_BREAK_WRITE; break;
        case GDB_WATCH_ACCESS: breakpoint->kind = ENGINE_BREAK_ACCESS; break;
        case GDB_WATCH_READ: breakpoint->kind = ENGINE_BREAK_READ; break;
        }
    }
    gdb->breakpoint_count = count;
    return tell_vcpus(gdb);
}

/* A vCPU that executes one instruction does so alone, whatever the others are to do. */
static void resume(void *opaque, const struct gdb_resume *how)
{
    struct machine_gdb *gdb = opaque;
    gdb->step = how->step;
    tell_vcpus(gdb);
    gdb->machine->only = how->step;
    gdb->machine->debugged = 0;
    machine_resume(gdb->machine, MACHINE_PAUSE_DEBUGGER);
}

static void interrupt(void *opaque)
{
    struct machine_gdb *gdb = opaque;
    machine_pause(gdb->machine, MACHINE_PAUSE_DEBUGGER);
}

static void kill_machine(void *opaque)
{
    struct machine_gdb *gdb = opaque;
    machine_request(gdb->machine, MACHINE_REQUEST_END);
}

/* -- the connection -------------------------------------------------------------------------------------- */

static void flush(struct machine_gdb *gdb)
{
    ssize_t sent =
        gdb->output.size ? send(gdb->fd, gdb->output.data, gdb->output.size, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    if (sent > 0) {
        memmove(gdb->output.data, gdb->output.data + sent, gdb->output.size - (size_t)sent);
        gdb->output.size -= (size_t)sent;
    }
    if (gdb->watch)
        loop_watch_change(gdb->watch, LOOP_READ | (gdb->output.size ? LOOP_WRITE : 0));
}

static void send_bytes(void *opaque, const void *data, size_t size)
{
    struct machine_gdb *gdb = opaque;
    buffer_append(&gdb->output, data, size);
    flush(gdb);
}

/* The debugger is gone; the machine goes on. */
static void hang_up(struct machine_gdb *gdb)
{
    if (gdb->watch)
        loop_watch_remove(gdb->watch);
    gdb->watch = NULL;
    if (gdb->begun)
        gdb_end(&gdb->session);
    gdb->begun = false;
    close(gdb->fd);
    gdb->fd = -1;
    buffer_free(&gdb->output);
    gdb->output = (struct buffer){0};
    gdb->machine->only = gdb->machine->debugged = gdb->step = 0;
    machine_resume(gdb->machine, MACHINE_PAUSE_DEBUGGER);
}

static void ready(void *opaque, unsigned events)
{
    struct machine_gdb *gdb = opaque;
    char data[4096];
    if (events & LOOP_WRITE)
        flush(gdb);
    if (!(events & (LOOP_READ | LOOP_HANGUP)))
        return;
    ssize_t size = recv(gdb->fd, data, sizeof data, MSG_DONTWAIT);
    if (size > 0)
        gdb_feed(&gdb->session, data, (size_t)size);
    if (!size || (size < 0 && errno != EAGAIN && errno != EINTR) || gdb->session.ended || gdb->output.failed)
        hang_up(gdb);
}

static void begin(struct machine_gdb *gdb)
{
    gdb->watch = loop_watch_add(gdb->machine->loop, gdb->fd, LOOP_READ, ready, gdb, NULL);
    if (!gdb->watch) {
        hang_up(gdb);
        return;
    }
    gdb->begun = true;
    gdb_begin(&gdb->session, &gdb->target, &(const struct gdb_stop){.thread = 1}, send_bytes, gdb);
}

static struct gdb_stop what_stopped(const struct machine_gdb *gdb)
{
    static const enum gdb_break kinds[] = {[ENGINE_BREAK_EXECUTE] = GDB_BREAK_SOFTWARE,
                                           [ENGINE_BREAK_WRITE] = GDB_WATCH_WRITE,
                                           [ENGINE_BREAK_READ] = GDB_WATCH_READ,
                                           [ENGINE_BREAK_ACCESS] = GDB_WATCH_ACCESS};
    const struct machine *machine = gdb->machine;
    struct gdb_stop stop = {.reason = GDB_STOP_INTERRUPT, .thread = 1};
    struct engine_breakpoint hit;
    if (!machine->debugged)
        return stop;
    stop.thread = machine->debugged;
    stop.reason = GDB_STOP_TRAP;
    if (!machine->engine->vcpu_debug_hit(vcpu_of(gdb, stop.thread), &hit))
        return stop;
    stop.reason = hit.kind == ENGINE_BREAK_EXECUTE ? GDB_STOP_BREAKPOINT : GDB_STOP_WATCHPOINT;
    stop.kind = kinds[hit.kind];
    stop.address = hit.address;
    return stop;
}

/* The machine stands still, for the debugger among others. */
static void stopped(void *opaque)
{
    struct machine_gdb *gdb = opaque;
    struct machine *machine = gdb->machine;
    if (gdb->fd < 0)
        return;
    if (!gdb->begun) {
        begin(gdb);
        return;
    }
    if (!gdb->session.running)
        return;
    const struct gdb_stop stop = what_stopped(gdb);
    machine->debugged = machine->only = gdb->step = 0;
    gdb_stopped(&gdb->session, &stop);
}

/* A reset has made new ones. */
static void vcpus_made(void *opaque)
{
    tell_vcpus(opaque);
}

static void connected(void *opaque, unsigned events)
{
    struct machine_gdb *gdb = opaque;
    int one = 1, fd = accept4(gdb->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    (void)events;
    if (fd < 0)
        return;
    if (gdb->fd >= 0) { /* one at a time */
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    gdb->fd = fd;
    if (gdb->machine->paused && (gdb->machine->pauses & MACHINE_PAUSE_DEBUGGER))
        begin(gdb);
    else
        machine_pause(gdb->machine, MACHINE_PAUSE_DEBUGGER);
}

/* -- the whole ------------------------------------------------------------------------------------------- */

static int listen_at(struct machine_gdb *gdb, uint16_t port, struct error *error)
{
    gdb->listen_fd = gdb_listen(port, error);
    if (gdb->listen_fd < 0)
        return gdb->listen_fd;
    gdb->listen_watch = loop_watch_add(gdb->machine->loop, gdb->listen_fd, LOOP_READ, connected, gdb, error);
    return gdb->listen_watch ? 0 : error->code;
}

int machine_gdb_new(struct machine_gdb **out, struct machine *machine, uint16_t port, bool wait,
                    struct error *error)
{
    struct machine_gdb *gdb = calloc(1, sizeof *gdb);
    if (!gdb)
        return error_set(error, -ENOMEM, "out of memory for the debugger");
    gdb->machine = machine;
    gdb->listen_fd = gdb->fd = -1;
    gdb->target = (struct gdb_target){
        .arch = &gdb_arch_x86_64,
        .opaque = gdb,
        .next_thread = next_thread,
        .thread_text = thread_text,
        .get_state = get_state,
        .set_state = set_state,
        .read = read_memory,
        .write = write_memory,
        .set_breakpoints = set_breakpoints,
        .resume = resume,
        .interrupt = interrupt,
        .kill = kill_machine,
    };
    int code = listen_at(gdb, port, error);
    if (code) {
        machine_gdb_free(gdb, 0);
        return code;
    }
    machine->debugger = (struct machine_debugger){stopped, vcpus_made, gdb};
    if (wait)
        machine_pause(machine, MACHINE_PAUSE_DEBUGGER);
    *out = gdb;
    return 0;
}

void machine_gdb_free(struct machine_gdb *gdb, unsigned status)
{
    if (!gdb)
        return;
    if (gdb->begun && gdb->session.running)
        gdb_exited(&gdb->session, status);
    if (gdb->watch)
        loop_watch_remove(gdb->watch);
    if (gdb->listen_watch)
        loop_watch_remove(gdb->listen_watch);
    if (gdb->fd >= 0)
        close(gdb->fd);
    if (gdb->listen_fd >= 0)
        close(gdb->listen_fd);
    buffer_free(&gdb->output);
    buffer_free(&gdb->session.description);
    gdb->machine->debugger = (struct machine_debugger){0};
    free(gdb);
}
