/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command: what visor's commands are made of. Each command is one file that exports one struct
 * command and one row of the table in commands.c; help, completion and the tests derive from these.
 */
#ifndef VISOR_CLI_COMMAND_H
#define VISOR_CLI_COMMAND_H

#include <stdbool.h>

struct error;
struct domain_field;

/* Exit statuses, as shells use them; those of domains are in domain/kind.h. */
enum {
    STATUS_OK = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
    STATUS_CANNOT_RUN = 126,
    STATUS_NOT_FOUND = 127,
};

struct command_option {
    const char *name;                 /* without "--" */
    const char *argument;             /* its name in the help, NULL if the option takes none */
    const char *help;                 /* one line */
    bool is_file;                     /* completion offers file names */
    const char *choices;              /* completion offers these words, space-separated; or NULL */
    char letter;                      /* its short form; or 0 */
    const struct domain_field *field; /* whose it is; NULL: the command's own */
};
#define COMMAND_OPTIONS_MAX 128

struct command {
    const char *name;
    const char *arguments; /* of the usage line, after the options */
    bool domains;          /* they are domains: completion offers their names */
    bool paths;            /* and NAME:PATH, or files of the host's */
    bool program;      /* only the first is a domain's; then come more options or "--", and a program of it */
    const char *lists; /* the words after the first are names that this command of visor's prints; or NULL */
    const char *words; /* completion offers these as first word, space-separated; or NULL */
    const char *summary;                  /* one line */
    const char *details;                  /* further paragraphs of the help, or NULL */
    const struct command_option *options; /* ends with a NULL name */
    /* If it is not NULL the fields of domains' configurations are options, too, and this sets them. */
    int (*field)(void *state, const struct domain_field *field, const char *argument, struct error *error);

    /*
     * Handles options[index], with its argument or NULL. 0, or a negative errno and *error: a
     * usage error. `state` is the command's own.
     */
    int (*option)(void *state, int index, const char *argument, struct error *error);
    /* Runs with the words after the options. Returns the exit status, having reported its errors. */
    int (*run)(void *state, int argument_count, char **arguments);
    void *state;
};

extern const struct command *const commands[]; /* ends with NULL */

const struct command *command_find(const char *name);

/* The command's options: its own, then those of fields. How many there are. */
unsigned command_options(const struct command *command, struct command_option options[COMMAND_OPTIONS_MAX]);

void command_print_help(const struct command *command);
void command_print_overview(void);

/* Parses options up to the first other word, whose index is then in optind. -1 to go on, else an exit status:
 * help was asked for, or an error was reported. */
int command_parse_options(const struct command *command, int argument_count, char **arguments);

/* After words[0], the first word: options and further words in any order; the words, at most `most`, go to
 * `found`. -1 to go on, else an exit status as above. */
int command_parse_words(const struct command *command, int count, char **words, const char **found, int most,
                        int *number);

/* Parses options as above, before a program also those after the name, and runs the command; returns its exit
 * status. */
int command_run(const struct command *command, int argument_count, char **arguments);

extern const struct command command_run_domain, command_create, command_start, command_stop, command_restart,
    command_kill, command_pause, command_resume, command_save, command_restore, command_fork,
    command_snapshot, command_wait, command_rm, command_rename, command_ps, command_inspect, command_logs,
    command_events, command_stats, command_top, command_update, command_attach, command_console, command_exec,
    command_cp, command_network, command_up, command_down, command_generate, command_oci, command_image,
    command_binfmt, command_check, command_version, command_help, command_completion;

#endif
