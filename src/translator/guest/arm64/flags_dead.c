/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flags_use: whether code sets the condition flags before it reads them. A quick look by masks, for each
 * exit of each region; what it does not know counts as a reader.
 *
 * A load, store or undefined instruction on the way may raise a signal whose frame then shows flags that are
 * out of date. They are dead even so: the interrupted code sets them before it reads them.
 */
#include <string.h>

#include "translator/guest/arm64/immediate.h"
#include "translator/guest/arm64/private.h"

enum effect { EFFECT_NONE, EFFECT_SETS, EFFECT_READS };

/* ADDS, SUBS (immediate) and ANDS (immediate): C4.1 "Data Processing -- Immediate" */
static enum effect scan_immediate(uint32_t w)
{
    uint64_t imm;
    if ((w & 0x3f800000) == 0x31000000)
        return EFFECT_SETS;
    if ((w & 0x7f800000) == 0x72000000 &&
        arm64_logical_immediate(w >> 31, w >> 22 & 1, w >> 16 & 63, w >> 10 & 63, &imm))
        return EFFECT_SETS;
    return EFFECT_NONE;
}

/* C4.1 "Data Processing -- Register" */
static enum effect scan_register(uint32_t w)
{
    bool amount_is_valid = w >> 31 || !(w & 1 << 15);

    if ((w & 0x7f000000) == 0x6a000000) /* ANDS, BICS */
        return amount_is_valid ? EFFECT_SETS : EFFECT_NONE;
    if ((w & 0x3f200000) == 0x2b000000) /* ADDS, SUBS (shifted register) */
        return amount_is_valid && (w >> 22 & 3) != 3 ? EFFECT_SETS : EFFECT_NONE;
    if ((w & 0x3fe00000) == 0x2b200000) /* ADDS, SUBS (extended register) */
        return (w >> 10 & 7) <= 4 ? EFFECT_SETS : EFFECT_NONE;
    switch (w & 0x1fe00000) {
    case 0x1a000000: /* ADC, SBC, and flag manipulation */
    case 0x1a400000: /* CCMP, CCMN */
    case 0x1a800000: /* CSEL ... */ return EFFECT_READS;
    default: return EFFECT_NONE;
    }
}

/* C4.1 "Data Processing -- Scalar Floating-Point and Advanced SIMD" */
static enum effect scan_vector(uint32_t w)
{
    if ((w & 0xffa0fc07) == 0x1e202000) /* FCMP, FCMPE; with bit 3 rm is ignored */
        return EFFECT_SETS;
    if ((w & 0x7f200400) == 0x1e200400) /* FCCMP, FCCMPE, FCSEL */
        return EFFECT_READS;
    return EFFECT_NONE;
}

/* C4.1 "Branches, Exception Generating and System instructions", without the branches of
 * scan_branch() */
static enum effect scan_system(uint32_t w)
{
    if ((w & 0xfffff01f) == 0xd503201f || (w & 0xfffff01f) == 0xd503301f) /* hints, barriers */
        return EFFECT_NONE;
    if ((w & 0xffffffe0) == 0xd51b4200) /* MSR NZCV */
        return EFFECT_SETS;
    if ((w & 0xffffffe0) == 0xd53bd040) /* MRS TPIDR_EL0 */
        return EFFECT_NONE;
    return EFFECT_READS;
}

static enum effect scan(uint32_t w)
{
    switch (w >> 25 & 15) {
    case 8:
    case 9: return scan_immediate(w);
    case 10:
    case 11: return scan_system(w);
    case 5:
    case 13: return scan_register(w);
    case 7:
    case 15: return scan_vector(w);
    case 4:
    case 6:
    case 12:
    case 14: return EFFECT_NONE; /* loads and stores */
    default: return EFFECT_READS;
    }
}

/* B, BL, CBZ, CBNZ, TBZ, TBNZ: where it goes on. */
static bool scan_branch(uint64_t pc, uint32_t w, struct guest_flags_path *path)
{
    if ((w & 0x7c000000) == 0x14000000) {
        path->next[0] = pc + (uint64_t)((int64_t)(int32_t)(w << 6) >> 4);
        path->count = 1;
        return true;
    }
    bool test = (w & 0x7e000000) == 0x36000000;
    if (!test && (w & 0x7e000000) != 0x34000000)
        return false;
    int32_t words = test ? (int32_t)(w << 13) >> 18 : (int32_t)(w << 8) >> 13;
    path->next[0] = pc + (uint64_t)((int64_t)words * 4);
    path->next[1] = pc + 4;
    path->count = 2;
    return true;
}

enum guest_flags_use arm64_flags_use(uint64_t pc, const uint8_t *code, size_t limit,
                                     struct guest_flags_path *path)
{
    size_t offset = 0;

    if (pc & 3 || limit < 4)
        return GUEST_FLAGS_READ;
    for (; offset + 4 <= limit; offset += 4) {
        uint32_t w;
        memcpy(&w, code + offset, sizeof w);
        path->looked = offset + 4;
        if (scan_branch(pc + offset, w, path))
            return GUEST_FLAGS_PASS;
        enum effect effect = scan(w);
        if (effect != EFFECT_NONE)
            return effect == EFFECT_SETS ? GUEST_FLAGS_SET : GUEST_FLAGS_READ;
    }
    path->next[0] = pc + offset;
    path->count = 1;
    return GUEST_FLAGS_PASS;
}
