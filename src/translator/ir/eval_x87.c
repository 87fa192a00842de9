/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eval_x87: the operations of x86's floating-point unit, by the host's own. Intel SDM volume 1, chapter 8,
 * and 10.5.1 for the layout of the state.
 *
 * While cpu->x87_live is set the guest's registers are in the host's unit, on the thread of the CPU, whatever
 * that executes: visor's own code does without the unit. All exceptions are masked, as the guest has it: else
 * its instructions are the owner's. The guest's control word is in memory as well.
 */
#include <string.h>

#include "arch/x86/host_x87.h"
#include "translator/ir/evaluation.h"
#include "translator/ir/x87.h"

enum {
    X87_MASKS = 0x3f,
    FLD_80 = 0xdb28, /* opcode and ModRM byte, as in imm */
    FSTP_80 = 0xdb38,
};

/* -- into the unit and out of it ----------------------------------------------------------------------- */

static uint8_t *state_of(const struct guest_isa *isa, struct translator_cpu *cpu)
{
    return (uint8_t *)cpu + isa->x87_offset;
}

void ir_x87_enter(const struct guest_isa *isa, struct translator_cpu *cpu)
{
    const uint8_t *state = state_of(isa, cpu);
    uint16_t control;

    if (cpu->x87_live)
        return;
    memcpy(&control, state, sizeof control);
    host_x87_load(state, control | X87_MASKS);
    cpu->x87_live = IR_X87_LIVE;
}

void ir_x87_settle(const struct guest_isa *isa, struct translator_cpu *cpu)
{
    if (!cpu->x87_live)
        return;
    host_x87_save(state_of(isa, cpu));
    cpu->x87_live = IR_X87_AWAY;
}

void ir_x87_settle_from(const struct guest_isa *isa, struct translator_cpu *cpu, const void *area)
{
    if (!cpu->x87_live)
        return;
    host_x87_take(state_of(isa, cpu), area);
    cpu->x87_live = IR_X87_AWAY;
}

/* -- operations ---------------------------------------------------------------------------------------- */

static uint64_t eflags_of(uint16_t f)
{
    return 2u | (f & NZCV_B ? 1 : 0) | (f & NZCV_P ? 4 : 0) | (f & NZCV_A ? 0x10 : 0) |
           (f & NZCV_Z ? 0x40 : 0) | (f & NZCV_N ? 0x80 : 0) | (f & NZCV_V ? 0x800 : 0);
}

static void compare(const struct evaluation *e)
{
    const uint64_t eflags = host_x87((unsigned)e->insn->imm, NULL, 2);
    e->r->h[0] = (uint16_t)((eflags & 1 ? NZCV_B : 0) | (eflags & 4 ? NZCV_P : 0) |
                            (eflags & 0x10 ? NZCV_A : 0) | (eflags & 0x40 ? NZCV_Z : 0) |
                            (eflags & 0x80 ? NZCV_N : 0) | (eflags & 0x800 ? NZCV_V : 0));
}

/* To cpu->eval_arguments[0], where X87_STORE_HIGH finds the rest. */
static void store(const struct evaluation *e)
{
    const unsigned code = (unsigned)e->insn->imm & 0xffff;
    uint8_t *operand = (uint8_t *)&e->cpu->eval_arguments[0], kept[16];

    if (!(e->insn->imm & IR_X87_KEEP)) {
        host_x87(code, operand, 2);
    } else if (code == FSTP_80) {
        host_x87(code, operand, 2);
        host_x87(FLD_80, operand, 2);
    } else {
        host_x87(FSTP_80, kept, 2);
        host_x87(FLD_80, kept, 2);
        host_x87(code, operand, 2);
        host_x87(FLD_80, kept, 2);
    }
    memcpy(&e->r->d[0], operand, sizeof e->r->d[0]);
}

void ir_evaluate_x87(const struct evaluation *e)
{
    uint64_t operand[2] = {e->a->d[0], e->b->d[0]};
    uint16_t word;

    switch (e->insn->op) {
    case IR_X87_ENTER:
        ir_x87_enter(e->isa, e->cpu);
        e->cpu->x87_live = IR_X87_LIVE; /* what follows may make it another than MMX's */
        break;
    case IR_X87_IF: host_x87((unsigned)e->insn->imm, NULL, eflags_of(e->a->h[0])); break;
    case IR_X87_FLAGS: compare(e); break;
    case IR_X87_STORE: store(e); break;
    case IR_X87_STORE_HIGH: e->r->d[0] = (uint16_t)e->cpu->eval_arguments[0].d[1]; break;
    case IR_X87_STATUS:
        __asm__ volatile("fnstsw %0" : "=m"(word));
        e->r->d[0] = word;
        break;
    case IR_X87_CONTROL:
        word = (uint16_t)(operand[0] | X87_MASKS);
        __asm__ volatile("fldcw %0" ::"m"(word));
        break;
    default: host_x87((unsigned)e->insn->imm, operand, 2); break;
    }
}
