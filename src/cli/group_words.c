/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/group_words.h"

#include <stdio.h>
#include <string.h>

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

int group_words_read(const struct group_words *words, bool starts, struct group *group, struct error *error)
{
    const bool standard = words->path && strcmp(words->path, "-") == 0;
    if (starts && standard && domain_kind_container.protect)
        domain_kind_container.protect(NULL); /* what was read could not be read again */
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
