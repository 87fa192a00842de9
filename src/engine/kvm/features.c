/* SPDX-License-Identifier: GPL-2.0-or-later */
/* features: what CPUID tells the guest, which is the model's matter, and what of a model the host cannot do.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "arch/x86/features.h"
#include "base/macros.h"
#include "engine/kvm/private.h"

#define ENTRIES_MAX 256

struct kvm_cpuid2 *kvm_cpuid_new(void)
{
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof *cpuid + ENTRIES_MAX * sizeof cpuid->entries[0]);
    if (cpuid)
        cpuid->nent = ENTRIES_MAX;
    return cpuid;
}

/* -- what the guest sees --------------------------------------------------------------------------------- */

static void add(struct kvm_cpuid2 *cpuid, const struct engine_vcpu *v, uint32_t leaf, uint32_t subleaf,
                bool has_subleaves)
{
    uint32_t out[4];
    x86_cpuid(&v->vm->model, &v->platform.topology, NULL, leaf, subleaf, out);
    cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
        .function = leaf,
        .index = subleaf,
        .flags = has_subleaves ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
        .eax = out[0],
        .ebx = out[1],
        .ecx = out[2],
        .edx = out[3],
    };
}

static unsigned subleaves(uint32_t leaf)
{
    switch (leaf) {
    case 4: return 5; /* the last is empty */
    case 7: return 1;
    case 0xb:
    case 0xd: return 2;
    default: return 0;
    }
}

int kvm_set_cpuid(struct engine_vcpu *v, struct error *error)
{
    enum { EXTENDED_COUNT = 9 };
    const uint32_t extended = 0x80000000;
    struct kvm_cpuid2 *cpuid = v->vm->cpuid;
    cpuid->nent = 0;
    for (uint32_t leaf = 0; leaf <= v->vm->model.last_leaf; leaf++) {
        const unsigned count = subleaves(leaf);
        for (unsigned i = 0; i < MAX(count, 1); i++)
            add(cpuid, v, leaf, i, count > 0);
    }
    for (uint32_t leaf = 0; (leaf = x86_hypervisor_leaf(&v->vm->model, leaf));)
        add(cpuid, v, leaf, 0, false);
    for (uint32_t i = 0; i < EXTENDED_COUNT; i++)
        add(cpuid, v, extended + i, 0, false);
    if (ioctl(v->fd, KVM_SET_CPUID2, cpuid) < 0)
        return error_set(error, -errno, "KVM refuses the processor: %s", strerror(errno));
    return 0;
}

/* -- what the host can do -------------------------------------------------------------------------------- */

static const struct {
    uint32_t leaf, subleaf;
    uint8_t output; /* EAX to EDX */
} words[X86_FEATURE_WORD_COUNT] = {
    [X86_FEATURES_1_EDX] = {1, 0, 3},
    [X86_FEATURES_1_ECX] = {1, 0, 2},
    [X86_FEATURES_7_EBX] = {7, 0, 1},
    [X86_FEATURES_7_ECX] = {7, 0, 2},
    [X86_FEATURES_7_EDX] = {7, 0, 3},
    [X86_FEATURES_D1_EAX] = {0xd, 1, 0},
    [X86_FEATURES_EXT_EDX] = {0x80000001, 0, 3},
    [X86_FEATURES_EXT_ECX] = {0x80000001, 0, 2},
    [X86_FEATURES_INVARIANT_EDX] = {0x80000007, 0, 3},
    [X86_FEATURES_KVM_EAX] = {0x40000001, 0, 0},
    [X86_FEATURES_HYPERV_EAX] = {0x40000003, 0, 0},
};

/* Those that are visor's doing under this engine, too. */
static bool is_ours(unsigned feature)
{
    switch (feature) {
    case X86_FEATURE_APIC:
    case X86_FEATURE_X2APIC:
    case X86_FEATURE_TSC_DEADLINE:
    case X86_FEATURE_MTRR:
    case X86_FEATURE_PAT:
    case X86_FEATURE_MCA:
    case X86_FEATURE_HTT:
    case X86_FEATURE_OSXSAVE:
    case X86_FEATURE_HYPERVISOR:
    case X86_FEATURE_TSC_ADJUST:
    case X86_FEATURE_INVARIANT_TSC:
    case X86_FEATURE_ARCH_CAPABILITIES:
    case X86_FEATURE_HYPERV:
    case X86_FEATURE_HYPERV_SYNIC:
    case X86_FEATURE_KVMCLOCK:
    case X86_FEATURE_KVM_STEAL_TIME:
    case X86_FEATURE_KVM_PV_EOI: return true;
    default: return false;
    }
}

static void supported(const struct kvm_cpuid2 *cpuid, uint32_t out[X86_FEATURE_WORD_COUNT])
{
    memset(out, 0, X86_FEATURE_WORD_COUNT * sizeof out[0]);
    for (unsigned word = 0; word < X86_FEATURE_WORD_COUNT; word++) {
        for (unsigned i = 0; i < cpuid->nent; i++) {
            const struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
            const uint32_t values[] = {entry->eax, entry->ebx, entry->ecx, entry->edx};
            if (entry->function == words[word].leaf && entry->index == words[word].subleaf)
                out[word] = values[words[word].output];
        }
    }
}

static bool has(const uint32_t *features, unsigned feature)
{
    return features[feature >> 5] >> (feature & 31) & 1;
}

/* Leaves out what is lacking and not required; the names of what is required go to `missing`. */
static void leave_out(struct x86_model *model, const uint32_t *host, char *missing, size_t size)
{
    size_t length = 0;
    missing[0] = '\0';
    for (unsigned i = 0; x86_feature_name(i); i++) {
        const unsigned feature = x86_feature_at(i);
        if (!x86_has(model, feature) || has(host, feature) || is_ours(feature))
            continue;
        model->features[feature >> 5] &= ~(1u << (feature & 31));
        if (has(model->required, feature) && length < size)
            length += (size_t)snprintf(missing + length, size - length, "%s%s", length ? ", " : "",
                                       x86_feature_name(i));
    }
}

int kvm_fit(struct x86_model *model, struct error *error)
{
    char missing[256];
    uint32_t host[X86_FEATURE_WORD_COUNT];
    struct kvm_cpuid2 *cpuid = kvm_cpuid_new();
    const int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int code = 0;
    if (!cpuid)
        code = error_set(error, -ENOMEM, "out of memory");
    else if (kvm < 0 || ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
        code = error_set(error, -errno, "KVM does not say what processors it can make: %s", strerror(errno));
    if (!code) {
        supported(cpuid, host);
        leave_out(model, host, missing, sizeof missing);
        if (missing[0]) {
            code = error_set(error, -ENOTSUP, "this host's KVM cannot make a processor %s: it lacks %s",
                             model->name, missing);
            error_hint(error, "try --cpu max, which has what there is, or --engine translate");
        }
    }
    if (kvm >= 0)
        close(kvm);
    free(cpuid);
    return code;
}
