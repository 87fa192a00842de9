/* SPDX-License-Identifier: GPL-2.0-or-later */
/* table: what is printed for people in columns. */
#ifndef VISOR_CLI_TABLE_H
#define VISOR_CLI_TABLE_H

#include <stdbool.h>

#define TABLE_COLUMNS_MAX 12

struct table {
    unsigned columns;
    unsigned count, room; /* cells */
    char **cells;
    bool failed; /* memory ran out: nothing is printed */
};

/* The next cell, by rows; the first row is the heading. The text is copied. */
void table_add(struct table *table, const char *text);
/* Prints it with columns as wide as their widest cell, and frees it. */
void table_print(struct table *table);
/* The same with another end of lines. */
void table_write(struct table *table, const char *end);

/* How many columns a text in UTF-8 takes on a terminal. */
unsigned table_width(const char *text);

#endif
