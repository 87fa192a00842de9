/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layout: where a PC's memory is, for the board that makes it, the tables that describe it and the kernels
 * that are put into it.
 */
#ifndef VISOR_BOOT_LAYOUT_H
#define VISOR_BOOT_LAYOUT_H

#include <stdint.h>

#include "base/error.h"

#define LAYOUT_LOW_END         UINT64_C(0xa0000) /* of conventional memory */
#define LAYOUT_TABLES          UINT64_C(0xe0000) /* ACPI tables and, at its place, their root pointer */
#define LAYOUT_TABLES_SIZE     UINT64_C(0x1e000)
#define LAYOUT_GENERATION      UINT64_C(0xfe000) /* a page: the machine's generation; then what firmware has */
#define LAYOUT_HIGH_START      UINT64_C(0x100000)   /* 1 MiB */
#define LAYOUT_HOLE            UINT64_C(0xb0000000) /* PCI configuration, PCI memory, interrupt controllers */
#define LAYOUT_PCI_CONFIG_SIZE UINT64_C(0x10000000) /* 256 buses, at the start of the hole */
#define LAYOUT_ABOVE           UINT64_C(0x100000000) /* 4 GiB, where the rest of the RAM is */
#define LAYOUT_RAM_MIN         UINT64_C(0x200000)
#define LAYOUT_RAM_MAX         (UINT64_C(1) << 39) /* half of what 40 bits of physical address have */

struct ram_layout {
    uint64_t size;  /* all of the RAM: of its backing */
    uint64_t below; /* RAM is at [0, below), but for A0000h to BFFFFh */
    uint64_t above; /* and at [4 GiB, 4 GiB + above), in the backing from `below` on */
};

/* `size` in bytes: -EINVAL if it is no multiple of 4 KiB or a PC cannot have it. */
int ram_layout_init(struct ram_layout *layout, uint64_t size, struct error *error);

/* What memory_add_ram() is to be called with. */
struct ram_piece {
    uint64_t base, size, backing_offset;
};
#define RAM_PIECES_MAX 3
unsigned ram_layout_pieces(const struct ram_layout *layout, struct ram_piece pieces[RAM_PIECES_MAX]);

/* The memory map as a PC's firmware hands it over (ACPI specification, "System Address Map Interfaces"). */
enum { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3 };
struct e820_entry {
    uint64_t start, size;
    uint32_t type;
};
#define E820_MAX 8
unsigned ram_layout_e820(const struct ram_layout *layout, struct e820_entry entries[E820_MAX]);

#endif
