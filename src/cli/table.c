/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

unsigned table_width(const char *text)
{
    unsigned count = 0;
    for (; *text; text++)
        count += (*text & 0xc0) != 0x80;
    return count;
}

void table_add(struct table *table, const char *text)
{
    if (table->count == table->room) {
        unsigned room = MAX(2 * table->room, 64u);
        char **cells = realloc(table->cells, room * sizeof *cells);
        if (!cells) {
            table->failed = true;
            return;
        }
        table->cells = cells;
        table->room = room;
    }
    char *copy = strdup(text);
    table->failed |= !copy;
    if (copy)
        table->cells[table->count++] = copy;
}

void table_write(struct table *table, const char *end)
{
    unsigned widths[TABLE_COLUMNS_MAX] = {0};
    for (unsigned i = 0; i < table->count; i++) {
        unsigned *width = &widths[i % table->columns];
        *width = MAX(*width, table_width(table->cells[i]));
    }
    for (unsigned i = 0; i < table->count && !table->failed; i++) {
        const bool last = i % table->columns == table->columns - 1;
        const char *text = table->cells[i];
        printf("%s%*s", text, last ? 0 : (int)(widths[i % table->columns] - table_width(text) + 2), "");
        if (last)
            fputs(end, stdout);
    }
    for (unsigned i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}

void table_print(struct table *table)
{
    table_write(table, "\n");
}
