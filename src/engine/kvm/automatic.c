/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * automatic: interrupts that end as they are delivered (device/irq/synic.h), where the kernel has the local
 * APICs, which know no such.
 *
 * They are injected past those, as the 8259s' are: so nothing is left that would have an end. What the kernel
 * weighs of its own interrupts is weighed here: that the processor takes any now, and that none of the same
 * class or a higher one is being served. The kernel does not say when that changes, so as long as one waits
 * the vCPU is asked again, ever more seldom.
 */
#include <sys/ioctl.h>

#include "base/macros.h"
#include "engine/kvm/private.h"

/* Until the vCPU is asked again. */
#define FIRST (TIMER_SECOND / 50000)
#define LAST  (TIMER_SECOND / 1000)

enum { TPR = 0x08, SVR = 0x0f, ISR = 0x10 };
#define SVR_ENABLED (1u << 8)

/* -1: none. */
static int highest_waiting(const struct lapic *lapic)
{
    for (int i = 7; lapic->automatic && i >= 0; i--) {
        const uint32_t word = atomic_load(&lapic->automatic[i]);
        if (word)
            return 32 * i + 31 - __builtin_clz(word);
    }
    return -1;
}

/* The class that an interrupt must be above. */
static unsigned class_served(const struct lapic_image *image)
{
    unsigned class = image->registers[TPR] >> 4 & 15;
    for (unsigned i = 0; i < 8; i++) {
        const uint32_t word = image->registers[ISR + i];
        if (word)
            class = MAX(class, (32 * i + 31 - (unsigned)__builtin_clz(word)) >> 4);
    }
    return class;
}

static bool takes_any(const struct engine_vcpu *v, const struct kvm_vcpu_events *events)
{
    return v->run->if_flag && !events->interrupt.shadow && !events->interrupt.injected &&
           !kvm_nmi_first(events) && !events->exception.injected && !events->exception.pending;
}

static void ask_again(struct engine_vcpu *v)
{
    struct engine_vm *vm = v->vm;
    v->automatic_delay = v->automatic_delay ? MIN(2 * v->automatic_delay, LAST) : FIRST;
    timer_set(&vm->automatic_timer, clock_now(&vm->machine.clock) + v->automatic_delay);
}

bool kvm_automatic_waits(const struct engine_vcpu *v)
{
    return highest_waiting(v->lapic) >= 0;
}

static void ask(struct engine_vcpu *v)
{
    if (kvm_automatic_waits(v))
        kvm_vcpu_kick(v);
}

static void due(void *opaque)
{
    kvm_for_all(opaque, ask);
}

void kvm_automatic_init(struct engine_vm *vm)
{
    timer_init(&vm->automatic_timer, vm->machine.lapics[0]->timer.timers, due, vm);
}

void kvm_automatic_free(struct engine_vm *vm)
{
    timer_cancel(&vm->automatic_timer);
}

int kvm_automatic_offer(struct engine_vcpu *v)
{
    struct lapic_image image;
    struct kvm_vcpu_events events;
    const int vector = highest_waiting(v->lapic);
    if (vector < 0)
        return 0;
    if (v->stale)
        kvm_irqchip_look(v);
    if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events) < 0)
        return kvm_failed(v, "take an interrupt");
    int code = kvm_irqchip_registers(v, &image);
    if (code)
        return code;
    const bool enabled = image.registers[SVR] & SVR_ENABLED;
    const bool taken = takes_any(v, &events) && (unsigned)vector >> 4 > class_served(&image);
    if (enabled && taken)
        code = kvm_irqchip_inject(v, &events, (uint8_t)vector);
    if (!enabled || taken) {
        atomic_fetch_and(&v->lapic->automatic[vector / 32], ~(UINT32_C(1) << vector % 32));
        v->automatic_delay = 0;
    }
    if (kvm_automatic_waits(v))
        ask_again(v);
    return code;
}
