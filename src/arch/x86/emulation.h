/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emulation: what the functions of the emulator share. Private to arch/x86.
 *
 * A row of emulate.def names a function `int x86_emulate_NAME(struct x86_emulation *e)`. It returns
 * X86_RAISED with core->exception, or an enum x86_emulated. state->rip is behind the instruction already; if
 * a function raises, its caller puts it back. All other registers a function changes only when nothing can
 * fault any more.
 */
#ifndef VISOR_ARCH_X86_EMULATION_H
#define VISOR_ARCH_X86_EMULATION_H

#include "arch/x86/decode.h"
#include "arch/x86/emulate.h"
#include "arch/x86/segment.h"

struct x86_emulation {
    struct x86_core *core;
    struct x86_state *state;
    const struct x86_platform *platform;
    struct x86_insn insn;
    unsigned cpl;
};

/* All of the functions. */
#define EMULATE(map, prefix, first, last, flags, function)                                                   \
    int x86_emulate_##function(struct x86_emulation *e);
#define SHARED EMULATE
#include "arch/x86/emulate.def"
#undef EMULATE
#undef SHARED

/* -- raising ------------------------------------------------------------------------------------------- */

static inline int x86_undefined(struct x86_emulation *e)
{
    return x86_raise_plain(e->core, X86_UD);
}

/* #GP(0) */
static inline int x86_protection(struct x86_emulation *e)
{
    return x86_raise_error(e->core, X86_GP, 0);
}

/* Raises what has the kind of a software interrupt: rip stays behind the instruction. */
int x86_raise_software(struct x86_emulation *e, enum x86_event_kind kind, unsigned vector);

static inline bool x86_emulation_has(const struct x86_emulation *e, unsigned feature)
{
    return x86_has(e->platform->model, feature);
}

static inline bool x86_code64(const struct x86_emulation *e)
{
    return e->insn.code == X86_CODE_64;
}

/* -- registers ----------------------------------------------------------------------------------------- */

/* Of `bytes` 1, 2, 4 or 8, zero-extended; 1: as the encoding names it, perhaps AH. */
uint64_t x86_register_get(const struct x86_emulation *e, unsigned n, unsigned bytes);
/* 4 bytes clear the upper half, fewer leave the rest. */
void x86_register_set(struct x86_emulation *e, unsigned n, unsigned bytes, uint64_t value);
/* EDX:EAX, zero-extended. */
void x86_register_set_pair(struct x86_state *s, uint64_t value);

static inline uint64_t x86_register_pair(const struct x86_state *s)
{
    return (uint32_t)s->gpr[X86_RAX] | s->gpr[X86_RDX] << 32;
}

void x86_set_zero_flag(struct x86_state *s, bool set);

/* A register by which memory is addressed: its low bits as the address size has them, and a write of these.
 */
uint64_t x86_address_register(const struct x86_emulation *e, enum x86_gpr n);
void x86_set_address_register(struct x86_emulation *e, enum x86_gpr n, uint64_t value);

/* -- memory -------------------------------------------------------------------------------------------- */

/* What LEA yields of the memory operand. */
uint64_t x86_operand_offset(const struct x86_emulation *e);
/* Where `size` bytes of a segment are, checked as far as segments are concerned. */
int x86_linear_address(struct x86_emulation *e, enum x86_segment segment, uint64_t offset, unsigned size,
                       bool write, uint64_t *linear);
/* The memory operand's bytes from `skip` on. */
int x86_operand_linear(struct x86_emulation *e, unsigned skip, unsigned size, bool write, uint64_t *linear);
int x86_operand_read(struct x86_emulation *e, unsigned skip, void *bytes, unsigned size);
int x86_operand_write(struct x86_emulation *e, unsigned skip, const void *bytes, unsigned size);
/* Register or memory, of `size` bytes. */
int x86_rm_read(struct x86_emulation *e, unsigned size, uint64_t *value);
int x86_rm_write(struct x86_emulation *e, unsigned size, uint64_t value);

/* -- more than one file needs ---------------------------------------------------------------------------- */

/* Instructions of group 7 that are elsewhere: those without operand, and INVLPG. */
int x86_emulate_group7_register(struct x86_emulation *e);
int x86_emulate_invlpg(struct x86_emulation *e);
int x86_emulate_rdtscp(struct x86_emulation *e);
/* CR0 with all checks and what follows from it. */
int x86_control_set0(struct x86_emulation *e, uint64_t value);
/* Whether XMM, x87, MMX may be used: #UD, #NM as CR0 and CR4 say. */
int x86_check_sse(struct x86_emulation *e);
int x86_check_x87(struct x86_emulation *e);
/* An exception of the x87 that an earlier instruction left: #MF. */
int x86_check_pending(struct x86_emulation *e);

#endif
