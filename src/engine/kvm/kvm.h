/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm: the engine that runs vCPUs on the processor itself, by Linux's KVM (its documentation:
 * Documentation/virt/kvm/api.rst). Devices, local APICs too, are visor's, as under every engine; see
 * docs/kvm.md.
 */
#ifndef VISOR_ENGINE_KVM_KVM_H
#define VISOR_ENGINE_KVM_KVM_H

#include "engine/engine.h"

struct kvm_trial {
    unsigned instruction; /* nanoseconds for one; 0: less */
    bool software;        /* it emulates the processor, which is slower than the engine `translate` */
};

/* Runs a few instructions, which takes some milliseconds at most. For who is to choose an engine, and after
 * its probe. */
int kvm_trial(struct kvm_trial *out, struct error *error);

#endif
