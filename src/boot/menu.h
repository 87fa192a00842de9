/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * menu: the configurations of boot loaders, and what they would start without anybody at the keyboard.
 *
 * A parser gets its text and a menu_disk to look further with, and fills in a menu_entry, whose texts are the
 * arena's. Each returns 0, or -ENOENT if nothing can be started by it. They take any bytes for a text, and do
 * a bounded amount of work.
 */
#ifndef VISOR_BOOT_MENU_H
#define VISOR_BOOT_MENU_H

#include "boot/arena.h"

#define MENU_INITRDS 8

enum menu_search { MENU_BY_UUID, MENU_BY_LABEL, MENU_BY_FILE, MENU_BY_PARTITION };

/* The disk's file systems, by number from 0. */
struct menu_disk {
    void *opaque;
    /* The whole of a small file with a zero after it, the arena's; NULL: there is none. */
    char *(*read_text)(void *opaque, int volume, const char *path, struct arena *arena);
    bool (*exists)(void *opaque, int volume, const char *path, bool *is_directory);
    void (*list)(void *opaque, int volume, const char *path, void (*found)(void *list, const char *name),
                 void *list);
    /* The file system with this UUID, label or file, or, by its number in decimal (0: the whole disk), in
     * this partition; -1. */
    int (*search)(void *opaque, enum menu_search by, const char *what);
    unsigned (*partition)(void *opaque, int volume);
};

struct menu_path {
    int volume;
    const char *path;
};

struct menu_entry {
    const char *title; /* never NULL */
    struct menu_path kernel, initrds[MENU_INITRDS];
    unsigned initrd_count;
    const char *command_line; /* never NULL */
};

/* Where a configuration was found: paths in it start from here. */
struct menu_place {
    const struct menu_disk *disk;
    struct arena *arena;
    int volume;
    const char *directory; /* "" or "/boot/grub" */
};

int extlinux_choose(const struct menu_place *place, const char *text, struct menu_entry *out);
/* `directory` of the place is where the folder "loader" is. `wanted`: an entry's name, or NULL;
 * `environment`: lines NAME=VALUE for $NAME in options, or NULL. */
int bls_choose(const struct menu_place *place, const char *wanted, const char *environment,
               struct menu_entry *out);
/* `text` is grub.cfg's. */
int grub_choose(const struct menu_place *place, const char *text, struct menu_entry *out);

/* -- for the parsers --------------------------------------------------------------------------------------
 */

/* The entry's kernel is a file that exists. */
bool menu_entry_exists(const struct menu_place *place, const struct menu_entry *entry);
/* Adds file names with commas or blanks between. A name that does not begin with a slash is below
 * `directory`. */
void menu_add_initrds(const struct menu_place *place, struct menu_entry *entry, const char *names,
                      const char *directory);
const char *menu_join(const struct menu_place *place, const char *directory, const char *name);
/* The next line of *text without blanks around it, as an arena's copy; NULL at the end. */
char *menu_line(struct arena *arena, const char **text);
/* Cuts the first word off a line, and leaves the rest without blanks before it. */
char *menu_word(char **line);
/* The value of NAME in lines NAME=VALUE, as an arena's copy, or NULL. */
char *menu_variable(struct arena *arena, const char *lines, const char *name, size_t length);

#endif
