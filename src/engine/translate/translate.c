/* SPDX-License-Identifier: GPL-2.0-or-later */
/* translate: the engine that runs vCPUs by the translator: what it is made of, and its state for others. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/features.h"
#include "base/macros.h"
#include "engine/async_fault.h"
#include "engine/hyperv.h"
#include "engine/pv_call.h"
#include "engine/pv_msr.h"
#include "engine/pvclock.h"
#include "engine/translate/private.h"
#include "translator/host/host.h"

/* -- what surrounds the processor ------------------------------------------------------------------------ */

static uint32_t port_read(void *opaque, uint16_t port, unsigned size)
{
    struct engine_vcpu *v = opaque;
    v->hits |= engine_port_hits(v, port, size);
    pthread_mutex_lock(v->vm->machine.lock);
    const uint32_t value = io_read_by(v->vm->machine.io, port, size, engine_state(v)->gpr);
    pthread_mutex_unlock(v->vm->machine.lock);
    return value;
}

static void port_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
    struct engine_vcpu *v = opaque;
    v->hits |= engine_port_hits(v, port, size);
    pthread_mutex_lock(v->vm->machine.lock);
    io_write(v->vm->machine.io, port, size, value);
    pthread_mutex_unlock(v->vm->machine.lock);
}

/* Counters are the machine's clock. */
static struct pvclock pvclock_of(const struct engine_vcpu *v)
{
    const struct engine_machine *m = &v->vm->machine;
    return (struct pvclock){.model = m->model, .memory = m->memory, .clock = &m->clock};
}

static uint64_t plain_tsc(void *vcpu)
{
    const struct engine_vcpu *v = vcpu;
    return clock_now(&v->vm->machine.clock);
}

static struct hyperv hyperv_of(struct engine_vcpu *v, const struct pvclock *clock)
{
    const struct engine_machine *m = &v->vm->machine;
    return (struct hyperv){
        .clock = clock,
        .machine = engine_state(atomic_load(&v->vm->vcpus[0])),
        .moved = v->vm->counters_moved,
        .vcpu = v,
        .index = v->index,
        .synic = m->synics ? m->synics[v->index] : NULL,
        .connections = &m->connections,
        .registers = engine_state(v),
        .tsc = plain_tsc,
    };
}

void engine_publish_clock(struct engine_vcpu *v, bool stopped)
{
    const struct x86_state *s = engine_state(v);
    const struct pvclock clock = pvclock_of(v);
    if (!s->pv_time && !x86_has(clock.model, X86_FEATURE_HYPERV))
        return;
    pthread_mutex_lock(v->vm->machine.lock);
    v->vm->counters_moved |= s->tsc_offset != 0;
    pvclock_publish(&clock, s, s->tsc_offset, stopped);
    if (atomic_load(&v->vm->vcpus[0])) { /* else it is a vCPU that stands in for another engine's */
        const struct hyperv hyperv = hyperv_of(v, &clock);
        hyperv_publish(&hyperv);
    }
    pthread_mutex_unlock(v->vm->machine.lock);
}

/* Of Hyper-V's, of which `value` is written or read. */
static bool hyperv_msr(struct engine_vcpu *v, uint32_t msr, uint64_t *value, bool write)
{
    const struct pvclock clock = pvclock_of(v);
    pthread_mutex_lock(v->vm->machine.lock);
    const struct hyperv hyperv = hyperv_of(v, &clock);
    const bool taken = write ? hyperv_msr_write(&hyperv, msr, *value) : hyperv_msr_read(&hyperv, msr, value);
    pthread_mutex_unlock(v->vm->machine.lock);
    return taken;
}

static struct async_fault async_fault_of(struct engine_vcpu *v)
{
    const struct engine_machine *m = &v->vm->machine;
    return (struct async_fault){
        .model = m->model, .memory = m->memory, .lapic = v->lapic, .state = engine_state(v)};
}

void engine_tell_async_fault(struct engine_vcpu *v)
{
    const struct async_fault fault = async_fault_of(v);
    if (!fault.state->pv_async_owed)
        return;
    pthread_mutex_lock(v->vm->machine.lock);
    async_fault_tell(&fault);
    pthread_mutex_unlock(v->vm->machine.lock);
}

static bool async_fault_write(struct engine_vcpu *v, uint32_t msr, uint64_t value)
{
    const struct async_fault fault = async_fault_of(v);
    pthread_mutex_lock(v->vm->machine.lock);
    const bool taken = async_fault_msr_write(&fault, msr, value);
    pthread_mutex_unlock(v->vm->machine.lock);
    return taken;
}

static bool msr_read(void *opaque, uint32_t msr, uint64_t *value)
{
    struct engine_vcpu *v = opaque;
    const struct pvclock clock = pvclock_of(v);
    if (hyperv_has_msr(clock.model, msr))
        return hyperv_msr(v, msr, value, false);
    if (pvclock_msr_read(&clock, engine_state(v), msr, value))
        return true;
    if (async_fault_has_msr(clock.model, msr)) {
        *value = async_fault_msr_read(engine_state(v), msr);
        return true;
    }
    const uint64_t *place = pv_msr_place(engine_state(v), v->vm->machine.model, msr);
    if (place) {
        *value = *place;
        return true;
    }
    return lapic_msr_read(v->lapic, msr, value);
}

static bool msr_write(void *opaque, uint32_t msr, uint64_t value)
{
    struct engine_vcpu *v = opaque;
    const struct pvclock clock = pvclock_of(v);
    uint64_t before, after;
    if (hyperv_has_msr(clock.model, msr))
        return hyperv_msr(v, msr, &value, true);
    if (async_fault_has_msr(clock.model, msr))
        return async_fault_write(v, msr, value);
    pthread_mutex_lock(v->vm->machine.lock);
    const bool of_clock = pvclock_msr_write(&clock, engine_state(v), engine_state(v)->tsc_offset, msr, value);
    pthread_mutex_unlock(v->vm->machine.lock);
    if (of_clock)
        return true;
    uint64_t *place = pv_msr_place(engine_state(v), v->vm->machine.model, msr);
    if (place && !pv_msr_valid(msr, value))
        return false;
    if (place) { /* nobody is there to tell anything */
        *place = value;
        return true;
    }
    const bool had = lapic_page(v->lapic, &before);
    if (!lapic_msr_write(v->lapic, msr, value))
        return false;
    const bool has = lapic_page(v->lapic, &after);
    if (had != has || (has && before != after))
        engine_tlb_flush(v);
    return true;
}

static uint64_t cr8_read(void *opaque)
{
    const struct engine_vcpu *v = opaque;
    return lapic_priority_class(v->lapic);
}

static void cr8_write(void *opaque, uint64_t value)
{
    const struct engine_vcpu *v = opaque;
    lapic_set_priority_class(v->lapic, (uint8_t)value);
}

static bool physical_read(void *opaque, uint64_t physical, unsigned size, uint64_t *value)
{
    const struct engine_vcpu *v = opaque;
    *value = 0;
    return memory_read(v->vm->machine.memory, physical, value, size) == 0;
}

/* 1 GHz. */
static uint64_t tsc(void *opaque)
{
    const struct engine_vcpu *v = opaque;
    return clock_now(&v->vm->machine.clock);
}

uint64_t engine_tsc(const struct x86_cpu *cpu)
{
    return tsc(cpu->common.owner) + cpu->state.tsc_offset;
}

static uint64_t hypercall(void *opaque, uint64_t number, const uint64_t arguments[4])
{
    struct engine_vcpu *v = opaque;
    const struct engine_machine *m = &v->vm->machine;
    pthread_mutex_lock(m->lock);
    const struct pv_caller caller = {
        .memory = m->memory,
        .bus = v->lapic->bus,
        .tsc = tsc(v) + engine_state(v)->tsc_offset,
        .wide = x86_code_of(engine_state(v)) == X86_CODE_64,
    };
    const uint64_t result = pv_call(&caller, number, arguments);
    pthread_mutex_unlock(m->lock);
    return result;
}

static void flush(void *opaque, enum x86_flush what, uint64_t linear)
{
    engine_paging_flush(opaque, what, linear);
}

static struct x86_platform platform_of(struct engine_vcpu *v)
{
    const struct engine_machine *m = &v->vm->machine;
    return (struct x86_platform){
        .opaque = v,
        .model = m->model,
        .topology = {.apic_id = v->lapic->initial_id, .vcpu_count = m->vcpu_count},
        .port_read = port_read,
        .port_write = port_write,
        .msr_read = msr_read,
        .msr_write = msr_write,
        .cr8_read = cr8_read,
        .cr8_write = cr8_write,
        .tsc = tsc,
        .hypercall = hypercall,
        .physical_read = physical_read,
        .flush = flush,
    };
}

/* -- the machine ----------------------------------------------------------------------------------------- */

static int probe(struct error *error)
{
    return host_probe(error);
}

/* Code where the map has changed is forgotten, but for the machine's RAM, whose code goes by its place in the
 * backing. */
static void invalidate_ranges(struct engine_vm *vm, const struct memory_view *view)
{
    for (unsigned i = 0; i < view->count; i++) {
        const struct memory_range *range = &view->ranges[i];
        if (range->host && range->region->backing != vm->machine.ram)
            translator_invalidate(vm->translator, ENGINE_KEY_OTHER | range->start,
                                  range->last - range->start + 1);
    }
}

static void flush_vcpus(struct engine_vm *vm)
{
    for (unsigned i = 0; i < vm->machine.vcpu_count; i++) {
        struct engine_vcpu *v = atomic_load(&vm->vcpus[i]);
        if (v)
            engine_request(v, ENGINE_REQUEST_FLUSH);
    }
}

static void map_changed(void *opaque, const struct memory_view *old, const struct memory_view *now)
{
    struct engine_vm *vm = opaque;
    invalidate_ranges(vm, old);
    invalidate_ranges(vm, now);
    flush_vcpus(vm);
}

/* Entries that let code write without a look at the pages' flags go. */
static void dirty_cleared(void *opaque)
{
    flush_vcpus(opaque);
}

static void code_written(void *opaque, struct memory_backing *backing, uint64_t offset, uint64_t length)
{
    struct engine_vm *vm = opaque;
    if (backing == vm->machine.ram)
        translator_invalidate(vm->translator, offset, length);
}

static void vm_free(struct engine_vm *vm)
{
    if (!vm)
        return;
    if (vm->translator) {
        memory_listener_remove(vm->machine.memory, &vm->listener);
        vm->machine.ram->code_written = NULL;
        vm->machine.ram->dirty_cleared = NULL;
        translator_free(vm->translator);
    }
    free((void *)vm->fetched);
    free(vm->vcpus);
    free(vm);
}

static int vm_new(struct engine_vm **out, const struct engine_machine *machine, struct error *error)
{
    struct engine_vm *vm = calloc(1, sizeof *vm);
    if (vm)
        vm->vcpus = calloc(machine->vcpu_count, sizeof vm->vcpus[0]);
    if (vm && machine->ram->pinned)
        vm->fetched = calloc(machine->ram->size >> MEMORY_PAGE_SHIFT, sizeof vm->fetched[0]);
    if (!vm || !vm->vcpus || (machine->ram->pinned && !vm->fetched)) {
        vm_free(vm);
        return error_set(error, -ENOMEM, "cannot make a machine: out of memory");
    }
    vm->machine = *machine;
    const struct translator_options options = {
        .system = true,
        .fills = true,
        .model = machine->model,
        .trace = machine->trace & ENGINE_TRACE_TRANSLATOR,
        .trace_stream = machine->trace_stream,
        .interpret = machine->trace & ENGINE_INTERPRET,
    };
    const struct translator_callbacks callbacks = {
        .context = vm, .locate = engine_locate, .code_page = engine_code_page};
    const int code = translator_new(&vm->translator, &x86_system_guest, &options, &callbacks, error);
    if (code < 0) {
        vm->translator = NULL;
        vm_free(vm);
        return code;
    }
    vm->listener = (struct memory_listener){.changed = map_changed, .opaque = vm};
    memory_listener_add(machine->memory, &vm->listener);
    machine->ram->code_written = code_written;
    machine->ram->dirty_cleared = dirty_cleared;
    machine->ram->opaque = vm;
    *out = vm;
    return 0;
}

/* -- vCPUs ----------------------------------------------------------------------------------------------- */

static void vcpu_free(struct engine_vcpu *v)
{
    if (!v)
        return;
    if (atomic_load(&v->vm->vcpus[v->index]) == v) {
        atomic_store(&v->vm->vcpus[v->index], NULL);
        memory_reader_remove(v->vm->machine.memory, &v->reader);
    }
    engine_free_signals(v);
    if (v->cpu)
        translator_cpu_free(&v->cpu->x86.common);
    engine_debug_free(v);
    free(v);
}

static void begin(struct engine_vcpu *v)
{
    struct x86_state *s = engine_state(v);
    v->cpu->x86.common.owner = v;
    v->cpu->x86.common.memory = engine_memory;
    v->cpu->x86.pause = v->vm->machine.vcpu_count > 1 ? engine_pause : NULL;
    v->core = (struct x86_core){.state = s, .linear = &engine_linear, .owner = v};
    v->platform = platform_of(v);
    v->paging.physical_bits = v->vm->machine.model->physical_bits;
    v->paging.gigabyte_pages = x86_has(v->vm->machine.model, X86_FEATURE(X86_FEATURES_EXT_EDX, 26));
    for (unsigned i = 0; i < X86_TLB_COUNT; i++)
        v->filled[i].count = FILLED_MOST + 1;
    x86_state_reset(s, v->vm->machine.model);
    s->activity = v->index == 0 ? X86_ACTIVE : X86_WAITS_FOR_SIPI;
    engine_state_changed(v);
}

static int vcpu_new(struct engine_vcpu **out, struct engine_vm *vm, unsigned index, struct error *error)
{
    struct engine_vcpu *v = calloc(1, sizeof *v);
    if (!v)
        return error_set(error, -ENOMEM, "cannot make a virtual CPU: out of memory");
    v->vm = vm;
    v->index = index;
    v->lapic = vm->machine.lapics[index];
    struct translator_cpu *cpu;
    int code = translator_cpu_new(vm->translator, &cpu, error);
    if (code == 0) {
        v->cpu = (struct x86_system_cpu *)cpu;
        cpu->owner = v;
        code = engine_set_debug(v, &(struct engine_debug){0}, error);
    }
    if (code < 0) {
        vcpu_free(v);
        return code;
    }
    begin(v);
    if (index == 0)
        vm->counters_moved = false; /* vCPUs are made anew at a reset */
    memory_reader_add(vm->machine.memory, &v->reader);
    memory_reader_sleep(&v->reader);
    atomic_store(&vm->vcpus[index], v);
    *out = v;
    return 0;
}

static void vcpu_kick(struct engine_vcpu *v)
{
    engine_kick(v);
}

static void vcpu_stop(struct engine_vcpu *v)
{
    engine_request(v, ENGINE_REQUEST_STOP);
}

static void vcpu_get_state(struct engine_vcpu *v, struct x86_state *state)
{
    engine_to_state(v);
    *state = *engine_state(v);
    state->cr8 = lapic_priority_class(v->lapic);
}

static void vcpu_set_state(struct engine_vcpu *v, const struct x86_state *state)
{
    *engine_state(v) = *state;
    engine_state_changed(v);
}

/* -- debugging ------------------------------------------------------------------------------------------- */

/* Copies page by page; `out` or `in`. */
static int copy(struct engine_vcpu *v, uint64_t linear, uint8_t *out, const uint8_t *in, size_t size)
{
    struct engine_machine *m = &v->vm->machine;
    int code = 0;
    pthread_mutex_lock(m->lock);
    memory_reader_wake(m->memory, &v->reader);
    while (size && code == 0) {
        const size_t here = MIN(size, (size_t)(MEMORY_PAGE_SIZE - linear % MEMORY_PAGE_SIZE));
        uint64_t physical;
        if (!engine_reach_silently(v, linear, &physical))
            code = -EFAULT;
        else
            code = out ? memory_read(m->memory, physical, out, here)
                       : memory_write(m->memory, physical, in, here);
        linear += here, size -= here;
        out = out ? out + here : NULL;
        in = in ? in + here : NULL;
    }
    v->range = NULL;
    memory_reader_sleep(&v->reader);
    pthread_mutex_unlock(m->lock);
    return code;
}

static bool vcpu_debug_hit(struct engine_vcpu *v, struct engine_breakpoint *out)
{
    if (v->debug_hit)
        *out = *v->debug_hit;
    return v->debug_hit != NULL;
}

static int vcpu_read(struct engine_vcpu *v, uint64_t linear, void *buffer, size_t size)
{
    return copy(v, linear, buffer, NULL, size);
}

static int vcpu_write(struct engine_vcpu *v, uint64_t linear, const void *buffer, size_t size)
{
    return copy(v, linear, NULL, buffer, size);
}

const struct engine engine_translate = {
    .name = "translate",
    .probe = probe,
    .vm_new = vm_new,
    .vm_free = vm_free,
    .vcpu_new = vcpu_new,
    .vcpu_free = vcpu_free,
    .vcpu_run = engine_run,
    .vcpu_kick = vcpu_kick,
    .vcpu_stop = vcpu_stop,
    .vcpu_get_state = vcpu_get_state,
    .vcpu_set_state = vcpu_set_state,
    .vcpu_set_debug = engine_set_debug,
    .vcpu_debug_hit = vcpu_debug_hit,
    .vcpu_read = vcpu_read,
    .vcpu_write = vcpu_write,
};
