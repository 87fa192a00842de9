/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_private: what the files of the store have in common. */
#ifndef VISOR_DOMAIN_STORE_PRIVATE_H
#define VISOR_DOMAIN_STORE_PRIVATE_H

#include "domain/store.h"

#define NEW_PREFIX  ".new-"
#define DEAD_PREFIX ".dead-"

/* An entry of domains/ with a prefix. */
#define STORE_ENTRY_SIZE (sizeof DEAD_PREFIX + STORE_ID_DIGITS)

static inline void store_step(const struct store *store)
{
    if (store->step)
        store->step();
}

/* Whether a word is a whole id. */
bool store_is_id(const char *word);
/* The id that a name's link has. False: there is no such name. */
bool store_name_read(const struct store *store, const char *name, char id[STORE_ID_DIGITS + 1]);

/* Takes the store's lock, shared. -EROFS...: it cannot be written to. */
int store_lock(struct store *store, struct error *error);
void store_unlock(struct store *store);
/* Takes the store's lock exclusively, which must not be held, if nobody else has it or `wait`; removes what
 * is half made, and releases it. */
void store_repair(struct store *store, bool wait);

/* -- files (store_files.c) ------------------------------------------------------------------------------- */

/* Replaces a file by a document: it is there as a whole, or the one before. `sync`: after
 * a crash of the host, too. */
int store_write_json(int directory, const char *name, const json_t *document, bool sync, struct error *error);
/* NULL with error: -ENOENT. */
json_t *store_read_json(int directory, const char *name, struct error *error);
/* Removes a directory with all that is in it. -errno of the first failure. */
int store_remove_tree(int parent, const char *name);

#endif
