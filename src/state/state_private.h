/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state_private: the header of a saved state and the entries of its table, for who reads and who writes it.
 */
#ifndef VISOR_STATE_STATE_PRIVATE_H
#define VISOR_STATE_STATE_PRIVATE_H

#include "state/state_file.h"

#define STATE_HEADER_SIZE 64
#define STATE_ENTRY_SIZE  48

extern const char state_magic[8], state_magic_unfinished[8];

struct state_header {
    uint32_t format, count;
    uint64_t size, table; /* of the file; where the table of sections is */
    uint32_t checksum;    /* of the table */
};

int state_header_load(struct state_header *header, const uint8_t bytes[STATE_HEADER_SIZE],
                      struct error *error);
void state_header_save(const struct state_header *header, struct buffer *out);
void state_entry_save(const struct state_section *section, struct buffer *out);
void state_entry_load(struct state_section *section, struct reader *reader);

#endif
