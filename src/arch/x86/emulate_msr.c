/* SPDX-License-Identifier: GPL-2.0-or-later */
/* emulate_msr: model-specific registers, the time-stamp counter, CPUID. Intel SDM volume 4. */
#include "arch/x86/emulation.h"
#include "arch/x86/features.h"

enum {
    MSR_TSC = 0x10,
    MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1b,
    MSR_FEATURE_CONTROL = 0x3a,
    MSR_TSC_ADJUST = 0x3b,
    MSR_MICROCODE_UPDATE = 0x79,
    MSR_MICROCODE_REVISION = 0x8b,
    MSR_MTRR_CAP = 0xfe,
    MSR_ARCH_CAPABILITIES = 0x10a,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_DEBUGCTL = 0x1d9,
    MSR_MTRR_BASE0 = 0x200,
    MSR_MTRR_FIXED_64K = 0x250,
    MSR_MTRR_FIXED_16K = 0x258,
    MSR_MTRR_FIXED_4K = 0x268,
    MSR_PAT = 0x277,
    MSR_MTRR_DEF_TYPE = 0x2ff,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC_FIRST = 0x800,
    MSR_X2APIC_LAST = 0x8ff,
};
#define MSR_EFER           0xc0000080u
#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_SFMASK         0xc0000084u
#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX        0xc0000103u

/* Not affected by: Meltdown (RDCL_NO), L1TF, speculative store bypass (SSB_NO), MDS, machine checks at
 * changes of a page's size, TAA, what leaks from buffers of stores and MMIO (three), branch history, GDS,
 * RFDS, ITS. */
#define ARCH_CAPABILITIES                                                                                    \
    (1ull << 0 | 1ull << 3 | 1ull << 4 | 1ull << 5 | 1ull << 6 | 1ull << 8 | 7ull << 13 | 1ull << 20 |       \
     3ull << 26 | 1ull << 62)

enum {
    MTRR_CAP = X86_MTRR_VARIABLE | 1 << 8 | 1 << 10, /* fixed ones, and write combining */
    MISC_ENABLE_FIXED = 1 << 11 | 1 << 12,           /* no branch trace, no precise events */
    DEBUGCTL_WRITABLE = 1 << 0 | 1 << 1,             /* LBR, which records nothing, and BTF */
    FEATURE_CONTROL_LOCKED = 1,
    APIC_BASE_X2APIC = 1 << 10,
    APIC_BASE_ENABLED = 1 << 11,
};
/* Kept, and without effect. */
#define MISC_ENABLE_WRITABLE                                                                                 \
    (1ull << 0 | 1ull << 3 | 1ull << 7 | 1ull << 16 | 1ull << 18 | 1ull << 22 | 1ull << 23 | 1ull << 34)
#define MICROCODE_REVISION (0x10full << 32)

/* -- the time-stamp counter ------------------------------------------------------------------------------ */

static uint64_t read_tsc(const struct x86_emulation *e)
{
    const struct x86_platform *p = e->platform;
    return (p->tsc ? p->tsc(p->opaque) : 0) + e->state->tsc_offset;
}

int x86_emulate_rdtsc(struct x86_emulation *e)
{
    if (e->state->cr4 & X86_CR4_TSD && e->cpl != 0)
        return x86_protection(e);
    x86_register_set_pair(e->state, read_tsc(e));
    return X86_EMULATED;
}

int x86_emulate_rdtscp(struct x86_emulation *e)
{
    if (x86_emulate_rdtsc(e) < 0)
        return X86_RAISED;
    e->state->gpr[X86_RCX] = (uint32_t)e->state->tsc_aux;
    return X86_EMULATED;
}

/* There are no counters. */
int x86_emulate_rdpmc(struct x86_emulation *e)
{
    return x86_protection(e);
}

/* Both move the counter; the other register shows by how much it was moved: volume 3, 17.17.3. */
static void move_tsc(struct x86_state *s, uint64_t by)
{
    s->tsc_offset += by;
    s->tsc_adjust += by;
}

/* -- CPUID ----------------------------------------------------------------------------------------------- */

/* Disabled as a whole, the local APIC is not listed. */
static bool apic_is_off(const struct x86_emulation *e)
{
    const struct x86_platform *p = e->platform;
    uint64_t base;
    return p->msr_read && p->msr_read(p->opaque, MSR_APIC_BASE, &base) && !(base & APIC_BASE_ENABLED);
}

int x86_emulate_cpuid(struct x86_emulation *e)
{
    const struct x86_platform *p = e->platform;
    uint64_t *gpr = e->state->gpr;
    const uint32_t leaf = (uint32_t)gpr[X86_RAX];
    uint32_t out[4];

    x86_cpuid(p->model, &p->topology, e->state, leaf, (uint32_t)gpr[X86_RCX], out);
    if (leaf == 1 && apic_is_off(e))
        out[3] &= ~(1u << (X86_FEATURE_APIC & 31));
    gpr[X86_RAX] = out[0], gpr[X86_RBX] = out[1], gpr[X86_RCX] = out[2], gpr[X86_RDX] = out[3];
    return X86_EMULATED;
}

/* -- registers that are a place in the state ---------------------------------------------------------------
 */

enum check { ANY, CANONICAL, WORD, TYPES, BASE };

struct place {
    uint64_t *value;
    unsigned check;
    unsigned feature; /* without which there is no such register */
};

static unsigned fixed_mtrr(uint32_t msr)
{
    return msr == MSR_MTRR_FIXED_64K       ? 0
           : msr <= MSR_MTRR_FIXED_16K + 1 ? 1 + (msr - MSR_MTRR_FIXED_16K)
                                           : 3 + (msr - MSR_MTRR_FIXED_4K);
}

/* Those of 32-bit processors. */
static struct place find_old(struct x86_state *s, uint32_t msr)
{
    switch (msr) {
    case MSR_SYSENTER_CS: return (struct place){&s->sysenter_cs, WORD, X86_FEATURE_SEP};
    case MSR_SYSENTER_ESP: return (struct place){&s->sysenter_esp, CANONICAL, X86_FEATURE_SEP};
    case MSR_SYSENTER_EIP: return (struct place){&s->sysenter_eip, CANONICAL, X86_FEATURE_SEP};
    case MSR_PAT: return (struct place){&s->pat, TYPES, X86_FEATURE_PAT};
    case MSR_MTRR_BASE0 ... MSR_MTRR_BASE0 + 2 * X86_MTRR_VARIABLE - 1: {
        const unsigned n = (msr - MSR_MTRR_BASE0) / 2;
        return (struct place){msr & 1 ? &s->mtrr_mask[n] : &s->mtrr_base[n], BASE, X86_FEATURE_MTRR};
    }
    case MSR_MTRR_FIXED_64K:
    case MSR_MTRR_FIXED_16K ... MSR_MTRR_FIXED_16K + 1:
    case MSR_MTRR_FIXED_4K ... MSR_MTRR_FIXED_4K + 7:
        return (struct place){&s->mtrr_fixed[fixed_mtrr(msr)], TYPES, X86_FEATURE_MTRR};
    default: return (struct place){0};
    }
}

static struct place find_place(struct x86_state *s, uint32_t msr)
{
    switch (msr) {
    case MSR_STAR: return (struct place){&s->star, ANY, X86_FEATURE_SYSCALL};
    case MSR_LSTAR: return (struct place){&s->lstar, CANONICAL, X86_FEATURE_LM};
    case MSR_CSTAR: return (struct place){&s->cstar, CANONICAL, X86_FEATURE_LM};
    case MSR_SFMASK: return (struct place){&s->sfmask, WORD, X86_FEATURE_LM};
    case MSR_FS_BASE: return (struct place){&s->segment_base[X86_FS], CANONICAL, X86_FEATURE_LM};
    case MSR_GS_BASE: return (struct place){&s->segment_base[X86_GS], CANONICAL, X86_FEATURE_LM};
    case MSR_KERNEL_GS_BASE: return (struct place){&s->kernel_gs_base, CANONICAL, X86_FEATURE_LM};
    case MSR_TSC_AUX: return (struct place){&s->tsc_aux, WORD, X86_FEATURE_RDTSCP};
    default: return find_old(s, msr);
    }
}

/* Of memory: UC, WC, WT, WP, WB, and in the PAT UC-. */
static bool types_valid(uint64_t value, bool pat)
{
    for (unsigned i = 0; i < 8; i++) {
        const unsigned type = value >> 8 * i & 255;
        if (type > 7 || type == 2 || type == 3 || (type == 7 && !pat))
            return false;
    }
    return true;
}

static bool place_accepts(const struct x86_emulation *e, const struct place *place, uint32_t msr,
                          uint64_t value)
{
    switch (place->check) {
    case CANONICAL: return x86_canonical(value);
    case WORD: return value >> 32 == 0;
    case TYPES: return types_valid(value, msr == MSR_PAT);
    case BASE:
        return value >> e->platform->model->physical_bits == 0 &&
               (msr & 1 ? !(value & 0x7ff) : !(value & 0xf00) && types_valid(value & 255, false));
    default: return true;
    }
}

/* -- reading -----------------------------------------------------------------------------------------------
 */

static bool read_constant(const struct x86_emulation *e, uint32_t msr, uint64_t *value)
{
    unsigned feature = X86_FEATURE_MSR;
    *value = 0;
    switch (msr) {
    case MSR_PLATFORM_ID: break;
    case MSR_MCG_CAP: /* no banks */
    case MSR_MCG_STATUS: feature = X86_FEATURE_MCA; break;
    case MSR_MICROCODE_REVISION: *value = MICROCODE_REVISION; break;
    case MSR_FEATURE_CONTROL:
        *value = FEATURE_CONTROL_LOCKED;
        feature = X86_FEATURE_LM;
        break;
    case MSR_MTRR_CAP:
        *value = MTRR_CAP;
        feature = X86_FEATURE_MTRR;
        break;
    case MSR_ARCH_CAPABILITIES:
        *value = ARCH_CAPABILITIES;
        feature = X86_FEATURE_ARCH_CAPABILITIES;
        break;
    default: return false;
    }
    return x86_emulation_has(e, feature);
}

/* Whether the model has one of the local APIC's. */
static bool apic_has(const struct x86_emulation *e, uint32_t msr)
{
    if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
        return x86_emulation_has(e, X86_FEATURE_X2APIC);
    if (msr == MSR_TSC_DEADLINE)
        return x86_emulation_has(e, X86_FEATURE_TSC_DEADLINE);
    return msr != MSR_APIC_BASE || x86_emulation_has(e, X86_FEATURE_APIC);
}

static bool read_outside(const struct x86_emulation *e, uint32_t msr, uint64_t *value)
{
    const struct x86_platform *p = e->platform;
    return apic_has(e, msr) && p->msr_read && p->msr_read(p->opaque, msr, value);
}

static bool write_outside(const struct x86_emulation *e, uint32_t msr, uint64_t value)
{
    const struct x86_platform *p = e->platform;
    if (msr == MSR_APIC_BASE && value & APIC_BASE_X2APIC && !x86_emulation_has(e, X86_FEATURE_X2APIC))
        return false;
    return apic_has(e, msr) && p->msr_write && p->msr_write(p->opaque, msr, value);
}

static bool read_msr(struct x86_emulation *e, uint32_t msr, uint64_t *value)
{
    struct x86_state *s = e->state;
    const struct place place = find_place(s, msr);

    if (place.value) {
        *value = *place.value;
        return x86_emulation_has(e, place.feature);
    }
    switch (msr) {
    case MSR_TSC: *value = read_tsc(e); return true;
    case MSR_TSC_ADJUST: *value = s->tsc_adjust; return x86_emulation_has(e, X86_FEATURE_TSC_ADJUST);
    case MSR_MISC_ENABLE:
        *value = s->misc_enable | MISC_ENABLE_FIXED;
        return x86_emulation_has(e, X86_FEATURE_LM);
    case MSR_DEBUGCTL: *value = s->debugctl; return true;
    case MSR_MTRR_DEF_TYPE: *value = s->mtrr_def_type; return x86_emulation_has(e, X86_FEATURE_MTRR);
    case MSR_EFER:
        *value = s->efer;
        return x86_emulation_has(e, X86_FEATURE_NX) || x86_emulation_has(e, X86_FEATURE_LM);
    default: break;
    }
    return read_constant(e, msr, value) || read_outside(e, msr, value);
}

bool x86_msr_read(struct x86_state *state, const struct x86_platform *platform, uint32_t msr, uint64_t *value)
{
    struct x86_emulation e = {.state = state, .platform = platform};
    return read_msr(&e, msr, value);
}

int x86_emulate_rdmsr(struct x86_emulation *e)
{
    uint64_t value;
    if (e->cpl != 0 || !read_msr(e, (uint32_t)e->state->gpr[X86_RCX], &value))
        return x86_protection(e);
    x86_register_set_pair(e->state, value);
    return X86_EMULATED;
}

/* -- writing -----------------------------------------------------------------------------------------------
 */

static bool write_efer(struct x86_emulation *e, uint64_t value)
{
    struct x86_state *s = e->state;
    uint64_t mask = X86_EFER_LMA;

    mask |= x86_emulation_has(e, X86_FEATURE_SYSCALL) ? X86_EFER_SCE : 0;
    mask |= x86_emulation_has(e, X86_FEATURE_LM) ? X86_EFER_LME : 0;
    mask |= x86_emulation_has(e, X86_FEATURE_NX) ? X86_EFER_NXE : 0;
    if (mask == X86_EFER_LMA || value & ~mask)
        return false;
    if ((value ^ s->efer) & X86_EFER_LME && s->cr0 & X86_CR0_PG)
        return false;
    value = (value & ~(uint64_t)X86_EFER_LMA) | (s->efer & X86_EFER_LMA);
    const bool flush = (value ^ s->efer) & X86_EFER_NXE;
    s->efer = value;
    if (flush && e->platform->flush)
        e->platform->flush(e->platform->opaque, X86_FLUSH_ALL, 0);
    return true;
}

static bool write_def_type(struct x86_emulation *e, uint64_t value)
{
    if (value & ~0xcffull || !types_valid(value & 255, false) || !x86_emulation_has(e, X86_FEATURE_MTRR))
        return false;
    e->state->mtrr_def_type = value;
    return true;
}

static bool write_tsc_adjust(struct x86_emulation *e, uint64_t value)
{
    if (!x86_emulation_has(e, X86_FEATURE_TSC_ADJUST))
        return false;
    move_tsc(e->state, value - e->state->tsc_adjust);
    return true;
}

static bool write_bits(uint64_t *value, uint64_t new, uint64_t writable, uint64_t fixed)
{
    if (new & ~(writable | fixed))
        return false;
    *value = new &writable;
    return true;
}

static bool write_msr(struct x86_emulation *e, uint32_t msr, uint64_t value)
{
    struct x86_state *s = e->state;
    const struct place place = find_place(s, msr);

    if (place.value) {
        if (!x86_emulation_has(e, place.feature) || !place_accepts(e, &place, msr, value))
            return false;
        *place.value = value;
        return true;
    }
    switch (msr) {
    case MSR_TSC: move_tsc(s, value - read_tsc(e)); return true;
    case MSR_TSC_ADJUST: return write_tsc_adjust(e, value);
    case MSR_MISC_ENABLE:
        return x86_emulation_has(e, X86_FEATURE_LM) &&
               write_bits(&s->misc_enable, value, MISC_ENABLE_WRITABLE, MISC_ENABLE_FIXED);
    case MSR_DEBUGCTL: return write_bits(&s->debugctl, value, DEBUGCTL_WRITABLE, 0);
    case MSR_MTRR_DEF_TYPE: return write_def_type(e, value);
    case MSR_EFER: return write_efer(e, value);
    case MSR_MICROCODE_REVISION: /* software clears it before it asks by CPUID */
    case MSR_MICROCODE_UPDATE: return true;
    case MSR_MCG_STATUS: return value == 0 && x86_emulation_has(e, X86_FEATURE_MCA);
    default: return write_outside(e, msr, value);
    }
}

bool x86_msr_write(struct x86_state *state, const struct x86_platform *platform, uint32_t msr, uint64_t value)
{
    struct x86_emulation e = {.state = state, .platform = platform};
    return write_msr(&e, msr, value);
}

int x86_emulate_wrmsr(struct x86_emulation *e)
{
    if (e->cpl != 0 || !write_msr(e, (uint32_t)e->state->gpr[X86_RCX], x86_register_pair(e->state)))
        return x86_protection(e);
    return X86_EMULATED;
}
