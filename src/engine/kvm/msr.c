/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * msr: model-specific registers. The kernel has those that the processor itself goes by; all others are what
 * arch/x86 and the local APIC say, as under every engine, and the guest comes to them by exits.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/macros.h"
#include "engine/async_fault.h"
#include "engine/kvm/private.h"
#include "engine/pv_msr.h"

#define MSR_APIC_BASE    0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC       0x800
#define X2APIC_MSRS      0x100

/* The kernel's: bits of a range from `first` on. */
struct allowed {
    uint32_t first, count;
    bool write,
        split; /* split: where the kernel has the local APICs, whose other MSRs no filter is asked for */
    uint8_t bitmap[1];
};

static const struct allowed alloweds[] = {
    {0x10, 1, false, false, {1}},         /* the counter: writes move the offset, which is ours */
    {0x174, 3, true, false, {7}},         /* SYSENTER */
    {0xc0000080, 5, true, false, {0x1f}}, /* EFER, SYSCALL */
    {0xc0000100, 4, true, false, {0xf}},  /* bases, TSC_AUX */
    {MSR_APIC_BASE, 1, true, true, {1}},  {MSR_TSC_DEADLINE, 1, true, true, {1}},
};

int kvm_msr_filter(struct engine_vm *vm, struct error *error)
{
    const struct kvm_enable_cap exits = {
        .cap = KVM_CAP_X86_USER_SPACE_MSR,
        .args[0] = KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER,
    };
    struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_DENY};
    _Static_assert(ARRAY_SIZE(alloweds) <= KVM_MSR_FILTER_MAX_RANGES, "");
    unsigned count = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(alloweds); i++) {
        const struct allowed *allowed = &alloweds[i];
        if (allowed->split && !vm->split)
            continue;
        filter.ranges[count++] = (struct kvm_msr_filter_range){
            .flags = KVM_MSR_FILTER_READ | (allowed->write ? KVM_MSR_FILTER_WRITE : 0),
            .nmsrs = allowed->count,
            .base = allowed->first,
            .bitmap = (uint8_t *)allowed->bitmap,
        };
    }
    if (ioctl(vm->fd, KVM_ENABLE_CAP, &exits) < 0 || ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &filter) < 0)
        return error_set(error, -errno, "KVM does not leave model-specific registers to visor: %s",
                         strerror(errno));
    return 0;
}

/* -- the local APIC's ------------------------------------------------------------------------------------ */

static struct kvm_msrs *one_msr(uint8_t *bytes, uint32_t msr, uint64_t value)
{
    struct kvm_msrs *list = (struct kvm_msrs *)bytes;
    memset(list, 0, sizeof *list + sizeof list->entries[0]);
    list->nmsrs = 1;
    list->entries[0].index = msr;
    list->entries[0].data = value;
    return list;
}

/* Whether the kernel has it, and takes the value. */
static bool kernel_msr(struct engine_vcpu *v, unsigned long request, uint32_t msr, uint64_t *value)
{
    _Alignas(struct kvm_msrs) uint8_t bytes[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
    struct kvm_msrs *list = one_msr(bytes, msr, *value);
    const bool done = ioctl(v->fd, request, list) == 1;
    *value = list->entries[0].data;
    return done;
}

int kvm_msr_get(struct engine_vcpu *v, uint32_t msr, uint64_t *value)
{
    *value = 0;
    return kernel_msr(v, KVM_GET_MSRS, msr, value) ? 0 : kvm_failed(v, "give a model-specific register");
}

int kvm_msr_set(struct engine_vcpu *v, uint32_t msr, uint64_t value)
{
    return kernel_msr(v, KVM_SET_MSRS, msr, &value) ? 0 : kvm_failed(v, "take a model-specific register");
}

/* -- asynchronous page faults ---------------------------------------------------------------------------- */

static struct async_fault async_fault_of(struct engine_vcpu *v)
{
    struct engine_vm *vm = v->vm;
    return (struct async_fault){
        .model = &vm->model, .memory = vm->machine.memory, .lapic = v->lapic, .state = &v->state};
}

/* With the local APICs in the kernel it has what was written, and tells; without it would take nothing. */
static bool async_fault_read(struct engine_vcpu *v, uint32_t msr, uint64_t *value)
{
    if (v->vm->split)
        return kernel_msr(v, KVM_GET_MSRS, msr, value);
    *value = async_fault_msr_read(&v->state, msr);
    return true;
}

static bool async_fault_write(struct engine_vcpu *v, uint32_t msr, uint64_t value)
{
    const struct async_fault fault = async_fault_of(v);
    pthread_mutex_lock(v->vm->machine.lock);
    const bool taken =
        v->vm->split ? async_fault_msr_valid(&fault, msr, value) : async_fault_msr_write(&fault, msr, value);
    pthread_mutex_unlock(v->vm->machine.lock);
    return taken && (!v->vm->split || kernel_msr(v, KVM_SET_MSRS, msr, &value));
}

void kvm_async_fault_tell(struct engine_vcpu *v)
{
    const struct async_fault fault = async_fault_of(v);
    if (v->vm->split || !v->state.pv_async_owed)
        return;
    pthread_mutex_lock(v->vm->machine.lock);
    async_fault_tell(&fault);
    pthread_mutex_unlock(v->vm->machine.lock);
}

/* What the kernel goes by; 0 without local APICs. */
static uint64_t async_fault_of_kernel(struct engine_vcpu *v)
{
    uint64_t enable = 0;
    if (v->vm->split && async_fault_has_msr(&v->vm->model, ASYNC_FAULT_ENABLE))
        kernel_msr(v, KVM_GET_MSRS, ASYNC_FAULT_ENABLE, &enable);
    return enable;
}

bool kvm_async_fault_forget(struct engine_vcpu *v)
{
    uint64_t none = 0;
    v->async_fault_lent = false;
    return async_fault_of_kernel(v) && kernel_msr(v, KVM_SET_MSRS, ASYNC_FAULT_ENABLE, &none);
}

bool kvm_async_fault_waits(struct engine_vcpu *v)
{
    return async_fault_enabled(async_fault_of_kernel(v));
}

/* Not anew as long as the kernel has it, which would forget its faults and tell the end of all: a guest that
 * goes on where it was stopped is not disturbed. */
static void async_fault_lend(struct engine_vcpu *v)
{
    struct x86_state *s = &v->state;
    uint64_t enable = s->pv_async_fault, vector = s->pv_async_vector;
    if (v->async_fault_lent || !async_fault_has_msr(&v->vm->model, ASYNC_FAULT_ENABLE))
        return;
    kvm_async_fault_forget(v);
    kernel_msr(v, KVM_SET_MSRS, ASYNC_FAULT_VECTOR, &vector);
    kernel_msr(v, KVM_SET_MSRS, ASYNC_FAULT_ENABLE, &enable);
    s->pv_async_owed = 0;
    v->async_fault_lent = true;
}

static void async_fault_return(struct engine_vcpu *v)
{
    uint64_t vector = 0;
    if (!async_fault_has_msr(&v->vm->model, ASYNC_FAULT_ENABLE) ||
        !kernel_msr(v, KVM_GET_MSRS, ASYNC_FAULT_VECTOR, &vector))
        return;
    v->state.pv_async_vector = (uint8_t)vector;
    v->state.pv_async_fault = async_fault_of_kernel(v);
}

/* -- what guests ask to be told -------------------------------------------------------------------------- */

void kvm_msr_pv_lend(struct engine_vcpu *v)
{
    for (unsigned i = 0; i < PV_MSR_COUNT; i++) {
        const uint64_t *place = pv_msr_place(&v->state, &v->vm->model, pv_msr_numbers[i]);
        uint64_t value = place ? *place : 0;
        if (place)
            kernel_msr(v, KVM_SET_MSRS, pv_msr_numbers[i], &value);
    }
    async_fault_lend(v);
}

/* INIT disables them. */
void kvm_msr_pv_return(struct engine_vcpu *v)
{
    for (unsigned i = 0; i < PV_MSR_COUNT; i++) {
        uint64_t *place = pv_msr_place(&v->state, &v->vm->model, pv_msr_numbers[i]), value = 0;
        if (place && kernel_msr(v, KVM_GET_MSRS, pv_msr_numbers[i], &value) && !(value & 1))
            *place = value;
    }
    async_fault_return(v);
}

/* False: it is no such MSR. */
static bool pv_write(struct engine_vcpu *v, uint32_t msr, uint64_t value, bool *taken)
{
    uint64_t *place = pv_msr_place(&v->state, &v->vm->model, msr);
    if (!place)
        return false;
    *taken = pv_msr_valid(msr, value);
    if (!*taken)
        return true;
    *place = value;
    if (v->vm->split)
        kernel_msr(v, KVM_SET_MSRS, msr, &value);
    return true;
}

static bool of_x2apic(uint32_t msr)
{
    return msr >= MSR_X2APIC && msr < MSR_X2APIC + X2APIC_MSRS;
}

/* The kernel would give visor many others, which are not in the model. */
static bool of_lapic(uint32_t msr)
{
    return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE || of_x2apic(msr);
}

/* Of Hyper-V's, of which `value` is written or read. */
static bool hyperv_msr(struct engine_vcpu *v, uint32_t msr, uint64_t *value, bool write)
{
    if (hyperv_needs_registers(msr) && kvm_pull(v) < 0)
        return false;
    pthread_mutex_lock(v->vm->machine.lock);
    const struct hyperv hyperv = kvm_hyperv(v);
    const bool taken = write ? hyperv_msr_write(&hyperv, msr, *value) : hyperv_msr_read(&hyperv, msr, value);
    pthread_mutex_unlock(v->vm->machine.lock);
    return taken;
}

bool kvm_msr_lapic_read(void *opaque, uint32_t msr, uint64_t *value)
{
    struct engine_vcpu *v = opaque;
    if (hyperv_has_msr(&v->vm->model, msr))
        return hyperv_msr(v, msr, value, false);
    if (async_fault_has_msr(&v->vm->model, msr))
        return async_fault_read(v, msr, value);
    if (pvclock_msr_read(&v->vm->pvclock, &v->state, msr, value))
        return true;
    const uint64_t *place = pv_msr_place(&v->state, &v->vm->model, msr);
    if (place) {
        *value = *place;
        return true;
    }
    if (v->vm->split)
        return of_lapic(msr) && kernel_msr(v, KVM_GET_MSRS, msr, value);
    return lapic_msr_read(v->lapic, msr, value);
}

/* The kernel goes by the base, too: CPUID says whether there is an APIC. */
bool kvm_msr_base_changed(struct engine_vcpu *v)
{
    struct kvm_sregs2 sregs;
    if (ioctl(v->fd, KVM_GET_SREGS2, &sregs) < 0)
        return kvm_failed(v, "give the registers") == 0;
    if (sregs.apic_base == v->lapic->base)
        return true;
    sregs.apic_base = v->lapic->base;
    if (ioctl(v->fd, KVM_SET_SREGS2, &sregs) < 0)
        return kvm_failed(v, "take the local APIC's base") == 0;
    return true;
}

bool kvm_msr_lapic_write(void *opaque, uint32_t msr, uint64_t value)
{
    struct engine_vcpu *v = opaque;
    if (hyperv_has_msr(&v->vm->model, msr))
        return hyperv_msr(v, msr, &value, true);
    if (async_fault_has_msr(&v->vm->model, msr))
        return async_fault_write(v, msr, value);
    pthread_mutex_lock(v->vm->machine.lock);
    const bool of_clock = pvclock_msr_write(&v->vm->pvclock, &v->state, kvm_clock_own(v), msr, value);
    pthread_mutex_unlock(v->vm->machine.lock);
    bool taken;
    if (of_clock)
        return true;
    if (pv_write(v, msr, value, &taken))
        return taken;
    if (v->vm->split)
        return of_lapic(msr) && kernel_msr(v, KVM_SET_MSRS, msr, &value);
    if (msr == MSR_TSC_DEADLINE)
        kvm_clock_tell(v);
    if (!lapic_msr_write(v->lapic, msr, value))
        return false;
    return msr != MSR_APIC_BASE || kvm_msr_base_changed(v);
}

/* -- exits ----------------------------------------------------------------------------------------------- */

/* The kernel has the register and refuses the access: visor does not ask again, whom it would allow more than
 * the guest. Without local APICs it refuses theirs, which no filter is asked for. */
static bool is_refused(const struct engine_vcpu *v)
{
    return v->run->msr.reason == KVM_MSR_EXIT_REASON_INVAL && (v->vm->split || !of_x2apic(v->run->msr.index));
}

void kvm_msr_read(struct engine_vcpu *v)
{
    struct kvm_run *run = v->run;
    uint64_t value = 0;
    run->msr.error = is_refused(v) || !x86_msr_read(&v->state, &v->platform, run->msr.index, &value);
    run->msr.data = value;
}

void kvm_msr_write(struct engine_vcpu *v)
{
    struct kvm_run *run = v->run;
    const uint64_t offset = v->state.tsc_offset;
    run->msr.error = is_refused(v) || !x86_msr_write(&v->state, &v->platform, run->msr.index, run->msr.data);
    if (v->state.tsc_offset == offset)
        return;
    kvm_clock_apply(v);
    kvm_clock_tell(v);
    pthread_mutex_lock(v->vm->machine.lock);
    kvm_clock_moved(v);
    pthread_mutex_unlock(v->vm->machine.lock);
}
