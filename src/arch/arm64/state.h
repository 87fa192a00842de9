/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arm64 state: the registers of one AArch64 CPU as user code sees them.
 *
 * This struct belongs to the architecture, not to an engine: whatever runs the CPU keeps its state
 * here whenever it is not running guest code. Specification: Arm ARM (DDI 0487), B1.2 and C5.2.
 */
#ifndef VISOR_ARCH_ARM64_STATE_H
#define VISOR_ARCH_ARM64_STATE_H

#include <stdint.h>

#include "arch/nzcv.h"
#include "base/vector.h"

struct arm64_state {
    uint64_t x[31]; /* x[29] frame pointer, x[30] link register */
    uint64_t sp;
    uint64_t pc;
    uint16_t flags; /* NZCV, packed as NZCV_* says */
    uint16_t reserved;
    uint32_t fpcr;  /* only bits that arm64_fpcr_mask names are ever set */
    uint32_t fpsr;  /* sticky flags gathered so far; the host FPU may hold more, see arm64_read_fpsr() */
    uint32_t qc;    /* non-zero: a saturating instruction saturated (FPSR.QC) */
    uint64_t tpidr; /* TPIDR_EL0, the thread pointer */
    union vector128 v[32];
};

/* NZCV in the architecture's own layout, bits 31..28, as in PSTATE, SPSR and signal frames. */
static inline uint32_t arm64_nzcv_get(const struct arm64_state *s)
{
    uint32_t f = s->flags;
    return (f & NZCV_N ? 1u << 31 : 0) | (f & NZCV_Z ? 1u << 30 : 0) | (f & NZCV_B ? 0 : 1u << 29) |
           (f & NZCV_V ? 1u << 28 : 0);
}

static inline void arm64_nzcv_set(struct arm64_state *s, uint32_t nzcv)
{
    s->flags = (uint16_t)((nzcv & 1u << 31 ? NZCV_N : 0) | (nzcv & 1u << 30 ? NZCV_Z : 0) |
                          (nzcv & 1u << 29 ? 0 : NZCV_B) | (nzcv & 1u << 28 ? NZCV_V : 0));
}

#endif
