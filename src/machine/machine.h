/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine: a whole virtual machine and its life: memory, ports, devices, the clock, the loop, an engine and a
 * thread for each vCPU. What board it has is its type's matter.
 *
 * Threads. The one that calls machine_run() runs the loop: backends, timers, and all that changes what the
 * machine does. Each vCPU has one that is in the engine, or waits: for a pause to end, or for the loop's
 * thread to serve a request. One lock is for all devices, see engine.h.
 *
 * Life. Whoever wants something of the machine says so with machine_request(), a device in the middle of an
 * access too. The vCPUs then leave the engine before their next instruction or soon after, and the loop's
 * thread does what was asked for. A reset makes all vCPUs anew, resets the devices in the order in which they
 * were added, and has the board load its kernel again; memory keeps what it has.
 */
#ifndef VISOR_MACHINE_MACHINE_H
#define VISOR_MACHINE_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/loop.h"
#include "device/device.h"
#include "device/misc/board.h"
#include "device/signal.h"
#include "engine/engine.h"

/* Local APICs without x2APIC have eight bits to be named by, of which FFh means all. */
#define MACHINE_VCPUS_MAX 255

/* Why a machine came to its end. */
enum machine_end {
    MACHINE_OFF,      /* it was switched off, by the guest */
    MACHINE_RESET,    /* the guest reset it, which is to be its end */
    MACHINE_SHUTDOWN, /* likewise, by a triple fault */
    MACHINE_PANIC,    /* the guest's kernel has told of its panic */
    MACHINE_TOLD,     /* the guest has given a status by the debug exit port: machine->status */
    MACHINE_ENDED,    /* from outside: MACHINE_REQUEST_END */
    MACHINE_FAILED,   /* the host could not go on; reported to standard error */
};

enum machine_request {
    MACHINE_REQUEST_OFF = 1 << MACHINE_OFF,
    MACHINE_REQUEST_RESET = 1 << MACHINE_RESET,
    MACHINE_REQUEST_SHUTDOWN = 1 << MACHINE_SHUTDOWN,
    MACHINE_REQUEST_PANIC = 1 << MACHINE_PANIC,
    MACHINE_REQUEST_TOLD = 1 << MACHINE_TOLD,
    MACHINE_REQUEST_END = 1 << MACHINE_ENDED,
    MACHINE_REQUEST_FAILED = 1 << MACHINE_FAILED,
    MACHINE_REQUEST_POWER_BUTTON = 1 << 8, /* the guest is asked to switch off; if it has no ear, it ends */
    MACHINE_REQUEST_PAUSES = 1 << 9,       /* machine_pause() and machine_resume() make it */
};

/* Who wants what happens: the guest, or somebody outside. */
enum machine_asker { MACHINE_GUEST, MACHINE_SIGNAL, MACHINE_TERMINAL, MACHINE_CONTROL };

/* A machine stands still as long as there is a reason. */
enum machine_pause {
    MACHINE_PAUSE_USER = 1,     /* somebody has asked for it */
    MACHINE_PAUSE_SPACE = 2,    /* the host has no room for what the guest writes */
    MACHINE_PAUSE_DEBUGGER = 4, /* a debugger looks at it */
};

struct buffer;
struct machine;
struct qmp_table;
struct virtio_balloon;
struct state_reader;
struct state_writer;

struct machine_config {
    const struct machine_type *type;
    const struct engine *engine;
    struct x86_model model;
    unsigned vcpu_count;
    uint64_t memory; /* bytes, a multiple of the page size */
    bool huge_pages; /* of the host's reserve: memory_backing_create_huge() */
    bool no_reboot;  /* a reset, or a triple fault, ends the machine */
    bool merge;      /* equal pages may be one on the host */
    bool is_loaded;  /* by machine_load(): no kernel is, before the first reset */
    enum engine_irqchip irqchip;
    /* Of the machine that is loaded, its devices (machine_load_devices()): this one gets no others that
     * nobody has asked for. NULL: it gets all that the board has. */
    const struct buffer *saved;
    /* Called by the thread of each vCPU when it begins. May be NULL. */
    void (*vcpu_begins)(void *opaque, unsigned vcpu);
    void *opaque;
    unsigned trace; /* the engine's */
    FILE *trace_stream;
    const void *board; /* the type's own configuration */
};

struct machine_type {
    const char *name;
    /* Makes machine->board of config->board: devices, what answers where in machine->memory and machine->io,
     * and what machine->parts lacks. On failure it leaves nothing behind. */
    int (*create)(struct machine *machine, const struct machine_config *config, struct error *error);
    void (*destroy)(struct machine *machine);
    /* After power-on, and after each reset of the devices: brings what runs first into memory, and the first
     * vCPU, which is given in its state after power-on, to it. */
    int (*load)(struct machine *machine, struct x86_state *state, struct error *error);
    /* Presses it. False: the guest has no ear for it. */
    bool (*power_button)(struct machine *machine);
    /* What devices have under way in the guest's memory, which must end before they are reset, or freed. The
     * loop's thread will get it done. May be NULL: nothing ever. */
    unsigned (*pending)(struct machine *machine);
    /* Writes what the board's backends have that nothing else keeps, as sections of its own; and reads it,
     * before anything is loaded; what is not `eager` may be left in the file until it is needed. May be NULL.
     */
    int (*save)(struct machine *machine, struct state_writer *writer, struct error *error);
    int (*restore)(struct machine *machine, struct state_reader *reader, bool eager, struct error *error);
    /* The devices were loaded, so many seconds after they were saved: what was under way then is begun again,
     * and what follows the host's time does so. `copy`: others may go on from there, too, and it is to be
     * told from them. May be NULL. */
    void (*loaded)(struct machine *machine, int64_t seconds, bool copy);
    /* The machine stands still from now on, or goes on, also for the first time: what the host does for its
     * devices by itself ends, or may begin. No vCPU runs. May be NULL. */
    void (*stand)(struct machine *machine, bool still);
    /* The device by which the guest gives memory back to the host. May be NULL: it has none. */
    struct virtio_balloon *(*balloon)(struct machine *machine);
    /* What a board adds to the commands of all machines (machine_qmp.h); what is asked is the struct machine.
     * May be NULL. */
    const struct qmp_table *qmp;
};

enum machine_news_kind {
    MACHINE_STOPPED,  /* it stands still now; machine->pauses says why */
    MACHINE_WENT_ON,  /* and no longer */
    MACHINE_BUTTON,   /* the power button was pressed */
    MACHINE_RESTARTS, /* it was reset; `end` is MACHINE_RESET or MACHINE_SHUTDOWN, `asker` says by whom */
    MACHINE_ENDS,     /* it comes to this `end`, because `asker` wants it */
    MACHINE_DISK,     /* a request of the guest's failed: `device`, `write`, `error` */
    MACHINE_BALLOON,  /* the guest has `memory` bytes now */
};

struct machine_news {
    enum machine_news_kind kind;
    enum machine_end end;
    enum machine_asker asker;
    const char *device;
    bool write;
    int error; /* negative errno; -ENOSPC: the machine stands still until there is room */
    uint64_t memory;
};

/* Is told what happens to a machine, under the lock, by whatever thread it happens on. */
struct machine_observer {
    void (*happened)(void *opaque, const struct machine_news *news);
    void *opaque;
    struct machine_observer *next;
};

/* Both may be NULL, and are called on the loop's thread, under the lock. */
struct machine_debugger {
    void (*stopped)(void *opaque);    /* the machine stands still, MACHINE_PAUSE_DEBUGGER among the reasons */
    void (*vcpus_made)(void *opaque); /* after a reset: what the old vCPUs were told is to be told again */
    void *opaque;
};

struct machine_signal;

struct machine_vcpu {
    struct machine *machine;
    struct engine_vcpu *vcpu;
    pthread_t thread;
    bool has_thread;
    pid_t thread_id; /* the kernel's; 0: it has not begun */
};

struct machine {
    const struct machine_type *type;
    void *board; /* the type's */
    const struct engine *engine;
    struct engine_vm *vm;
    struct engine_machine parts; /* what the engine is given */
    struct x86_model model;
    bool no_reboot;
    void (*vcpu_begins)(void *opaque, unsigned vcpu);
    void *opaque; /* its */

    pthread_mutex_t lock; /* the machine's: see engine.h */
    struct memory_map memory;
    struct memory_backing *ram;
    struct io_space io;
    struct devices devices;
    struct clock clock; /* nanoseconds since power-on without those of pauses */
    struct timers timers;
    struct loop *loop;
    struct machine_signal *signals; /* see machine_signal.h */
    struct signal_host signal_host;

    /* The clock: the host's monotonic one less `started`, or, while the machine stands still, `frozen`. */
    _Atomic uint64_t started, frozen;

    _Atomic unsigned requests; /* enum machine_request: that nobody has served yet */
    _Atomic unsigned pauses;   /* enum machine_pause: the reasons there are */
    _Atomic unsigned asker;    /* enum machine_asker: of those of them that can be anybody's */
    struct loop_call serve;

    /* Under `lock`. */
    bool paused;         /* the reasons as they were last served */
    bool held;           /* no vCPU begins to run: a request is being served */
    bool ended;          /* vCPUs' threads end */
    unsigned running;    /* vCPUs that are in the engine, or about to */
    pthread_cond_t idle; /* running has become 0 */
    pthread_cond_t go;   /* one of held, paused, ended has changed, or a request was served */
    enum machine_end end;
    int status; /* of MACHINE_TOLD */

    unsigned vcpu_count;
    struct machine_vcpu *vcpus;
    pthread_mutex_t vcpus_lock; /* innermost: that a vCPU is not freed while another thread stops it */

    struct machine_observer *observers;
    struct machine_debugger debugger;
    unsigned only;     /* vCPU that alone may run, counted from 1; 0: all may */
    unsigned debugged; /* likewise, that has come to what the debugger waits for; 0: none */
};

/* A machine that has not been switched on yet, with its kernel loaded. -errno with error: nothing is left. */
int machine_new(struct machine **out, const struct machine_config *config, struct error *error);
/* Switches it on; comes back when it has come to its end. Once. */
enum machine_end machine_run(struct machine *machine);
void machine_free(struct machine *machine);

/* From any thread, with the machine's lock or without it. It is served soon; of several ends the one that
 * stands last in enum machine_end is it. */
void machine_request(struct machine *machine, enum machine_request request);
/* The same for who is not the guest. */
void machine_ask(struct machine *machine, enum machine_request request, enum machine_asker asker);
void machine_pause(struct machine *machine, enum machine_pause reason);
void machine_resume(struct machine *machine, enum machine_pause reason);
static inline bool machine_paused(const struct machine *machine)
{
    return machine->pauses != 0;
}
/* For a device, under the lock: ends the machine with MACHINE_TOLD. */
void machine_tell(struct machine *machine, int status);

/* On the loop's thread, under the lock, which is given up while it waits: no vCPU is in the engine until
 * machine_release(), before that thread does anything else. The clock goes on. */
void machine_hold(struct machine *machine);
void machine_release(struct machine *machine);

/* On the loop's thread, under the lock: presses it. False: the guest has no ear for it. */
bool machine_press_button(struct machine *machine, enum machine_asker asker);

/* The observer stays the caller's, until it is forgotten. With the lock, or while the machine does not run.
 */
void machine_observe(struct machine *machine, struct machine_observer *observer);
void machine_forget(struct machine *machine, struct machine_observer *observer);
/* For the board, under the lock: what it has of news. */
void machine_report(struct machine *machine, const struct machine_news *news);

/* For the host of the board's local APICs: kicks vCPU `vcpu` of the struct machine. */
void machine_kick(void *machine, unsigned vcpu);

#endif
