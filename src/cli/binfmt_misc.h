/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * binfmt misc: the kernel's table of interpreters for foreign programs, /proc/sys/fs/binfmt_misc.
 *
 * There is one table per user namespace that has mounted one (Linux 6.7 and newer); a process sees the
 * nearest, its own namespace's or an ancestor's.
 */
#ifndef VISOR_CLI_BINFMT_MISC_H
#define VISOR_CLI_BINFMT_MISC_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

#define BINFMT_DIRECTORY "/proc/sys/fs/binfmt_misc"
#define BINFMT_MAGIC_MAX 128

struct binfmt_entry {
    char name[NAME_MAX + 1];
    bool enabled;
    char interpreter[PATH_MAX];
    char flags[16];
    unsigned offset; /* in the file, where the magic is */
    unsigned size;   /* of magic and mask; 0: the entry is for a file name's end */
    uint8_t magic[BINFMT_MAGIC_MAX], mask[BINFMT_MAGIC_MAX];
};

/* Is a table to be seen? */
bool binfmt_misc_is_mounted(void);

/* Sees to it that the caller's own namespace has a table and that it may be written. 0 or a negative errno
 * and *error. */
int binfmt_misc_open(struct error *error);

/* The whole table's switch. */
bool binfmt_misc_is_enabled(void);

/* All entries, in no order: *entries is to be freed. Their number, or a negative errno and *error. */
int binfmt_misc_list(struct binfmt_entry **entries, struct error *error);

/* Parses what the kernel shows of an entry; the name is set already. */
void binfmt_misc_parse(const char *text, struct binfmt_entry *entry);

/* Would the kernel give a program that begins with these bytes to the entry's interpreter? */
bool binfmt_misc_matches(const struct binfmt_entry *entry, const uint8_t *head, size_t size);

/* Writes to a file of the table: "register", or an entry: "1" enables, "0" disables, "-1" removes it. 0 or a
 * negative errno. */
int binfmt_misc_write(const char *name, const char *text);

#endif
