/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * grub: between the parts that follow a grub.cfg: the script's structure, its commands, the choice of an
 * entry. GRUB's manual, "Writing full configuration files directly". Of the language there are: words with
 * all quotings, variables, if, tests, menus, source; loops and functions are passed over.
 */
#ifndef VISOR_BOOT_GRUB_H
#define VISOR_BOOT_GRUB_H

#include "boot/menu.h"

#define GRUB_WORDS     256 /* in a command */
#define GRUB_ENTRIES   256
#define GRUB_VARIABLES 256
#define GRUB_DEPTH     24    /* of blocks, menus and files */
#define GRUB_STEPS     20000 /* commands in all */
#define GRUB_VALUE_MAX 8192

struct grub_variable {
    const char *name, *value;
};

struct grub_entry {
    const char *title, *id;
    bool is_submenu;
    const char *body; /* after its brace */
};

struct grub {
    const struct menu_place *place;
    struct grub_variable variables[GRUB_VARIABLES];
    unsigned variable_count;
    struct grub_entry entries[GRUB_ENTRIES];
    unsigned entry_count; /* those of a menu stand together */
    unsigned level;       /* of menus */
    unsigned steps, depth;
    bool wants_bls;
    const char *environment; /* grubenv */
    struct menu_entry *entry;
};

/* How a list of commands ended: at the end of the text, or with one of these. */
enum grub_stop {
    GRUB_END = 1 << 0,
    GRUB_THEN = 1 << 1,
    GRUB_ELIF = 1 << 2,
    GRUB_ELSE = 1 << 3,
    GRUB_FI = 1 << 4,
    GRUB_DO = 1 << 5,
    GRUB_DONE = 1 << 6,
    GRUB_BRACE = 1 << 7,
};

struct grub_cursor {
    const char *at;
    enum grub_stop stop;
};

/* Runs commands until one of `stops`, or only reads over them. Whether the last one succeeded. */
bool grub_run(struct grub *grub, struct grub_cursor *cursor, unsigned stops, bool active);

const char *grub_get(const struct grub *grub, const char *name, size_t length); /* "" if there is none */
void grub_set(struct grub *grub, const char *name, size_t length, const char *value);
/* A command with its words; whether it succeeds. */
bool grub_command(struct grub *grub, char **words, unsigned count);
/* "(hd0,gpt1)/path", or a path on what $root is. */
struct menu_path grub_path(const struct grub *grub, const char *text);

#endif
