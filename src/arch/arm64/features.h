/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arm64 features: what the emulated CPU has, in one place.
 *
 * The decoder refuses instructions of features that are not listed; AT_HWCAP and /proc/cpuinfo are
 * made from this table, so that what is reported and what works cannot differ. Bits are Linux's
 * (include/uapi/asm/hwcap.h of the arm64 kernel).
 */
#ifndef VISOR_ARCH_ARM64_FEATURES_H
#define VISOR_ARCH_ARM64_FEATURES_H

#include <stdint.h>

/* ID registers by CRm:op2 (op0 = 3, op1 = 0, CRn = 0). */
enum arm64_id {
    ARM64_ID_MIDR = 0,
    ARM64_ID_MPIDR = 5,
    ARM64_ID_PFR0 = 4 << 3,
    ARM64_ID_DFR0 = 5 << 3,
    ARM64_ID_ISAR0 = 6 << 3,
    ARM64_ID_ISAR1 = 6 << 3 | 1,
    ARM64_ID_MMFR0 = 7 << 3,
};

struct arm64_feature {
    const char *name; /* as /proc/cpuinfo prints it */
    uint32_t hwcap;   /* its bit in AT_HWCAP */
    uint8_t id;       /* the register that tells of it, */
    uint8_t shift;    /* its field there */
    uint8_t value;    /* and what that holds at least */
};

/* In /proc/cpuinfo's order. */
static const struct arm64_feature arm64_features[] = {
    {"fp", 1 << 0, ARM64_ID_PFR0, 16, 0},       {"asimd", 1 << 1, ARM64_ID_PFR0, 20, 0},
    {"aes", 1 << 3, ARM64_ID_ISAR0, 4, 1},      {"pmull", 1 << 4, ARM64_ID_ISAR0, 4, 2},
    {"sha1", 1 << 5, ARM64_ID_ISAR0, 8, 1},     {"sha2", 1 << 6, ARM64_ID_ISAR0, 12, 1},
    {"crc32", 1 << 7, ARM64_ID_ISAR0, 16, 1},   {"atomics", 1 << 8, ARM64_ID_ISAR0, 20, 2},
    {"fphp", 1 << 9, ARM64_ID_PFR0, 16, 1},     {"asimdhp", 1 << 10, ARM64_ID_PFR0, 20, 1},
    {"cpuid", 1 << 11, ARM64_ID_PFR0, 0, 1},    {"asimdrdm", 1 << 12, ARM64_ID_ISAR0, 28, 1},
    {"jscvt", 1 << 13, ARM64_ID_ISAR1, 12, 1},  {"fcma", 1 << 14, ARM64_ID_ISAR1, 16, 1},
    {"lrcpc", 1 << 15, ARM64_ID_ISAR1, 20, 1},  {"dcpop", 1 << 16, ARM64_ID_ISAR1, 0, 1},
    {"sha3", 1 << 17, ARM64_ID_ISAR0, 32, 1},   {"asimddp", 1 << 20, ARM64_ID_ISAR0, 44, 1},
    {"sha512", 1 << 21, ARM64_ID_ISAR0, 12, 2}, {"asimdfhm", 1 << 23, ARM64_ID_ISAR0, 48, 1},
    {"ilrcpc", 1 << 26, ARM64_ID_ISAR1, 20, 2},
};

/* MIDR_EL1 that /proc/cpuinfo's implementer, variant, part and revision describe: "Arm, Cortex-A57
 * r1p0" is the best known core; no core has exactly the features above. */
#define ARM64_MIDR 0x411fd070u

/* An ID register as Linux shows it to user code: fields that it hides have their safe values. */
static inline uint64_t arm64_id_register(unsigned id)
{
    uint64_t value = 0;
    switch (id) {
    case ARM64_ID_MIDR: return ARM64_MIDR;
    case ARM64_ID_MPIDR: return 1u << 31;
    case ARM64_ID_PFR0: value = 0x11; break;        /* EL0 and EL1 run AArch64 only */
    case ARM64_ID_DFR0: value = 6; break;           /* debug architecture */
    case ARM64_ID_MMFR0: value = 0xff000000; break; /* no granules are told of */
    default: break;
    }
    for (unsigned i = 0; i < sizeof arm64_features / sizeof arm64_features[0]; i++) {
        const struct arm64_feature *f = &arm64_features[i];
        if (f->id == id && (value >> f->shift & 15) < f->value)
            value = (value & ~(UINT64_C(15) << f->shift)) | (uint64_t)f->value << f->shift;
    }
    return value;
}

/* FPCR bits that can be set: AHP, DN, FZ, RMode, FZ16. */
#define ARM64_FPCR_MASK 0x07c80000u
/* FPSR bits that can be set: QC, IDC, IXC, UFC, OFC, DZC, IOC. */
#define ARM64_FPSR_MASK 0x0800009fu

#endif
