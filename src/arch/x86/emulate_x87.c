/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emulate_x87: the x87's environment, WAIT, and all of its instructions for when exceptions are not masked.
 * Intel SDM volume 1, 8.1.10 and 8.6.
 */
#include <string.h>

#include "arch/x86/emulation.h"
#include "arch/x86/host_x87.h"
#include "arch/x86/x87_format.h"
#include "arch/x86/x87_state.h"

enum { ENVIRONMENT_MAX = 28 };

/* -- exceptions --------------------------------------------------------------------------------------------
 */

/* One that an earlier instruction left. Without CR0.NE it would come as an interrupt of the board's, which
 * nobody uses any more. */
int x86_check_pending(struct x86_emulation *e)
{
    const struct x86_state *s = e->state;
    if (s->cr0 & X86_CR0_NE && x87_area(e->state)->status & X87_SUMMARY)
        return x86_raise_plain(e->core, X86_MF);
    return 0;
}

int x86_emulate_wait(struct x86_emulation *e)
{
    const uint64_t both = X86_CR0_MP | X86_CR0_TS;
    if ((e->state->cr0 & both) == both)
        return x86_raise_plain(e->core, X86_NM);
    return x86_check_pending(e);
}

/* -- the environment ---------------------------------------------------------------------------------------
 */

/* Figures 8-9 to 8-12: seven fields, of 2 or 4 bytes each. */
static unsigned field_bytes(const struct x86_emulation *e)
{
    return e->insn.size == 1 ? 2 : 4;
}

/* Real-address and virtual-8086 mode have linear addresses, the upper parts of which are beside the opcode.
 */
static void pack_pointers(const struct x86_emulation *e, const struct x87_area *a, uint32_t fields[7])
{
    const uint32_t instruction = (uint32_t)a->instruction, operand = (uint32_t)a->operand;
    const unsigned opcode = a->opcode & 0x7ff;

    fields[3] = instruction, fields[5] = operand;
    if (x86_has_descriptors(e->state)) {
        fields[4] = opcode << 16;
        fields[6] = 0xffff0000;
    } else {
        fields[3] = 0xffff0000 | (instruction & 0xffff), fields[5] = 0xffff0000 | (operand & 0xffff);
        fields[4] = (instruction >> 16 & 0xffff) << 12 | opcode;
        fields[6] = (operand >> 16 & 0xffff) << 12;
    }
}

static unsigned pack_environment(const struct x86_emulation *e, uint8_t bytes[ENVIRONMENT_MAX])
{
    const struct x87_area *a = x87_area(e->state);
    const unsigned size = field_bytes(e);
    uint32_t fields[7] = {0xffff0000 | a->control, 0xffff0000 | a->status, 0xffff0000 | x87_full_tags(a)};

    pack_pointers(e, a, fields);
    for (unsigned i = 0; i < 7; i++)
        memcpy(bytes + i * size, &fields[i], size);
    return 7 * size;
}

static void unpack_environment(struct x86_emulation *e, const uint8_t bytes[ENVIRONMENT_MAX])
{
    struct x87_area *a = x87_area(e->state);
    const unsigned size = field_bytes(e);
    uint32_t f[7] = {0};

    for (unsigned i = 0; i < 7; i++)
        memcpy(&f[i], bytes + i * size, size);
    a->control = x87_control_kept((uint16_t)f[0]);
    x87_set_top(a, f[1] >> 11 & 7);
    a->status = (uint16_t)f[1];
    x87_update_summary(a);
    a->tags = 0;
    for (unsigned i = 0; i < 8; i++)
        a->tags |= (uint8_t)((f[2] >> 2 * i & 3) != 3) << i;
    if (x86_has_descriptors(e->state)) {
        a->instruction = f[3], a->operand = f[5];
        a->opcode = f[4] >> 16 & 0x7ff;
    } else {
        a->instruction = (f[3] & 0xffff) | (f[4] >> 12) << 16;
        a->operand = (f[5] & 0xffff) | (f[6] >> 12) << 16;
        a->opcode = f[4] & 0x7ff;
    }
}

static int fldenv(struct x86_emulation *e)
{
    uint8_t bytes[ENVIRONMENT_MAX];
    if (x86_operand_read(e, 0, bytes, 7 * field_bytes(e)) < 0)
        return X86_RAISED;
    unpack_environment(e, bytes);
    return X86_EMULATED;
}

static int fnstenv(struct x86_emulation *e)
{
    struct x87_area *a = x87_area(e->state);
    uint8_t bytes[ENVIRONMENT_MAX];
    const unsigned size = pack_environment(e, bytes);

    if (x86_operand_write(e, 0, bytes, size) < 0)
        return X86_RAISED;
    a->control |= X87_EXCEPTIONS;
    x87_update_summary(a);
    return X86_EMULATED;
}

static int frstor(struct x86_emulation *e)
{
    struct x87_area *a = x87_area(e->state);
    uint8_t bytes[ENVIRONMENT_MAX + 8 * X87_BYTES];
    const unsigned size = 7 * field_bytes(e);

    if (x86_operand_read(e, 0, bytes, size + 8 * X87_BYTES) < 0)
        return X86_RAISED;
    unpack_environment(e, bytes);
    for (unsigned i = 0; i < 8; i++)
        memcpy(a->stack[i], bytes + size + i * X87_BYTES, X87_BYTES);
    return X86_EMULATED;
}

static int fnsave(struct x86_emulation *e)
{
    struct x87_area *a = x87_area(e->state);
    uint8_t bytes[ENVIRONMENT_MAX + 8 * X87_BYTES];
    const unsigned size = pack_environment(e, bytes);

    for (unsigned i = 0; i < 8; i++)
        memcpy(bytes + size + i * X87_BYTES, a->stack[i], X87_BYTES);
    if (x86_operand_write(e, 0, bytes, size + 8 * X87_BYTES) < 0)
        return X86_RAISED;
    x87_initialize(a);
    return X86_EMULATED;
}

static int emulate_environment(struct x86_emulation *e)
{
    const bool whole = e->insn.opcode == 0xdd;
    if ((e->insn.reg & 7) == 6)
        return whole ? fnsave(e) : fnstenv(e);
    return whole ? frstor(e) : fldenv(e);
}

/* -- everything else, by the host's unit ------------------------------------------------------------------
 */

/* Executes it on a copy of the registers, which become the state if nothing faults any more. */
static void execute(struct x86_emulation *e, struct x87_area *area, void *operand)
{
    struct x86_state *s = e->state;
    uint64_t flags = x86_eflags_get(s) & X86_EFLAGS_CONDITIONS;

    host_x87_load((const uint8_t *)area, area->control);
    flags = host_x87(x87_code(&e->insn), operand, flags | X86_EFLAGS_ONE);
    host_x87_save((uint8_t *)area);
    flags &= X86_EFLAGS_CONDITIONS;
    x86_eflags_set(s, (x86_eflags_get(s) & ~(uint64_t)X86_EFLAGS_CONDITIONS) | flags);
}

static int emulate_load(struct x86_emulation *e, unsigned size)
{
    uint8_t operand[16];
    if (x86_operand_read(e, 0, operand, size) < 0)
        return X86_RAISED;
    execute(e, x87_area(e->state), operand);
    return X86_EMULATED;
}

/* An exception that is not masked keeps it from storing: then it leaves what is there, whatever that is. */
static int emulate_store(struct x86_emulation *e, unsigned size)
{
    uint8_t ones[16], zeros[16] = {0};
    struct x87_area area = *x87_area(e->state), other = area;

    memset(ones, 0xff, sizeof ones);
    execute(e, &other, ones);
    execute(e, &area, zeros);
    if (memcmp(ones, zeros, size) == 0 && x86_operand_write(e, 0, zeros, size) < 0)
        return X86_RAISED;
    *x87_area(e->state) = area;
    return X86_EMULATED;
}

static int emulate_memory(struct x86_emulation *e)
{
    static const uint8_t sizes[] = {2, 4, 8, X87_BYTES};
    struct x87_area *a = x87_area(e->state);
    const enum x87_access access = x87_access_of(&e->insn);
    uint16_t control;

    switch (access) {
    case X87_ENVIRONMENT: return emulate_environment(e);
    case X87_LOAD_CONTROL:
        if (x86_operand_read(e, 0, &control, sizeof control) < 0)
            return X86_RAISED;
        a->control = x87_control_kept(control);
        x87_update_summary(a);
        return X86_EMULATED;
    case X87_STORE_CONTROL: return x86_operand_write(e, 0, &a->control, sizeof a->control);
    case X87_STORE_STATUS: return x86_operand_write(e, 0, &a->status, sizeof a->status);
    default: break;
    }
    return access < X87_STORE_16 ? emulate_load(e, sizes[access - X87_LOAD_16])
                                 : emulate_store(e, sizes[access - X87_STORE_16]);
}

static int emulate_register(struct x86_emulation *e)
{
    struct x87_area *a = x87_area(e->state);

    switch (x87_code(&e->insn)) {
    case X87_FNSTSW_AX: x86_register_set(e, X86_RAX, 2, a->status); break;
    case X87_FNINIT: x87_initialize(a); break;
    case X87_FNCLEX: a->status &= X87_STATUS_CLEARED; break;
    default: execute(e, a, NULL); break;
    }
    return X86_EMULATED;
}

/* Those with N in their names do not look for an exception that is pending. */
static bool waits(const struct x86_insn *insn)
{
    const unsigned code = x87_code(insn);
    if (!insn->memory) /* DBE0 to DBE4: FNENI, FNDISI, FNSETPM, which do nothing, too */
        return code != X87_FNSTSW_AX && (code < 0xdbe0 || code > 0xdbe4);
    switch (x87_access_of(insn)) {
    case X87_ENVIRONMENT: return (insn->reg & 7) != 6;
    case X87_STORE_CONTROL:
    case X87_STORE_STATUS: return false;
    default: return true;
    }
}

int x86_emulate_x87(struct x86_emulation *e)
{
    const struct x86_insn *insn = &e->insn;

    if (x86_check_x87(e) < 0)
        return X86_RAISED;
    if (insn->memory ? x87_access_of(insn) == X87_UNDEFINED : !x87_has_register_form(insn))
        return x86_undefined(e);
    if (waits(insn) && x86_check_pending(e) < 0)
        return X86_RAISED;
    return insn->memory ? emulate_memory(e) : emulate_register(e);
}
