/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot/grub.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What GRUB says of itself, for configurations that ask. */
static const char *const built_in[][2] = {
    {"grub_platform", "pc"},
    {"grub_cpu", "i386"},
    {"menuentry_id_option", "--id"},
    {"feature_menuentry_id", "y"},
    {"feature_menuentry_options", "y"},
    {"feature_platform_search_hint", "y"},
    {"feature_default_font_path", "y"},
    {"feature_all_video_module", "y"},
    {"feature_timeout_style", "y"},
    {"feature_200_final", "y"},
};

static void set_up(struct grub *grub)
{
    const struct menu_place *place = grub->place;
    const struct menu_disk *disk = place->disk;
    for (unsigned i = 0; i < sizeof built_in / sizeof built_in[0]; i++)
        grub_set(grub, built_in[i][0], strlen(built_in[i][0]), built_in[i][1]);
    char *root = arena_format(place->arena, "hd0,%u", disk->partition(disk->opaque, place->volume));
    char *prefix = root ? arena_format(place->arena, "(%s)%s", root, place->directory) : NULL;
    if (prefix) {
        grub_set(grub, "root", 4, root);
        grub_set(grub, "prefix", 6, prefix);
    }
}

/* The entries of a menu are those from `first` on; the one that a text names, by number, title or id; -1. */
static int find_entry(const struct grub *grub, unsigned first, const char *name, size_t length)
{
    bool number = length > 0;
    for (size_t i = 0; i < length; i++)
        number &= isdigit((unsigned char)name[i]) != 0;
    unsigned long index = number ? strtoul(name, NULL, 10) : 0;
    if (number && length < 9 && index < grub->entry_count - first)
        return (int)(first + index);
    for (unsigned i = first; i < grub->entry_count; i++) {
        const struct grub_entry *entry = &grub->entries[i];
        if (!strncmp(entry->title, name, length) && !entry->title[length])
            return (int)i;
        if (entry->id && !strncmp(entry->id, name, length) && !entry->id[length])
            return (int)i;
    }
    return -1;
}

static bool try_entries(struct grub *grub, unsigned first, const char *wanted);

/* What the entry, or in a submenu its choice, starts. If that is nothing, it has left no trace. */
static bool try_entry(struct grub *grub, unsigned index, const char *wanted)
{
    struct grub_entry entry = grub->entries[index];
    struct grub_cursor cursor = {.at = entry.body};
    unsigned first = grub->entry_count, variable_count = grub->variable_count;
    struct grub_variable variables[GRUB_VARIABLES];
    if (grub->level >= GRUB_DEPTH)
        return false;
    memcpy(variables, grub->variables, sizeof variables);
    *grub->entry = (struct menu_entry){.title = entry.title, .kernel = {-1, NULL}, .command_line = ""};
    grub->level++;
    grub_run(grub, &cursor, GRUB_BRACE, true);
    bool found =
        entry.is_submenu ? try_entries(grub, first, wanted) : menu_entry_exists(grub->place, grub->entry);
    grub->level--;
    grub->entry_count = first;
    grub->variable_count = variable_count;
    memcpy(grub->variables, variables, sizeof variables);
    return found;
}

/* The wanted entry, "A>B" for B in submenu A, then all the others. */
static bool try_entries(struct grub *grub, unsigned first, const char *wanted)
{
    unsigned count = grub->entry_count;
    size_t length = strcspn(wanted, ">");
    int chosen = *wanted ? find_entry(grub, first, wanted, length) : -1;
    if (chosen >= 0 && try_entry(grub, (unsigned)chosen, wanted[length] ? wanted + length + 1 : ""))
        return true;
    for (unsigned i = first; i < count; i++)
        if ((int)i != chosen && grub->steps <= GRUB_STEPS && try_entry(grub, i, ""))
            return true;
    return false;
}

int grub_choose(const struct menu_place *place, const char *text, struct menu_entry *out)
{
    struct grub *grub = arena_take(place->arena, sizeof *grub);
    struct grub_cursor cursor = {.at = text};
    if (!grub)
        return -ENOENT;
    grub->place = place;
    grub->entry = out;
    *out = (struct menu_entry){.title = "", .kernel = {-1, NULL}, .command_line = ""};
    set_up(grub);
    grub_run(grub, &cursor, GRUB_END, true);
    if (menu_entry_exists(place, out)) /* without a menu */
        return 0;
    char *wanted = arena_format(place->arena, "%s", grub_get(grub, "default", 7));
    if (wanted && try_entries(grub, 0, *wanted ? wanted : "0"))
        return 0;
    if (!grub->wants_bls)
        return -ENOENT;
    /* The folder "loader" is beside GRUB's. */
    struct menu_place beside = *place;
    const char *slash = strrchr(place->directory, '/');
    beside.directory =
        arena_text(place->arena, place->directory, slash ? (size_t)(slash - place->directory) : 0);
    return beside.directory && wanted ? bls_choose(&beside, *wanted ? wanted : NULL, grub->environment, out)
                                      : -ENOENT;
}
