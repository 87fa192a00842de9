/* SPDX-License-Identifier: GPL-2.0-or-later */
/* debug: the registers of a program's CPU, between the translator and the debugger. */
#include <string.h>

#include "personality/linux/amd64.h"
#include "personality/linux/amd64_emulate.h"
#include "personality/linux/debug.h"
#include "translator/guest/arm64/arm64.h"

/* -- arm64 ------------------------------------------------------------------------------------------------
 */

static void get_arm64(const struct translator_cpu *cpu, void *state)
{
    const struct arm64_cpu *arm64 = (const struct arm64_cpu *)cpu;
    struct arm64_state *out = state;
    *out = arm64->state;
    out->fpcr = arm64_read_fpcr(arm64);
    out->fpsr = arm64_read_fpsr(arm64);
}

static void set_arm64(struct translator_cpu *cpu, const void *state)
{
    struct arm64_cpu *arm64 = (struct arm64_cpu *)cpu;
    const struct arm64_state *in = state;
    arm64->state = *in;
    arm64_write_fpcr(arm64, in->fpcr);
    arm64_write_fpsr(arm64, in->fpsr);
}

const struct linux_debug_arch linux_debug_arm64 = {
    .gdb = &gdb_arch_arm64, .get = get_arm64, .set = set_arm64};

/* -- amd64 ------------------------------------------------------------------------------------------------
 */

static void settle_amd64(struct translator_cpu *cpu)
{
    amd64_to_state(amd64_cpu(cpu));
}

static void get_amd64(const struct translator_cpu *cpu, void *state)
{
    memcpy(state, &((const struct x86_cpu *)cpu)->state, sizeof(struct x86_state));
}

static void set_amd64(struct translator_cpu *cpu, const void *state)
{
    memcpy(&amd64_cpu(cpu)->state, state, sizeof(struct x86_state));
    amd64_from_state(amd64_cpu(cpu));
    amd64_note_flags(cpu->owner);
}

const struct linux_debug_arch linux_debug_amd64 = {
    .gdb = &gdb_arch_x86_64_linux, .settle = settle_amd64, .get = get_amd64, .set = set_amd64};
