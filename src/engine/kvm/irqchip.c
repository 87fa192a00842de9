/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irqchip: the local APICs in the kernel ("split": I/O APIC, 8259s and PIT stay visor's), so that neither
 * their registers, nor halting, nor a timer's interrupt is an exit to visor.
 *
 * The registers belong to `struct lapic`, which is what is saved, and are lent to the kernel while guest code
 * runs: the first vCPU that begins to run gives it those of all vCPUs, the last that stops takes them back.
 * In between the clocks of both agree. Until then messages go to whoever has the registers.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/macros.h"
#include "engine/arrival.h"
#include "engine/kvm/private.h"

#define X2APIC_WANTED (KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
/* Not in the headers of before Linux 6.19: the kernel obeys the bit of the spurious vector register that
 * suppresses broadcasts. */
#define X2APIC_SUPPRESSES (1u << 2)

#define MSR_TSC_DEADLINE 0x6e0
#define DATA_LEVEL       (1u << 15)

enum lapic_numbers {
    ISR = 0x10,
    TMR = 0x18,
    IRR = 0x20,
    LVT_TIMER = 0x32,
    LVT_LINT0 = 0x35,
    TIMER_INITIAL = 0x38,
    TIMER_CURRENT = 0x39
};
#define LVT_MASKED    (1u << 16)
#define LVT_PERIODIC  (1u << 17)
#define LVT_MODE(lvt) ((lvt) >> 8 & 7)
#define SETTLE_TRIES  20

/* -- what the host has ----------------------------------------------------------------------------------- */

static const int split_needs[] = {KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_SIGNAL_MSI, KVM_CAP_IRQ_ROUTING,
                                  KVM_CAP_TSC_DEADLINE_TIMER, KVM_CAP_MP_STATE};

static bool can_split(const struct engine_vm *vm)
{
    for (unsigned i = 0; i < ARRAY_SIZE(split_needs); i++) {
        if (ioctl(vm->fd, KVM_CHECK_EXTENSION, split_needs[i]) <= 0)
            return false;
    }
    return (ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_X2APIC_API) & X2APIC_WANTED) == X2APIC_WANTED;
}

static int split(struct engine_vm *vm)
{
    const struct kvm_enable_cap chip = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args[0] = KVM_ROUTE_PINS};
    if (ioctl(vm->fd, KVM_ENABLE_CAP, &chip) < 0)
        return -errno;
    const int flags = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_X2APIC_API);
    const struct kvm_enable_cap x2apic = {
        .cap = KVM_CAP_X2APIC_API,
        .args[0] = (uint64_t)flags & (X2APIC_WANTED | X2APIC_SUPPRESSES),
    };
    return ioctl(vm->fd, KVM_ENABLE_CAP, &x2apic) < 0 ? -errno : 0;
}

/* -- messages -------------------------------------------------------------------------------------------- */

static bool send(void *opaque, uint64_t address, uint32_t data)
{
    struct engine_vm *vm = opaque;
    const struct kvm_msi msi = {
        .address_lo = (uint32_t)address, .address_hi = (uint32_t)(address >> 32), .data = data};
    pthread_mutex_lock(&vm->lend_lock);
    const bool taken =
        vm->lent ? ioctl(vm->fd, KVM_SIGNAL_MSI, &msi) > 0 : lapic_bus_deliver(vm->bus, address, data);
    if (vm->lent && taken && data & DATA_LEVEL)
        kvm_reminder_expect(vm, (data & 0xff) / 32, 1u << (data & 31));
    pthread_mutex_unlock(&vm->lend_lock);
    return taken;
}

static void pin(void *opaque, unsigned number, uint64_t address, uint32_t data)
{
    struct engine_vm *vm = opaque;
    const int code = kvm_route_pin(vm, number, address, data);
    if (code)
        fprintf(stderr, "visor: KVM refuses the route of I/O APIC pin %u: %s\n", number, strerror(-code));
}

int kvm_irqchip_init(struct engine_vm *vm, struct error *error)
{
    if (vm->machine.irqchip == ENGINE_IRQCHIP_USER)
        return 0;
    if (!can_split(vm)) {
        if (vm->machine.irqchip == ENGINE_IRQCHIP_AUTO)
            return 0;
        error_set(error, -ENOTSUP, "--irqchip split: this host's KVM cannot have local APICs alone");
        error_hint(error, "leave it out: then they are visor's");
        return -ENOTSUP;
    }
    const int code = split(vm);
    if (code)
        return error_set(error, code, "KVM cannot have the local APICs: %s", strerror(-code));
    kvm_routes_init(&vm->routes);
    vm->split = true;
    return 0;
}

void kvm_irqchip_attach(struct engine_vm *vm)
{
    if (!vm->split)
        return;
    vm->bus = vm->machine.lapics[0]->bus;
    vm->bus->borrower = (struct lapic_borrower){send, pin, kvm_irqfd_connect, kvm_irqfd_disconnect, vm};
    kvm_reminder_init(vm);
    kvm_automatic_init(vm);
}

void kvm_irqchip_free(struct engine_vm *vm)
{
    if (vm->bus) {
        vm->bus->borrower = (struct lapic_borrower){0};
        kvm_reminder_free(vm);
        kvm_automatic_free(vm);
    }
    if (vm->split)
        kvm_routes_free(&vm->routes);
}

/* -- registers ------------------------------------------------------------------------------------------- */

int kvm_irqchip_registers(struct engine_vcpu *v, struct lapic_image *out)
{
    struct kvm_lapic_state page;
    struct kvm_sregs2 sregs;
    if (ioctl(v->fd, KVM_GET_LAPIC, &page) < 0 || ioctl(v->fd, KVM_GET_SREGS2, &sregs) < 0)
        return kvm_failed(v, "give the local APIC");
    for (unsigned i = 0; i < LAPIC_REGISTERS; i++)
        memcpy(&out->registers[i], page.regs + 16 * i, sizeof out->registers[i]);
    out->base = sregs.apic_base;
    return kvm_msr_get(v, MSR_TSC_DEADLINE, &out->tsc_deadline);
}

/* The base first: what the registers may be depends on it. */
static int registers_set(struct engine_vcpu *v, const struct lapic_image *image)
{
    struct kvm_lapic_state page = {0};
    for (unsigned i = 0; i < LAPIC_REGISTERS; i++)
        memcpy(page.regs + 16 * i, &image->registers[i], sizeof image->registers[i]);
    if (!kvm_msr_base_changed(v))
        return -EIO;
    if (ioctl(v->fd, KVM_SET_LAPIC, &page) < 0)
        return kvm_failed(v, "take the local APIC");
    return kvm_msr_set(v, MSR_TSC_DEADLINE, image->tsc_deadline);
}

/* -- the kernel's loose ends ------------------------------------------------------------------------------
 */

/*
 * Lets the kernel do what it does about a vCPU before it would run it: a timer that was reached becomes an
 * interrupt, and what it has to tell of is told (0, an exit). It has a signal to attend to, so it does not
 * run any guest code (-EINTR). From any thread, while the vCPU's own does not run it.
 */
static int settle_kernel(struct engine_vcpu *v)
{
    const int number = kvm_kick_signal();
    uint8_t bytes[sizeof(struct kvm_signal_mask) + 8];
    struct kvm_signal_mask *mask = (struct kvm_signal_mask *)bytes;
    const uint64_t others = ~(UINT64_C(1) << (number - 1));
    sigset_t all, before, one;
    sigfillset(&all);
    sigdelset(&all, SIGSYS); /* a call that the cage forbids */
    sigemptyset(&one);
    sigaddset(&one, number);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_kill(pthread_self(), number);
    mask->len = sizeof others;
    memcpy(mask->sigset, &others, sizeof others);
    v->run->immediate_exit = 0;
    v->run->request_interrupt_window = 0;
    int code = ioctl(v->fd, KVM_SET_SIGNAL_MASK, mask) < 0 || ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 0;
    ioctl(v->fd, KVM_SET_SIGNAL_MASK, NULL);
    while (sigtimedwait(&one, NULL, &(struct timespec){0}) > 0)
        ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

bool kvm_irqchip_halts(struct engine_vcpu *v)
{
    struct kvm_mp_state state;
    return ioctl(v->fd, KVM_GET_MP_STATE, &state) == 0 && state.mp_state == KVM_MP_STATE_HALTED;
}

/* What wakes it. */
static bool has_event(struct engine_vcpu *v)
{
    struct kvm_vcpu_events events;
    return ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events) < 0 || events.exception.injected ||
           events.interrupt.injected || events.nmi.injected || events.nmi.pending;
}

/* The kernel tells of nothing while a vCPU halts: this one does not meanwhile. */
int kvm_irqchip_drain(struct engine_vcpu *v)
{
    const struct kvm_mp_state runs = {KVM_MP_STATE_RUNNABLE}, halts = {KVM_MP_STATE_HALTED};
    const bool halted = kvm_irqchip_halts(v);
    if (halted && ioctl(v->fd, KVM_SET_MP_STATE, &runs) < 0)
        return -errno;
    const int code = settle_kernel(v);
    return halted && !has_event(v) && ioctl(v->fd, KVM_SET_MP_STATE, &halts) < 0 ? -errno : code;
}

/* The kernel halts a vCPU whose guest it cannot tell of a page fault until the page is there, or an interrupt
 * comes. An NMI, which the state that is set next has not, ends that. */
void kvm_irqchip_forget(struct engine_vcpu *v)
{
    if (kvm_async_fault_forget(v) && ioctl(v->fd, KVM_NMI, 0) == 0)
        settle_kernel(v);
}

/* Whether a timer may have been reached of which the kernel has not made an interrupt yet. */
static bool may_be_due(const struct lapic_image *image)
{
    return image->registers[TIMER_INITIAL] && !(image->registers[LVT_TIMER] & LVT_MASKED);
}

/* Whether the timer was reached since it had `before` to count; then it is over, or has begun anew. */
static bool was_reached(const struct lapic_image *image, uint32_t before)
{
    const uint32_t current = image->registers[TIMER_CURRENT];
    return current > before || (before && !current);
}

static bool has_asked(const struct lapic_image *image)
{
    const uint32_t vector = image->registers[LVT_TIMER] & 0xff;
    return image->registers[IRR + vector / 32] >> vector % 32 & 1;
}

/* One that is periodic begins anew as soon as the host's timer has come. */
static bool begins_anew(const struct lapic_image *image)
{
    return image->registers[LVT_TIMER] & LVT_PERIODIC && !image->registers[TIMER_CURRENT];
}

/*
 * A timer that counts is reached while it is looked at: what the kernel has not made an interrupt of is
 * nowhere in the registers. So they are taken when the timer was not reached since the kernel was asked to,
 * or when it would not matter. One that the guest has made periodic after its end never counts again, and
 * looks like one that is about to: so there is an end of that.
 */
static int registers_settle(struct engine_vcpu *v, struct lapic_image *image)
{
    for (unsigned tries = 0; tries < SETTLE_TRIES; tries++) {
        const uint32_t before = image->registers[TIMER_CURRENT];
        if (!before) /* the host's timer may be on its way */
            nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        settle_kernel(v);
        const int code = kvm_irqchip_registers(v, image);
        if (code)
            return code;
        if ((!was_reached(image, before) || has_asked(image)) && !begins_anew(image))
            break;
    }
    return 0;
}

static void lend(struct engine_vcpu *v)
{
    struct lapic_image image;
    if (lapic_has_events(v->lapic))
        kvm_arrive(v);
    kvm_clock_tell(v);
    lapic_lend(v->lapic, &image);
    registers_set(v, &image);
    for (unsigned i = 0; i < 8; i++)
        kvm_reminder_expect(v->vm, i,
                            image.registers[TMR + i] & (image.registers[ISR + i] | image.registers[IRR + i]));
    kvm_msr_pv_lend(v);
    v->stale = true;
}

static void take_back(struct engine_vcpu *v)
{
    struct lapic_image image = {0};
    if (kvm_irqchip_registers(v, &image) < 0)
        return;
    if (may_be_due(&image) && registers_settle(v, &image) < 0)
        return;
    kvm_msr_pv_return(v);
    kvm_clock_tell(v);
    lapic_return(v->lapic, &image);
}

void kvm_irqchip_begin(struct engine_vm *vm)
{
    if (!vm->split)
        return;
    pthread_mutex_lock(&vm->lend_lock);
    kvm_for_all(vm, lend);
    vm->lent = true;
    kvm_irqfds_begin(vm);
    pthread_mutex_unlock(&vm->lend_lock);
}

void kvm_irqchip_end(struct engine_vm *vm)
{
    if (!vm->split)
        return;
    pthread_mutex_lock(&vm->lend_lock);
    kvm_irqfds_end(vm);
    kvm_for_all(vm, take_back);
    kvm_reminder_forget(vm);
    vm->lent = false;
    pthread_mutex_unlock(&vm->lend_lock);
}

/* -- while it runs --------------------------------------------------------------------------------------- */

/* A pin of a local APIC that the kernel has was asserted. ExtINT is offered as long as it is. */
static void pin_rose(struct engine_vcpu *v, uint32_t lvt)
{
    enum { FIXED = 0, NMI = 4 };
    if (lvt & LVT_MASKED)
        return;
    if (LVT_MODE(lvt) == NMI && ioctl(v->fd, KVM_NMI, 0) < 0)
        kvm_failed(v, "take an NMI");
    else if (LVT_MODE(lvt) == FIXED)
        send(v->vm, 0xfee00000 | v->lapic->initial_id << 12, lvt & 0xff);
}

int kvm_irqchip_events(struct engine_vcpu *v)
{
    const uint32_t events = lapic_take_events(v->lapic);
    struct lapic_image image;
    if (!(events & (LAPIC_LINT0_ROSE | LAPIC_LINT1_ROSE)))
        return 0;
    const int code = kvm_irqchip_registers(v, &image);
    for (unsigned i = 0; !code && i < 2; i++) {
        if (events & (i ? LAPIC_LINT1_ROSE : LAPIC_LINT0_ROSE))
            pin_rose(v, image.registers[LVT_LINT0 + i]);
    }
    return code;
}

void kvm_irqchip_look(struct engine_vcpu *v)
{
    v->run->immediate_exit = 1;
    if (ioctl(v->fd, KVM_RUN, 0) < 0 && errno != EINTR)
        kvm_failed(v, "say whether it takes interrupts");
    v->run->immediate_exit = 0;
    v->stale = false;
}

/* What is taken from the 8259s must not be lost if the vCPU stops before it runs: an interrupt that has begun
 * to be delivered is part of its state. */
int kvm_irqchip_inject(struct engine_vcpu *v, struct kvm_vcpu_events *events, uint8_t vector)
{
    events->interrupt.injected = 1;
    events->interrupt.nr = vector;
    events->interrupt.soft = 0;
    events->flags = 0;
    if (ioctl(v->fd, KVM_SET_VCPU_EVENTS, events) < 0 ||
        ioctl(v->fd, KVM_SET_MP_STATE, &(struct kvm_mp_state){KVM_MP_STATE_RUNNABLE}) < 0)
        return kvm_failed(v, "take an interrupt");
    return 0;
}

/* Under the machine's lock. */
static int inject_external(struct engine_vcpu *v)
{
    const struct engine_machine *m = &v->vm->machine;
    struct kvm_vcpu_events events;
    if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events) < 0)
        return kvm_failed(v, "take an interrupt");
    return kvm_nmi_first(&events) ? 0 : kvm_irqchip_inject(v, &events, m->pic_acknowledge(m->opaque));
}

static int offer_external(struct engine_vcpu *v)
{
    const struct engine_machine *m = &v->vm->machine;
    struct kvm_run *run = v->run;
    int code = 0;
    if (!(atomic_load(&v->lapic->lint) & 1)) {
        run->request_interrupt_window = 0;
        return 0;
    }
    if (v->stale)
        kvm_irqchip_look(v);
    if (run->ready_for_interrupt_injection && run->if_flag) {
        pthread_mutex_lock(m->lock);
        if (atomic_load(&v->lapic->lint) & 1)
            code = inject_external(v);
        pthread_mutex_unlock(m->lock);
        run->ready_for_interrupt_injection = 0;
    }
    run->request_interrupt_window = atomic_load(&v->lapic->lint) & 1;
    return code;
}

int kvm_irqchip_offer(struct engine_vcpu *v)
{
    const int code = offer_external(v);
    if (code || LIKELY(!v->lapic->automatic))
        return code;
    return kvm_automatic_offer(v);
}
