/* SPDX-License-Identifier: GPL-2.0-or-later */
/* held: a container that a command works on: its directory, locked or not, and its record. */
#ifndef VISOR_PERSONALITY_CONTAINER_HELD_H
#define VISOR_PERSONALITY_CONTAINER_HELD_H

#include "personality/container/state.h"
#include "personality/container/store.h"

struct held {
    int directory; /* -1: none */
    struct store_entry *entry;
};

int held_take(struct held *held, const char *state_root, const char *id, bool lock, struct error *error);
void held_release(struct held *held);

#endif
