/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clock: what the instructions do that visor reserves for its vDSOs. Private to the guests. */
#ifndef VISOR_TRANSLATOR_GUEST_CLOCK_H
#define VISOR_TRANSLATOR_GUEST_CLOCK_H

#include <stdint.h>

/* An ir_helper: a clock's nanoseconds, or -1: those clocks that Linux serves without a system call are. */
uint64_t guest_read_clock(void *cpu, uint64_t number, uint64_t unused);

#endif
