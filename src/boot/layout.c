/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot/layout.h"

#include <errno.h>

#include "base/macros.h"

int ram_layout_init(struct ram_layout *layout, uint64_t size, struct error *error)
{
    if (size < LAYOUT_RAM_MIN || size > LAYOUT_RAM_MAX) {
        int result = error_set(error, -EINVAL, "a machine with %llu bytes of memory is not possible",
                               (unsigned long long)size);
        error_hint(error, "from 2M to 512G");
        return result;
    }
    if (size & 0xfff)
        return error_set(error, -EINVAL, "%llu bytes of memory are no multiple of 4 KiB",
                         (unsigned long long)size);
    *layout = (struct ram_layout){.size = size, .below = MIN(size, LAYOUT_HOLE)};
    layout->above = size - layout->below;
    return 0;
}

unsigned ram_layout_pieces(const struct ram_layout *layout, struct ram_piece pieces[RAM_PIECES_MAX])
{
    const uint64_t adapters_end = 0xc0000; /* the memory of graphics adapters is left out */
    pieces[0] = (struct ram_piece){0, LAYOUT_LOW_END, 0};
    pieces[1] = (struct ram_piece){adapters_end, layout->below - adapters_end, adapters_end};
    pieces[2] = (struct ram_piece){LAYOUT_ABOVE, layout->above, layout->below};
    return layout->above ? 3 : 2;
}

unsigned ram_layout_e820(const struct ram_layout *layout, struct e820_entry entries[E820_MAX])
{
    unsigned count = 0;
    entries[count++] = (struct e820_entry){0, LAYOUT_LOW_END, E820_RAM};
    entries[count++] = (struct e820_entry){LAYOUT_TABLES, LAYOUT_HIGH_START - LAYOUT_TABLES, E820_RESERVED};
    entries[count++] = (struct e820_entry){LAYOUT_HIGH_START, layout->below - LAYOUT_HIGH_START, E820_RAM};
    entries[count++] = (struct e820_entry){LAYOUT_HOLE, LAYOUT_PCI_CONFIG_SIZE, E820_RESERVED};
    if (layout->above)
        entries[count++] = (struct e820_entry){LAYOUT_ABOVE, layout->above, E820_RAM};
    return count;
}
