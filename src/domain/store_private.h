/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_private: what the files of the store have in common. */
#ifndef VISOR_DOMAIN_STORE_PRIVATE_H
#define VISOR_DOMAIN_STORE_PRIVATE_H

#include "domain/store.h"

#define NEW_PREFIX  ".new-"
#define DEAD_PREFIX ".dead-"

/* An entry of domains/ with a prefix. */
#define STORE_ENTRY_SIZE (sizeof DEAD_PREFIX + STORE_ID_DIGITS)

static inline void domain_store_step(const struct domain_store *store)
{
    if (store->step)
        store->step();
}

/* Whether a word is a whole id. */
bool domain_store_is_id(const char *word);
/* The id that a name's link has. False: there is no such name. */
bool domain_store_name_read(const struct domain_store *store, const char *name, char id[STORE_ID_DIGITS + 1]);

/* What the domain is called now: another command may have renamed it since it was opened. */
void domain_name_now(const struct domain *domain, char name[STORE_NAME_MAX + 1]);

/* Takes the store's lock, shared. -EROFS...: it cannot be written to. */
int domain_store_lock(struct domain_store *store, struct error *error);
void domain_store_unlock(struct domain_store *store);
/* Takes the store's lock exclusively, which must not be held, if nobody else has it or `wait`; removes what
 * is half made, and releases it. */
void domain_store_repair(struct domain_store *store, bool wait);

#endif
