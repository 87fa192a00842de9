/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_check: what an access to memory is checked for before the page tables: segment limits and rights
 * (Intel SDM volume 3, 6.3 to 6.5), and alignment (volume 3, table 7-7). As far as the mode says so.
 *
 * Limits are compared with what the CPU's `reach` says. Where that is too short, the owner executes the
 * instruction by itself, in a mode in which C code looks at the descriptor: it need not be an error.
 */
#include "arch/x86/core.h"
#include "arch/x86/segment.h"
#include "translator/guest/x86/lift.h"

enum { WRITES = 1 << 16 }; /* in the argument of check(), above the size; below that the segment */

bool x86_is_checked(const struct x86_lift *l, enum x86_segment segment)
{
    if (!(l->mode & X86_MODE_CHECKED))
        return false;
    return segment == X86_CS || segment >= X86_FS || l->mode & (X86_MODE_LIMITED | X86_MODE_BY_DESCRIPTOR);
}

static uint64_t check(void *cpu, uint64_t offset, uint64_t what)
{
    const struct x86_state *s = &((const struct x86_cpu *)cpu)->state;
    return !x86_segment_allows(s, (enum x86_segment)(what & 0xff), offset, what >> 8 & 0xff, what & WRITES);
}

static void check_segment(struct x86_lift *l, const struct x86_address *address, unsigned bytes, bool write)
{
    const enum x86_segment segment = (enum x86_segment)address->segment;
    const unsigned reach = (write ? X86_REGISTER_WRITE_REACH : X86_REGISTER_READ_REACH) + segment;

    if (l->mode & X86_MODE_BY_DESCRIPTOR) {
        ir_value what = ir_const(l->ir, IR_I64, segment | bytes << 8 | (write ? WRITES : 0));
        ir_value offset = ir_binary_imm(l->ir, IR_ADD, address->offset, address->disp);
        ir_value denied = ir_call(l->ir, check, offset, what);
        x86_raise_if(l, ir_cmp(l->ir, IR_NE, denied, ir_const(l->ir, IR_I64, 0)), TRANSLATOR_EXCEPTION,
                     segment == X86_SS ? X86_SS_FAULT : X86_GP);
        return;
    }
    ir_value end = ir_binary_imm(l->ir, IR_ADD, address->offset, address->disp + bytes);
    x86_raise_if(l, ir_cmp(l->ir, IR_UGT, end, ir_get(l->ir, reach, IR_I64)), TRANSLATOR_SEGMENT, 0);
}

void x86_check_access(struct x86_lift *l, const struct x86_address *address, unsigned mem, bool write)
{
    const unsigned bytes = 1u << (mem & IR_MEM_SIZE);

    if (address->offset)
        check_segment(l, address, bytes, write);
    if (!(l->mode & X86_MODE_ALIGNED) || bytes == 1 || mem & IR_MEM_ALIGNED)
        return;
    ir_value odd = ir_binary_imm(l->ir, IR_AND, x86_address_value(l, *address), bytes - 1);
    x86_raise_if(l, ir_cmp(l->ir, IR_NE, odd, ir_const(l->ir, IR_I64, 0)), TRANSLATOR_EXCEPTION, X86_AC);
}
