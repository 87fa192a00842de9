/* SPDX-License-Identifier: GPL-2.0-or-later */
/* route: the table of interrupts, which the kernel takes as a whole. */
#include "engine/kvm/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/macros.h"
#include "engine/kvm/private.h"

#define DATA_LEVEL (1u << 15)

int kvm_routes_init(struct engine_vm *vm, struct error *error)
{
    struct kvm_routes *r = &vm->routes;
    const int most = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING);
    r->count = MIN((unsigned)MAX(most, KVM_ROUTE_PINS), KVM_ROUTES);
    r->routes = calloc(r->count, sizeof *r->routes);
    if (!r->routes)
        return error_set(error, -ENOMEM, "cannot make a machine: out of memory");
    pthread_mutex_init(&r->lock, NULL);
    return 0;
}

void kvm_routes_free(struct engine_vm *vm)
{
    struct kvm_routes *r = &vm->routes;
    if (!r->routes)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r->routes);
    r->routes = NULL;
}

/* Under the lock. */
static int tell_kernel(struct engine_vm *vm)
{
    const struct kvm_routes *r = &vm->routes;
    struct kvm_irq_routing *table = calloc(1, sizeof *table + r->count * sizeof table->entries[0]);
    if (!table)
        return -ENOMEM;
    for (unsigned i = 0; i < r->count; i++) {
        const struct kvm_route *route = &r->routes[i];
        if (!route->used)
            continue;
        table->entries[table->nr++] = (struct kvm_irq_routing_entry){
            .gsi = i,
            .type = KVM_IRQ_ROUTING_MSI,
            .u.msi = {.address_lo = (uint32_t)route->address,
                      .address_hi = (uint32_t)(route->address >> 32),
                      .data = route->data},
        };
    }
    const int code = ioctl(vm->fd, KVM_SET_GSI_ROUTING, table) < 0 ? -errno : 0;
    free(table);
    return code;
}

/* Under the lock. What the kernel refuses is as it was. */
static int change(struct engine_vm *vm, unsigned number, const struct kvm_route *route)
{
    struct kvm_route *own = &vm->routes.routes[number];
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
    if (!vm->routes.routes || pin >= KVM_ROUTE_PINS)
        return 0;
    pthread_mutex_lock(&vm->routes.lock);
    const int code = change(vm, pin, &route);
    pthread_mutex_unlock(&vm->routes.lock);
    return code;
}

int kvm_route_new(struct engine_vm *vm, uint64_t address, uint32_t data)
{
    struct kvm_routes *r = &vm->routes;
    const struct kvm_route route = {.used = true, .address = address, .data = data};
    if (!r->routes)
        return -ENOTSUP;
    pthread_mutex_lock(&r->lock);
    unsigned number = KVM_ROUTE_PINS;
    while (number < r->count && r->routes[number].used)
        number++;
    const int code = number < r->count ? change(vm, number, &route) : -ENOSPC;
    pthread_mutex_unlock(&r->lock);
    return code ? code : (int)number;
}

int kvm_route_change(struct engine_vm *vm, unsigned number, uint64_t address, uint32_t data)
{
    const struct kvm_route route = {.used = true, .address = address, .data = data};
    pthread_mutex_lock(&vm->routes.lock);
    const int code = change(vm, number, &route);
    pthread_mutex_unlock(&vm->routes.lock);
    return code;
}

void kvm_route_free(struct engine_vm *vm, unsigned number)
{
    pthread_mutex_lock(&vm->routes.lock);
    change(vm, number, &(struct kvm_route){0});
    pthread_mutex_unlock(&vm->routes.lock);
}
