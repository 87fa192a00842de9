/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * code_store: translations that processes share, so that a program's second run, by any process, translates
 * next to nothing.
 *
 * A store is a memfd that processes inherit. It knows nothing of files and programs: an entry is found by the
 * guest address of its first instruction and counts only if the guest bytes that it was made from are those
 * that are there now. So it is of use where programs find their code at the same addresses again.
 *
 * Who can write to a store decides what code all its users run. Therefore it bears a key, which says who they
 * are: the very file of visor, and the rights of the process. A process whose key is another does not use the
 * store; one whose rights change leaves it, and then neither a descriptor nor a mapping of it remains.
 *
 * Entries are appended, never changed, and are read through a mapping that cannot be written, so that a guest
 * that writes wildly does no harm to other processes. They are written by system calls, many at a time, at
 * the latest when the process ends. Their structure is checked nevertheless: a damaged entry is none.
 *
 * Functions need the translator's lock, but for code_store_find() and code_store_in_use().
 */
#ifndef VISOR_TRANSLATOR_CODE_STORE_H
#define VISOR_TRANSLATOR_CODE_STORE_H

#include "translator/code_cache.h"
#include "translator/translator.h"

struct code_store;

struct stored_code {
    unsigned mode;        /* guest_isa.mode that it was made for */
    uint64_t start, end;  /* guest bytes that it depends on, */
    const uint8_t *guest; /* and what they were */
    struct code_parts code;
};

/* A new, empty store: a close-on-exec descriptor or a negative errno. */
int code_store_create(const struct translator_key *key);

/* Takes the address space that a store needs, so that the process knows it before its guest does. NULL: out
 * of memory. */
struct code_store *code_store_new(void);
void code_store_free(struct code_store *store);

/* Uses the store of a descriptor, which is borrowed, from now on. False, without effect, if it is none or has
 * another key. */
bool code_store_use(struct code_store *store, int fd, const struct translator_key *key);
bool code_store_in_use(const struct code_store *store);

/* The descriptor has another number now. */
void code_store_renumber(struct code_store *store, int fd);

/* Ends the use of a store and unmaps it. What code_store_find() has found is worthless then: readable, but
 * zeros. */
void code_store_leave(struct code_store *store);

/* The next sound entry for `pc`, of whatever mode, from *cursor on, at first 0. False: there is none. */
bool code_store_find(const struct code_store *store, uint64_t pc, unsigned *cursor,
                     struct stored_code *found);

/* Adds the code of the block at pc. */
void code_store_add(struct code_store *store, uint64_t pc, const struct stored_code *made);

/* Writes what has been added. */
void code_store_flush(struct code_store *store);

/* In the child of a fork: what has not been written is the parent's to write. */
void code_store_forget(struct code_store *store);

#endif
