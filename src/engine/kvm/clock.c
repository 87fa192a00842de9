/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clock: the time-stamp counter, which is to be the machine's clock, a billion ticks a second, and what the
 * guest has added. The processor counts by itself; a host that can scale its counter counts so, another one
 * by its own frequency, of which CPUID and the local APIC are told.
 *
 * The machine's clock stands still while the machine does, and the host may slew it. So each time that a vCPU
 * begins to run the two are compared, and the counter is set anew if they are apart by more than what slewing
 * makes. It never goes back.
 *
 * A KVM that is software may not even add to the host's counter: then the guest has that as it is, and what
 * it writes is lost.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/macros.h"
#include "engine/kvm/private.h"

#define APART_MOST UINT64_C(1000000) /* ticks */
#define MSR_TSC    0x10

static uint64_t guest_tsc(struct engine_vcpu *v)
{
    _Alignas(struct kvm_msrs) uint8_t bytes[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)] = {0};
    struct kvm_msrs *list = (struct kvm_msrs *)bytes;
    list->nmsrs = 1;
    list->entries[0].index = MSR_TSC;
    if (ioctl(v->fd, KVM_GET_MSRS, list) != 1)
        kvm_failed(v, "read the time-stamp counter");
    return list->entries[0].data;
}

static uint64_t clock_of(const struct engine_vm *vm)
{
    return clock_ticks(clock_now(&vm->machine.clock), vm->model.tsc_khz * UINT64_C(1000));
}

static void offset_set(struct engine_vcpu *v, uint64_t offset)
{
    const struct kvm_device_attr attribute = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset};
    if (ioctl(v->fd, KVM_SET_DEVICE_ATTR, &attribute) < 0)
        kvm_failed(v, "set the time-stamp counter");
    v->tsc_applied = offset;
}

static uint64_t offset_get(struct engine_vcpu *v)
{
    uint64_t offset = 0;
    const struct kvm_device_attr attribute = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset};
    if (ioctl(v->fd, KVM_GET_DEVICE_ATTR, &attribute) < 0)
        kvm_failed(v, "give the time-stamp counter's offset");
    return offset;
}

/* Whether it keeps an offset. */
static bool try_offset(struct engine_vcpu *v)
{
    const uint64_t before = offset_get(v), other = before ^ UINT64_C(1) << 40;
    offset_set(v, other);
    const bool kept = offset_get(v) == other;
    offset_set(v, before);
    return kept;
}

int kvm_clock_init(struct engine_vm *vm, struct engine_vcpu *v, struct error *error)
{
    const int khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);
    if (vm->scales_tsc) {
        if (ioctl(v->fd, KVM_SET_TSC_KHZ, (unsigned long)vm->model.tsc_khz) < 0)
            return error_set(error, -errno, "KVM cannot scale the time-stamp counter to %u kHz: %s",
                             vm->model.tsc_khz, strerror(errno));
    } else if (khz <= 0) {
        return error_set(error, -ENOTSUP, "KVM does not know the frequency of the time-stamp counter");
    } else {
        vm->model.tsc_khz = (uint32_t)khz;
    }
    v->lapic->tsc_hz = vm->model.tsc_khz * UINT64_C(1000);
    vm->offsets_tsc = try_offset(v);
    return v->failed ? error_set(error, -EIO, "KVM has no time-stamp counter") : 0;
}

uint64_t kvm_clock_tsc(void *vcpu)
{
    struct engine_vcpu *v = vcpu;
    return guest_tsc(v) - v->state.tsc_offset;
}

void kvm_clock_apply(struct engine_vcpu *v)
{
    const uint64_t offset = v->vm->tsc_base + v->state.tsc_offset;
    if (!v->vm->offsets_tsc)
        kvm_clock_show(v);
    else if (offset != v->tsc_applied)
        offset_set(v, offset);
}

void kvm_clock_show(struct engine_vcpu *v)
{
    if (!v->vm->offsets_tsc)
        v->state.tsc_offset = guest_tsc(v) - clock_of(v->vm);
    if (v->lapic->tsc_offset != v->state.tsc_offset)
        lapic_set_tsc_offset(v->lapic, v->state.tsc_offset);
}

void kvm_clock_tell(struct engine_vcpu *v)
{
    const uint64_t clock = clock_of(v->vm);
    lapic_set_tsc_offset(v->lapic, guest_tsc(v) - clock);
}

uint64_t kvm_clock_own(const struct engine_vcpu *v)
{
    return v->vm->offsets_tsc ? v->state.tsc_offset : 0;
}

/* The counter is the machine's clock, for the first vCPU; the others' as the first one's. */
static void follow(struct engine_vcpu *v)
{
    struct engine_vm *vm = v->vm;
    if (!vm->offsets_tsc)
        return;
    const uint64_t clock = clock_of(vm), host = guest_tsc(v) - v->tsc_applied;
    const int64_t apart = (int64_t)(clock - (host + vm->tsc_base));
    if (apart > (int64_t)APART_MOST || apart < -(int64_t)APART_MOST) {
        vm->tsc_base = clock - host;
        if ((int64_t)(vm->tsc_last - clock) > 0)
            vm->tsc_base += vm->tsc_last - clock;
    }
    kvm_clock_apply(v);
    kvm_clock_tell(v);
}

static uint64_t plain_tsc(void *vcpu)
{
    struct engine_vcpu *v = vcpu;
    return guest_tsc(v) - kvm_clock_own(v);
}

struct hyperv kvm_hyperv(struct engine_vcpu *v)
{
    struct engine_vm *vm = v->vm;
    struct engine_vcpu *first = atomic_load(&vm->vcpus[0]);
    return (struct hyperv){
        .clock = &vm->pvclock,
        .machine = &first->state,
        .moved = vm->counters_moved,
        .vcpu = v,
        .index = v->index,
        .synic = vm->machine.synics ? vm->machine.synics[v->index] : NULL,
        .connections = &vm->machine.connections,
        .registers = &v->state,
        .tsc = plain_tsc,
    };
}

static void publish(struct engine_vcpu *v)
{
    v->vm->counters_moved |= kvm_clock_own(v) != 0;
    pvclock_publish(&v->vm->pvclock, &v->state, kvm_clock_own(v), true);
}

void kvm_clock_moved(struct engine_vcpu *v)
{
    v->vm->counters_moved |= kvm_clock_own(v) != 0;
    pvclock_publish(&v->vm->pvclock, &v->state, kvm_clock_own(v), false);
    const struct hyperv hyperv = kvm_hyperv(v);
    hyperv_publish(&hyperv);
}

/* What guests are told of the counter begins anew, no earlier than where it was. */
static void begin_pvclock(struct engine_vm *vm)
{
    struct engine_vcpu *first = atomic_load(&vm->vcpus[0]);
    if (!first)
        return;
    vm->pvclock = (struct pvclock){
        .model = &vm->model,
        .memory = vm->machine.memory,
        .clock = &vm->machine.clock,
        .base = {plain_tsc(first), MAX(clock_now(&vm->machine.clock), vm->pvclock_last)},
    };
    vm->counters_moved = false;
    kvm_for_all(vm, publish);
    const struct hyperv hyperv = kvm_hyperv(first);
    hyperv_publish(&hyperv);
}

void kvm_clock_begin(struct engine_vm *vm)
{
    pthread_mutex_lock(&vm->tsc_lock);
    kvm_for_all(vm, follow);
    begin_pvclock(vm);
    pthread_mutex_unlock(&vm->tsc_lock);
}

void kvm_clock_stop(struct engine_vcpu *v)
{
    struct engine_vm *vm = v->vm;
    pthread_mutex_lock(&vm->tsc_lock);
    const uint64_t tsc = plain_tsc(v);
    if ((int64_t)(tsc - vm->tsc_last) > 0)
        vm->tsc_last = tsc;
    vm->pvclock_last = MAX(vm->pvclock_last, pvclock_time(&vm->pvclock, tsc));
    pthread_mutex_unlock(&vm->tsc_lock);
}
