/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * route: KVM's table of interrupts by number. In it the kernel must find the pins of the I/O APIC that are
 * level-triggered, to tell of the ends of their interrupts (KVM_EXIT_IOAPIC_EOI), and behind them the
 * messages that eventfds stand for (irqfd.c).
 */
#ifndef VISOR_ENGINE_KVM_ROUTE_H
#define VISOR_ENGINE_KVM_ROUTE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define KVM_ROUTE_PINS     24
#define KVM_ROUTE_MESSAGES 40
#define KVM_ROUTES         (KVM_ROUTE_PINS + KVM_ROUTE_MESSAGES)

struct engine_vm;

struct kvm_route {
    bool used;
    uint64_t address; /* FEExxxxxh */
    uint32_t data;
};

struct kvm_routes {
    pthread_mutex_t lock;
    struct kvm_route table[KVM_ROUTES]; /* by number */
};

/* Where the kernel has the local APICs. */
void kvm_routes_init(struct kvm_routes *routes);
void kvm_routes_free(struct kvm_routes *routes);

/* What a pin of the I/O APIC sends; from any thread. 0, or a negative errno: the kernel has what it had. */
int kvm_route_pin(struct engine_vm *vm, unsigned pin, uint64_t address, uint32_t data);
/* What number KVM_ROUTE_PINS + `index` sends; likewise. */
int kvm_route_message(struct engine_vm *vm, unsigned index, uint64_t address, uint32_t data);

#endif
