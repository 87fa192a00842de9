/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reminder: ends of level-triggered interrupts of which the kernel does not tell.
 *
 * It tells of one (KVM_EXIT_IOAPIC_EOI) before the vCPU executes anything else. But a KVM that is software
 * does so only when it looks up from what it executes, and it does not before the guest halts: then it has
 * the end to tell of, and the I/O APIC's pin, which is asserted still, sends nothing until something else
 * wakes the vCPU. So while there are ends to be told of the vCPUs are asked, first after a millisecond, by
 * which time a processor has told of nearly all of them, then ever more seldom; the last time after half a
 * minute, since a pin may have been given another vector, and the end of the first is nobody's.
 */
#include "base/macros.h"
#include "engine/kvm/private.h"

#define FIRST (TIMER_SECOND / 1000)
#define LAST  (32 * TIMER_SECOND)

static bool waits(const struct kvm_reminder *reminder)
{
    uint32_t all = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(reminder->vectors); i++)
        all |= reminder->vectors[i];
    return all != 0;
}

static void arm(struct engine_vm *vm, uint64_t delay)
{
    vm->reminder.delay = delay;
    timer_set(&vm->reminder.timer, clock_now(&vm->machine.clock) + delay);
}

static void ask(struct engine_vcpu *v)
{
    kvm_vcpu_request(v, KVM_REQUEST_SETTLE);
}

static void due(void *opaque)
{
    struct engine_vm *vm = opaque;
    struct kvm_reminder *reminder = &vm->reminder;
    pthread_mutex_lock(&vm->lend_lock);
    const bool remind = waits(reminder);
    if (remind && reminder->delay < LAST)
        arm(vm, 2 * reminder->delay);
    pthread_mutex_unlock(&vm->lend_lock);
    if (remind)
        kvm_for_all(vm, ask);
}

void kvm_reminder_init(struct engine_vm *vm)
{
    timer_init(&vm->reminder.timer, vm->machine.lapics[0]->timer.timers, due, vm);
}

void kvm_reminder_free(struct engine_vm *vm)
{
    timer_cancel(&vm->reminder.timer);
}

void kvm_reminder_expect(struct engine_vm *vm, unsigned word, uint32_t vectors)
{
    struct kvm_reminder *reminder = &vm->reminder;
    const bool late = reminder->delay > FIRST || !waits(reminder);
    if (!vectors)
        return;
    reminder->vectors[word] |= vectors;
    if (late)
        arm(vm, FIRST);
}

void kvm_reminder_told(struct engine_vm *vm, uint8_t vector)
{
    pthread_mutex_lock(&vm->lend_lock);
    vm->reminder.vectors[vector / 32] &= ~(1u << vector % 32);
    pthread_mutex_unlock(&vm->lend_lock);
}

void kvm_reminder_forget(struct engine_vm *vm)
{
    for (unsigned i = 0; i < ARRAY_SIZE(vm->reminder.vectors); i++)
        vm->reminder.vectors[i] = 0;
    timer_cancel(&vm->reminder.timer);
}
