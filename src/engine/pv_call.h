/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv_call: what KVM answers the calls of its guests, VMCALL and VMMCALL (Linux:
 * Documentation/virt/kvm/x86/hypercalls.rst), under engines that have none in the kernel: a guest that has
 * found KVM in CPUID may make them whichever engine runs it, and goes on from one to another. As KVM does,
 * they are answered whether or not a leaf of CPUID names them.
 */
#ifndef VISOR_ENGINE_PV_CALL_H
#define VISOR_ENGINE_PV_CALL_H

#include "device/irq/lapic.h"
#include "memory/memory_map.h"

enum pv_call_number {
    PV_CALL_POLL_INTERRUPT = 1, /* only leaves guest code */
    PV_CALL_PAIR_CLOCKS = 9,    /* arguments: where to, which clock; for Linux's ptp_kvm */
    PV_CALL_SEND_IPI = 10, /* two words with a bit for each local APIC, the first bit's id, the command */
};

enum { PV_CALL_CLOCK_WALL = 0 }; /* the host's time since 1970 */

/* What a call returns is no errno of the host's: they are these, negative. */
enum { PV_CALL_FAULT = 14, PV_CALL_INVALID = 22, PV_CALL_NOT_SUPPORTED = 95, PV_CALL_UNKNOWN = 1000 };

struct pv_caller {
    struct memory_map *memory;
    struct lapic_bus *bus;
    uint64_t tsc; /* its counter now */
    bool wide;    /* it runs 64-bit code */
};

/* At CPL 0, with the machine's lock. What the guest finds in RAX. */
uint64_t pv_call(const struct pv_caller *caller, uint64_t number, const uint64_t arguments[4]);

#endif
