/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * route: KVM's table of interrupts by number (GSI): which message each of them sends. A number is what an
 * irqfd is bound to.
 *
 * Numbers below KVM_ROUTE_PINS are the I/O APIC's, which KVM must know to tell of the end of level-triggered
 * interrupts; the others are given out. All of it may be called from any thread.
 */
#ifndef VISOR_ENGINE_KVM_ROUTE_H
#define VISOR_ENGINE_KVM_ROUTE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define KVM_ROUTE_PINS 24
#define KVM_ROUTES     1024

struct engine_vm;

struct kvm_route {
    bool used;
    uint64_t address; /* FEExxxxxh */
    uint32_t data;
};

struct kvm_routes {
    pthread_mutex_t lock;
    struct kvm_route *routes; /* owned; by number. NULL: there is no table */
    unsigned count;
};

/* Where the kernel has the local APICs. */
int kvm_routes_init(struct engine_vm *vm, struct error *error);
void kvm_routes_free(struct engine_vm *vm);

/* What a pin of the I/O APIC sends. 0, or a negative errno. */
int kvm_route_pin(struct engine_vm *vm, unsigned pin, uint64_t address, uint32_t data);

/* A number that sends this message, or a negative errno: -ENOTSUP: the kernel has no table, -ENOSPC: it is
 * full. */
int kvm_route_new(struct engine_vm *vm, uint64_t address, uint32_t data);
/* It sends another one from now on. */
int kvm_route_change(struct engine_vm *vm, unsigned number, uint64_t address, uint32_t data);
/* It sends nothing any more, and may be given out anew. */
void kvm_route_free(struct engine_vm *vm, unsigned number);

#endif
