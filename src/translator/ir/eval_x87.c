/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eval_x87: the operations of x86's floating-point unit, by the host's own. Intel SDM volume 1, chapter 8,
 * and 10.5.1 for the layout of the state.
 *
 * While cpu->x87_live is set the guest's registers are in the host's unit, on the thread of the CPU, whatever
 * that executes: visor's own code does without the unit. Its exceptions are all masked there; the guest's
 * control word stays in memory.
 */
#include <string.h>

#include "translator/ir/evaluation.h"
#include "translator/ir/x87.h"

#ifndef __x86_64__
#error "x87 instructions are run by the host's, which must be an x86-64"
#endif

enum {
    X87_MASKS = 0x3f,
    X87_PENDING = 0x8080, /* ES and B */
    X87_POINTERS = 6,     /* the pointers, FOP with them, begin here, */
    X87_STACK = 32,       /* the eight registers, 16 bytes each, here, */
    X87_STACK_END = 160,
    FLD_80 = 0xdb28, /* opcode and ModRM byte, as in imm */
    FSTP_80 = 0xdb38,
};

/* FXSAVE's area as far as it is looked at. */
struct area {
    uint16_t control, status;
    uint8_t tags, reserved;
    uint16_t opcode;
    uint64_t pointers[2];
    uint32_t mxcsr, mxcsr_mask;
    uint8_t rest[480];
} __attribute__((aligned(16)));

/* Every instruction once, 4 bytes each: the register forms, then those with an operand at rdi. */
__asm__(".pushsection .text\n"
        ".balign 16\n"
        "x87_register_forms:\n"
        ".irp opcode,0xd8,0xd9,0xda,0xdb,0xdc,0xdd,0xde,0xdf\n"
        ".irp reg,0xc0,0xc8,0xd0,0xd8,0xe0,0xe8,0xf0,0xf8\n"
        ".irp rm,0,1,2,3,4,5,6,7\n"
        ".byte \\opcode, \\reg + \\rm, 0xc3, 0xcc\n"
        ".endr\n"
        ".endr\n"
        ".endr\n"
        "x87_memory_forms:\n"
        ".irp opcode,0xd8,0xd9,0xda,0xdb,0xdc,0xdd,0xde,0xdf\n"
        ".irp reg,0x07,0x0f,0x17,0x1f,0x27,0x2f,0x37,0x3f\n"
        ".byte \\opcode, \\reg, 0xc3, 0xcc\n"
        ".endr\n"
        ".endr\n"
        ".popsection\n");
extern const uint8_t x87_register_forms[8 * 64 * 4] __attribute__((visibility("hidden")));
extern const uint8_t x87_memory_forms[8 * 8 * 4] __attribute__((visibility("hidden")));

static const void *form_of(unsigned code)
{
    const unsigned opcode = code >> 8 & 7, modrm = code & 255;
    if (modrm >= 0xc0)
        return &x87_register_forms[(opcode * 64 + (modrm & 63)) * 4];
    return &x87_memory_forms[(opcode * 8 + (modrm >> 3 & 7)) * 4];
}

/* Executes the instruction on this operand and these flags; returns the flags. */
static uint64_t execute(unsigned code, void *operand, uint64_t flags)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp\n" /* the red zone */
                     "push %[flags]\n"
                     "popfq\n"
                     "call *%[form]\n"
                     "pushfq\n"
                     "pop %[flags]\n"
                     "lea 128(%%rsp), %%rsp\n"
                     : [flags] "+b"(flags)
                     : [form] "d"(form_of(code)), "D"(operand)
                     : "rax", "memory", "cc");
    return flags;
}

/* -- into the unit and out of it ----------------------------------------------------------------------- */

static uint8_t *state_of(const struct guest_isa *isa, struct translator_cpu *cpu)
{
    return (uint8_t *)cpu + isa->x87_offset;
}

/* FXSAVE and FXRSTOR have MXCSR and the vector registers as well: they keep what they are. */
static void save(struct area *area)
{
    __asm__ volatile("fxsave64 %0" : "=m"(*area));
}

void ir_x87_enter(const struct guest_isa *isa, struct translator_cpu *cpu)
{
    struct area area;
    if (cpu->x87_live)
        return;
    save(&area);
    memcpy(&area, state_of(isa, cpu), X87_POINTERS);
    memset((uint8_t *)&area + X87_POINTERS, 0, offsetof(struct area, mxcsr) - X87_POINTERS);
    memcpy((uint8_t *)&area + X87_STACK, state_of(isa, cpu) + X87_STACK, X87_STACK_END - X87_STACK);
    area.control |= X87_MASKS;
    area.status &= (uint16_t)~X87_PENDING;
    __asm__ volatile("fxrstor64 %0" ::"m"(area));
    cpu->x87_live = 1;
}

/* Stores all but the control word. */
void ir_x87_settle(const struct guest_isa *isa, struct translator_cpu *cpu)
{
    uint8_t *state = state_of(isa, cpu);
    struct area area;
    uint16_t control;

    if (!cpu->x87_live)
        return;
    save(&area);
    __asm__ volatile("fninit");
    memcpy(&control, state, sizeof control);
    if (area.status & ~control & X87_MASKS)
        area.status |= X87_PENDING;
    memcpy(state + offsetof(struct area, status), &area.status, X87_POINTERS - sizeof control);
    memcpy(state + X87_STACK, (const uint8_t *)&area + X87_STACK, X87_STACK_END - X87_STACK);
    cpu->x87_live = 0;
}

/* -- operations ---------------------------------------------------------------------------------------- */

static uint64_t eflags_of(uint16_t f)
{
    return 2u | (f & NZCV_B ? 1 : 0) | (f & NZCV_P ? 4 : 0) | (f & NZCV_A ? 0x10 : 0) |
           (f & NZCV_Z ? 0x40 : 0) | (f & NZCV_N ? 0x80 : 0) | (f & NZCV_V ? 0x800 : 0);
}

static void compare(const struct evaluation *e)
{
    const uint64_t eflags = execute((unsigned)e->insn->imm, NULL, 2);
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
        execute(code, operand, 2);
    } else if (code == FSTP_80) {
        execute(code, operand, 2);
        execute(FLD_80, operand, 2);
    } else {
        execute(FSTP_80, kept, 2);
        execute(FLD_80, kept, 2);
        execute(code, operand, 2);
        execute(FLD_80, kept, 2);
    }
    memcpy(&e->r->d[0], operand, sizeof e->r->d[0]);
}

void ir_evaluate_x87(const struct evaluation *e)
{
    uint64_t operand[2] = {e->a->d[0], e->b->d[0]};
    uint16_t word;

    switch (e->insn->op) {
    case IR_X87_ENTER: ir_x87_enter(e->isa, e->cpu); break;
    case IR_X87_IF: execute((unsigned)e->insn->imm, NULL, eflags_of(e->a->h[0])); break;
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
    default: execute((unsigned)e->insn->imm, operand, 2); break;
    }
}
