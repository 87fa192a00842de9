/* SPDX-License-Identifier: GPL-2.0-or-later */
/* linear: the guest's memory by its page tables, as its state has them: for the debugger, and for arch/x86.
 */
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "engine/kvm/private.h"
#include "engine/pv_call.h"

static struct x86_paging paging_of(const struct engine_vcpu *v)
{
    const struct x86_state *s = &v->state;
    struct x86_paging paging = {
        .cr0 = s->cr0,
        .cr3 = s->cr3,
        .cr4 = s->cr4,
        .efer = s->efer,
        .physical_bits = v->vm->model.physical_bits,
        .gigabyte_pages = x86_has(&v->vm->model, X86_FEATURE(X86_FEATURES_EXT_EDX, 26)),
    };
    memcpy(paging.pdpte, s->pdpte, sizeof paging.pdpte);
    return paging;
}

static bool table_read(void *context, uint64_t physical, unsigned size, uint64_t *entry)
{
    const struct engine_vcpu *v = context;
    const uint8_t *host = memory_pointer(v->vm->machine.memory, physical, size, false);
    if (!host)
        return false;
    *entry = size == 8 ? __atomic_load_n((const uint64_t *)host, __ATOMIC_RELAXED)
                       : __atomic_load_n((const uint32_t *)host, __ATOMIC_RELAXED);
    return true;
}

static bool table_set(void *context, uint64_t physical, unsigned size, uint64_t old, uint64_t bits)
{
    const struct engine_vcpu *v = context;
    uint8_t *host = memory_pointer(v->vm->machine.memory, physical, size, true);
    uint32_t old32 = (uint32_t)old;
    if (!host)
        return true;
    const bool set = size == 8 ? __atomic_compare_exchange_n((uint64_t *)host, &old, old | bits, false,
                                                             __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)
                               : __atomic_compare_exchange_n((uint32_t *)host, &old32, old32 | (uint32_t)bits,
                                                             false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    if (set)
        memory_written(v->vm->machine.memory, physical, size);
    return set;
}

static bool table_keep(void *context, uint64_t physical, unsigned size, uint64_t old, uint64_t bits)
{
    (void)context, (void)physical, (void)size, (void)old, (void)bits;
    return true;
}

static size_t on_page(uint64_t linear, size_t size)
{
    return MIN(size, (size_t)(MEMORY_PAGE_SIZE - linear % MEMORY_PAGE_SIZE));
}

/* -- for the debugger ------------------------------------------------------------------------------------ */

int kvm_linear_copy(struct engine_vcpu *v, uint64_t linear, uint8_t *out, const uint8_t *in, size_t size)
{
    const struct x86_paging paging = paging_of(v);
    const struct x86_table_memory tables = {v, table_read, table_keep};
    struct memory_map *map = v->vm->machine.memory;
    int code = 0;
    while (size && code == 0) {
        const size_t here = on_page(linear, size);
        struct x86_page page;
        uint32_t error;
        code = x86_paging_walk(&paging, &tables, linear, (struct x86_access){0}, &page, &error);
        if (code == 0)
            code =
                out ? memory_read(map, page.physical, out, here) : memory_write(map, page.physical, in, here);
        linear += here, size -= here;
        out = out ? out + here : NULL;
        in = in ? in + here : NULL;
    }
    return code;
}

/* -- for arch/x86 ---------------------------------------------------------------------------------------- */

static int reach(struct x86_core *core, uint64_t linear, bool write, bool system, uint64_t *physical)
{
    struct engine_vcpu *v = core->owner;
    const struct x86_paging paging = paging_of(v);
    const struct x86_table_memory tables = {v, table_read, table_set};
    const bool user = !system && x86_cpl(core->state) == 3;
    const struct x86_access access = {
        .write = write,
        .user = user,
        .smap = !user && (system || !(core->state->eflags_system & X86_EFLAGS_AC)),
    };
    struct x86_page page;
    uint32_t error;
    if (x86_code_of(core->state) == X86_CODE_64 && !x86_canonical(linear))
        return x86_raise_error(core, X86_GP, 0);
    if (x86_paging_walk(&paging, &tables, linear, access, &page, &error) < 0) {
        core->exception =
            (struct x86_exception){.vector = X86_PF, .has_error = true, .error = error, .address = linear};
        return X86_RAISED;
    }
    *physical = page.physical;
    return 0;
}

/* Pages of which any is missing fault before anything is written. */
static int transfer(struct x86_core *core, uint64_t linear, uint8_t *out, const uint8_t *in, unsigned size,
                    bool system)
{
    struct engine_vcpu *v = core->owner;
    const unsigned first = (unsigned)on_page(linear, size);
    uint64_t physical[2];
    if (reach(core, linear, in != NULL, system, &physical[0]) < 0 ||
        (first < size && reach(core, linear + first, in != NULL, system, &physical[1]) < 0))
        return X86_RAISED;
    for (unsigned i = 0, at = 0; at < size; i++) {
        const unsigned here = i ? size - first : first;
        if (out)
            memory_read(v->vm->machine.memory, physical[i], out + at, here);
        else
            memory_write(v->vm->machine.memory, physical[i], in + at, here);
        at += here;
    }
    return 0;
}

static int linear_read(struct x86_core *core, uint64_t linear, void *buffer, unsigned size, bool system)
{
    return transfer(core, linear, buffer, NULL, size, system);
}

static int linear_write(struct x86_core *core, uint64_t linear, const void *buffer, unsigned size,
                        bool system)
{
    return transfer(core, linear, NULL, buffer, size, system);
}

const struct x86_linear kvm_linear = {.read = linear_read, .write = linear_write};

/* -- all that surrounds it ------------------------------------------------------------------------------- */

static uint32_t port_read(void *opaque, uint16_t port, unsigned size)
{
    struct engine_vcpu *v = opaque;
    const struct engine_machine *m = &v->vm->machine;
    pthread_mutex_lock(m->lock);
    const uint32_t value = io_read_by(m->io, port, size, v->state.gpr);
    pthread_mutex_unlock(m->lock);
    return value;
}

static void port_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
    const struct engine_machine *m = &((struct engine_vcpu *)opaque)->vm->machine;
    pthread_mutex_lock(m->lock);
    io_write(m->io, port, size, value);
    pthread_mutex_unlock(m->lock);
}

static uint64_t cr8_read(void *opaque)
{
    return lapic_priority_class(((struct engine_vcpu *)opaque)->lapic);
}

static void cr8_write(void *opaque, uint64_t value)
{
    lapic_set_priority_class(((struct engine_vcpu *)opaque)->lapic, (uint8_t)value);
}

static uint64_t hypercall(void *opaque, uint64_t number, const uint64_t arguments[4])
{
    struct engine_vcpu *v = opaque;
    const struct engine_machine *m = &v->vm->machine;
    pthread_mutex_lock(m->lock);
    const struct pv_caller caller = {
        .memory = m->memory,
        .bus = v->lapic->bus,
        .tsc = kvm_clock_tsc(v) + v->state.tsc_offset,
        .wide = x86_code_of(&v->state) == X86_CODE_64,
    };
    const uint64_t result = pv_call(&caller, number, arguments);
    pthread_mutex_unlock(m->lock);
    return result;
}

static bool physical_read(void *opaque, uint64_t physical, unsigned size, uint64_t *value)
{
    *value = 0;
    return table_read(opaque, physical, size, value);
}

void kvm_surround(struct engine_vcpu *v)
{
    v->core = (struct x86_core){.state = &v->state, .linear = &kvm_linear, .owner = v};
    v->platform = (struct x86_platform){
        .opaque = v,
        .model = &v->vm->model,
        .topology = {.apic_id = v->lapic->initial_id, .vcpu_count = v->vm->machine.vcpu_count},
        .port_read = port_read,
        .port_write = port_write,
        .msr_read = kvm_msr_lapic_read,
        .msr_write = kvm_msr_lapic_write,
        .cr8_read = cr8_read,
        .cr8_write = cr8_write,
        .tsc = kvm_clock_tsc,
        .hypercall = hypercall,
        .physical_read = physical_read,
    };
}
