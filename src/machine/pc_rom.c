/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What little there is of firmware: rom.S, and what a PC's has left for kernels that were made for one. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "machine/pc_private.h"

#define ROM_SIZE    256u
#define ROM_ENTRY   0xf0u /* where a processor begins */
#define ROM_PAGE    (LAYOUT_ABOVE - MEMORY_PAGE_SIZE)
#define ROM_LOW     (LAYOUT_HIGH_START - ROM_SIZE)
#define ROM_SEGMENT 0xf000
#define ROM_OFFSET  (0x10000 - ROM_SIZE)

#define VECTORS      256
#define TIMER_VECTOR 8

extern const uint8_t pc_rom[ROM_SIZE], pc_rom_timer[], pc_rom_nothing[];

int pc_make_rom(struct pc *pc, const struct pc_config *config, struct error *error)
{
    (void)config;
    pc->rom = memory_backing_create("rom", MEMORY_PAGE_SIZE, error);
    if (!pc->rom)
        return error->code;
    memcpy(pc->rom->host + MEMORY_PAGE_SIZE - ROM_SIZE, pc_rom, ROM_SIZE);
    return memory_add_rom(&pc->machine->memory, "rom", ROM_PAGE, MEMORY_PAGE_SIZE, 0, pc->rom, 0, NULL, NULL,
                          error)
               ? 0
               : error->code;
}

void pc_write_rom(struct pc *pc)
{
    /* A far jump: who comes here may have written FFFF:0. */
    static const uint8_t jump[] = {0xea, ROM_OFFSET & 0xff, ROM_OFFSET >> 8, 0, ROM_SEGMENT >> 8};
    memory_write(&pc->machine->memory, ROM_LOW, pc_rom, ROM_SIZE);
    memory_write(&pc->machine->memory, ROM_LOW + ROM_ENTRY, jump, sizeof jump);
}

static uint32_t vector_to(const uint8_t *handler)
{
    return htole32((uint32_t)ROM_SEGMENT << 16 | (uint32_t)(ROM_OFFSET + (handler - pc_rom)));
}

/* The 8259s at vectors 8 and 70h, the 8254's first counter at 18.2 Hz, the only interrupt that is not masked,
 * and vectors for real-address mode. */
void pc_start_timer(struct pc *pc)
{
    static const struct {
        uint16_t port;
        uint8_t value;
    } writes[] = {
        {0x20, 0x11}, {0x21, TIMER_VECTOR}, {0x21, 4}, {0x21, 1}, {0x21, 0xfa}, /* 0 and the other 8259 */
        {0xa0, 0x11}, {0xa1, 0x70},         {0xa1, 2}, {0xa1, 1}, {0xa1, 0xff}, {0x43, 0x36}, {0x40, 0},
        {0x40, 0},
    };
    uint32_t vectors[VECTORS];
    for (unsigned i = 0; i < VECTORS; i++)
        vectors[i] = vector_to(i == TIMER_VECTOR ? pc_rom_timer : pc_rom_nothing);
    memory_write(&pc->machine->memory, 0, vectors, sizeof vectors);
    for (unsigned i = 0; i < ARRAY_SIZE(writes); i++)
        io_write(&pc->machine->io, writes[i].port, 1, writes[i].value);
}
