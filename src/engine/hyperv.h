/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hyperv: what Hyper-V offers its guests, as far as it can be the same under every engine (Microsoft:
 * Hypervisor Top-Level Functional Specification; CPUID leaves 40000000h to 40000006h): who it is, the index
 * of a processor, frequencies, and the time since the machine began, by a register and by a page that says
 * how it comes of the time-stamp counter; the synthetic interrupt controller and timers of each vCPU, which
 * are a device of the machine's (device/irq/synic.h); and the few hypercalls that go with them.
 *
 * What is of the whole machine is in the state of its first vCPU. The machine's lock is held.
 */
#ifndef VISOR_ENGINE_HYPERV_H
#define VISOR_ENGINE_HYPERV_H

#include "device/irq/synic.h"
#include "engine/pvclock.h"

struct hyperv {
    const struct pvclock *clock;
    struct x86_state *machine; /* of its first vCPU */
    bool moved;                /* the guest has moved a counter: the page would be wrong for that vCPU */
    /* The vCPU that accesses a register, its index, and its counter without what the guest has added. */
    void *vcpu;
    unsigned index;
    struct synic *synic; /* NULL: the processors have none */
    const struct synic_connections *connections;
    const struct x86_state *registers; /* its own, if hyperv_needs_registers() */
    uint64_t (*tsc)(void *vcpu);
};

/* Whether it is one of these MSRs, and the processor has them. */
bool hyperv_has_msr(const struct x86_model *model, uint32_t msr);
bool hyperv_needs_registers(uint32_t msr);
/* RDMSR and WRMSR. False: the guest may not do that. */
bool hyperv_msr_read(const struct hyperv *hyperv, uint32_t msr, uint64_t *value);
bool hyperv_msr_write(const struct hyperv *hyperv, uint32_t msr, uint64_t value);
/* Writes the page of the time to the guest's memory, if it has told where: when the clock's base is another,
 * and when a counter was moved. */
void hyperv_publish(const struct hyperv *hyperv);

/* -- hyperv_call.c --------------------------------------------------------------------------------------- */

/* The hypercall that the vCPU's registers ask for, and its answer. */
uint64_t hyperv_call(const struct hyperv *hyperv);

#endif
