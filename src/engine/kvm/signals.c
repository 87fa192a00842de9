/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * signals: the memory map's signals as the kernel's ioeventfds, which follow the map. A write that one stands
 * for never leaves guest code; what the kernel does not take comes out as an access, as without.
 */
#include <stdlib.h>
#include <sys/ioctl.h>

#include "engine/kvm/private.h"

/* Of any size: where the processor says no more than the address, KVM need not look at the instruction. */
static bool tell(const struct engine_vm *vm, const struct kvm_signal *signal, unsigned flags)
{
    const struct kvm_ioeventfd request = {
        .addr = signal->address, .len = signal->size, .fd = signal->fd, .flags = flags};
    return ioctl(vm->fd, KVM_IOEVENTFD, &request) == 0;
}

static bool same(const struct kvm_signal *a, const struct kvm_signal *b)
{
    return a->address == b->address && a->size == b->size && a->fd == b->fd;
}

static bool place(const struct memory_view *view, const struct memory_signal *signal, struct kvm_signal *out)
{
    out->size = signal->size;
    out->fd = signal->fd;
    return memory_signal_address(view, signal, &out->address);
}

static bool is_wanted(const struct engine_vm *vm, const struct memory_view *view,
                      const struct kvm_signal *known)
{
    struct kvm_signal wanted;
    for (const struct memory_signal *s = vm->machine.memory->signals; s; s = s->next)
        if (place(view, s, &wanted) && same(&wanted, known))
            return true;
    return false;
}

static bool is_known(const struct engine_vm *vm, const struct kvm_signal *wanted)
{
    for (unsigned i = 0; i < vm->signal_count; i++)
        if (same(&vm->signals[i], wanted))
            return true;
    return false;
}

static void signal_add(struct engine_vm *vm, const struct kvm_signal *signal)
{
    struct kvm_signal *more = realloc(vm->signals, (vm->signal_count + 1) * sizeof *more);
    if (!more)
        return;
    vm->signals = more;
    if (tell(vm, signal, 0))
        vm->signals[vm->signal_count++] = *signal;
}

void kvm_signals_follow(struct engine_vm *vm, const struct memory_view *view)
{
    struct kvm_signal wanted;
    for (unsigned i = 0; i < vm->signal_count;) {
        if (is_wanted(vm, view, &vm->signals[i])) {
            i++;
            continue;
        }
        tell(vm, &vm->signals[i], KVM_IOEVENTFD_FLAG_DEASSIGN);
        vm->signals[i] = vm->signals[--vm->signal_count];
    }
    for (const struct memory_signal *s = vm->machine.memory->signals; s; s = s->next)
        if (place(view, s, &wanted) && !is_known(vm, &wanted))
            signal_add(vm, &wanted);
}
