/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * access: memory accesses that are not plain: what generated code leaves to the memory function, and the
 * processor's own.
 *
 * An access across two pages needs both before anything is read or written.
 */
#include <string.h>

#include "base/macros.h"
#include "engine/translate/private.h"

#define PAGE_OFFSET (MEMORY_PAGE_SIZE - 1)

enum { PARTS_MOST = 2 };

/* An access in pieces that lie in one page each. */
struct span {
    unsigned count;
    struct {
        struct engine_target target;
        unsigned size;
    } part[PARTS_MOST];
};

/* -- one piece ------------------------------------------------------------------------------------------- */

static void device_read(struct engine_vcpu *v, const struct engine_target *target, uint8_t *buffer,
                        unsigned size)
{
    struct engine_machine *m = &v->vm->machine;
    for (unsigned at = 0; at < size;) {
        const unsigned most = MIN(size - at, 8u), step = most < 8 ? most & -most : 8;
        uint64_t value;
        if (target->lapic) {
            value = lapic_mmio_read(v->lapic, (target->physical & PAGE_OFFSET) + at, step);
        } else {
            pthread_mutex_lock(m->lock);
            memory_mmio_read(m->memory, target->physical + at, step, &value);
            pthread_mutex_unlock(m->lock);
        }
        memcpy(buffer + at, &value, step);
        at += step;
    }
}

static void device_write(struct engine_vcpu *v, const struct engine_target *target, const uint8_t *buffer,
                         unsigned size)
{
    struct engine_machine *m = &v->vm->machine;
    if (atomic_load(&v->requests) & ENGINE_REQUEST_CODE) /* before others can see what this CPU does */
        engine_code_flush(v, true);
    for (unsigned at = 0; at < size;) {
        const unsigned most = MIN(size - at, 8u), step = most < 8 ? most & -most : 8;
        uint64_t value = 0;
        memcpy(&value, buffer + at, step);
        if (target->lapic) {
            lapic_mmio_write(v->lapic, (target->physical & PAGE_OFFSET) + at, step, value);
            engine_look_waiting(v);
            if (v->cpu->x86.waiting) /* an end of interrupt, or a lower priority: the next one may come */
                translator_request(&v->cpu->x86.common);
        } else {
            pthread_mutex_lock(m->lock);
            memory_mmio_write(m->memory, target->physical + at, step, value);
            pthread_mutex_unlock(m->lock);
        }
        at += step;
    }
}

/* What the processor does at once where it is aligned. */
static void copy(void *to, const void *from, unsigned size)
{
    const bool aligned = ((uintptr_t)to | (uintptr_t)from) % size == 0;
    if (aligned && size == 8)
        __atomic_store_n((uint64_t *)to, *(const volatile uint64_t *)from, __ATOMIC_RELAXED);
    else if (aligned && size == 4)
        __atomic_store_n((uint32_t *)to, *(const volatile uint32_t *)from, __ATOMIC_RELAXED);
    else if (aligned && size == 2)
        __atomic_store_n((uint16_t *)to, *(const volatile uint16_t *)from, __ATOMIC_RELAXED);
    else
        memcpy(to, from, size);
}

static void piece_read(struct engine_vcpu *v, const struct engine_target *target, uint8_t *buffer,
                       unsigned size)
{
    if (target->host)
        copy(buffer, target->host, size);
    else
        device_read(v, target, buffer, size);
}

static void piece_write(struct engine_vcpu *v, const struct engine_target *target, const uint8_t *buffer,
                        unsigned size)
{
    if (!target->writable) {
        device_write(v, target, buffer, size); /* or a ROM */
        return;
    }
    copy(target->host, buffer, size);
    memory_backing_written(target->backing, target->backing_offset, size);
}

/* -- all of it ------------------------------------------------------------------------------------------- */

static uint64_t wrap(const struct engine_vcpu *v, uint64_t linear)
{
    return v->wide ? linear : (uint32_t)linear;
}

static bool check_canonical(struct engine_vcpu *v, uint64_t linear, unsigned size)
{
    if (!v->wide || (x86_canonical(linear) && x86_canonical(linear + size - 1)))
        return true;
    v->fault = (struct x86_exception){.vector = X86_GP, .has_error = true};
    return false;
}

static bool reach_span(struct engine_vcpu *v, enum engine_tlb tlb, uint64_t linear, unsigned size, bool write,
                       struct span *span)
{
    span->count = 0;
    if (!check_canonical(v, linear, size))
        return false;
    while (size) {
        const unsigned here = MIN(size, (unsigned)(MEMORY_PAGE_SIZE - (linear & PAGE_OFFSET)));
        if (!engine_reach(v, tlb, linear, write, &span->part[span->count].target))
            return false;
        span->part[span->count++].size = here;
        linear = wrap(v, linear + here);
        size -= here;
    }
    return true;
}

static void span_read(struct engine_vcpu *v, const struct span *span, uint8_t *buffer)
{
    for (unsigned i = 0; i < span->count; i++) {
        piece_read(v, &span->part[i].target, buffer, span->part[i].size);
        buffer += span->part[i].size;
    }
}

static void span_write(struct engine_vcpu *v, const struct span *span, const uint8_t *buffer)
{
    for (unsigned i = 0; i < span->count; i++) {
        piece_write(v, &span->part[i].target, buffer, span->part[i].size);
        buffer += span->part[i].size;
    }
}

/* -- for generated code ---------------------------------------------------------------------------------- */

static bool refuse(struct translator_cpu *cpu, enum translator_exit reason, uint64_t payload)
{
    cpu->exit_reason = reason;
    cpu->exit_payload = payload;
    return false;
}

/* Before a write of generated code: asks the translator about each part that has code. */
static bool may_write(struct engine_vcpu *v, const struct memory_access *access, const struct span *span)
{
    for (unsigned i = 0; i < span->count; i++) {
        const struct engine_target *t = &span->part[i].target;
        if (t->writable && atomic_load(engine_page_flags(t)) & MEMORY_PAGE_CODE &&
            !translator_writes_code(&v->cpu->x86.common, access, t->key, span->part[i].size))
            return false;
    }
    return true;
}

/* Reads and writes in one: generated code does so on plain memory. Anything else leaves, and is done by the
 * interpreter on a copy, with the machine's other processors looking on. */
static bool update(struct engine_vcpu *v, struct memory_access *access, const struct span *span)
{
    if (span->count == 1 && span->part[0].target.writable) {
        access->pointer = span->part[0].target.host;
        return true;
    }
    if (!v->updating)
        return refuse(&v->cpu->x86.common, TRANSLATOR_EMULATE, ENGINE_PAYLOAD_UPDATE);
    v->update_address = access->address;
    v->update_size = (uint8_t)(1u << access->size);
    span_read(v, span, (uint8_t *)&v->update);
    access->pointer = &v->update;
    return true;
}

/* Whether an access, which can be done, may be done now as far as watchpoints are concerned. */
static bool watch(struct engine_vcpu *v, const struct memory_access *access)
{
    const bool reads = access->kind != ACCESS_STORE, writes = access->kind != ACCESS_LOAD;
    const unsigned hits = (reads ? engine_watch_hits(v, access->address, 1u << access->size, false) : 0) |
                          (writes ? engine_watch_hits(v, access->address, 1u << access->size, true) : 0);
    struct translator_cpu *cpu = &v->cpu->x86.common;
    if (!hits)
        return true;
    if (!v->watching && !cpu->single_step)
        return refuse(cpu, TRANSLATOR_EMULATE, ENGINE_PAYLOAD_WATCH);
    v->hits |= hits;
    return true;
}

bool engine_memory(struct translator_cpu *cpu, struct memory_access *access)
{
    struct engine_vcpu *v = cpu->owner;
    const unsigned size = 1u << access->size;
    const bool write = access->kind != ACCESS_LOAD && access->kind != ACCESS_FILL_LOAD;
    struct span span;

    if (!reach_span(v, (enum engine_tlb)access->tlb, access->address, size, write, &span))
        return refuse(cpu, TRANSLATOR_FAULT, access->address);
    if (access->kind == ACCESS_FILL_LOAD || access->kind == ACCESS_FILL_STORE)
        return true;
    if (UNLIKELY(v->watch_count) && !watch(v, access))
        return false;
    if (write && !may_write(v, access, &span))
        return false;
    switch (access->kind) {
    case ACCESS_LOAD:
        if (span.count == 1 && span.part[0].target.host) {
            access->pointer = span.part[0].target.host;
            return true;
        }
        span_read(v, &span, (uint8_t *)&access->value);
        access->pointer = &access->value;
        return true;
    case ACCESS_STORE: span_write(v, &span, (const uint8_t *)&access->value); return true;
    default: return update(v, access, &span);
    }
}

enum translator_exit engine_step_update(struct engine_vcpu *v)
{
    struct translator_cpu *cpu = &v->cpu->x86.common;
    const enum engine_tlb tlb = engine_tlb_of(v);
    struct span span;

    v->update_size = 0;
    v->updating = true;
    const enum translator_exit exit = translator_step(cpu, 0);
    v->updating = false;
    if (!v->update_size || exit == TRANSLATOR_FAULT)
        return exit;
    /* The pages were reached a moment ago. */
    if (!reach_span(v, tlb, v->update_address, v->update_size, true, &span))
        return exit;
    span_write(v, &span, (const uint8_t *)&v->update);
    return exit;
}

/* -- for arch/x86 ---------------------------------------------------------------------------------------- */

/* What generated code would do at once: in one page that the TLB has. */
static uint8_t *quick(struct engine_vcpu *v, enum engine_tlb tlb, uint64_t linear, unsigned size, bool write)
{
    const struct tlb_entry *entry = tlb_entry(&v->cpu->tlbs[tlb], linear);
    if (tlb_page(linear + size - 1) != (write ? entry->write : entry->read))
        return NULL;
    if (tlb_page(linear) != tlb_page(linear + size - 1))
        return NULL;
    return (uint8_t *)(uintptr_t)(linear + entry->addend);
}

static enum engine_tlb linear_tlb(const struct engine_vcpu *v, bool system)
{
    return system ? ENGINE_TLB_SYSTEM : engine_tlb_of(v);
}

static int raise_fault(struct x86_core *core, const struct engine_vcpu *v)
{
    core->exception = v->fault;
    return X86_RAISED;
}

static int linear_read(struct x86_core *core, uint64_t linear, void *buffer, unsigned size, bool system)
{
    struct engine_vcpu *v = core->owner;
    const enum engine_tlb tlb = linear_tlb(v, system);
    const uint8_t *host = quick(v, tlb, linear, size, false);
    struct span span;

    if (LIKELY(host)) {
        copy(buffer, host, size);
        return 0;
    }
    if (!reach_span(v, tlb, linear, size, false, &span))
        return raise_fault(core, v);
    if (UNLIKELY(v->watch_count) && !system)
        v->hits |= engine_watch_hits(v, linear, size, false);
    span_read(v, &span, buffer);
    return 0;
}

static int linear_write(struct x86_core *core, uint64_t linear, const void *buffer, unsigned size,
                        bool system)
{
    struct engine_vcpu *v = core->owner;
    const enum engine_tlb tlb = linear_tlb(v, system);
    uint8_t *host = quick(v, tlb, linear, size, true);
    struct span span;

    if (LIKELY(host)) {
        copy(host, buffer, size);
        return 0;
    }
    if (!reach_span(v, tlb, linear, size, true, &span))
        return raise_fault(core, v);
    if (UNLIKELY(v->watch_count) && !system)
        v->hits |= engine_watch_hits(v, linear, size, true);
    span_write(v, &span, buffer);
    return 0;
}

const struct x86_linear engine_linear = {linear_read, linear_write};
