/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * private: what the files of the engine `kvm` share.
 *
 * The kernel has the vCPU's registers. `state` has what it does not have (what is marked so in state.c: the
 * activity, the counter's offset, memory types and other MSRs that only software reads), and all of them
 * between kvm_pull() and kvm_push().
 */
#ifndef VISOR_ENGINE_KVM_PRIVATE_H
#define VISOR_ENGINE_KVM_PRIVATE_H

#include <linux/kvm.h>
#include <semaphore.h>

#include "arch/x86/emulate.h"
#include "base/timer.h"
#include "engine/doorbell.h"
#include "engine/engine.h"
#include "engine/hyperv.h"
#include "engine/kvm/route.h"
#include "engine/pvclock.h"

enum kvm_request {
    KVM_REQUEST_STOP = 1 << 0,
    KVM_REQUEST_CLEAR = 1 << 1,  /* somebody waits until no vCPU is inside: see slots.c */
    KVM_REQUEST_SETTLE = 1 << 2, /* the kernel may have something to tell of: see reminder.c */
};

#define KVM_EXITS 48

/* A piece of guest-physical memory that the kernel knows. */
struct kvm_slot {
    uint64_t start, size; /* size 0: it is free */
    uint8_t *host;
    bool read_only;
};

/* A write that the kernel makes a signal of. */
struct kvm_signal {
    uint64_t address;
    unsigned size;
    int fd;
};

/* An eventfd that the kernel makes a message of, while it has the local APICs. */
struct kvm_line {
    bool used;
    int fd;
};

/* Level-triggered interrupts whose ends the kernel has to tell of; under lend_lock. */
struct kvm_reminder {
    struct timer timer;
    uint64_t delay;      /* until it asks again */
    uint32_t vectors[8]; /* bits */
};

/* What outlives a vCPU: a reset makes vCPUs anew, but the kernel makes each of a machine only once. */
struct kvm_place {
    int fd; /* -1: there is none yet */
    struct kvm_run *run;
    bool used;
    struct engine_vcpu *made;          /* owned: made before it was asked for, which it is once; or NULL */
    _Atomic uint64_t exits[KVM_EXITS]; /* by reason; the last: all others */
};

struct engine_vm {
    struct engine_machine machine; /* a copy */
    struct x86_model model;        /* with the counter's frequency as the host has it */
    int kvm, fd;
    size_t run_size;
    bool scales_tsc, offsets_tsc;
    struct kvm_place *places;           /* owned; by index */
    struct engine_vcpu *_Atomic *vcpus; /* owned array; by index, NULL: none now */

    struct kvm_cpuid2 *cpuid; /* owned: room for all entries */

    /* The thread that makes it, while the machine goes on with its board: see make.c. */
    pthread_t maker;
    bool making;
    sem_t board;          /* it waits for the board */
    bool abandoned;       /* there will be none */
    struct error failure; /* of the maker's: its code is 0 if there was none */

    struct memory_listener listener;
    struct kvm_slot *slots; /* owned; by the kernel's number */
    unsigned slot_count;
    struct kvm_signal *signals; /* owned */
    unsigned signal_count;
    struct memory_dirty_source dirty_source;
    bool logs_dirty, clears_dirty; /* the slots have logs, which are cleared by a call of their own */
    pthread_mutex_t clear_lock;
    pthread_cond_t clear_changed;
    _Atomic bool clearing; /* somebody, with the machine's lock, waits until no vCPU is inside */

    struct pvclock pvclock; /* of guests: what the counter means */
    uint64_t pvclock_last;  /* no guest has seen a later time */
    bool counters_moved;    /* by the guest, one of them; under the machine's lock */
    unsigned running;       /* vCPUs in vcpu_run(); under the machine's lock */

    /* Local APICs in the kernel, see irqchip.c. */
    bool split;
    struct lapic_bus *bus;     /* NULL: they are visor's */
    pthread_mutex_t lend_lock; /* inside the machine's lock */
    bool lent;                 /* the kernel has the registers */
    struct kvm_routes routes;
    struct kvm_line lines[KVM_ROUTE_MESSAGES]; /* under lend_lock; by the index of their routes */
    struct kvm_reminder reminder;
    struct timer automatic_timer; /* see automatic.c */

    struct engine_vm *substitute; /* owned, of `translate`: see rescue.c; NULL: there is none yet */

    /* The counter without the guest's own offset is the host's, scaled, and this. */
    pthread_mutex_t tsc_lock;
    uint64_t tsc_base, tsc_last; /* tsc_last: no vCPU has seen a later one */
};

struct engine_vcpu {
    struct engine_vm *vm;
    unsigned index;
    int fd;
    struct kvm_run *run;
    struct lapic *lapic;
    struct x86_platform platform;
    struct memory_reader reader;

    struct x86_state state;
    struct x86_core core; /* for what arch/x86 does with the registers */
    _Alignas(struct kvm_xsave) uint8_t xsave[sizeof(struct kvm_xsave)]; /* as it was pulled */
    uint64_t tsc_applied;     /* what the kernel adds to the host's counter */
    uint8_t cr8;              /* as given to the kernel */
    bool completes;           /* the next KVM_RUN completes an access that was served */
    bool failed;              /* reported */
    bool async_fault_lent;    /* the kernel has what the state says of asynchronous page faults */
    bool stale;               /* kvm_run says nothing of the state, which was set */
    bool nmi_given;           /* the kernel may have an NMI still to deliver */
    uint64_t automatic_delay; /* until it is asked again, see automatic.c; 0: not yet */

    _Atomic bool inside; /* of KVM_RUN, or about to be; its own: one of all would be written at each exit */
    struct doorbell bell;
    _Atomic uint32_t requests;
    struct engine_vcpu *substitute; /* likewise */

    struct engine_debug debug;
    struct engine_breakpoint *breakpoints; /* owned: debug.breakpoints */
    const struct engine_breakpoint *debug_hit;
    bool resumed; /* the breakpoint at rip was reported: the instruction is executed now */
};

/* -- features.c ------------------------------------------------------------------------------------------ */

/* The processor as CPUID describes it to the guest. */
int kvm_set_cpuid(struct engine_vcpu *v, struct error *error);
int kvm_fit(struct x86_model *model, struct error *error);
struct kvm_cpuid2 *kvm_cpuid_new(void);

/* -- kvm.c ----------------------------------------------------------------------------------------------- */

int kvm_device_open(int *out, struct error *error);
/* vCPU `index`, of which the machine knows nothing yet. */
int kvm_vcpu_make(struct engine_vcpu **out, struct engine_vm *vm, unsigned index, struct error *error);
void kvm_vcpu_free(struct engine_vcpu *v);

/* -- make.c ---------------------------------------------------------------------------------------------- */

struct engine_vm *kvm_vm_begin(const struct engine_machine *machine);
int kvm_vm_new(struct engine_vm **vm, const struct engine_machine *machine, struct error *error);
/* Waits until it is made. 0, or what has failed. */
int kvm_vm_finish(struct engine_vm *vm, struct error *error);
void kvm_vm_free(struct engine_vm *vm);

/* -- slots.c --------------------------------------------------------------------------------------------- */

/* What is memory now becomes slots: planned on the machine's thread, told to the kernel by any other, and
 * followed, from then on, on the machine's. */
int kvm_slots_plan(struct engine_vm *vm, struct error *error);
int kvm_slots_tell(struct engine_vm *vm, struct error *error);
int kvm_slots_attach(struct engine_vm *vm, struct error *error);
void kvm_slots_free(struct engine_vm *vm);
/* On a vCPU's thread, around KVM_RUN. False: somebody waits; it is outside still. */
bool kvm_slots_enter(struct engine_vcpu *v);
void kvm_slots_leave(struct engine_vcpu *v);

/* The kernel notes which pages of RAM are written, or no longer. */
int kvm_slots_log(struct engine_vm *vm, bool on);

/* -- dirty.c --------------------------------------------------------------------------------------------- */

void kvm_dirty_init(struct engine_vm *vm);
void kvm_dirty_attach(struct engine_vm *vm);
/* Takes the log of a slot, whose pages' writes are noted anew. */
int kvm_dirty_collect(struct engine_vm *vm, unsigned number);

/* -- signals.c ------------------------------------------------------------------------------------------- */

/* The kernel knows the map's signals where the view has them. */
void kvm_signals_follow(struct engine_vm *vm, const struct memory_view *view);

/* -- state.c --------------------------------------------------------------------------------------------- */

/* 0, or a negative errno, reported. */
int kvm_pull(struct engine_vcpu *v);
/* Of general registers, rip and flags alone: also in the middle of an instruction that accesses a port. */
int kvm_pull_general(struct engine_vcpu *v);
int kvm_push_general(struct engine_vcpu *v);
int kvm_push(struct engine_vcpu *v);
/* What the kernel has begun to deliver, or will before the next instruction, is delivered by arch/x86, so
 * that nothing but registers is left of it. */
void kvm_settle(struct engine_vcpu *v);
/* Reports what the host said of a call, and marks the vCPU as failed. */
int kvm_failed(struct engine_vcpu *v, const char *what);

/* -- irqchip.c ------------------------------------------------------------------------------------------- */

/* Sets vm->split, if the host can. From `attach` on the machine's messages come here. */
int kvm_irqchip_init(struct engine_vm *vm, struct error *error);
void kvm_irqchip_attach(struct engine_vm *vm);
void kvm_irqchip_free(struct engine_vm *vm);
/* While no vCPU runs, under the machine's lock: before the first one does, and after the last. */
void kvm_irqchip_begin(struct engine_vm *vm);
void kvm_irqchip_end(struct engine_vm *vm);
/* Until it says -EINTR: what the kernel has still to tell of (0, as KVM_RUN). */
int kvm_irqchip_drain(struct engine_vcpu *v);
bool kvm_irqchip_halts(struct engine_vcpu *v);
/* Before the state after power-on or INIT: what the vCPU waited for in the kernel is no more. */
void kvm_irqchip_forget(struct engine_vcpu *v);
/* Before KVM_RUN: pins that were asserted; an interrupt of the 8259s. 0, or a negative errno, reported. */
int kvm_irqchip_events(struct engine_vcpu *v);
int kvm_irqchip_offer(struct engine_vcpu *v);
/* The local APIC that the kernel has. 0, or a negative errno, reported. */
int kvm_irqchip_registers(struct engine_vcpu *v, struct lapic_image *out);
/* Fills what kvm_run says of the state, which is old when that was set. */
void kvm_irqchip_look(struct engine_vcpu *v);
/* Past the local APIC, as an interrupt that has begun to be delivered; `events` are what the kernel has now.
 * 0, or a negative errno, reported. */
int kvm_irqchip_inject(struct engine_vcpu *v, struct kvm_vcpu_events *events, uint8_t vector);

/* -- automatic.c ----------------------------------------------------------------------------------------- */

/* Without vm->split they are not to be called. */
void kvm_automatic_init(struct engine_vm *vm);
void kvm_automatic_free(struct engine_vm *vm);
bool kvm_automatic_waits(const struct engine_vcpu *v);
/* Before KVM_RUN, with no access left to complete. 0, or a negative errno, reported. */
int kvm_automatic_offer(struct engine_vcpu *v);

/* -- irqfd.c --------------------------------------------------------------------------------------------- */

/* Of a struct lapic_borrower. */
bool kvm_irqfd_connect(void *vm, int fd, uint64_t address, uint32_t data);
void kvm_irqfd_disconnect(void *vm, int fd);
/* Under lend_lock: the kernel has the local APICs, or is about to have them no more. */
void kvm_irqfds_begin(struct engine_vm *vm);
void kvm_irqfds_end(struct engine_vm *vm);

/* -- reminder.c ------------------------------------------------------------------------------------------ */

/* Without vm->split they are not to be called. */
void kvm_reminder_init(struct engine_vm *vm);
void kvm_reminder_free(struct engine_vm *vm);
/* Under lend_lock: the kernel has these vectors, which are bits from number 32 * word on. */
void kvm_reminder_expect(struct engine_vm *vm, unsigned word, uint32_t vectors);
void kvm_reminder_told(struct engine_vm *vm, uint8_t vector);
/* Likewise: it has none any more. */
void kvm_reminder_forget(struct engine_vm *vm);

/* -- clock.c --------------------------------------------------------------------------------------------- */

int kvm_clock_init(struct engine_vm *vm, struct engine_vcpu *v, struct error *error);
/* While no vCPU runs, under the machine's lock, before one does: the counters are the machine's clock again.
 */
void kvm_clock_begin(struct engine_vm *vm);
/* After it has run: it has seen this much. */
void kvm_clock_stop(struct engine_vcpu *v);
/* The guest has written its offset. Where the host cannot add one, it stays what it is. */
void kvm_clock_apply(struct engine_vcpu *v);
/* Tells the local APIC what the counter is now, of a machine that has begun: there it may be a little apart
 * from the clock. */
void kvm_clock_tell(struct engine_vcpu *v);
/* What the vCPU's counter has beyond the others'. */
uint64_t kvm_clock_own(const struct engine_vcpu *v);
/* Of a vCPU that stands still, whose state is looked at or has just been set: the state's offset, which is
 * what the counter has where that is not ours to set, is the local APIC's. */
void kvm_clock_show(struct engine_vcpu *v);
/* After WRMSR of the counter: what the guest is told of it. Needs the machine's lock. */
void kvm_clock_moved(struct engine_vcpu *v);
struct hyperv kvm_hyperv(struct engine_vcpu *v);
/* The counter without the guest's own offset. */
uint64_t kvm_clock_tsc(void *vcpu);

/* -- msr.c ----------------------------------------------------------------------------------------------- */

int kvm_msr_filter(struct engine_vm *vm, struct error *error);
/* Of a struct x86_platform: those that arch/x86 leaves to the local APIC. */
bool kvm_msr_lapic_read(void *vcpu, uint32_t msr, uint64_t *value);
bool kvm_msr_lapic_write(void *vcpu, uint32_t msr, uint64_t value);
/* Of the kernel. 0, or a negative errno, reported. */
int kvm_msr_get(struct engine_vcpu *v, uint32_t msr, uint64_t *value);
int kvm_msr_set(struct engine_vcpu *v, uint32_t msr, uint64_t value);
/* The MSRs of pv_msr.h: to the kernel, where it has the local APICs, and back. What it refuses, it does not
 * tell of: guests need not be told. */
void kvm_msr_pv_lend(struct engine_vcpu *v);
void kvm_msr_pv_return(struct engine_vcpu *v);
/* Asynchronous page faults (engine/async_fault.h). tell: where the local APICs are visor's. forget: the
 * kernel's are nobody's any more; false: it has told of none. waits: the guest may wait for their ends. */
void kvm_async_fault_tell(struct engine_vcpu *v);
bool kvm_async_fault_forget(struct engine_vcpu *v);
bool kvm_async_fault_waits(struct engine_vcpu *v);
/* Tells the kernel the local APIC's base. */
bool kvm_msr_base_changed(struct engine_vcpu *v);
void kvm_msr_read(struct engine_vcpu *v);
void kvm_msr_write(struct engine_vcpu *v);

/* -- linear.c -------------------------------------------------------------------------------------------- */

/* The guest's memory by its page tables, for arch/x86, which sets bits and raises faults. */
extern const struct x86_linear kvm_linear;
/* Makes core and platform. */
void kvm_surround(struct engine_vcpu *v);
int kvm_linear_copy(struct engine_vcpu *v, uint64_t linear, uint8_t *out, const uint8_t *in, size_t size);

/* -- rescue.c -------------------------------------------------------------------------------------------- */

enum kvm_rescue { KVM_RESCUED, KVM_SHUT_DOWN, KVM_LOST };
/* After KVM_EXIT_INTERNAL_ERROR: an instruction that the kernel does not know is executed by visor. */
enum kvm_rescue kvm_rescue(struct engine_vcpu *v);
/* What that has made. */
void kvm_rescue_free(struct engine_vcpu *v);
void kvm_rescue_vm_free(struct engine_vm *vm);

/* -- exits.c --------------------------------------------------------------------------------------------- */

/* On the vCPU's thread. */
static inline void kvm_exits_count(struct engine_vcpu *v, unsigned reason)
{
    _Atomic uint64_t *count = &v->vm->places[v->index].exits[reason < KVM_EXITS ? reason : KVM_EXITS - 1];
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_relaxed);
}
unsigned kvm_exits_list(const struct engine_vcpu *v, struct engine_exit_count out[ENGINE_EXITS_MOST]);

/* -- debug.c --------------------------------------------------------------------------------------------- */

int kvm_debug_set(struct engine_vcpu *v, const struct engine_debug *debug, struct error *error);
void kvm_debug_free(struct engine_vcpu *v);
/* Before KVM_RUN; after KVM_EXIT_DEBUG: whether vcpu_run() ends. */
void kvm_debug_arm(struct engine_vcpu *v);
bool kvm_debug_exit(struct engine_vcpu *v);
static inline bool kvm_debug_on(const struct engine_vcpu *v)
{
    return v->debug.step || v->debug.count;
}

/* -- run.c ----------------------------------------------------------------------------------------------- */

enum engine_exit kvm_vcpu_run(struct engine_vcpu *v);
void kvm_for_all(struct engine_vm *vm, void (*function)(struct engine_vcpu *v));
int kvm_kick_signal(void);
/* An interrupt has to wait: KVM delivers one that it is given before an NMI that it has. */
bool kvm_nmi_first(const struct kvm_vcpu_events *events);
/* What came to the local APIC while it was visor's: INIT, SIPI, NMI. 0, or a negative errno, reported. */
int kvm_arrive(struct engine_vcpu *v);
void kvm_vcpu_kick(struct engine_vcpu *v);
void kvm_vcpu_request(struct engine_vcpu *v, enum kvm_request request);

#endif
