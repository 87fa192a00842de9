/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run: the loop of a vCPU: what comes from outside, then guest code, then what that needs. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/macros.h"
#include "engine/arrival.h"
#include "engine/kvm/private.h"

/* What becomes of the vCPU after an exit. */
enum outcome { GO_ON, DEBUG, SHUT_DOWN, FAILED };

/* The vCPU of this thread. */
static _Thread_local struct engine_vcpu *current;

/* -- telling a vCPU -------------------------------------------------------------------------------------- */

int kvm_kick_signal(void)
{
    return SIGRTMIN + 2; /* the engine `translate` has its own, with another handler */
}

/* KVM_RUN comes back at once if it has not begun yet, and is interrupted if it has. */
static void on_kick(int signal)
{
    (void)signal;
    if (current)
        current->run->immediate_exit = 1;
}

static void attach(struct engine_vcpu *v)
{
    struct sigaction action = {.sa_handler = on_kick};
    sigset_t mask;
    sigfillset(&action.sa_mask);
    sigaction(kvm_kick_signal(), &action, NULL);
    sigfillset(&mask);
    sigdelset(&mask, kvm_kick_signal());
    sigdelset(&mask, SIGSYS); /* a call that the cage forbids */
    current = v;
    doorbell_attach(&v->bell);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

void kvm_vcpu_kick(struct engine_vcpu *v)
{
    if (doorbell_ring(&v->bell))
        doorbell_signal(&v->bell, kvm_kick_signal());
}

void kvm_vcpu_request(struct engine_vcpu *v, enum kvm_request request)
{
    atomic_fetch_or(&v->requests, request);
    kvm_vcpu_kick(v);
}

/* -- accesses to devices --------------------------------------------------------------------------------- */

/* KVM gives and takes registers in the middle of the instruction, too. One that emulates it does not add what
 * was read any more then: that is among them. */
static uint32_t serve_call(struct engine_vcpu *v, uint16_t port, unsigned size)
{
    if (kvm_pull_general(v) < 0)
        return UINT32_MAX;
    const uint32_t value = io_read_by(v->vm->machine.io, port, size, v->state.gpr);
    kvm_push_general(v);
    return value;
}

static void serve_port(struct engine_vcpu *v)
{
    struct kvm_run *run = v->run;
    const struct engine_machine *m = &v->vm->machine;
    const unsigned size = run->io.size;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    pthread_mutex_lock(m->lock);
    for (uint32_t i = 0; i < run->io.count; i++, data += size) {
        uint32_t value = 0;
        if (run->io.direction == KVM_EXIT_IO_IN) {
            value = io_is_call(m->io, run->io.port, size) ? serve_call(v, run->io.port, size)
                                                          : io_read(m->io, run->io.port, size);
            memcpy(data, &value, size);
        } else {
            memcpy(&value, data, size);
            io_write(m->io, run->io.port, size, value);
        }
    }
    pthread_mutex_unlock(m->lock);
}

static bool serve_lapic(struct engine_vcpu *v)
{
    struct kvm_run *run = v->run;
    const uint64_t offset = run->mmio.phys_addr % LAPIC_SIZE;
    uint64_t page, value = 0;
    if (!lapic_page(v->lapic, &page) || run->mmio.phys_addr - offset != page)
        return false;
    if (run->mmio.is_write) {
        memcpy(&value, run->mmio.data, run->mmio.len);
        lapic_mmio_write(v->lapic, offset, run->mmio.len, value);
    } else {
        value = lapic_mmio_read(v->lapic, offset, run->mmio.len);
        memcpy(run->mmio.data, &value, run->mmio.len);
    }
    return true;
}

static void serve_memory(struct engine_vcpu *v)
{
    struct kvm_run *run = v->run;
    const struct engine_machine *m = &v->vm->machine;
    uint64_t value = 0;
    if (serve_lapic(v))
        return;
    pthread_mutex_lock(m->lock);
    if (run->mmio.is_write) {
        memcpy(&value, run->mmio.data, run->mmio.len);
        memory_mmio_write(m->memory, run->mmio.phys_addr, run->mmio.len, value);
    } else {
        memory_mmio_read(m->memory, run->mmio.phys_addr, run->mmio.len, &value);
        memcpy(run->mmio.data, &value, run->mmio.len);
    }
    pthread_mutex_unlock(m->lock);
}

/* -- exits ----------------------------------------------------------------------------------------------- */

static enum outcome unknown_exit(struct engine_vcpu *v)
{
    const struct kvm_run *run = v->run;
    const unsigned long long reason = run->exit_reason == KVM_EXIT_FAIL_ENTRY
                                          ? run->fail_entry.hardware_entry_failure_reason
                                          : run->hw.hardware_exit_reason;
    fprintf(stderr, "visor: vCPU %u: KVM cannot go on (exit %u, reason %#llx)\n", v->index, run->exit_reason,
            reason);
    v->failed = true;
    return FAILED;
}

static const enum outcome rescue_outcomes[] = {
    [KVM_RESCUED] = GO_ON, [KVM_SHUT_DOWN] = SHUT_DOWN, [KVM_LOST] = FAILED};

static enum outcome handle(struct engine_vcpu *v)
{
    v->completes = false;
    kvm_exits_count(v, v->run->exit_reason);
    switch (v->run->exit_reason) {
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_SET_TPR: return GO_ON;
    case KVM_EXIT_IO:
        serve_port(v);
        v->completes = true;
        return GO_ON;
    case KVM_EXIT_MMIO:
        serve_memory(v);
        v->completes = true;
        return GO_ON;
    case KVM_EXIT_X86_RDMSR:
        kvm_msr_read(v);
        v->completes = true;
        return GO_ON;
    case KVM_EXIT_X86_WRMSR:
        kvm_msr_write(v);
        v->completes = true;
        return GO_ON;
    case KVM_EXIT_IOAPIC_EOI:
        kvm_reminder_told(v->vm, v->run->eoi.vector);
        v->vm->bus->host.eoi(v->vm->bus->host.opaque, v->run->eoi.vector);
        return GO_ON;
    case KVM_EXIT_HLT: v->state.activity = X86_HALTED; return v->debug.step ? DEBUG : GO_ON;
    case KVM_EXIT_SHUTDOWN: return SHUT_DOWN;
    case KVM_EXIT_DEBUG: return kvm_debug_exit(v) ? DEBUG : GO_ON;
    case KVM_EXIT_INTERNAL_ERROR: return rescue_outcomes[kvm_rescue(v)];
    default: return unknown_exit(v);
    }
}

/* The instruction whose access was served last is done, and no other is begun. */
static enum outcome complete(struct engine_vcpu *v)
{
    enum outcome outcome = GO_ON;
    while (v->completes && outcome == GO_ON) {
        v->run->immediate_exit = 1;
        v->completes = false;
        if (ioctl(v->fd, KVM_RUN, 0) == 0)
            outcome = handle(v);
        else if (errno != EINTR)
            return kvm_failed(v, "complete an access"), FAILED;
    }
    v->run->immediate_exit = 0;
    return outcome;
}

/* -- what comes from outside ----------------------------------------------------------------------------- */

/* An NMI wakes who halts outside of another's handler. */
static void inject_nmis(struct engine_vcpu *v, unsigned count)
{
    struct kvm_vcpu_events events;
    for (unsigned i = 0; i < count; i++) {
        if (ioctl(v->fd, KVM_NMI, 0) < 0)
            kvm_failed(v, "take an NMI");
        v->nmi_given = true;
    }
    if (count && v->state.activity == X86_HALTED && ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events) == 0 &&
        !events.nmi.masked)
        v->state.activity = X86_ACTIVE;
}

int kvm_arrive(struct engine_vcpu *v)
{
    if (kvm_pull(v) < 0)
        return -EIO;
    const struct arrival arrival = arrival_take(&v->state, v->lapic, &v->vm->model, v->index == 0);
    if (arrival.init)
        kvm_irqchip_forget(v);
    if (arrival.registers && kvm_push(v) < 0)
        return -EIO;
    if (v->state.activity != X86_WAITS_FOR_SIPI)
        inject_nmis(v, arrival.nmis);
    kvm_async_fault_tell(v);
    return v->failed ? -EIO : 0;
}

static enum outcome take_events(struct engine_vcpu *v)
{
    const enum outcome outcome = complete(v);
    if (outcome != GO_ON)
        return outcome;
    return (v->vm->split ? kvm_irqchip_events : kvm_arrive)(v) < 0 ? FAILED : GO_ON;
}

bool kvm_nmi_first(const struct kvm_vcpu_events *events)
{
    return events->nmi.injected || (events->nmi.pending && !events->nmi.masked);
}

/* The kernel is asked only while it may have one. */
static bool waits_for_nmi(struct engine_vcpu *v)
{
    struct kvm_vcpu_events events;
    if (!v->nmi_given || ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events) < 0)
        return false;
    v->nmi_given = events.nmi.injected || events.nmi.pending;
    return kvm_nmi_first(&events);
}

/* An interrupt is taken from the local APIC when the processor takes it at once. */
static enum outcome offer_interrupt(struct engine_vcpu *v)
{
    struct kvm_run *run = v->run;
    if (v->vm->split) {
        /* What is injected past the local APIC comes behind an instruction, which may still fault. */
        const bool past = UNLIKELY(v->lapic->automatic != NULL) && kvm_automatic_waits(v);
        const enum outcome outcome = past ? complete(v) : GO_ON;
        return outcome != GO_ON ? outcome : kvm_irqchip_offer(v) < 0 ? FAILED : GO_ON;
    }
    if (lapic_pending(v->lapic) != LAPIC_NONE && run->ready_for_interrupt_injection && run->if_flag &&
        !waits_for_nmi(v)) {
        const int vector = arrival_acknowledge(&v->vm->machine, v->lapic);
        if (vector >= 0 && ioctl(v->fd, KVM_INTERRUPT, &(struct kvm_interrupt){.irq = (uint32_t)vector}) < 0)
            return kvm_failed(v, "take an interrupt"), FAILED;
        run->ready_for_interrupt_injection = 0;
    }
    run->request_interrupt_window = lapic_pending(v->lapic) != LAPIC_NONE;
    return GO_ON;
}

/* -- the loop -------------------------------------------------------------------------------------------- */

/* 0, or a negative errno; -EINTR: somebody wants to be looked at. */
static int enter(struct engine_vcpu *v)
{
    struct engine_vm *vm = v->vm;
    int code = -EINTR;
    memory_reader_sleep(&v->reader);
    if (kvm_slots_enter(v)) {
        if (doorbell_go_inside(&v->bell)) {
            code = ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 0;
            v->stale = false;
            doorbell_go_outside(&v->bell);
        }
        kvm_slots_leave(v);
    }
    memory_reader_wake(vm->machine.memory, &v->reader);
    return code;
}

static enum outcome run_code(struct engine_vcpu *v)
{
    struct kvm_run *run = v->run;
    const enum outcome offered = offer_interrupt(v);
    if (offered != GO_ON)
        return offered;
    if (!v->vm->split) {
        v->cr8 = lapic_priority_class(v->lapic);
        run->cr8 = v->cr8;
    }
    if (kvm_debug_on(v))
        kvm_debug_arm(v);
    const int code = enter(v);
    if (!v->vm->split && run->cr8 != v->cr8)
        lapic_set_priority_class(v->lapic, (uint8_t)run->cr8);
    if (code == 0)
        return handle(v);
    if (code == -EINTR || code == -EAGAIN) {
        kvm_exits_count(v, KVM_EXIT_INTR);
        return GO_ON;
    }
    errno = -code;
    return kvm_failed(v, "run the guest"), FAILED;
}

static bool wakes(const struct engine_vcpu *v)
{
    return v->state.activity == X86_HALTED && v->run->if_flag && lapic_pending(v->lapic) != LAPIC_NONE;
}

static enum outcome one_round(struct engine_vcpu *v)
{
    if (UNLIKELY(lapic_has_events(v->lapic))) {
        const enum outcome outcome = take_events(v);
        if (outcome != GO_ON)
            return outcome;
    }
    if (v->vm->split || v->state.activity == X86_ACTIVE)
        return run_code(v);
    if (wakes(v)) {
        v->state.activity = X86_ACTIVE;
    } else {
        memory_reader_sleep(&v->reader);
        doorbell_sleep(&v->bell);
        memory_reader_wake(v->vm->machine.memory, &v->reader);
    }
    return GO_ON;
}

/* Nothing is left that the kernel would have to tell of. */
static enum outcome settle(struct engine_vcpu *v)
{
    enum outcome outcome = complete(v);
    int code = 0;
    while (v->vm->split && outcome == GO_ON && (code = kvm_irqchip_drain(v)) == 0) {
        outcome = handle(v);
        if (outcome == GO_ON)
            outcome = complete(v);
    }
    if (code && code != -EINTR) {
        errno = -code;
        return kvm_failed(v, "settle"), FAILED;
    }
    return outcome;
}

static enum engine_exit loop(struct engine_vcpu *v)
{
    for (;;) {
        doorbell_listen(&v->bell);
        v->run->immediate_exit = 0;
        const uint32_t requests = atomic_load(&v->requests) ? atomic_exchange(&v->requests, 0) : 0;
        enum outcome outcome = GO_ON;
        if (UNLIKELY(requests & KVM_REQUEST_STOP)) {
            outcome = settle(v);
            if (outcome == GO_ON)
                return v->failed ? ENGINE_FAILED : ENGINE_STOPPED;
        } else if (UNLIKELY(requests & KVM_REQUEST_SETTLE) && kvm_irqchip_halts(v)) {
            outcome = settle(v);
        } else {
            outcome = one_round(v);
        }
        switch (outcome) {
        case GO_ON: break;
        case DEBUG: return settle(v) == FAILED ? ENGINE_FAILED : ENGINE_DEBUG;
        case SHUT_DOWN: return ENGINE_SHUTDOWN;
        case FAILED: return ENGINE_FAILED;
        }
    }
}

void kvm_for_all(struct engine_vm *vm, void (*function)(struct engine_vcpu *v))
{
    for (unsigned i = 0; i < vm->machine.vcpu_count; i++) {
        struct engine_vcpu *v = atomic_load(&vm->vcpus[i]);
        if (v)
            function(v);
    }
}

/* What all vCPUs have in common is set by the first that begins to run, and looked after by the last that
 * stops. */
static void begin(struct engine_vm *vm)
{
    pthread_mutex_lock(vm->machine.lock);
    if (!vm->running++) {
        kvm_clock_begin(vm);
        kvm_irqchip_begin(vm);
    }
    pthread_mutex_unlock(vm->machine.lock);
}

static void end(struct engine_vm *vm)
{
    pthread_mutex_lock(vm->machine.lock);
    if (!--vm->running)
        kvm_irqchip_end(vm);
    pthread_mutex_unlock(vm->machine.lock);
}

enum engine_exit kvm_vcpu_run(struct engine_vcpu *v)
{
    attach(v);
    memory_reader_wake(v->vm->machine.memory, &v->reader);
    v->debug_hit = NULL;
    begin(v->vm);
    kvm_async_fault_tell(v);
    const enum engine_exit exit = v->failed ? ENGINE_FAILED : loop(v);
    kvm_clock_stop(v);
    end(v->vm);
    memory_reader_sleep(&v->reader);
    current = NULL;
    return exit;
}
