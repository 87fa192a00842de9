/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine_memory: the memory of a saved machine: pieces of it, at most 2 MiB each, that have pages other than
 * zeros.
 *
 * The section "memory" is the list of pieces in ascending order: u64 bytes of RAM, u32 pieces, u32 0, then of
 * each piece u64 first page, u32 pages, u32 CRC-32C of its bytes, u64 offset in the file, u32 bytes there,
 * u32 form: 0, the bytes as they are, from a multiple of 4096 on, so that they can be mapped (pages of zeros
 * are holes in the file); 1, a frame of zstd. They are in the bulk section "memory-data".
 */
#ifndef VISOR_MACHINE_MACHINE_MEMORY_H
#define VISOR_MACHINE_MACHINE_MEMORY_H

#include "memory/memory_map.h"
#include "state/state_file.h"

int machine_memory_save(const struct memory_backing *ram, struct state_writer *writer, bool compress,
                        struct error *error);

struct machine_memory_piece {
    uint64_t first, offset; /* page; in the file */
    uint32_t pages, checksum, stored, form;
};

struct machine_memory_plan {
    struct machine_memory_piece *pieces;
    uint32_t count;
};

/* Reads and checks the list, for RAM of this size. Free it in any case. */
int machine_memory_plan(struct machine_memory_plan *plan, struct state_reader *reader, uint64_t size,
                        struct error *error);
void machine_memory_plan_free(struct machine_memory_plan *plan);
/* `eager`: all is read and checked; else mapped, where that is possible. */
int machine_memory_load(struct memory_backing *ram, const struct state_reader *reader,
                        const struct machine_memory_plan *plan, bool eager, struct error *error);

#endif
