/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events: what reaches a vCPU from outside: interrupts, NMI, INIT, SIPI, requests of other threads, and how
 * its thread is told of them: by a signal while it runs guest code, by a futex while it sleeps, not at all
 * while it will look anyway.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arch/x86/segment.h"
#include "engine/arrival.h"
#include "engine/translate/private.h"

#define SIGNAL_STACK_SIZE (64ul << 10)

/* The vCPU of this thread. */
static _Thread_local struct engine_vcpu *current;

/* -- signals --------------------------------------------------------------------------------------------- */

static int kick_signal(void)
{
    return SIGRTMIN + 1;
}

static void on_kick(int signal, siginfo_t *info, void *ucontext)
{
    (void)signal, (void)info;
    if (!current)
        return;
    engine_look_waiting(current);
    translator_interrupt(&current->cpu->x86.common, ucontext);
}

/* What is not the guest's doing ends visor as it would without a handler. */
static void on_fault(int signal, siginfo_t *info, void *ucontext)
{
    if (current && translator_fault(&current->cpu->x86.common, signal, info, ucontext))
        return;
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(signal, &standard, NULL);
}

static void handle_signals(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE};
    /* Generated code has a stack of its own, on which nothing else may be put. */
    struct sigaction action = {.sa_sigaction = on_kick, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigfillset(&action.sa_mask);
    sigaction(kick_signal(), &action, NULL);
    action.sa_sigaction = on_fault;
    for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigaction(faults[i], &action, NULL);
}

/* Signals that are not the engine's go to other threads: they could come on the stack of generated code. */
static void set_mask(void)
{
    sigset_t mask;
    sigfillset(&mask);
    sigdelset(&mask, kick_signal());
    sigdelset(&mask, SIGSEGV);
    sigdelset(&mask, SIGBUS);
    sigdelset(&mask, SIGFPE);
    sigdelset(&mask, SIGILL);
    sigdelset(&mask, SIGTRAP);
    sigdelset(&mask, SIGABRT);
    sigdelset(&mask, SIGSYS); /* a call that the cage forbids */
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

/* Only while it runs: between two runs the thread may end, or the vCPU be freed. */
bool engine_attach(struct engine_vcpu *v)
{
    if (!v->signal_stack) {
        void *memory =
            mmap(NULL, SIGNAL_STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            return false;
        v->signal_stack = memory;
    }
    const stack_t stack = {.ss_sp = v->signal_stack, .ss_size = SIGNAL_STACK_SIZE};
    if (sigaltstack(&stack, &v->signal_stack_before) < 0)
        return false;
    current = v;
    handle_signals();
    set_mask();
    doorbell_attach(&v->bell);
    return true;
}

void engine_detach(struct engine_vcpu *v)
{
    current = NULL;
    sigaltstack(&v->signal_stack_before, NULL);
}

void engine_free_signals(struct engine_vcpu *v)
{
    if (v->signal_stack)
        munmap(v->signal_stack, SIGNAL_STACK_SIZE);
}

/* -- telling a vCPU -------------------------------------------------------------------------------------- */

void engine_kick(struct engine_vcpu *v)
{
    if (!doorbell_ring(&v->bell))
        return;
    if (current == v) { /* in a device's callback that generated code has called */
        engine_look_waiting(v);
        translator_request(&v->cpu->x86.common);
    } else {
        doorbell_signal(&v->bell, kick_signal());
    }
}

void engine_request(struct engine_vcpu *v, enum engine_request request)
{
    atomic_fetch_or(&v->requests, request);
    engine_kick(v);
}

/* For instructions that set IF in generated code. [signal] */
void engine_look_waiting(struct engine_vcpu *v)
{
    v->cpu->x86.waiting = lapic_pending(v->lapic) != LAPIC_NONE ? X86_EFLAGS_IF : 0;
}

void engine_pause(struct x86_cpu *cpu)
{
    enum { PATIENCE = 64 }; /* some microseconds: longer than most spin locks are held */
    struct engine_vcpu *v = cpu->common.owner;
    if (++v->pauses % PATIENCE == 0)
        sched_yield();
}

void engine_sleep(struct engine_vcpu *v)
{
    memory_reader_sleep(&v->reader);
    v->range = NULL;
    doorbell_sleep(&v->bell);
    memory_reader_wake(v->vm->machine.memory, &v->reader);
}

/* -- INIT and SIPI --------------------------------------------------------------------------------------- */

/* A processor holds one NMI while the handler of another runs. Two that come between two instructions, or
 * where a vCPU does not look, count as if it had taken the first when it came. */
static void take_nmis(struct engine_vcpu *v, unsigned count)
{
    struct x86_state *s = engine_state(v);
    s->nmi_pending = (uint8_t)MIN(s->nmi_pending + count, s->nmi_blocked ? 1u : 2u);
}

void engine_take_events(struct engine_vcpu *v)
{
    const struct arrival arrival =
        arrival_take(engine_state(v), v->lapic, v->vm->machine.model, v->index == 0);
    if (arrival.registers)
        engine_state_changed(v);
    take_nmis(v, arrival.nmis);
    engine_tell_async_fault(v);
}

/* -- interrupts ------------------------------------------------------------------------------------------ */

/* What comes first between two instructions, if anything: NMI, then interrupts. */
bool engine_next_event(struct engine_vcpu *v, struct x86_event *event)
{
    struct x86_state *s = engine_state(v);
    if (s->activity == X86_WAITS_FOR_SIPI)
        return false;
    *event = (struct x86_event){.kind = X86_EVENT_EXTERNAL};
    if (s->nmi_pending && !s->nmi_blocked) {
        s->nmi_pending--;
        s->nmi_blocked = 1;
        event->vector = X86_NMI;
        return true;
    }
    if (!(s->eflags_system & X86_EFLAGS_IF) || lapic_pending(v->lapic) == LAPIC_NONE)
        return false;
    const int vector = arrival_acknowledge(&v->vm->machine, v->lapic);
    event->vector = (uint8_t)vector;
    return vector >= 0;
}
