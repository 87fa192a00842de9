/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arrival: what comes to a vCPU by its local APIC, where an engine has that outside of the processor: INIT,
 * SIPI, NMI, and the interrupts' vectors.
 */
#ifndef VISOR_ENGINE_ARRIVAL_H
#define VISOR_ENGINE_ARRIVAL_H

#include "engine/engine.h"

struct arrival {
    bool registers; /* INIT or SIPI: the state is another */
    bool init;
    unsigned nmis;
};

/* Takes what lapic_has_events() tells of. System management interrupts are lost: there is no firmware that
 * would have asked for any. `first`: the bootstrap processor, which does not wait for SIPI. */
struct arrival arrival_take(struct x86_state *state, struct lapic *lapic, const struct x86_model *model,
                            bool first);

/* The vector of an interrupt that the processor takes now; it is acknowledged. -1: there is none after all.
 */
int arrival_acknowledge(const struct engine_machine *machine, struct lapic *lapic);

#endif
