/* SPDX-License-Identifier: GPL-2.0-or-later */
/* emulate_x87: the x87's environment, and WAIT. Intel SDM volume 1, 8.1.10. */
#include <string.h>

#include "arch/x86/emulation.h"
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

int x86_emulate_x87(struct x86_emulation *e)
{
    const unsigned opcode = e->insn.opcode, reg = e->insn.reg & 7;

    if (x86_check_x87(e) < 0)
        return X86_RAISED;
    if (!e->insn.memory || (opcode != 0xd9 && opcode != 0xdd) || (reg != 4 && reg != 6))
        return x86_undefined(e);
    if (reg == 6)
        return opcode == 0xd9 ? fnstenv(e) : fnsave(e);
    if (x86_check_pending(e) < 0)
        return X86_RAISED;
    return opcode == 0xd9 ? fldenv(e) : frstor(e);
}
