/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * model: what kind of processor a vCPU is: what CPUID says, which is also what works. Intel SDM volume 2,
 * CPUID.
 */
#ifndef VISOR_ARCH_X86_MODEL_H
#define VISOR_ARCH_X86_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct x86_state;

/* The words of CPUID that list features. */
enum x86_feature_word {
    X86_FEATURES_1_EDX,
    X86_FEATURES_1_ECX,
    X86_FEATURES_7_EBX,
    X86_FEATURES_7_ECX,
    X86_FEATURES_7_EDX,
    X86_FEATURES_D1_EAX,
    X86_FEATURES_EXT_EDX, /* 80000001h */
    X86_FEATURES_EXT_ECX,
    X86_FEATURES_INVARIANT_EDX, /* 80000007h */
    X86_FEATURES_KVM_EAX,       /* 40000001h: what KVM offers its guests, and every engine does */
    X86_FEATURES_HYPERV_EAX,    /* 40000003h: likewise Hyper-V; see engine/hyperv.h */
    X86_FEATURE_WORD_COUNT,
};

struct x86_model {
    char name[32];
    char vendor[13];
    char brand[49];
    unsigned family, model, stepping;
    uint32_t features[X86_FEATURE_WORD_COUNT];
    /* Those that its name stands for, or that were asked for by name: an engine that lacks another one may
     * leave it out. */
    uint32_t required[X86_FEATURE_WORD_COUNT];
    uint32_t tsc_khz; /* of the time-stamp counter: 1,000,000, unless the engine cannot have it so */
    uint8_t physical_bits, linear_bits;
    uint8_t last_leaf; /* of the basic ones of CPUID */
};

/* A feature as its word and bit. */
#define X86_FEATURE(word, bit) ((word) << 5 | (bit))

static inline bool x86_has(const struct x86_model *model, unsigned feature)
{
    return model->features[feature >> 5] >> (feature & 31) & 1;
}

/* The model that a text names: NAME[,+FEATURE|,-FEATURE|,FEATURE=on|off]... "kvm" are all that KVM offers. An
 * unknown name or a feature that no engine has is an error that lists what there is. */
int x86_model_parse(struct x86_model *model, const char *text, struct error *error);
/* The names of models and features, by index; NULL after the last. */
const char *x86_model_name(unsigned index);
const char *x86_feature_name(unsigned index);
/* X86_FEATURE() of the feature of that index, which has a name. */
unsigned x86_feature_at(unsigned index);
/* That of one feature; NULL: it has none. */
const char *x86_feature_text(unsigned feature);

/* Its registers after power-on: real-address mode at FFFFFFF0h. All memory is write-back, as firmware leaves
 * it. INIT leaves x87, SSE and MSRs alone. */
void x86_state_reset(struct x86_state *state, const struct x86_model *model);
void x86_state_init(struct x86_state *state, const struct x86_model *model);

/* The processor's place in the machine. */
struct x86_topology {
    unsigned apic_id, vcpu_count;
};

/* CPUID: EAX, EBX, ECX, EDX. What depends on CR4 is right for `state`; NULL: at reset. That the local APIC is
 * disabled is the caller's to know. */
void x86_cpuid(const struct x86_model *model, const struct x86_topology *topology,
               const struct x86_state *state, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
/* The first of the leaves that a hypervisor tells of itself by (leaf 0), and the one after another; 0: there
 * are no more. */
uint32_t x86_hypervisor_leaf(const struct x86_model *model, uint32_t leaf);
/* Whether KVM is among them. */
bool x86_shows_kvm(const struct x86_model *model);

#endif
