/* SPDX-License-Identifier: GPL-2.0-or-later */
/* exits: how often a vCPU came out of guest code, by reason. */
#include "base/macros.h"
#include "engine/kvm/private.h"

static const struct {
    unsigned reason;
    const char *name;
} reasons[] = {
    {KVM_EXIT_IO, "port"},
    {KVM_EXIT_MMIO, "memory"},
    {KVM_EXIT_X86_RDMSR, "msr_read"},
    {KVM_EXIT_X86_WRMSR, "msr_write"},
    {KVM_EXIT_HLT, "halt"},
    {KVM_EXIT_IOAPIC_EOI, "interrupt_end"},
    {KVM_EXIT_IRQ_WINDOW_OPEN, "interrupt_window"},
    {KVM_EXIT_INTR, "kick"},
    {KVM_EXIT_INTERNAL_ERROR, "instruction"}, /* that visor executes, see rescue.c */
    {KVM_EXIT_DEBUG, "debug"},
    {KVM_EXIT_SHUTDOWN, "shutdown"},
};
_Static_assert(ARRAY_SIZE(reasons) < ENGINE_EXITS_MOST, "");

static uint64_t count_of(const struct kvm_place *place, unsigned reason)
{
    return atomic_load_explicit(&place->exits[reason], memory_order_relaxed);
}

unsigned kvm_exits_list(const struct engine_vcpu *v, struct engine_exit_count out[ENGINE_EXITS_MOST])
{
    const struct kvm_place *place = &v->vm->places[v->index];
    uint64_t others = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(place->exits); i++)
        others += count_of(place, i);
    for (unsigned i = 0; i < ARRAY_SIZE(reasons); i++) {
        out[i] = (struct engine_exit_count){reasons[i].name, count_of(place, reasons[i].reason)};
        others -= MIN(others, out[i].count); /* the vCPU runs */
    }
    out[ARRAY_SIZE(reasons)] = (struct engine_exit_count){"other", others};
    return ARRAY_SIZE(reasons) + 1;
}
