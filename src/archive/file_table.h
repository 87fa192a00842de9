/* SPDX-License-Identifier: GPL-2.0-or-later */
/* file_table: files by device and inode, each with a path if it has one. */
#ifndef VISOR_ARCHIVE_FILE_TABLE_H
#define VISOR_ARCHIVE_FILE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct file_table {
    struct file_table_row *rows; /* of `room`, a power of two, or none */
    size_t room, count;
};

/* The row of a file, or NULL. */
const struct file_table_row *file_table_find(const struct file_table *table, const struct stat *status);
/* NULL if it has none. */
const char *file_table_path(const struct file_table_row *row);
/* Adds one that is not there; the path is copied, and may be NULL. False: out of memory. */
bool file_table_add(struct file_table *table, const struct stat *status, const char *path);
void file_table_free(struct file_table *table);

#endif
