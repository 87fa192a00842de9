/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/group_words.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/domain_each.h"
#include "domain/kind.h"

int group_words_set_time(struct group_words *words, const char *argument, struct error *error)
{
    words->has_time = true;
    return seconds_parse(argument, "--time", &words->seconds, error);
}

/* What the kinds of a group's domains do before any is started: this command may begin again. */
static int protect(const struct group *group, struct error *error)
{
    int code = 0;
    for (unsigned i = 0; !code && i < group->count; i++) {
        const struct domain_kind *kind = domain_kind_of(&group->domains[i].config);
        if (kind->protect)
            code = kind->protect(error);
    }
    return code;
}

/* Whether what was read of a file could not be read again. */
static bool is_stream(const char *path)
{
    struct stat file;
    return strcmp(path, "-") == 0 || (stat(path, &file) == 0 && !S_ISREG(file.st_mode));
}

int group_words_read(const struct group_words *words, bool starts, struct group *group, struct error *error)
{
    if (starts && words->path && is_stream(words->path) && domain_kind_container.protect)
        domain_kind_container.protect(NULL);
    int code = group_read_file(group, words->path, words->name, error);
    if (!code && starts)
        code = protect(group, error);
    for (unsigned i = 0; i < group->warnings.count; i++)
        fprintf(stderr, "visor: %s\n", group->warnings.items[i]);
    return code;
}

void group_words_print_wait(const char *name)
{
    fprintf(stderr, "visor: another command changes the group %s: waiting for it\n", name);
}
