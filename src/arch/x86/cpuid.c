/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cpuid: what CPUID answers. Intel SDM volume 2, CPUID. */
#include <string.h>

#include "arch/x86/core.h"
#include "arch/x86/features.h"
#include "base/macros.h"

enum {
    LEAF_HYPERVISOR = 0x40000000,
    LEAF_HYPERVISOR_STEP = 0x100, /* from one interface to the next */
    KVM_CLOCK_OLD = 1 << 0,
    KVM_CLOCK_STABLE = 1 << 24,
    KVM_ASYNC_FAULT_INTERRUPT = 1 << 14,
    XSAVE_AREA = 512 + 64, /* x87 and SSE */
    CRYSTAL_MHZ = 1000,    /* of the local APIC's timer, which counts nanoseconds, as the TSC does mostly */
};
#define LEAF_EXTENDED      0x80000000
#define LEAF_EXTENDED_LAST 0x80000008

static const char hypervisor_signature[12] = {'v', 'i', 's', 'o', 'r', ' ', 'v', 'i', 's', 'o', 'r', ' '};
static const char hyperv_signature[12] = {'M', 'i', 'c', 'r', 'o', 's', 'o', 'f', 't', ' ', 'H', 'v'};
static const char hyperv_interface[4] = {'H', 'v', '#', '1'};
static const char kvm_signature[12] = {'K', 'V', 'M', 'K', 'V', 'M', 'K', 'V', 'M'};

/* How many bits number `count` things. */
static unsigned bits_for(unsigned count)
{
    unsigned bits = 0;
    while (1u << bits < count)
        bits++;
    return bits;
}

static void leaf_1(const struct x86_model *m, const struct x86_topology *t, const struct x86_state *s,
                   uint32_t out[4])
{
    const unsigned family = m->family > 15 ? 15 : m->family;
    const unsigned count = 1u << bits_for(t->vcpu_count);

    out[0] =
        m->stepping | (m->model & 15) << 4 | family << 8 | (m->model >> 4) << 16 | (m->family - family) << 20;
    out[1] = t->apic_id << 24 | (x86_has(m, X86_FEATURE_CLFLUSH) ? 8 << 8 : 0);
    out[2] = m->features[X86_FEATURES_1_ECX];
    out[3] = m->features[X86_FEATURES_1_EDX];
    if (x86_has(m, X86_FEATURE_APIC) && t->vcpu_count > 1) {
        out[1] |= (count > 255 ? 255 : count) << 16;
        out[3] |= 1u << 28;
    }
    out[2] &= ~(1u << 27);
    if (x86_has(m, X86_FEATURE_XSAVE) && s && s->cr4 & X86_CR4_OSXSAVE)
        out[2] |= 1u << 27;
}

/* Caches: small ones of each core's own, and one for all. */
static void leaf_4(const struct x86_topology *t, uint32_t subleaf, uint32_t out[4])
{
    static const struct {
        uint8_t type, level, ways;
        uint16_t sets;
        bool shared;
    } caches[] = {{1, 1, 8, 64, false}, {2, 1, 8, 64, false}, {3, 2, 8, 512, false}, {3, 3, 16, 8192, true}};
    const unsigned count = 1u << bits_for(t->vcpu_count);

    if (subleaf >= ARRAY_SIZE(caches))
        return;
    const unsigned sharing = caches[subleaf].shared ? count : 1;
    out[0] = caches[subleaf].type | (unsigned)caches[subleaf].level << 5 | 1 << 8 | (sharing - 1) << 14 |
             ((count > 64 ? 64 : count) - 1) << 26;
    out[1] = 63 | (caches[subleaf].ways - 1u) << 22;
    out[2] = caches[subleaf].sets - 1u;
    out[3] = caches[subleaf].shared ? 1 << 1 : 0;
}

/* Each vCPU is a core. */
static void leaf_b(const struct x86_topology *t, uint32_t subleaf, uint32_t out[4])
{
    out[2] = subleaf & 255;
    out[3] = t->apic_id;
    if (subleaf == 0) {
        out[1] = 1;
        out[2] |= 1 << 8;
    } else if (subleaf == 1) {
        out[0] = bits_for(t->vcpu_count);
        out[1] = t->vcpu_count;
        out[2] |= 2 << 8;
    }
}

static void leaf_d(const struct x86_model *m, uint32_t subleaf, uint32_t out[4])
{
    if (!x86_has(m, X86_FEATURE_XSAVE))
        return;
    if (subleaf == 0) {
        out[0] = X86_XCR0_ALL;
        out[1] = out[2] = XSAVE_AREA;
    } else if (subleaf == 1) {
        out[0] = m->features[X86_FEATURES_D1_EAX];
    }
}

/* The TSC's frequency as a fraction of the crystal's, which Linux multiplies by the crystal's kilohertz in 32
 * bits. */
static void leaf_15(const struct x86_model *m, uint32_t out[4])
{
    enum { NUMERATOR_MOST = 4294 };
    const uint64_t crystal = CRYSTAL_MHZ * 1000u, khz = m->tsc_khz;
    uint64_t best = UINT64_MAX;
    for (uint32_t divisor = 1; divisor <= crystal / 1000; divisor++) {
        const uint64_t numerator = (khz * divisor + crystal / 2) / crystal,
                       made = numerator * crystal / divisor;
        const uint64_t off = made > khz ? made - khz : khz - made;
        if (numerator > NUMERATOR_MOST || off >= best)
            continue;
        best = off;
        out[0] = divisor;
        out[1] = (uint32_t)numerator;
    }
    out[2] = CRYSTAL_MHZ * 1000000u;
}

static void basic(const struct x86_model *m, const struct x86_topology *t, const struct x86_state *s,
                  uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    switch (leaf) {
    case 0:
        out[0] = m->last_leaf;
        memcpy(&out[1], m->vendor, 4);
        memcpy(&out[3], m->vendor + 4, 4);
        memcpy(&out[2], m->vendor + 8, 4);
        break;
    case 1: leaf_1(m, t, s, out); break;
    case 2:
        out[0] = x86_has(m, X86_FEATURE_LM) ? 0x00feff01 : 0x03020101; /* "see leaf 4" */
        out[3] = x86_has(m, X86_FEATURE_LM) ? 0 : 0x0c040842;
        break;
    case 4: leaf_4(t, subleaf, out); break;
    case 6: out[0] = x86_has(m, X86_FEATURE_APIC) ? 1 << 2 : 0; break; /* the APIC's timer never stops */
    case 7:
        if (subleaf == 0) {
            out[1] = m->features[X86_FEATURES_7_EBX];
            out[2] = m->features[X86_FEATURES_7_ECX];
            out[3] = m->features[X86_FEATURES_7_EDX];
        }
        break;
    case 0xb: leaf_b(t, subleaf, out); break;
    case 0xd: leaf_d(m, subleaf, out); break;
    case 0x15: leaf_15(m, out); break;
    case 0x16: out[0] = out[1] = m->tsc_khz / 1000, out[2] = 100; break;
    default: break;
    }
}

static void extended(const struct x86_model *m, uint32_t leaf, uint32_t out[4])
{
    switch (leaf) {
    case LEAF_EXTENDED: out[0] = LEAF_EXTENDED_LAST; break;
    case LEAF_EXTENDED + 1:
        out[2] = m->features[X86_FEATURES_EXT_ECX];
        out[3] = m->features[X86_FEATURES_EXT_EDX];
        break;
    case LEAF_EXTENDED + 2:
    case LEAF_EXTENDED + 3:
    case LEAF_EXTENDED + 4: memcpy(out, m->brand + 16 * (leaf - LEAF_EXTENDED - 2), 16); break;
    case LEAF_EXTENDED + 6: out[2] = 256u << 16 | 6 << 12 | 64; break; /* the second cache */
    case LEAF_EXTENDED + 7: out[3] = m->features[X86_FEATURES_INVARIANT_EDX]; break;
    case LEAF_EXTENDED + 8: out[0] = m->physical_bits | (unsigned)m->linear_bits << 8; break;
    default: break;
    }
}

/* -- interfaces of hypervisors, each of its leaves by number -------------------------------------------- */

static bool hyperv_leaf(const struct x86_model *m, const struct x86_topology *t, uint32_t number,
                        uint32_t out[4])
{
    enum { LAST = 6, TIME = 1 << 1, HYPERCALL = 1 << 5, VP_INDEX = 1 << 6, TIME_PAGE = 1 << 9 };
    enum { SYNIC = 1 << 2, TIMERS = 1 << 3, DIRECT_TIMERS = 1 << 19, NO_AUTOMATIC_END = 1 << 9 };
    enum { POST_MESSAGES = 1 << 4, SIGNAL_EVENTS = 1 << 5 };
    enum { FREQUENCIES = 1 << 11, HAS_FREQUENCIES = 1 << 8, RELAXED_TIMING = 1 << 5 };
    const bool synic = x86_has(m, X86_FEATURE_HYPERV_SYNIC);
    switch (number) {
    case 0:
        out[0] = LEAF_HYPERVISOR + LAST;
        memcpy(&out[1], hyperv_signature, sizeof hyperv_signature);
        break;
    case 1: memcpy(out, hyperv_interface, sizeof hyperv_interface); break;
    case 3:
        out[0] = TIME | HYPERCALL | VP_INDEX | TIME_PAGE | FREQUENCIES;
        out[3] = HAS_FREQUENCIES;
        if (synic) {
            out[0] |= SYNIC | TIMERS;
            out[1] = POST_MESSAGES | SIGNAL_EVENTS;
            out[3] |= DIRECT_TIMERS;
        }
        break;
    case 4: /* a watchdog is no sign of a fault; who waits for a lock need not tell */
        out[0] = RELAXED_TIMING | (synic ? NO_AUTOMATIC_END : 0);
        out[1] = UINT32_MAX;
        break;
    case 5: out[0] = t->vcpu_count; break;
    default: break;
    }
    return number <= LAST;
}

static bool kvm_leaf(const struct x86_model *m, const struct x86_topology *t, uint32_t number,
                     uint32_t out[4])
{
    (void)t;
    if (number == 0) {
        out[0] = 1; /* the last one's number */
        memcpy(&out[1], kvm_signature, sizeof kvm_signature);
    } else if (number == 1) {
        out[0] = m->features[X86_FEATURES_KVM_EAX] |
                 (x86_has(m, X86_FEATURE_KVMCLOCK) ? KVM_CLOCK_OLD | KVM_CLOCK_STABLE : 0) |
                 (x86_has(m, X86_FEATURE_KVM_ASYNC_FAULT) ? KVM_ASYNC_FAULT_INTERRUPT : 0);
    }
    return number <= 1;
}

static bool own_leaf(const struct x86_model *m, const struct x86_topology *t, uint32_t number,
                     uint32_t out[4])
{
    (void)m, (void)t;
    memcpy(&out[1], hypervisor_signature, sizeof hypervisor_signature);
    return number == 0;
}

/* Guests look for an interface by its signature: Hyper-V's at the first of these leaves, KVM's there or 100h
 * further on each time. */
static bool hypervisor(const struct x86_model *m, const struct x86_topology *t, uint32_t leaf,
                       uint32_t out[4])
{
    bool (*interfaces[3])(const struct x86_model *m, const struct x86_topology *t, uint32_t number,
                          uint32_t out[4]);
    unsigned count = 0;
    if (!x86_has(m, X86_FEATURE_HYPERVISOR) || leaf < LEAF_HYPERVISOR)
        return false;
    if (x86_has(m, X86_FEATURE_HYPERV))
        interfaces[count++] = hyperv_leaf;
    if (x86_shows_kvm(m))
        interfaces[count++] = kvm_leaf;
    interfaces[count++] = own_leaf;
    const uint32_t index = (leaf - LEAF_HYPERVISOR) / LEAF_HYPERVISOR_STEP,
                   number = leaf % LEAF_HYPERVISOR_STEP;
    uint32_t values[4] = {0};
    if (index >= count || !interfaces[index](m, t, number, values))
        return false;
    if (number == 0 && interfaces[index] != hyperv_leaf)
        values[0] += leaf;
    memcpy(out, values, sizeof values);
    return true;
}

bool x86_shows_kvm(const struct x86_model *model)
{
    return x86_has(model, X86_FEATURE_HYPERVISOR) && model->features[X86_FEATURES_KVM_EAX];
}

uint32_t x86_hypervisor_leaf(const struct x86_model *model, uint32_t leaf)
{
    static const struct x86_topology none;
    uint32_t out[4];
    leaf = leaf ? leaf + 1 : LEAF_HYPERVISOR;
    if (!hypervisor(model, &none, leaf, out))
        leaf = (leaf / LEAF_HYPERVISOR_STEP + 1) * LEAF_HYPERVISOR_STEP;
    return hypervisor(model, &none, leaf, out) ? leaf : 0;
}

void x86_cpuid(const struct x86_model *model, const struct x86_topology *topology,
               const struct x86_state *state, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0, 4 * sizeof *out);
    if (hypervisor(model, topology, leaf, out))
        return;
    if (leaf >= LEAF_EXTENDED && leaf <= LEAF_EXTENDED_LAST && x86_has(model, X86_FEATURE_CMOV)) {
        extended(model, leaf, out);
    } else {
        /* Beyond the last one Intel's processors answer as that. */
        basic(model, topology, state, leaf > model->last_leaf ? model->last_leaf : leaf, subleaf, out);
    }
}
