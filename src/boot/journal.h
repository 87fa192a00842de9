/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal: what the journal of an ext3 or ext4 file system has that is not in its place yet, since the guest
 * that wrote it came to a sudden end: blocks that are to be read instead of those of the file system. Nothing
 * is written.
 */
#ifndef VISOR_BOOT_JOURNAL_H
#define VISOR_BOOT_JOURNAL_H

#include "boot/file.h"

struct journal;

/* Of the journal's bytes, which become its, unless this fails. Blocks of the journal are as large as those of
 * the file system. -EINVAL: it is none that can be read. What was not committed, or is damaged, does not
 * count, and neither does all that follows it. */
int journal_open(struct journal **out, struct boot_file *log, uint32_t block_size);
void journal_close(struct journal *journal); /* may be NULL */

/* The first block from `block` on that is in the journal; UINT64_MAX: none is. */
uint64_t journal_next(const struct journal *journal, uint64_t block);
/* A part of a block that is. A negative errno. */
int journal_read(const struct journal *journal, uint64_t block, uint32_t offset, void *buffer,
                 uint32_t length);

#endif
