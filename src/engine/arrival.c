/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/arrival.h"

static void init(struct x86_state *s, struct lapic *lapic, const struct x86_model *model, bool first)
{
    x86_state_init(s, model);
    lapic_init_processor(lapic);
    s->activity = first ? X86_ACTIVE : X86_WAITS_FOR_SIPI;
    s->nmi_pending = s->nmi_blocked = 0;
}

static bool startup(struct x86_state *s, uint8_t vector)
{
    if (s->activity != X86_WAITS_FOR_SIPI)
        return false;
    s->segment[X86_CS].selector = (uint16_t)(vector << 8);
    s->segment_base[X86_CS] = (uint64_t)vector << 12;
    s->rip = 0;
    s->activity = X86_ACTIVE;
    return true;
}

struct arrival arrival_take(struct x86_state *state, struct lapic *lapic, const struct x86_model *model,
                            bool first)
{
    const uint32_t events = lapic_take_events(lapic);
    struct arrival arrival = {.init = events & LAPIC_INIT};
    if (arrival.init)
        init(state, lapic, model, first);
    arrival.registers = arrival.init;
    if (events & LAPIC_SIPI)
        arrival.registers |= startup(state, (uint8_t)atomic_load(&lapic->sipi_vector));
    arrival.nmis = ((events & LAPIC_NMI) != 0) + ((events & LAPIC_NMI_AGAIN) != 0);
    return arrival;
}

int arrival_acknowledge(const struct engine_machine *machine, struct lapic *lapic)
{
    int vector = lapic_acknowledge(lapic);
    if (vector != LAPIC_EXTINT)
        return vector;
    pthread_mutex_lock(machine->lock);
    vector = machine->pic_acknowledge(machine->opaque);
    pthread_mutex_unlock(machine->lock);
    return vector;
}
