/* SPDX-License-Identifier: GPL-2.0-or-later */
/* save: writes a domain that runs to a file, from which it can go on. */
#include <errno.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/domain_each.h"
#include "cli/progress.h"
#include "domain/save.h"

enum { KEEP, COMPRESS, FORCE };

static const struct command_option options[] = {
    [KEEP] = {.name = "keep-running", .letter = 'k', .help = "It goes on instead of ending"},
    [COMPRESS] = {.name = "compress", .letter = 'z', .help = "A smaller file, which takes longer both ways"},
    [FORCE] = {.name = "force", .letter = 'f', .help = "Replace a FILE that is no saved domain"},
    {0},
};

static struct domain_save_options choice;

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    (void)context;
    (void)argument;
    (void)error;
    *(index == KEEP ? &choice.keep_running : index == COMPRESS ? &choice.compress : &choice.force) = true;
    return 0;
}

/* What takes no longer than this is not worth a bar. */
static void show(void *opaque, unsigned percent)
{
    struct progress *progress = opaque;
    if (progress->terminal)
        progress_show(progress, percent, "saving the memory");
}

static int run_save(void *context, int count, char **words)
{
    struct domain_store store;
    struct domain domain;
    struct error error = ERROR_INIT;
    struct progress progress;
    (void)context;
    if (count != 2) {
        fprintf(stderr, "visor: save: give a domain and a file\n  hint: visor save NAME FILE\n");
        return STATUS_USAGE;
    }
    int status = domain_one_open("save", &store, &domain, words[0]);
    if (status)
        return status;
    progress_begin(&progress);
    choice.progress = show;
    choice.opaque = &progress;
    int code = domain_save(&domain, words[1], &choice, &error);
    progress_end(&progress);
    domain_close(&domain);
    domain_store_close(&store);
    if (!code) {
        printf("%s\n", words[0]);
        return STATUS_OK;
    }
    error_report(&error);
    return STATUS_FAILED;
}

const struct command command_save = {
    .name = "save",
    .arguments = "NAME FILE",
    .domains = true,
    .summary = "Writes a machine that runs to a file, as it is, and ends it",
    .details =
        "\"visor restore FILE\" has it go on. The machine stands still meanwhile. Its disks are not in the\n"
        "file: they must be as they are now when it goes on. The file has all of the machine's memory,\n"
        "secrets too, and only its owner can read it.\n",
    .options = options,
    .option = set_option,
    .run = run_save,
};
