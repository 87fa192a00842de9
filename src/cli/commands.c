/* SPDX-License-Identifier: GPL-2.0-or-later */
/* commands: the table of commands, their options' parser and their help. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "cli/command.h"
#include "domain/config.h"

const struct command *const commands[] = {
    &command_run_domain, &command_create,
    &command_start,      &command_stop,
    &command_restart,    &command_kill,
    &command_pause,      &command_resume,
    &command_save,       &command_restore,
    &command_fork,       &command_snapshot,
    &command_wait,       &command_rm,
    &command_rename,     &command_ps,
    &command_inspect,    &command_logs,
    &command_events,     &command_stats,
    &command_top,        &command_update,
    &command_attach,     &command_console,
    &command_exec,       &command_cp,
    &command_network,    &command_up,
    &command_down,       &command_generate,
    &command_oci,        &command_image,
    &command_binfmt,     &command_check,
    &command_version,    &command_help,
    &command_completion, NULL,
};

const struct command *command_find(const char *name)
{
    for (unsigned i = 0; commands[i]; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

/* Whether a field further up, of another kind's, is the same option. */
static bool is_said(const struct command_option *options, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        if (options[i].field && strcmp(options[i].name, name) == 0)
            return true;
    }
    return false;
}

unsigned command_options(const struct command *command, struct command_option options[COMMAND_OPTIONS_MAX])
{
    unsigned count = 0;
    for (const struct command_option *own = command->options; own->name && count < COMMAND_OPTIONS_MAX; own++)
        options[count++] = *own;
    for (const struct domain_field *field = domain_fields;
         command->field && field->name && count < COMMAND_OPTIONS_MAX; field++) {
        if (field->no_option || is_said(options, count, domain_field_option(field)))
            continue;
        options[count++] = (struct command_option){
            .name = domain_field_option(field),
            .letter = field->letter,
            .argument = field->argument,
            .help = field->help,
            .is_file = field->is_file,
            .choices = field->suggest ? field->suggest : field->choices,
            .field = field,
        };
    }
    return count;
}

static int option_set(const struct command *command, const struct command_option *option, unsigned index,
                      const char *argument, struct error *error)
{
    return option->field ? command->field(command->state, option->field, argument, error)
                         : command->option(command->state, (int)index, argument, error);
}

void command_print_overview(void)
{
    printf("Usage: visor COMMAND [OPTION…] [ARGUMENT…]\n\n"
           "Runs every kind of virtual machine.\n\nCommands:\n");
    for (unsigned i = 0; commands[i]; i++)
        printf("  %-12s %s\n", commands[i]->name, commands[i]->summary);
    printf("\n\"visor help COMMAND\" tells more about one; visor(1) tells everything.\n");
}

static int columns(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += (*text & 0xc0) != 0x80; /* UTF-8 */
    return count;
}

void command_print_help(const struct command *command)
{
    struct command_option options[COMMAND_OPTIONS_MAX];
    const unsigned count = command_options(command, options);
    printf("Usage: visor %s%s%s%s\n\n%s.\n", command->name, count ? " [OPTION…]" : "",
           command->arguments[0] ? " " : "", command->arguments, command->summary);
    if (count)
        printf("\nOptions:\n");
    for (const struct command_option *o = options; o < options + count; o++) {
        char left[64];
        const char short_form[] = {'-', o->letter, ',', ' ', '\0'};
        snprintf(left, sizeof left, "%s--%s%s%s", o->letter ? short_form : "", o->name,
                 o->argument ? " " : "", o->argument ? o->argument : "");
        printf("  %s%*s %s\n", left, (int)MAX(24 - columns(left), 0), "", o->help);
    }
    if (command->details)
        printf("\n%s", command->details);
}

/* Without a hint of its own, where the options are told of. */
static void usage_error(const struct command *command, const char *message, const char *hint)
{
    if (hint[0])
        fprintf(stderr, "visor: %s: %s\n  hint: %s\n", command->name, message, hint);
    else
        fprintf(stderr, "visor: %s: %s\n  hint: \"visor help %s\" lists its options\n", command->name,
                message, command->name);
}

/* getopt's answer for words that it does not know. */
static void report_unknown(const struct command *command, const char *word, bool lacks_argument)
{
    char message[256];
    snprintf(message, sizeof message, lacks_argument ? "option %s needs an argument" : "unknown option %s",
             word);
    usage_error(command, message, "");
}

int command_parse_options(const struct command *command, int argument_count, char **arguments)
{
    struct command_option options[COMMAND_OPTIONS_MAX];
    struct option table[COMMAND_OPTIONS_MAX + 2] = {0};
    char letters[4 + 2 * COMMAND_OPTIONS_MAX] = "+:h", *letter = letters + 3;
    const int known = (int)command_options(command, options);
    for (int i = 0; i < known; i++) {
        const struct command_option *o = &options[i];
        table[i] = (struct option){.name = o->name, .has_arg = o->argument ? required_argument : no_argument};
        if (o->letter)
            *letter++ = o->letter;
        if (o->letter && o->argument)
            *letter++ = ':';
    }
    table[known] = (struct option){.name = "help", .has_arg = no_argument};

    opterr = 0;
    optind = 1;
    for (;;) {
        int index = -1;
        int word = optind;
        int c = getopt_long(argument_count, arguments, letters, table, &index);
        if (c == -1)
            return -1;
        if (c == '?' || c == ':') {
            report_unknown(command, arguments[word], c == ':');
            return STATUS_USAGE;
        }
        if (c == 'h' || index == known) {
            command_print_help(command);
            return STATUS_OK;
        }
        for (int i = 0; c != 0 && i < known; i++) {
            if (options[i].letter == c)
                index = i;
        }
        struct error error = ERROR_INIT;
        if (option_set(command, &options[index], (unsigned)index, optarg, &error) < 0) {
            usage_error(command, error.message, error.hint);
            return STATUS_USAGE;
        }
    }
}

int command_parse_words(const struct command *command, int count, char **words, const char **found, int most,
                        int *number)
{
    *number = 0;
    for (;;) {
        int status = command_parse_options(command, count, words);
        if (status >= 0)
            return status;
        if (optind >= count)
            return -1;
        words += optind; /* the word stands where a command's name would */
        count -= optind;
        if (*number == most) {
            usage_error(command, "too many words", "");
            return STATUS_USAGE;
        }
        found[(*number)++] = words[0];
    }
}

int command_run(const struct command *command, int argument_count, char **arguments)
{
    int status = command_parse_options(command, argument_count, arguments);
    if (status >= 0)
        return status;
    int count = argument_count - optind;
    char **words = arguments + optind;
    if (command->program && count) { /* options, and the "--" that ends them, may follow the name as well */
        char *const name = words[0];
        status = command_parse_options(command, count, words);
        if (status >= 0)
            return status;
        count -= optind - 1;
        words += optind - 1;
        words[0] = name;
    }
    return command->run(command->state, count, words);
}
