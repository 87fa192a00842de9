/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/file_table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct file_table_row {
    dev_t device;
    ino_t inode;
    char *path;
    bool used;
};

static size_t place_of(const struct file_table *table, dev_t device, ino_t inode)
{
    uint64_t mixed = ((uint64_t)inode ^ (uint64_t)device << 40) * UINT64_C(0x9e3779b97f4a7c15);
    size_t place = (size_t)(mixed >> 20) & (table->room - 1);
    while (table->rows[place].used &&
           (table->rows[place].device != device || table->rows[place].inode != inode))
        place = (place + 1) & (table->room - 1);
    return place;
}

const struct file_table_row *file_table_find(const struct file_table *table, const struct stat *status)
{
    if (!table->room)
        return NULL;
    const struct file_table_row *row = &table->rows[place_of(table, status->st_dev, status->st_ino)];
    return row->used ? row : NULL;
}

const char *file_table_path(const struct file_table_row *row)
{
    return row->path;
}

static bool grow(struct file_table *table)
{
    struct file_table larger = {.room = table->room ? 2 * table->room : 64};
    larger.rows = calloc(larger.room, sizeof *larger.rows);
    if (!larger.rows)
        return false;
    for (size_t i = 0; i < table->room; i++) {
        const struct file_table_row *row = &table->rows[i];
        if (row->used)
            larger.rows[place_of(&larger, row->device, row->inode)] = *row;
    }
    larger.count = table->count;
    free(table->rows);
    *table = larger;
    return true;
}

bool file_table_add(struct file_table *table, const struct stat *status, const char *path)
{
    char *copy = path ? strdup(path) : NULL;
    if ((path && !copy) || (4 * table->count >= 3 * table->room && !grow(table))) {
        free(copy);
        return false;
    }
    table->rows[place_of(table, status->st_dev, status->st_ino)] = (struct file_table_row){
        .device = status->st_dev, .inode = status->st_ino, .path = copy, .used = true};
    table->count++;
    return true;
}

void file_table_free(struct file_table *table)
{
    for (size_t i = 0; i < table->room; i++)
        free(table->rows[i].path);
    free(table->rows);
    *table = (struct file_table){0};
}
