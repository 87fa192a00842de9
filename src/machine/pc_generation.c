/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The generation of a PC: the number in memory that says which of its copies it is. */
#include <errno.h>
#include <string.h>

#include "device/misc/acpi_pm.h"
#include "machine/pc_private.h"

int pc_make_generation(struct pc *pc, const struct pc_config *config, struct error *error)
{
    (void)config;
    if (!pc_wants(pc, "generation"))
        return 0;
    int code = generation_renew(&pc->generation);
    if (code)
        return error_set(error, code, "the host gives no random numbers: %s", strerror(-code));
    pc->has_generation = true;
    return pc_add(pc, &generation_type, "generation", &pc->generation, error);
}

void pc_write_generation(struct pc *pc)
{
    if (pc->has_generation)
        memory_write(&pc->machine->memory, LAYOUT_GENERATION, pc->generation.id, sizeof pc->generation.id);
}

/* Where the host has no random numbers left, the old one stays: the guest is then no worse off than with no
 * such device. */
void pc_renew_generation(struct pc *pc)
{
    if (!pc->has_generation || generation_renew(&pc->generation))
        return;
    pc_write_generation(pc);
    acpi_pm_set_gpe(&pc->pm, ACPI_GENERATION_EVENT, true);
    acpi_pm_set_gpe(&pc->pm, ACPI_GENERATION_EVENT, false); /* an edge */
}
