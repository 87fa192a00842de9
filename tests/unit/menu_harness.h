/* SPDX-License-Identifier: GPL-2.0-or-later */
/* menu_harness: a disk of a few files in memory, for the parsers of boot loaders' configurations. */
#ifndef VISOR_TESTS_MENU_HARNESS_H
#define VISOR_TESTS_MENU_HARNESS_H

#include <stdlib.h>
#include <string.h>

#include "boot/menu.h"

struct fake_file {
    int volume;
    const char *path, *text; /* no text: a folder */
};

struct fake_disk {
    const struct fake_file *files;
    unsigned count;
    const char *uuids[4];
};

static inline const struct fake_file *fake_find(const struct fake_disk *disk, int volume, const char *path)
{
    for (unsigned i = 0; i < disk->count; i++)
        if (disk->files[i].volume == volume && !strcmp(disk->files[i].path, path))
            return &disk->files[i];
    return NULL;
}

static inline char *fake_read_text(void *opaque, int volume, const char *path, struct arena *arena)
{
    const struct fake_file *file = fake_find(opaque, volume, path);
    return file && file->text ? arena_text(arena, file->text, strlen(file->text)) : NULL;
}

static inline bool fake_exists(void *opaque, int volume, const char *path, bool *is_directory)
{
    const struct fake_file *file = fake_find(opaque, volume, path);
    *is_directory = file && !file->text;
    return file != NULL;
}

static inline void fake_list(void *opaque, int volume, const char *path,
                             void (*found)(void *list, const char *name), void *list)
{
    const struct fake_disk *disk = opaque;
    size_t length = strlen(path);
    for (unsigned i = 0; i < disk->count; i++)
        if (disk->files[i].volume == volume && !strncmp(disk->files[i].path, path, length) &&
            disk->files[i].path[length] == '/')
            found(list, disk->files[i].path + length + 1);
}

static inline int fake_search(void *opaque, enum menu_search by, const char *what)
{
    const struct fake_disk *disk = opaque;
    for (int i = 0; i < 4 && disk->uuids[i]; i++)
        if ((by == MENU_BY_UUID && !strcmp(disk->uuids[i], what)) ||
            (by == MENU_BY_FILE && fake_find(disk, i, what)) ||
            (by == MENU_BY_PARTITION && atoi(what) == i + 1))
            return i;
    return -1;
}

static inline unsigned fake_partition(void *opaque, int volume)
{
    (void)opaque;
    return (unsigned)volume + 1;
}

static inline struct menu_disk fake_menu_disk(struct fake_disk *disk)
{
    return (struct menu_disk){disk, fake_read_text, fake_exists, fake_list, fake_search, fake_partition};
}

#endif
