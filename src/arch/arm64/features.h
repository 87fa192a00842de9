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

struct arm64_feature {
    const char *name; /* as /proc/cpuinfo prints it */
    uint64_t hwcap;   /* its bit in AT_HWCAP */
};

/* In /proc/cpuinfo's order. */
static const struct arm64_feature arm64_features[] = {
    {"fp", 1 << 0},   {"asimd", 1 << 1}, {"aes", 1 << 3},   {"pmull", 1 << 4},
    {"sha1", 1 << 5}, {"sha2", 1 << 6},  {"crc32", 1 << 7}, {"atomics", 1 << 8},
};

/* MIDR_EL1 that /proc/cpuinfo's implementer, variant, part and revision describe: "Arm, Cortex-A57
 * r1p0" is the best known core without later extensions, though it lacks the LSE atomics. */
#define ARM64_MIDR 0x411fd070u

/* FPCR bits that can be set: DN, FZ, RMode. */
#define ARM64_FPCR_MASK 0x03c00000u
/* FPSR bits that can be set: QC, IDC, IXC, UFC, OFC, DZC, IOC. */
#define ARM64_FPSR_MASK 0x0800009fu

#endif
