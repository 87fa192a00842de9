/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * code_archive: in system mode, what was translated once and is wanted at other addresses. A guest puts
 * programs and libraries at other addresses in each process, while their bytes stay where they are in its
 * memory: code made of them is kept here by its physical address, and copied to where it is wanted
 * (host_move()).
 *
 * It also outlives the code cache. Needs the translator's lock.
 */
#ifndef VISOR_TRANSLATOR_CODE_ARCHIVE_H
#define VISOR_TRANSLATOR_CODE_ARCHIVE_H

#include "translator/code_cache.h"

struct code_archive;

/* NULL: out of memory. */
struct code_archive *code_archive_new(void);
void code_archive_free(struct code_archive *archive);

/* Keeps a copy of movable code that depends on `range` of the page of key->physical. Without memory for it,
 * nothing happens. */
void code_archive_add(struct code_archive *archive, const struct block_key *key, struct code_range range,
                      const struct host_code *code);

/* Code for what is at key->physical, in `code` as it is to be at key->pc. *last is the address that it was
 * added for last, the caller's to change; borrowed until the next call of any of these. False: there is none.
 */
bool code_archive_find(struct code_archive *archive, const struct guest_isa *isa, const struct block_key *key,
                       struct code_range *range, struct host_code *code, uint64_t **last);

/* Forgets all code of the pages of [start, end). */
void code_archive_forget(struct code_archive *archive, uint64_t start, uint64_t end);

#endif
