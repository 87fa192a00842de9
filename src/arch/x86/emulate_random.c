/* SPDX-License-Identifier: GPL-2.0-or-later */
/* emulate_random: RDRAND and RDSEED, from the host's source of random numbers. Intel SDM volume 1, 7.3.17. */
#include <sys/random.h>

#include "arch/x86/emulation.h"

/* Group 9, register operand: /6 RDRAND, /7 RDSEED. CF: there was one. */
int x86_emulate_random(struct x86_emulation *e)
{
    const unsigned reg = e->insn.reg & 7;
    uint64_t value = 0;

    if (reg < 6 || e->insn.repeat)
        return x86_undefined(e);
    const bool given = getrandom(&value, sizeof value, GRND_NONBLOCK) == sizeof value;
    x86_register_set(e, e->insn.rm, 1u << e->insn.size, given ? value : 0);
    e->state->flags = given ? NZCV_B : 0;
    return X86_EMULATED;
}
