/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "cage/cage.h"
#include "machine/machine_signal.h"

#define ENDS                                                                                                 \
    (MACHINE_REQUEST_OFF | MACHINE_REQUEST_RESET | MACHINE_REQUEST_SHUTDOWN | MACHINE_REQUEST_PANIC |        \
     MACHINE_REQUEST_TOLD | MACHINE_REQUEST_END | MACHINE_REQUEST_FAILED)
/* Those for which the vCPUs leave the engine. */
#define STOPPING (ENDS | MACHINE_REQUEST_PAUSES)

/* -- the clock ------------------------------------------------------------------------------------------- */

static uint64_t host_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * TIMER_SECOND + (uint64_t)time.tv_nsec;
}

/* From any thread. Only the loop's changes what it is made of, while no vCPU runs. */
static uint64_t machine_now(void *opaque)
{
    struct machine *machine = opaque;
    uint64_t frozen = atomic_load_explicit(&machine->frozen, memory_order_acquire);
    return frozen != TIMER_NEVER ? frozen : host_now() - machine->started;
}

static void clock_freeze(struct machine *machine)
{
    machine->frozen = machine_now(machine);
    timers_stand_still(&machine->timers, true);
}

static void clock_go_on(struct machine *machine)
{
    machine->started = host_now() - machine->frozen;
    atomic_store_explicit(&machine->frozen, TIMER_NEVER, memory_order_release);
    timers_stand_still(&machine->timers, false);
}

/* What devices have been signalled meanwhile is served before anybody looks at them. */
static void stand_still(struct machine *machine)
{
    clock_freeze(machine);
    if (machine->type->stand)
        machine->type->stand(machine, true);
    machine_signals_serve(machine);
}

static void go_on(struct machine *machine)
{
    clock_go_on(machine);
    if (machine->type->stand)
        machine->type->stand(machine, false);
}

/* -- vCPUs ----------------------------------------------------------------------------------------------- */

static void vcpus_free(struct machine *machine)
{
    pthread_mutex_lock(&machine->vcpus_lock);
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        if (machine->vcpus[i].vcpu)
            machine->engine->vcpu_free(machine->vcpus[i].vcpu);
        machine->vcpus[i].vcpu = NULL;
    }
    pthread_mutex_unlock(&machine->vcpus_lock);
}

/* All vCPUs as after power-on. None of them runs. */
static int vcpus_make(struct machine *machine, struct error *error)
{
    vcpus_free(machine);
    int code = 0;
    pthread_mutex_lock(&machine->vcpus_lock);
    for (unsigned i = 0; !code && i < machine->vcpu_count; i++)
        code = machine->engine->vcpu_new(&machine->vcpus[i].vcpu, machine->vm, i, error);
    pthread_mutex_unlock(&machine->vcpus_lock);
    return code;
}

/* The same, with the first one where the board wants it. The board is asked first: an engine that has only
 * begun to make a machine goes on with that meanwhile. */
static int machine_begin(struct machine *machine, struct error *error)
{
    struct x86_state state;
    vcpus_free(machine);
    x86_state_reset(&state, &machine->model);
    int code = machine->type->load(machine, &state, error);
    if (!code)
        code = vcpus_make(machine, error);
    if (!code)
        machine->engine->vcpu_set_state(machine->vcpus[0].vcpu, &state);
    return code;
}

static void vcpus_stop(struct machine *machine)
{
    pthread_mutex_lock(&machine->vcpus_lock);
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        if (machine->vcpus[i].vcpu)
            machine->engine->vcpu_stop(machine->vcpus[i].vcpu);
    }
    pthread_mutex_unlock(&machine->vcpus_lock);
}

void machine_kick(void *opaque, unsigned vcpu)
{
    struct machine *machine = opaque;
    if (machine->vcpus[vcpu].vcpu)
        machine->engine->vcpu_kick(machine->vcpus[vcpu].vcpu);
}

/* On the loop's thread, under the lock, which it gives up while it waits: afterwards no vCPU is in the
 * engine.
 */
void machine_hold(struct machine *machine)
{
    machine->held = true;
    vcpus_stop(machine);
    while (machine->running)
        pthread_cond_wait(&machine->idle, &machine->lock);
}

void machine_release(struct machine *machine)
{
    machine->held = false;
    pthread_cond_broadcast(&machine->go);
}

static bool vcpu_may_run(const struct machine_vcpu *vcpu)
{
    const struct machine *machine = vcpu->machine;
    return !machine->held && !machine->paused && !(machine->requests & STOPPING) &&
           (!machine->only || vcpu == &machine->vcpus[machine->only - 1]);
}

static void vcpu_left(struct machine_vcpu *vcpu, enum engine_exit reason)
{
    struct machine *machine = vcpu->machine;
    switch (reason) {
    case ENGINE_STOPPED: break;
    case ENGINE_SHUTDOWN: machine_request(machine, MACHINE_REQUEST_SHUTDOWN); break;
    case ENGINE_DEBUG:
        if (!machine->debugged)
            machine->debugged = (unsigned)(vcpu - machine->vcpus) + 1;
        machine_pause(machine, MACHINE_PAUSE_DEBUGGER);
        break;
    case ENGINE_FAILED: machine_request(machine, MACHINE_REQUEST_FAILED); break;
    }
}

static void *vcpu_thread(void *opaque)
{
    struct machine_vcpu *vcpu = opaque;
    struct machine *machine = vcpu->machine;
    const unsigned number = (unsigned)(vcpu - machine->vcpus);
    char name[16];
    cage_thread(CAGE_VCPU);
    snprintf(name, sizeof name, "vcpu%u", number);
    prctl(PR_SET_NAME, name);
    if (machine->vcpu_begins)
        machine->vcpu_begins(machine->opaque, number);
    pthread_mutex_lock(&machine->lock);
    vcpu->thread_id = gettid();
    while (!machine->ended) {
        if (!vcpu_may_run(vcpu)) {
            pthread_cond_wait(&machine->go, &machine->lock);
            continue;
        }
        machine->running++;
        pthread_mutex_unlock(&machine->lock);
        enum engine_exit reason = machine->engine->vcpu_run(vcpu->vcpu);
        pthread_mutex_lock(&machine->lock);
        vcpu_left(vcpu, reason);
        if (!--machine->running)
            pthread_cond_signal(&machine->idle);
    }
    pthread_mutex_unlock(&machine->lock);
    return NULL;
}

static int vcpus_start(struct machine *machine, struct error *error)
{
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        struct machine_vcpu *vcpu = &machine->vcpus[i];
        int code = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
        if (code)
            return error_set(error, -code, "cannot make a thread for vCPU %u: %s", i, strerror(code));
        vcpu->has_thread = true;
    }
    return 0;
}

/* -- observers ------------------------------------------------------------------------------------------- */

void machine_observe(struct machine *machine, struct machine_observer *observer)
{
    observer->next = machine->observers;
    machine->observers = observer;
}

void machine_forget(struct machine *machine, struct machine_observer *observer)
{
    struct machine_observer **link = &machine->observers;
    while (*link && *link != observer)
        link = &(*link)->next;
    if (*link)
        *link = observer->next;
}

void machine_report(struct machine *machine, const struct machine_news *news)
{
    for (struct machine_observer *observer = machine->observers; observer; observer = observer->next)
        observer->happened(observer->opaque, news);
}

/* -- requests -------------------------------------------------------------------------------------------- */

void machine_request(struct machine *machine, enum machine_request request)
{
    atomic_fetch_or(&machine->requests, request);
    if (request & STOPPING)
        vcpus_stop(machine);
    loop_post(machine->loop, &machine->serve);
}

void machine_ask(struct machine *machine, enum machine_request request, enum machine_asker asker)
{
    atomic_store(&machine->asker, asker);
    machine_request(machine, request);
}

void machine_pause(struct machine *machine, enum machine_pause reason)
{
    if (!(atomic_fetch_or(&machine->pauses, reason) & reason))
        machine_request(machine, MACHINE_REQUEST_PAUSES);
}

void machine_resume(struct machine *machine, enum machine_pause reason)
{
    if (atomic_fetch_and(&machine->pauses, ~(unsigned)reason) & reason)
        machine_request(machine, MACHINE_REQUEST_PAUSES);
}

void machine_tell(struct machine *machine, int status)
{
    machine->status = status;
    machine_request(machine, MACHINE_REQUEST_TOLD);
}

static void machine_come_to_end(struct machine *machine, enum machine_end end)
{
    machine->end = end;
    machine->ended = true;
    loop_stop(machine->loop);
}

/* A failure has been reported. */
static int machine_reset(struct machine *machine)
{
    struct error error = ERROR_INIT;
    devices_reset(&machine->devices);
    int code = machine_begin(machine, &error);
    if (code) {
        error_prefix(&error, "reset: ");
        error_report(&error);
    } else if (machine->debugger.vcpus_made) {
        machine->debugger.vcpus_made(machine->debugger.opaque);
    }
    return code;
}

static void machine_serve_pauses(struct machine *machine)
{
    const bool pause = machine->pauses != 0, changes = pause != machine->paused;
    if (changes)
        (pause ? stand_still : go_on)(machine);
    machine->paused = pause;
    if (changes)
        machine_report(machine, &(struct machine_news){.kind = pause ? MACHINE_STOPPED : MACHINE_WENT_ON});
    if ((machine->pauses & MACHINE_PAUSE_DEBUGGER) && machine->debugger.stopped)
        machine->debugger.stopped(machine->debugger.opaque);
}

static void machine_serve_end(struct machine *machine, unsigned requests)
{
    enum machine_end end = (enum machine_end)(31 - __builtin_clz(requests & ENDS));
    struct machine_news news = {.kind = MACHINE_ENDS, .end = end, .asker = MACHINE_GUEST};
    const unsigned asker = atomic_exchange(&machine->asker, MACHINE_GUEST);
    bool goes_on = (end == MACHINE_RESET || end == MACHINE_SHUTDOWN) && !machine->no_reboot;
    if (end == MACHINE_RESET || end == MACHINE_ENDED)
        news.asker = (enum machine_asker)asker;
    if (goes_on && machine_reset(machine)) {
        goes_on = false;
        news.end = MACHINE_FAILED;
    }
    if (goes_on)
        news.kind = MACHINE_RESTARTS;
    else
        machine_come_to_end(machine, news.end);
    machine_report(machine, &news);
}

bool machine_press_button(struct machine *machine, enum machine_asker asker)
{
    machine_report(machine, &(struct machine_news){.kind = MACHINE_BUTTON, .asker = asker});
    return machine->type->power_button(machine);
}

/* Who has no ear for it is ended by who has pressed it. */
static void machine_serve_button(struct machine *machine)
{
    const enum machine_asker asker = (enum machine_asker)atomic_exchange(&machine->asker, MACHINE_GUEST);
    if (!machine_press_button(machine, asker))
        machine_ask(machine, MACHINE_REQUEST_END, asker);
}

/* Puts off what would pull the memory away from under devices: the loop comes back after other events. */
static unsigned machine_put_off(struct machine *machine, unsigned requests)
{
    if (!(requests & ENDS) || !machine->type->pending || !machine->type->pending(machine))
        return requests;
    atomic_fetch_or(&machine->requests, requests & ENDS);
    nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL); /* no vCPU waits for the lock */
    loop_post(machine->loop, &machine->serve);
    return requests & ~ENDS;
}

/* On the loop's thread, under the lock. */
static void machine_serve(void *opaque)
{
    struct machine *machine = opaque;
    unsigned requests = machine->requests;
    if (requests & STOPPING) {
        machine_hold(machine);
        machine_signals_serve(machine); /* what the guest has asked for before it stood still is done */
    }
    /* Also those that the vCPUs have made on their way out. */
    requests = machine_put_off(machine, atomic_exchange(&machine->requests, 0));
    if (requests & MACHINE_REQUEST_POWER_BUTTON)
        machine_serve_button(machine);
    if (requests & ENDS)
        machine_serve_end(machine, requests);
    if (!machine->ended && (requests & MACHINE_REQUEST_PAUSES))
        machine_serve_pauses(machine);
    machine_release(machine);
}

/* -- making one, and its end ----------------------------------------------------------------------------- */

static int machine_make_parts(struct machine *machine, const struct machine_config *config,
                              struct error *error)
{
    machine->ram = (config->huge_pages ? memory_backing_create_huge
                                       : memory_backing_create)("guest-memory", config->memory, error);
    if (!machine->ram)
        return error->code;
    memory_backing_prepare_touched(machine->ram);
    int code = config->merge ? memory_backing_merge(machine->ram, true, error) : 0;
    if (!code)
        code = memory_map_init(&machine->memory, (UINT64_C(1) << config->model.physical_bits) - 1, error);
    if (!code)
        code = io_space_init(&machine->io, error);
    if (!code)
        code = loop_new(&machine->loop, &machine->lock, &machine->timers, error);
    machine->vcpus = calloc(config->vcpu_count, sizeof *machine->vcpus);
    if (!code && !machine->vcpus)
        code = error_set(error, -ENOMEM, "out of memory for the machine");
    if (code)
        return code;
    machine->vcpu_count = config->vcpu_count;
    for (unsigned i = 0; i < config->vcpu_count; i++)
        machine->vcpus[i].machine = machine;
    machine->parts = (struct engine_machine){
        .memory = &machine->memory,
        .ram = machine->ram,
        .io = &machine->io,
        .lock = &machine->lock,
        .clock = machine->clock,
        .vcpu_count = machine->vcpu_count,
        .model = &machine->model,
        .irqchip = config->irqchip,
        .trace = config->trace,
        .trace_stream = config->trace_stream,
    };
    return 0;
}

static int machine_make(struct machine *machine, const struct machine_config *config, struct error *error)
{
    int code = machine_make_parts(machine, config, error);
    if (!code && config->engine->vm_begin)
        machine->vm = config->engine->vm_begin(&machine->parts);
    if (!code)
        code = config->type->create(machine, config, error);
    if (code)
        return code;
    machine->type = config->type;
    devices_reset(&machine->devices);
    code = config->engine->vm_new(&machine->vm, &machine->parts, error);
    return code ? code : (config->is_loaded ? vcpus_make : machine_begin)(machine, error);
}

int machine_new(struct machine **out, const struct machine_config *config, struct error *error)
{
    struct machine *machine = calloc(1, sizeof *machine);
    if (!machine)
        return error_set(error, -ENOMEM, "out of memory for the machine");
    machine->engine = config->engine;
    machine->model = config->model;
    machine->no_reboot = config->no_reboot;
    machine->vcpu_begins = config->vcpu_begins;
    machine->opaque = config->opaque;
    machine->clock = (struct clock){machine_now, machine};
    machine->serve = (struct loop_call){.function = machine_serve, .opaque = machine};
    pthread_mutex_init(&machine->lock, NULL);
    pthread_mutex_init(&machine->vcpus_lock, NULL);
    pthread_cond_init(&machine->idle, NULL);
    pthread_cond_init(&machine->go, NULL);
    timers_init(&machine->timers, machine->clock);
    timers_stand_still(&machine->timers, true);
    machine_signals_init(machine);
    int code = machine_make(machine, config, error);
    if (code)
        machine_free(machine);
    else
        *out = machine;
    return code;
}

enum machine_end machine_run(struct machine *machine)
{
    struct error error = ERROR_INIT;
    pthread_mutex_lock(&machine->lock);
    go_on(machine);
    pthread_mutex_unlock(&machine->lock);
    if (vcpus_start(machine, &error)) {
        error_report(&error);
        machine_request(machine, MACHINE_REQUEST_FAILED);
    }
    loop_run(machine->loop);
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        if (machine->vcpus[i].has_thread)
            pthread_join(machine->vcpus[i].thread, NULL);
    }
    return machine->end;
}

void machine_free(struct machine *machine)
{
    if (machine->vm) {
        vcpus_free(machine);
        machine->engine->vm_free(machine->vm);
    }
    if (machine->type)
        machine->type->destroy(machine);
    devices_free(&machine->devices);
    machine_signals_free(machine);
    free(machine->vcpus);
    if (machine->loop)
        loop_free(machine->loop);
    if (machine->io.map.view)
        io_space_destroy(&machine->io);
    if (machine->memory.view)
        memory_map_destroy(&machine->memory);
    if (machine->ram)
        memory_backing_free(machine->ram);
    timers_destroy(&machine->timers);
    pthread_cond_destroy(&machine->go);
    pthread_cond_destroy(&machine->idle);
    pthread_mutex_destroy(&machine->vcpus_lock);
    pthread_mutex_destroy(&machine->lock);
    free(machine);
}
