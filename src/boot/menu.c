/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot/menu.h"

#include <ctype.h>
#include <string.h>

bool menu_entry_exists(const struct menu_place *place, const struct menu_entry *entry)
{
    bool is_directory = true;
    return entry->kernel.path && entry->kernel.volume >= 0 &&
           place->disk->exists(place->disk->opaque, entry->kernel.volume, entry->kernel.path,
                               &is_directory) &&
           !is_directory;
}

const char *menu_join(const struct menu_place *place, const char *directory, const char *name)
{
    const char *path = *name == '/' ? name : arena_format(place->arena, "%s/%s", directory, name);
    return path ? path : "/";
}

void menu_add_initrds(const struct menu_place *place, struct menu_entry *entry, const char *names,
                      const char *directory)
{
    const char *separators = ", \t";
    names += strspn(names, separators);
    while (*names && entry->initrd_count < MENU_INITRDS) {
        size_t length = strcspn(names, separators);
        const char *name = arena_text(place->arena, names, length);
        if (!name)
            return;
        entry->initrds[entry->initrd_count].volume = entry->kernel.volume;
        entry->initrds[entry->initrd_count++].path = menu_join(place, directory, name);
        names += length;
        names += strspn(names, separators);
    }
}

static const char blanks[] = " \t\r\v\f";

char *menu_line(struct arena *arena, const char **text)
{
    if (!**text)
        return NULL;
    const char *start = *text;
    size_t length = strcspn(start, "\n");
    *text += length + (start[length] == '\n');
    size_t before = strspn(start, blanks);
    start += before < length ? before : length;
    length -= before < length ? before : length;
    while (length && strchr(blanks, start[length - 1]))
        length--;
    return arena_text(arena, start, length);
}

char *menu_word(char **line)
{
    char *word = *line, *end = word + strcspn(word, blanks);
    *line = end + strspn(end, blanks);
    *end = '\0';
    return word;
}

char *menu_variable(struct arena *arena, const char *lines, const char *name, size_t length)
{
    while (lines && *lines) {
        const char *end = lines + strcspn(lines, "\n");
        if (*lines != '#' && (size_t)(end - lines) > length && !memcmp(lines, name, length) &&
            lines[length] == '=')
            return arena_text(arena, lines + length + 1, (size_t)(end - lines) - length - 1);
        lines = *end ? end + 1 : end;
    }
    return NULL;
}
