/* SPDX-License-Identifier: GPL-2.0-or-later */
/* update: changes domains' configurations, and, as far as that is possible, those that run. */
#include "domain/update.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/domain_each.h"
#include "cli/domain_words.h"

enum { FROM };

static const struct command_option options[] = {
    [FROM] = {.name = "from",
              .argument = "FILE",
              .help = "Take what this document has, as \"visor inspect\" prints it; - is standard input",
              .is_file = true},
    {0},
};

static struct update_state {
    struct domain_words words;
    const char *from; /* or NULL */
    struct buffer document;
} update;

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    (void)context;
    (void)index;
    if (update.from)
        return error_set(error, -EINVAL, "--from is given twice");
    update.from = argument;
    return domain_words_read(argument, &update.document, error);
}

static int set_field(void *context, const struct domain_field *field, const char *argument,
                     struct error *error)
{
    (void)context;
    return domain_words_set(&update.words, field, argument, error);
}

/* What the document and the options have; paths begin here. */
static int change(struct domain_config *config, void *opaque, struct error *error)
{
    char here[PATH_MAX];
    int code = 0;
    (void)opaque;
    if (update.from)
        code = domain_config_parse(config, (const char *)update.document.data, update.document.size,
                                   update.from, error);
    if (!code)
        code = domain_words_apply(&update.words, config, true, error);
    if (!code && !getcwd(here, sizeof here))
        code = error_set(error, -errno, "cannot tell the working directory: %s", strerror(errno));
    return code ? code : domain_config_resolve(config, here, error);
}

/* "visor: web: machine.cpus, machine.disks change at the next start" */
static void tell_waiting(const struct domain *domain, const struct domain_update *done)
{
    unsigned waiting = 0;
    for (unsigned i = 0; i < done->count; i++) {
        const struct domain_change *one = &done->changes[i];
        if (!one->waits)
            continue;
        if (!waiting)
            fprintf(stderr, "visor: %s: ", domain->name[0] ? domain->name : domain->id);
        fprintf(stderr, "%s%s%s%s", waiting ? ", " : "", one->field->section ? one->field->section : "",
                one->field->section ? "." : "", one->field->name);
        waiting++;
    }
    if (waiting)
        fprintf(stderr, " %s at the next start\n", waiting > 1 ? "change" : "changes");
}

static int update_one(struct domain *domain, void *opaque, struct error *error)
{
    struct domain_update done;
    int code = domain_update(&done, domain, change, opaque, error);
    if (!code)
        tell_waiting(domain, &done);
    domain_update_free(&done);
    return code;
}

static int run_update(void *context, int count, char **words);

const struct command command_update = {
    .name = "update",
    .arguments = "NAME…",
    .domains = true,
    .summary = "Changes what domains are to be, at once as far as that is possible",
    .details =
        "Options are those of \"visor create\", and may follow the name; an option of a list replaces the list.\n"
        "What waits for the next start of a domain that runs is told.\n",
    .options = options,
    .option = set_option,
    .field = set_field,
    .run = run_update,
};

/* Options after the first name are taken, too. */
static int run_update(void *context, int count, char **words)
{
    const struct domain_each each = {.command = "update", .one = update_one};
    (void)context;
    if (count) {
        int status = command_parse_options(&command_update, count, words);
        if (status >= 0)
            return status;
        words[optind - 1] = words[0];
        words += optind - 1;
        count -= optind - 1;
    }
    if (count && !update.from && !update.words.option_count) {
        fprintf(stderr, "visor: update: say what to change\n  hint: visor update --memory 2G %s\n", words[0]);
        return STATUS_USAGE;
    }
    return domain_each_run(&each, count, words);
}
