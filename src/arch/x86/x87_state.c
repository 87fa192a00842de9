/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87_state: see x87_state.h. */
#include "arch/x86/x87_state.h"

#include <string.h>

void x87_update_summary(struct x87_area *a)
{
    const bool pending = a->status & ~a->control & X87_EXCEPTIONS;
    a->status = (uint16_t)((a->status & ~X87_SUMMARY) | (pending ? X87_SUMMARY : 0));
}

void x87_set_top(struct x87_area *a, unsigned top)
{
    uint8_t old[8][16];
    const unsigned moved = top - x87_top(a);

    memcpy(old, a->stack, sizeof old);
    for (unsigned i = 0; i < 8; i++)
        memcpy(a->stack[i], old[(i + moved) & 7], sizeof old[0]);
    a->status = (uint16_t)((a->status & ~(7 << 11)) | top << 11);
}

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static unsigned tag_of(const uint8_t bytes[16])
{
    uint64_t significand;
    uint16_t exponent;

    memcpy(&significand, bytes, sizeof significand);
    memcpy(&exponent, bytes + 8, sizeof exponent);
    exponent &= 0x7fff;
    if (exponent == 0 && significand == 0)
        return TAG_ZERO;
    return exponent == 0 || exponent == 0x7fff || !(significand >> 63) ? TAG_SPECIAL : TAG_VALID;
}

uint16_t x87_full_tags(const struct x87_area *a)
{
    unsigned tags = 0;
    for (unsigned i = 0; i < 8; i++) {
        const unsigned tag = a->tags >> i & 1 ? tag_of(a->stack[(i - x87_top(a)) & 7]) : TAG_EMPTY;
        tags |= tag << 2 * i;
    }
    return (uint16_t)tags;
}

void x87_initialize(struct x87_area *a)
{
    x87_set_top(a, 0);
    a->control = X87_CONTROL_INIT;
    a->status = 0;
    a->tags = 0;
    a->opcode = 0;
    a->instruction = a->operand = 0;
}

bool x87_is_initial(const struct x87_area *a)
{
    static const uint8_t zeros[sizeof a->stack];
    return a->control == X87_CONTROL_INIT && a->status == 0 && a->tags == 0 &&
           memcmp(a->stack, zeros, sizeof zeros) == 0;
}
