/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bls: entries of the Boot Loader Specification, type 1: a file each in loader/entries. Without a choice of
 * loader.conf or GRUB's environment it is the newest by version.
 */
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "boot/menu.h"

#define ENTRIES_MAX 64
#define OPTIONS_MAX 32 /* lines of an entry */
#define STARS_MAX   4  /* in a pattern: each more multiplies what matching takes */

struct bls_entry {
    const char *name; /* of its file, without .conf */
    const char *version, *sort_key, *title, *kernel, *options;
    const char *initrds[MENU_INITRDS];
    unsigned initrd_count, options_count;
    bool bad; /* its tries to boot are used up */
};

struct bls {
    const struct menu_place *place;
    const char *environment, *folder;
    struct bls_entry entries[ENTRIES_MAX];
    unsigned count;
};

/* NAME+LEFT-DONE.conf counts tries. */
static void set_name(struct bls *bls, struct bls_entry *entry, const char *file, size_t length)
{
    const char *plus = memrchr(file, '+', length);
    if (plus && plus + 1 < file + length && isdigit((unsigned char)plus[1])) {
        entry->bad = strtoul(plus + 1, NULL, 10) == 0;
        length = (size_t)(plus - file);
    }
    entry->name = arena_text(bls->place->arena, file, length);
}

static void parse(struct bls *bls, struct bls_entry *entry, const char *text)
{
    char *line;
    while ((line = menu_line(bls->place->arena, &text))) {
        const char *word = menu_word(&line);
        if (!strcmp(word, "title"))
            entry->title = line;
        else if (!strcmp(word, "version"))
            entry->version = line;
        else if (!strcmp(word, "sort-key"))
            entry->sort_key = line;
        else if (!strcmp(word, "linux"))
            entry->kernel = line;
        else if (!strcmp(word, "initrd") && entry->initrd_count < MENU_INITRDS)
            entry->initrds[entry->initrd_count++] = line;
        else if (!strcmp(word, "options") && entry->options_count++ < OPTIONS_MAX)
            entry->options =
                entry->options ? arena_format(bls->place->arena, "%s %s", entry->options, line) : line;
    }
}

static void found(void *opaque, const char *file)
{
    struct bls *bls = opaque;
    const struct menu_place *place = bls->place;
    static const char ending[] = ".conf";
    size_t length = strlen(file), tail = sizeof ending - 1;
    if (bls->count == ENTRIES_MAX || length <= tail || strcmp(file + length - tail, ending))
        return;
    const char *path = arena_format(place->arena, "%s/%s", bls->folder, file);
    const char *text =
        path ? place->disk->read_text(place->disk->opaque, place->volume, path, place->arena) : NULL;
    struct bls_entry *entry = &bls->entries[bls->count];
    if (!text)
        return;
    *entry = (struct bls_entry){0};
    set_name(bls, entry, file, length - tail);
    parse(bls, entry, text);
    bls->count += entry->name && entry->kernel && *entry->kernel;
}

/* Those that have failed last; those with a sort key first, by it; newer versions first. */
static int compare(const void *left, const void *right)
{
    const struct bls_entry *a = left, *b = right;
    int order = a->bad - b->bad;
    if (!order)
        order = !a->sort_key - !b->sort_key;
    if (!order && a->sort_key)
        order = strcmp(a->sort_key, b->sort_key);
    if (!order && a->version && b->version)
        order = strverscmp(b->version, a->version);
    return order ? order : strverscmp(b->name, a->name);
}

/* $NAME and ${NAME}, which GRUB's environment has; what it does not have is nothing. */
static const char *expand(const struct bls *bls, const char *text)
{
    struct arena *arena = bls->place->arena;
    struct buffer out = {0};
    while (*text) {
        size_t plain = strcspn(text, "$");
        const char *name = text + plain, *value = "";
        if (*name) {
            name++;
            bool braces = *name == '{';
            name += braces;
            size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
            value = menu_variable(arena, bls->environment, name, length);
            if (!value)
                value = "";
            name += length;
            name += braces && *name == '}';
        }
        buffer_append(&out, text, plain);
        buffer_append(&out, value, strlen(value));
        text = name;
    }
    const char *copy = out.failed || !out.size ? NULL : arena_text(arena, (const char *)out.data, out.size);
    buffer_free(&out);
    return copy ? copy : "";
}

/* Paths are from the file system's root; where /boot is a part of it, some are from there. */
static const char *find_file(const struct bls *bls, const char *name)
{
    const struct menu_place *place = bls->place;
    bool is_directory;
    const char *path = menu_join(place, "", name),
               *other = arena_format(place->arena, "%s%s", place->directory, path);
    if (other && !place->disk->exists(place->disk->opaque, place->volume, path, &is_directory))
        return other;
    return path;
}

static bool use(const struct bls *bls, const struct bls_entry *entry, struct menu_entry *out)
{
    const struct menu_place *place = bls->place;
    *out = (struct menu_entry){
        .title = entry->title ? entry->title : entry->name,
        .kernel = {place->volume, find_file(bls, entry->kernel)},
        .command_line = expand(bls, entry->options ? entry->options : ""),
    };
    if (!menu_entry_exists(place, out))
        return false;
    for (unsigned i = 0; i < entry->initrd_count; i++) {
        char *names = arena_text(place->arena, entry->initrds[i], strlen(entry->initrds[i]));
        while (names && *names && out->initrd_count < MENU_INITRDS) {
            const char *name = menu_word(&names);
            if (*name == '$') /* GRUB's early initrds: there is none */
                continue;
            out->initrds[out->initrd_count].volume = place->volume;
            out->initrds[out->initrd_count++].path = find_file(bls, name);
        }
    }
    return true;
}

/* What loader.conf says is to be started: a pattern for names. */
static const char *read_default(const struct bls *bls)
{
    const struct menu_place *place = bls->place;
    const char *path = arena_format(place->arena, "%s/loader/loader.conf", place->directory), *result = NULL;
    const char *text =
        path ? place->disk->read_text(place->disk->opaque, place->volume, path, place->arena) : NULL;
    char *line;
    while (text && (line = menu_line(place->arena, &text)))
        if (!strcmp(menu_word(&line), "default"))
            result = line;
    return result;
}

static bool matches(const char *pattern, const char *name)
{
    unsigned stars = 0;
    for (const char *at = pattern; *at; at++)
        stars += *at == '*';
    return stars <= STARS_MAX && !fnmatch(pattern, name, 0);
}

int bls_choose(const struct menu_place *place, const char *wanted, const char *environment,
               struct menu_entry *out)
{
    struct bls *bls = arena_take(place->arena, sizeof *bls);
    if (!bls)
        return -ENOENT;
    bls->place = place;
    bls->environment = environment;
    bls->folder = arena_format(place->arena, "%s/loader/entries", place->directory);
    if (!bls->folder)
        return -ENOENT;
    place->disk->list(place->disk->opaque, place->volume, bls->folder, found, bls);
    qsort(bls->entries, bls->count, sizeof bls->entries[0], compare);
    if (!wanted)
        wanted = read_default(bls);
    for (unsigned i = 0; i < bls->count && wanted; i++) {
        const struct bls_entry *entry = &bls->entries[i];
        const char *file = arena_format(place->arena, "%s.conf", entry->name);
        if (file && (matches(wanted, file) || matches(wanted, entry->name)) && use(bls, entry, out))
            return 0;
    }
    for (unsigned i = 0; i < bls->count; i++)
        if (use(bls, &bls->entries[i], out))
            return 0;
    return -ENOENT;
}
