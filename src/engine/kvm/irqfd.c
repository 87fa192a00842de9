/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irqfd: eventfds, to which the host's kernel adds, as messages to local APICs that it has (KVM_IRQFD), past
 * all threads of visor's. While the local APICs are visor's nobody takes the counts, and the kernel finds
 * them when it has those again; what it has begun to deliver it finishes before it lets go of an eventfd.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/private.h"

#define DATA_LEVEL (1u << 15) /* somebody has to hear of its end: such a message is irqchip.c's */

static bool tell(const struct engine_vm *vm, unsigned index, unsigned flags)
{
    const struct kvm_irqfd request = {
        .fd = (uint32_t)vm->lines[index].fd, .gsi = KVM_ROUTE_PINS + index, .flags = flags};
    return ioctl(vm->fd, KVM_IRQFD, &request) == 0;
}

/* KVM_ROUTE_MESSAGES: there is none. */
static unsigned find(const struct engine_vm *vm, bool used, int fd)
{
    unsigned i = 0;
    while (i < KVM_ROUTE_MESSAGES && (vm->lines[i].used != used || (used && vm->lines[i].fd != fd)))
        i++;
    return i;
}

bool kvm_irqfd_connect(void *opaque, int fd, uint64_t address, uint32_t data)
{
    struct engine_vm *vm = opaque;
    pthread_mutex_lock(&vm->lend_lock);
    const unsigned i = find(vm, false, -1);
    bool done = i < KVM_ROUTE_MESSAGES && address >> 20 == 0xfee && !(data & DATA_LEVEL) &&
                kvm_route_message(vm, i, address, data) == 0;
    if (done) {
        vm->lines[i] = (struct kvm_line){true, fd};
        done = vm->lines[i].used = !vm->lent || tell(vm, i, 0);
    }
    pthread_mutex_unlock(&vm->lend_lock);
    return done;
}

void kvm_irqfd_disconnect(void *opaque, int fd)
{
    struct engine_vm *vm = opaque;
    pthread_mutex_lock(&vm->lend_lock);
    const unsigned i = find(vm, true, fd);
    if (i < KVM_ROUTE_MESSAGES) {
        if (vm->lent)
            tell(vm, i, KVM_IRQFD_FLAG_DEASSIGN);
        vm->lines[i].used = false;
    }
    pthread_mutex_unlock(&vm->lend_lock);
}

void kvm_irqfds_begin(struct engine_vm *vm)
{
    for (unsigned i = 0; i < KVM_ROUTE_MESSAGES; i++)
        if (vm->lines[i].used && !tell(vm, i, 0))
            fprintf(stderr, "visor: KVM takes no interrupt from the kernel: it is lost\n");
}

void kvm_irqfds_end(struct engine_vm *vm)
{
    for (unsigned i = 0; i < KVM_ROUTE_MESSAGES; i++)
        if (vm->lines[i].used)
            tell(vm, i, KVM_IRQFD_FLAG_DEASSIGN);
}
