/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slots: RAM and ROM of the memory map as the kernel's memory slots, which follow the map.
 *
 * A slot cannot change its place or size: it is taken away, and others come. A vCPU that ran meanwhile would
 * find nothing there, so all of them are outside of guest code while slots change. That is rare: what devices
 * move is no memory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/macros.h"
#include "engine/kvm/private.h"

/* -- nobody inside --------------------------------------------------------------------------------------- */

bool kvm_slots_enter(struct engine_vcpu *v)
{
    struct engine_vm *vm = v->vm;
    atomic_store(&v->inside, true);
    if (!atomic_load(&vm->clearing))
        return true;
    kvm_slots_leave(v);
    pthread_mutex_lock(&vm->clear_lock);
    while (atomic_load(&vm->clearing))
        pthread_cond_wait(&vm->clear_changed, &vm->clear_lock);
    pthread_mutex_unlock(&vm->clear_lock);
    return false;
}

void kvm_slots_leave(struct engine_vcpu *v)
{
    struct engine_vm *vm = v->vm;
    atomic_store(&v->inside, false);
    if (!atomic_load(&vm->clearing))
        return;
    pthread_mutex_lock(&vm->clear_lock);
    pthread_cond_broadcast(&vm->clear_changed);
    pthread_mutex_unlock(&vm->clear_lock);
}

static bool any_inside(struct engine_vm *vm)
{
    for (unsigned i = 0; i < vm->machine.vcpu_count; i++) {
        const struct engine_vcpu *v = atomic_load(&vm->vcpus[i]);
        if (v && atomic_load(&v->inside))
            return true;
    }
    return false;
}

/* Under the machine's lock: by one thread at a time, which is not inside itself. */
static void clear_begin(struct engine_vm *vm)
{
    pthread_mutex_lock(&vm->clear_lock);
    atomic_store(&vm->clearing, true);
    for (unsigned i = 0; i < vm->machine.vcpu_count; i++) {
        struct engine_vcpu *v = atomic_load(&vm->vcpus[i]);
        if (v)
            kvm_vcpu_kick(v);
    }
    while (any_inside(vm))
        pthread_cond_wait(&vm->clear_changed, &vm->clear_lock);
    pthread_mutex_unlock(&vm->clear_lock);
}

static void clear_end(struct engine_vm *vm)
{
    pthread_mutex_lock(&vm->clear_lock);
    atomic_store(&vm->clearing, false);
    pthread_cond_broadcast(&vm->clear_changed);
    pthread_mutex_unlock(&vm->clear_lock);
}

/* -- slots ----------------------------------------------------------------------------------------------- */

static int slot_set(const struct engine_vm *vm, unsigned number, const struct kvm_slot *slot)
{
    const bool logs = vm->logs_dirty && !slot->read_only && slot->size;
    const struct kvm_userspace_memory_region region = {
        .slot = number,
        .flags = slot->read_only ? KVM_MEM_READONLY
                 : logs          ? KVM_MEM_LOG_DIRTY_PAGES
                                 : 0,
        .guest_phys_addr = slot->start,
        .memory_size = slot->size,
        .userspace_addr = (uintptr_t)slot->host,
    };
    return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

/* The whole pages of a range of memory; what is beside them the guest comes to by exits. False: there are
 * none.
 */
static bool slot_of(const struct memory_range *range, struct kvm_slot *slot)
{
    if (!range->host)
        return false;
    const uint64_t start = ALIGN_UP(range->start, MEMORY_PAGE_SIZE),
                   end = ALIGN_DOWN(range->last + 1, MEMORY_PAGE_SIZE);
    *slot = (struct kvm_slot){
        .start = start,
        .size = end - start,
        .host = range->host + (start - range->start),
        .read_only = range->region->kind == MEMORY_ROM,
    };
    return start < end && (uintptr_t)slot->host % MEMORY_PAGE_SIZE == 0;
}

static bool same(const struct kvm_slot *a, const struct kvm_slot *b)
{
    return a->start == b->start && a->size == b->size && a->host == b->host && a->read_only == b->read_only;
}

static bool has_slot(const struct engine_vm *vm, const struct kvm_slot *slot)
{
    for (unsigned i = 0; i < vm->slot_count; i++)
        if (same(&vm->slots[i], slot))
            return true;
    return false;
}

static bool view_has(const struct memory_view *view, const struct kvm_slot *slot)
{
    struct kvm_slot other;
    for (unsigned i = 0; i < view->count; i++)
        if (slot_of(&view->ranges[i], &other) && same(&other, slot))
            return true;
    return false;
}

/* In its list of slots, of which the kernel is not told. */
static int slot_put(struct engine_vm *vm, const struct kvm_slot *slot, unsigned *out)
{
    unsigned number = 0;
    while (number < vm->slot_count && vm->slots[number].size)
        number++;
    if (number == vm->slot_count) {
        struct kvm_slot *more = realloc(vm->slots, (vm->slot_count + 1) * sizeof *more);
        if (!more)
            return -ENOMEM;
        vm->slots = more;
        vm->slot_count++;
    }
    vm->slots[number] = *slot;
    *out = number;
    return 0;
}

static int slot_add(struct engine_vm *vm, const struct kvm_slot *slot)
{
    unsigned number;
    int code = slot_put(vm, slot, &number);
    if (code)
        return code;
    code = slot_set(vm, number, slot);
    if (code)
        vm->slots[number].size = 0;
    return code;
}

static int slots_follow(struct engine_vm *vm, const struct memory_view *view)
{
    struct kvm_slot slot;
    int code = 0;
    for (unsigned i = 0; !code && i < vm->slot_count; i++) {
        if (!vm->slots[i].size || view_has(view, &vm->slots[i]))
            continue;
        if (vm->logs_dirty)
            code = kvm_dirty_collect(vm, i);
        vm->slots[i].size = 0;
        if (!code)
            code = slot_set(vm, i, &vm->slots[i]);
    }
    for (unsigned i = 0; !code && i < view->count; i++) {
        if (slot_of(&view->ranges[i], &slot) && !has_slot(vm, &slot))
            code = slot_add(vm, &slot);
    }
    return code;
}

int kvm_slots_log(struct engine_vm *vm, bool on)
{
    int code = 0;
    vm->logs_dirty = on;
    for (unsigned i = 0; !code && i < vm->slot_count; i++)
        if (vm->slots[i].size)
            code = slot_set(vm, i, &vm->slots[i]);
    return code;
}

static bool slots_differ(const struct engine_vm *vm, const struct memory_view *view)
{
    struct kvm_slot slot;
    for (unsigned i = 0; i < vm->slot_count; i++)
        if (vm->slots[i].size && !view_has(view, &vm->slots[i]))
            return true;
    for (unsigned i = 0; i < view->count; i++)
        if (slot_of(&view->ranges[i], &slot) && !has_slot(vm, &slot))
            return true;
    return false;
}

static void map_changed(void *opaque, const struct memory_view *old, const struct memory_view *now)
{
    struct engine_vm *vm = opaque;
    (void)old;
    kvm_signals_follow(vm, now);
    if (!slots_differ(vm, now))
        return;
    clear_begin(vm);
    const int code = slots_follow(vm, now);
    clear_end(vm);
    if (code)
        fprintf(stderr, "visor: KVM cannot follow the machine's memory map: %s\n", strerror(-code));
}

static void signals_changed(void *opaque)
{
    struct engine_vm *vm = opaque;
    kvm_signals_follow(vm, atomic_load(&vm->machine.memory->view));
}

static int cannot_take(struct error *error, int code)
{
    return error_set(error, code, "KVM cannot take the machine's memory: %s", strerror(-code));
}

int kvm_slots_plan(struct engine_vm *vm, struct error *error)
{
    const struct memory_view *view = atomic_load(&vm->machine.memory->view);
    struct kvm_slot slot;
    unsigned number;
    int code = 0;
    for (unsigned i = 0; !code && i < view->count; i++)
        if (slot_of(&view->ranges[i], &slot))
            code = slot_put(vm, &slot, &number);
    return code ? cannot_take(error, code) : 0;
}

int kvm_slots_tell(struct engine_vm *vm, struct error *error)
{
    int code = 0;
    for (unsigned i = 0; !code && i < vm->slot_count; i++)
        code = slot_set(vm, i, &vm->slots[i]);
    if (code)
        return cannot_take(error, code);
    kvm_dirty_init(vm);
    return 0;
}

int kvm_slots_attach(struct engine_vm *vm, struct error *error)
{
    struct memory_map *map = vm->machine.memory;
    const int code = slots_follow(vm, atomic_load(&map->view));
    if (code)
        return cannot_take(error, code);
    vm->listener =
        (struct memory_listener){.changed = map_changed, .signals_changed = signals_changed, .opaque = vm};
    signals_changed(vm);
    kvm_dirty_attach(vm);
    memory_listener_add(map, &vm->listener);
    return 0;
}

void kvm_slots_free(struct engine_vm *vm)
{
    if (vm->listener.changed) {
        memory_listener_remove(vm->machine.memory, &vm->listener);
        vm->machine.ram->dirty_source = NULL;
    }
    free(vm->slots);
    free(vm->signals);
}
