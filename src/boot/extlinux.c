/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * extlinux: the configuration of syslinux, extlinux and U-Boot ("SYSLINUX" wiki, "Config"): a list of labels
 * with a kernel each, one of which is the default.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "boot/menu.h"

#define LABELS_MAX 64
#define INCLUDES   16 /* files in all: one that includes itself does so again and again */

struct label {
    const char *name, *title, *kernel, *append, *initrd;
};

struct extlinux {
    const struct menu_place *place;
    struct label labels[LABELS_MAX + 1]; /* the first has what comes before all labels */
    unsigned count, includes;
    const char *default_label;
};

static void parse(struct extlinux *e, const char *text);

static void include(struct extlinux *e, const char *name)
{
    const struct menu_place *place = e->place;
    if (e->includes++ >= INCLUDES)
        return;
    const char *text = place->disk->read_text(place->disk->opaque, place->volume,
                                              menu_join(place, place->directory, name), place->arena);
    if (text)
        parse(e, text);
}

static void parse_menu(struct extlinux *e, struct label *label, char *rest)
{
    const char *what = menu_word(&rest);
    if (!strcasecmp(what, "default") && label->name)
        e->default_label = label->name;
    else if (!strcasecmp(what, "label"))
        label->title = rest;
    else if (!strcasecmp(what, "include"))
        include(e, menu_word(&rest));
}

static void parse_line(struct extlinux *e, char *line)
{
    struct label *label = &e->labels[e->count];
    const char *word = menu_word(&line);
    if (!strcasecmp(word, "label")) {
        if (e->count < LABELS_MAX)
            e->labels[++e->count].name = line;
    } else if (!strcasecmp(word, "default") || (!strcasecmp(word, "ontimeout") && !e->default_label)) {
        e->default_label = line;
    } else if (!strcasecmp(word, "linux") || !strcasecmp(word, "kernel")) {
        label->kernel = line;
    } else if (!strcasecmp(word, "append")) {
        label->append = line;
    } else if (!strcasecmp(word, "initrd")) {
        label->initrd = line;
    } else if (!strcasecmp(word, "include")) {
        include(e, menu_word(&line));
    } else if (!strcasecmp(word, "menu")) {
        parse_menu(e, label, line);
    }
}

static void parse(struct extlinux *e, const char *text)
{
    char *line;
    while ((line = menu_line(e->place->arena, &text)))
        if (*line && *line != '#')
            parse_line(e, line);
}

/* initrd=a,b in the arguments is for the boot loader; the kernel does not mind to see it. */
static void add_initrd_arguments(const struct extlinux *e, struct menu_entry *entry, const char *append)
{
    static const char key[] = "initrd=";
    for (const char *at = append; (at = strstr(at, key)); at += sizeof key - 1) {
        const char *names = at + sizeof key - 1;
        char *copy =
            at == append || at[-1] == ' ' ? arena_text(e->place->arena, names, strcspn(names, " \t")) : NULL;
        if (copy)
            menu_add_initrds(e->place, entry, copy, e->place->directory);
    }
}

static bool try_label(const struct extlinux *e, const struct label *label, struct menu_entry *out)
{
    const struct menu_place *place = e->place;
    const char *append = label->append ? label->append : e->labels[0].append;
    if (!label->kernel)
        return false;
    if (!append || !strcmp(append, "-"))
        append = "";
    *out = (struct menu_entry){
        .title = label->title  ? label->title
                 : label->name ? label->name
                               : "",
        .kernel = {place->volume, menu_join(place, place->directory, label->kernel)},
        .command_line = append,
    };
    if (!menu_entry_exists(place, out))
        return false;
    if (label->initrd)
        menu_add_initrds(place, out, label->initrd, place->directory);
    else
        add_initrd_arguments(e, out, append);
    return true;
}

int extlinux_choose(const struct menu_place *place, const char *text, struct menu_entry *out)
{
    struct extlinux *e = arena_take(place->arena, sizeof *e);
    if (!e)
        return -ENOENT;
    e->place = place;
    parse(e, text);
    for (unsigned i = 0; i <= e->count && e->default_label; i++)
        if (e->labels[i].name && !strcmp(e->labels[i].name, e->default_label) &&
            try_label(e, &e->labels[i], out))
            return 0;
    for (unsigned i = 0; i <= e->count; i++)
        if (try_label(e, &e->labels[i], out))
            return 0;
    return -ENOENT;
}
