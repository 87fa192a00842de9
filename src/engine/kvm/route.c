/* SPDX-License-Identifier: GPL-2.0-or-later */
/* route: the table of interrupts, which the kernel takes as a whole. */
#include "engine/kvm/route.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "engine/kvm/private.h"

#define DATA_LEVEL (1u << 15)

void kvm_routes_init(struct kvm_routes *routes)
{
    pthread_mutex_init(&routes->lock, NULL);
}

void kvm_routes_free(struct kvm_routes *routes)
{
    pthread_mutex_destroy(&routes->lock);
}

/* Under the lock. */
static int tell_kernel(const struct engine_vm *vm)
{
    union {
        struct kvm_irq_routing head;
        char space[sizeof(struct kvm_irq_routing) + KVM_ROUTE_PINS * sizeof(struct kvm_irq_routing_entry)];
    } table = {0};
    for (unsigned i = 0; i < KVM_ROUTE_PINS; i++) {
        const struct kvm_route *route = &vm->routes.pins[i];
        if (!route->used)
            continue;
        table.head.entries[table.head.nr++] = (struct kvm_irq_routing_entry){
            .gsi = i,
            .type = KVM_IRQ_ROUTING_MSI,
            .u.msi = {.address_lo = (uint32_t)route->address,
                      .address_hi = (uint32_t)(route->address >> 32),
                      .data = route->data},
        };
    }
    return ioctl(vm->fd, KVM_SET_GSI_ROUTING, &table) < 0 ? -errno : 0;
}

/* Under the lock. What the kernel refuses is as it was. */
static int change(struct engine_vm *vm, unsigned pin, const struct kvm_route *route)
{
    struct kvm_route *own = &vm->routes.pins[pin];
    const struct kvm_route before = *own;
    if (before.used == route->used &&
        (!route->used || (before.address == route->address && before.data == route->data)))
        return 0;
    *own = *route;
    const int code = tell_kernel(vm);
    if (code)
        *own = before;
    return code;
}

/* Only level-triggered ones have an end that anybody waits for, and a change costs much. */
int kvm_route_pin(struct engine_vm *vm, unsigned pin, uint64_t address, uint32_t data)
{
    const struct kvm_route route = {.used = data & DATA_LEVEL, .address = address, .data = data};
    if (pin >= KVM_ROUTE_PINS)
        return 0;
    pthread_mutex_lock(&vm->routes.lock);
    const int code = change(vm, pin, &route);
    pthread_mutex_unlock(&vm->routes.lock);
    return code;
}
