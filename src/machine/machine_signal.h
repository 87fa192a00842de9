/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine_signal: the machine's part in signals (device/signal.h): an eventfd for each, which the loop waits
 * for.
 */
#ifndef VISOR_MACHINE_MACHINE_SIGNAL_H
#define VISOR_MACHINE_MACHINE_SIGNAL_H

#include "machine/machine.h"

/* machine->signal_host. */
void machine_signals_init(struct machine *machine);
/* Of all that devices have not closed; none of them will be called. */
void machine_signals_free(struct machine *machine);
/* On the loop's thread, under the lock: calls those that have come. While no vCPU runs: none is outstanding
 * afterwards. */
void machine_signals_serve(struct machine *machine);

#endif
