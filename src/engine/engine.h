/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine: what executes a machine's code. One contract for all of them: `translate`, `kvm`, later
 * `direct`.
 *
 * A machine makes an engine_vm of its parts, then the vCPUs, and gives each a thread, which calls vcpu_run()
 * in a loop. The engine does by itself whatever the guest can do: accesses to devices through the memory map
 * and the I/O space, interrupts from the local APICs, halting, INIT and SIPI between vCPUs. It comes back
 * only with what the machine decides. Time-stamp counters are the machine's clock, a billion ticks a second
 * (but for engines on hosts that cannot scale theirs: lapic.tsc_hz), and what the guest has written to them,
 * of which the engine tells the local APIC.
 *
 * An engine takes the machine's lock around each access to a device, around pic_acknowledge(), and for
 * nothing else; it is not held when vcpu_run() is called. The vCPU is a memory_reader of the map.
 */
#ifndef VISOR_ENGINE_ENGINE_H
#define VISOR_ENGINE_ENGINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "arch/x86/model.h"
#include "arch/x86/state.h"
#include "device/irq/lapic.h"
#include "device/irq/synic.h"
#include "memory/io_space.h"
#include "memory/memory_map.h"

enum engine_exit {
    ENGINE_STOPPED,  /* vcpu_stop() was called */
    ENGINE_SHUTDOWN, /* a triple fault: the board resets, or the machine ends */
    ENGINE_DEBUG,    /* a breakpoint, watchpoint or single step of the debugger's */
    ENGINE_FAILED,   /* the host cannot go on; reported to standard error */
};

/* Where the local APICs are while vCPUs run. The other interrupt controllers are visor's. */
enum engine_irqchip {
    ENGINE_IRQCHIP_AUTO,  /* the host's, if it has any */
    ENGINE_IRQCHIP_SPLIT, /* the host's, or it is an error */
    ENGINE_IRQCHIP_USER,  /* visor's */
};

/* What a machine is to an engine. All of it borrowed, for as long as the engine_vm lives. */
struct engine_machine {
    struct memory_map *memory;
    struct memory_backing *ram; /* whose pages' flags tell of written code */
    struct io_space *io;
    pthread_mutex_t *lock;
    struct clock clock;
    struct lapic **lapics; /* by vCPU */
    struct synic **synics; /* likewise; NULL: the processors have none */
    struct synic_connections connections;
    unsigned vcpu_count;
    const struct x86_model *model;
    enum engine_irqchip irqchip;
    uint8_t (*pic_acknowledge)(void *opaque); /* the vector of the 8259s */
    void *opaque;
    unsigned trace; /* what to trace, and where to: as the engine documents it */
    FILE *trace_stream;
};

struct engine_vm;
struct engine_vcpu;

/* Where the debugger wants to hear of it. Breakpoints and watchpoints are by linear address. */
struct engine_breakpoint {
    uint64_t address;
    unsigned length; /* of a watchpoint, 1 to 8 */
    enum { ENGINE_BREAK_EXECUTE, ENGINE_BREAK_WRITE, ENGINE_BREAK_READ, ENGINE_BREAK_ACCESS } kind;
};

struct engine_debug {
    const struct engine_breakpoint *breakpoints; /* copied */
    unsigned count;
    bool step; /* one instruction, then ENGINE_DEBUG */
};

/* How often a vCPU has left guest code for one reason. */
struct engine_exit_count {
    const char *reason; /* static: lower case and underscores */
    uint64_t count;
};
#define ENGINE_EXITS_MOST 16

struct engine {
    const char *name;
    /* It makes signals of writes by memory_signals of the memory map. Else there is no use in making any. */
    bool signals;
    /* 0 if this host can; else a negative errno, and the reason in error. */
    int (*probe)(struct error *error);
    /* Leaves out of the model what this host cannot do for it; an error if that is required. NULL: there is
     * nothing that it cannot do. */
    int (*fit)(struct x86_model *model, struct error *error);
    /* Begins what takes the host long and needs no board yet: of the machine there is all but its memory's
     * regions, the local APICs and what asks the 8259s. A thread of the engine's may go on with it. What
     * fails is told by who comes next. May be NULL, and return NULL. */
    struct engine_vm *(*vm_begin)(const struct engine_machine *machine);
    /* *vm is what was begun, or NULL, and then the machine. The thread may go on, while memory stays where it
     * is, until the first vCPU was made, which tells what has failed. */
    int (*vm_new)(struct engine_vm **vm, const struct engine_machine *machine, struct error *error);
    void (*vm_free)(struct engine_vm *vm); /* after all of its vCPUs; also what was only begun */

    /* vCPU `index` in its state after power-on; the first is the bootstrap processor, the others wait for
     * SIPI. */
    int (*vcpu_new)(struct engine_vcpu **out, struct engine_vm *vm, unsigned index, struct error *error);
    void (*vcpu_free)(struct engine_vcpu *vcpu);
    /* On the vCPU's own thread, always the same. */
    enum engine_exit (*vcpu_run)(struct engine_vcpu *vcpu);
    /* From any thread. kick: its local APIC has something new for it. stop: vcpu_run() returns ENGINE_STOPPED
     * soon, or at once when it is called next. Neither waits. */
    void (*vcpu_kick)(struct engine_vcpu *vcpu);
    void (*vcpu_stop)(struct engine_vcpu *vcpu);

    /* While the vCPU does not run. */
    void (*vcpu_get_state)(struct engine_vcpu *vcpu, struct x86_state *state);
    void (*vcpu_set_state)(struct engine_vcpu *vcpu, const struct x86_state *state);
    int (*vcpu_set_debug)(struct engine_vcpu *vcpu, const struct engine_debug *debug, struct error *error);
    /* After ENGINE_DEBUG: the breakpoint or watchpoint that it was for, until others are set. False: a step.
     */
    bool (*vcpu_debug_hit)(struct engine_vcpu *vcpu, struct engine_breakpoint *out);
    /* The guest's bytes at a linear address as the vCPU's page tables have it, at supervisor's rights, for a
     * debugger. -EFAULT: not mapped. */
    int (*vcpu_read)(struct engine_vcpu *vcpu, uint64_t linear, void *buffer, size_t size);
    int (*vcpu_write)(struct engine_vcpu *vcpu, uint64_t linear, const void *buffer, size_t size);

    /* Since the machine began, resets included; from any thread. How many entries were filled. NULL: nothing
     * is counted. */
    unsigned (*vcpu_exits)(const struct engine_vcpu *vcpu, struct engine_exit_count out[ENGINE_EXITS_MOST]);
};

extern const struct engine engine_translate, engine_kvm;

#endif
