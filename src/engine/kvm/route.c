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
        char space[sizeof(struct kvm_irq_routing) + KVM_ROUTES * sizeof(struct kvm_irq_routing_entry)];
    } table = {0};
    for (unsigned i = 0; i < KVM_ROUTES; i++) {
        const struct kvm_route *route = &vm->routes.table[i];
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
static int change(struct engine_vm *vm, unsigned number, const struct kvm_route *route)
{
    struct kvm_route *own = &vm->routes.table[number];
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

static int set(struct engine_vm *vm, unsigned number, const struct kvm_route *route)
{
    pthread_mutex_lock(&vm->routes.lock);
    const int code = change(vm, number, route);
    pthread_mutex_unlock(&vm->routes.lock);
    return code;
}

/* Only level-triggered ones have an end that anybody waits for, and a change costs much. */
int kvm_route_pin(struct engine_vm *vm, unsigned pin, uint64_t address, uint32_t data)
{
    const struct kvm_route route = {.used = data & DATA_LEVEL, .address = address, .data = data};
    return pin < KVM_ROUTE_PINS ? set(vm, pin, &route) : 0;
}

int kvm_route_message(struct engine_vm *vm, unsigned index, uint64_t address, uint32_t data)
{
    const struct kvm_route route = {.used = true, .address = address, .data = data};
    return set(vm, KVM_ROUTE_PINS + index, &route);
}
