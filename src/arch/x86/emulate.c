/* SPDX-License-Identifier: GPL-2.0-or-later */
/* emulate: from bytes to the function that executes them; operands. */
#include "arch/x86/emulate.h"

#include <string.h>

#include "arch/x86/emulation.h"
#include "arch/x86/requires.h"

static const struct x86_opcodes opcodes = {{
#define EMULATE(map, prefix, first, last, flags, function)                                                   \
    [X86_MAP_##                                                                                              \
        map][X86_##prefix][first... last] = {{.emulate = x86_emulate_##function}, (uint16_t)(flags), 0},
#define SHARED EMULATE
#include "arch/x86/emulate.def"
#undef EMULATE
#undef SHARED
}};

static uint64_t behind(const struct x86_emulation *e)
{
    const uint64_t rip = e->state->rip + e->insn.length;
    return e->insn.code == X86_CODE_64 ? rip : e->insn.code == X86_CODE_32 ? (uint32_t)rip : (uint16_t)rip;
}

/* Whether what was raised leaves the instruction's own address in rip. */
static bool is_fault(const struct x86_core *core)
{
    return core->exception.kind == X86_EVENT_EXCEPTION && !core->exception.in_new_task;
}

enum x86_emulated x86_emulate(struct x86_core *core, const struct x86_platform *platform, const uint8_t *code,
                              unsigned length)
{
    struct x86_state *s = core->state;
    struct x86_emulation e = {.core = core, .state = s, .platform = platform, .cpl = x86_cpl(s)};
    const uint64_t rip = s->rip, cr3 = s->cr3;
    int result;

    switch (x86_decode(&e.insn, &opcodes, x86_code_of(s), code, length)) {
    case X86_DECODED:
        if (!x86_model_has_insn(platform->model, &e.insn)) {
            result = x86_raise_plain(core, X86_UD);
            break;
        }
        s->rip = behind(&e);
        result = e.insn.row->emulate(&e);
        break;
    case X86_TOO_LONG: result = x86_raise_error(core, X86_GP, 0); break;
    default: result = x86_raise_plain(core, X86_UD); break;
    }
    if (s->cr3 != cr3 && e.insn.row->emulate != x86_emulate_mov_to_control)
        x86_task_switched(core, platform);
    if (result == X86_EMULATE_AGAIN || (result < 0 && is_fault(core)))
        s->rip = rip;
    return result < 0 ? X86_EMULATE_EXCEPTION : (enum x86_emulated)result;
}

unsigned x86_emulate_length(const struct x86_state *state, const uint8_t *code, unsigned size)
{
    struct x86_insn insn;
    return x86_decode(&insn, &opcodes, x86_code_of(state), code, size) == X86_DECODED ? insn.length : 0;
}

int x86_raise_software(struct x86_emulation *e, enum x86_event_kind kind, unsigned vector)
{
    e->core->exception =
        (struct x86_exception){.vector = (uint8_t)vector, .kind = (uint8_t)kind, .length = e->insn.length};
    return X86_RAISED;
}

/* -- registers ----------------------------------------------------------------------------------------- */

static uint64_t mask_of(unsigned bytes)
{
    return bytes >= 8 ? ~0ull : (1ull << 8 * bytes) - 1;
}

static bool is_high(const struct x86_emulation *e, unsigned n, unsigned bytes)
{
    return bytes == 1 && !e->insn.rex && n >= 4;
}

uint64_t x86_register_get(const struct x86_emulation *e, unsigned n, unsigned bytes)
{
    if (is_high(e, n, bytes))
        return e->state->gpr[n - 4] >> 8 & 0xff;
    return e->state->gpr[n] & mask_of(bytes);
}

void x86_register_set(struct x86_emulation *e, unsigned n, unsigned bytes, uint64_t value)
{
    uint64_t *gpr = e->state->gpr;
    const uint64_t mask = mask_of(bytes);

    if (is_high(e, n, bytes))
        gpr[n - 4] = (gpr[n - 4] & ~0xff00ull) | (value & 0xff) << 8;
    else if (bytes >= 4)
        gpr[n] = value & mask;
    else
        gpr[n] = (gpr[n] & ~mask) | (value & mask);
}

void x86_register_set_pair(struct x86_state *s, uint64_t value)
{
    s->gpr[X86_RAX] = (uint32_t)value;
    s->gpr[X86_RDX] = value >> 32;
}

void x86_set_zero_flag(struct x86_state *s, bool set)
{
    s->flags = (uint16_t)((s->flags & ~NZCV_Z) | (set ? NZCV_Z : 0));
}

uint64_t x86_address_register(const struct x86_emulation *e, enum x86_gpr n)
{
    return e->state->gpr[n] & mask_of(1u << e->insn.address_size);
}

void x86_set_address_register(struct x86_emulation *e, enum x86_gpr n, uint64_t value)
{
    x86_register_set(e, n, 1u << e->insn.address_size, value);
}

/* -- memory -------------------------------------------------------------------------------------------- */

uint64_t x86_operand_offset(const struct x86_emulation *e)
{
    const struct x86_insn *insn = &e->insn;
    const uint64_t *gpr = e->state->gpr;
    uint64_t address = (uint64_t)insn->disp;

    if (insn->base == X86_BASE_RIP)
        address += e->state->rip;
    else if (insn->base != X86_NO_REGISTER)
        address += gpr[insn->base];
    if (insn->index != X86_NO_REGISTER)
        address += gpr[insn->index] << insn->scale;
    return address & mask_of(1u << insn->address_size);
}

int x86_linear_address(struct x86_emulation *e, enum x86_segment segment, uint64_t offset, unsigned size,
                       bool write, uint64_t *linear)
{
    const struct x86_state *s = e->state;
    const unsigned vector = segment == X86_SS ? X86_SS_FAULT : X86_GP;

    if (x86_code64(e)) {
        *linear = offset + (segment >= X86_FS ? s->segment_base[segment] : 0);
        if (!x86_canonical(*linear) || !x86_canonical(*linear + size - 1))
            return x86_raise_error(e->core, vector, 0);
        return 0;
    }
    if (!x86_segment_allows(s, segment, offset, size, write))
        return x86_raise_error(e->core, vector, 0);
    *linear = (uint32_t)(s->segment_base[segment] + offset);
    return 0;
}

int x86_operand_linear(struct x86_emulation *e, unsigned skip, unsigned size, bool write, uint64_t *linear)
{
    const uint64_t offset = (x86_operand_offset(e) + skip) & mask_of(1u << e->insn.address_size);
    return x86_linear_address(e, (enum x86_segment)e->insn.segment, offset, size, write, linear);
}

/* Operands of 2, 4 and 8 bytes; those of the x87's environment (28 and 108 bytes) consist of such of 4, and
 * numbers of 10 bytes go by 8. */
static bool is_misaligned(const struct x86_emulation *e, uint64_t linear, unsigned size)
{
    if (!x86_checks_alignment(e->state))
        return false;
    switch (size) {
    case 2:
    case 4:
    case 8: return linear & (size - 1);
    case 10: return e->insn.row->emulate == x86_emulate_x87 && linear & 7;
    case 28:
    case 108: return linear & 3;
    default: return false;
    }
}

int x86_operand_read(struct x86_emulation *e, unsigned skip, void *bytes, unsigned size)
{
    uint64_t linear;
    if (x86_operand_linear(e, skip, size, false, &linear) < 0)
        return X86_RAISED;
    if (is_misaligned(e, linear, size))
        return x86_raise_error(e->core, X86_AC, 0);
    return e->core->linear->read(e->core, linear, bytes, size, false);
}

int x86_operand_write(struct x86_emulation *e, unsigned skip, const void *bytes, unsigned size)
{
    uint64_t linear;
    if (x86_operand_linear(e, skip, size, true, &linear) < 0)
        return X86_RAISED;
    if (is_misaligned(e, linear, size))
        return x86_raise_error(e->core, X86_AC, 0);
    return e->core->linear->write(e->core, linear, bytes, size, false);
}

int x86_rm_read(struct x86_emulation *e, unsigned size, uint64_t *value)
{
    *value = 0;
    if (e->insn.memory)
        return x86_operand_read(e, 0, value, size);
    *value = x86_register_get(e, e->insn.rm, size);
    return 0;
}

int x86_rm_write(struct x86_emulation *e, unsigned size, uint64_t value)
{
    if (e->insn.memory)
        return x86_operand_write(e, 0, &value, size);
    x86_register_set(e, e->insn.rm, size, value);
    return 0;
}
