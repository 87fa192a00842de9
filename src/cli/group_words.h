/* SPDX-License-Identifier: GPL-2.0-or-later */
/* group_words: what commands on groups have in common. */
#ifndef VISOR_CLI_GROUP_WORDS_H
#define VISOR_CLI_GROUP_WORDS_H

#include "cli/command.h"
#include "group/work.h"

#define GROUP_OPTION_FILE                                                                                    \
    {                                                                                                        \
        .name = "file", .argument = "FILE", .letter = 'f', .is_file = true,                                  \
        .help = "The file; - is standard input; visor.yaml or visor.yml"                                     \
    }
#define GROUP_OPTION_NAME                                                                                    \
    {                                                                                                        \
        .name = "group", .argument = "NAME", .help = "The group's name, whatever the file says"              \
    }
#define GROUP_OPTION_TIME                                                                                    \
    {                                                                                                        \
        .name = "time", .argument = "SECONDS", .letter = 't',                                                \
        .help = "How long a domain may take to end by itself"                                                \
    }

struct group_words {
    const char *path, *name; /* NULL: not given */
    bool has_time;
    unsigned seconds;
};

int group_words_set_time(struct group_words *words, const char *argument, struct error *error);
/* Reads the file, and prints its warnings. See group_read_file(). `starts`: the command is going to start
 * what is in it; to be called before anything else then, see domain_kind.protect. */
int group_words_read(const struct group_words *words, bool starts, struct group *group, struct error *error);
/* For group_work.waits. */
void group_words_print_wait(const char *name);

#endif
