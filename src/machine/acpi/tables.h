/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tables: between acpi.c and the DSDT's content. */
#ifndef VISOR_MACHINE_ACPI_TABLES_H
#define VISOR_MACHINE_ACPI_TABLES_H

#include "base/buffer.h"
#include "machine/acpi/acpi.h"

/* The DSDT without its header. */
void dsdt_append(const struct acpi_config *config, struct buffer *out);

#endif
