/* SPDX-License-Identifier: GPL-2.0-or-later */
/* completion: a shell's completion script for visor, made from the table of commands. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

static void print_words_bash(const struct command *command)
{
    printf("        %s) words=\"--help", command->name);
    struct command_option options[COMMAND_OPTIONS_MAX];
    const unsigned count = command_options(command, options);
    for (unsigned i = 0; i < count; i++)
        printf(" --%s", options[i].name);
    printf("\" first=\"%s\" ;;\n", command->words ? command->words : "");
}

static void print_values_bash(const struct command *command)
{
    struct command_option options[COMMAND_OPTIONS_MAX];
    const unsigned count = command_options(command, options);
    for (const struct command_option *o = options; o < options + count; o++) {
        if (!o->argument)
            continue;
        printf("        %s:--%s) ", command->name, o->name);
        if (o->choices)
            printf("COMPREPLY=($(compgen -W \"%s\" -- \"$word\"))", o->choices);
        else if (o->is_file)
            printf("compopt -o default; COMPREPLY=()");
        else
            printf("COMPREPLY=()");
        printf("; return ;;\n");
    }
}

static bool takes_domains(const struct command *command)
{
    return command->domains;
}

static bool takes_paths(const struct command *command)
{
    return command->paths;
}

static bool takes_program(const struct command *command)
{
    return command->program;
}

/* The commands of which that is true, as patterns of a case. */
static void print_commands(const char *between, bool (*is_one)(const struct command *command))
{
    bool first = true;
    for (unsigned i = 0; commands[i]; i++) {
        if (!is_one(commands[i]))
            continue;
        printf("%s%s", first ? "" : between, commands[i]->name);
        first = false;
    }
}

static void print_bash(void)
{
    printf(
        "# bash completion for visor\n"
        "_visor() {\n"
        "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words first names=\n"
        "    local command=${COMP_WORDS[1]}\n"
        "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
        "        COMPREPLY=($(compgen -W \"");
    for (unsigned i = 0; commands[i]; i++)
        printf("%s%s", i ? " " : "", commands[i]->name);
    printf("\" -- \"$word\"))\n"
           "        return\n"
           "    fi\n"
           "    case $command:$previous in\n");
    for (unsigned i = 0; commands[i]; i++)
        print_values_bash(commands[i]);
    printf("    esac\n"
           "    case $command in\n"
           "        ");
    print_commands("|", takes_domains);
    printf(") names=$(\"${COMP_WORDS[0]}\" ps --all --format '{{.Name}}' 2>/dev/null) ;;\n");
    for (unsigned i = 0; commands[i]; i++) {
        if (commands[i]->lists)
            printf("        %s) names=$(\"${COMP_WORDS[0]}\" %s 2>/dev/null) ;;\n", commands[i]->name,
                   commands[i]->lists);
    }
    printf("    esac\n"
           "    case $command in\n"
           "        ");
    print_commands("|", takes_paths);
    printf(") names=${names:+$(printf '%%s:\\n' $names)}; compopt -o default -o nospace ;;\n"
           "        ");
    print_commands("|", takes_program);
    printf(") [[ $previous == $command || $previous == -* ]] || names= ;;\n"
           "    esac\n"
           "    case $command in\n");
    for (unsigned i = 0; commands[i]; i++)
        print_words_bash(commands[i]);
    printf("    esac\n"
           "    if [[ $word == -* ]]; then\n"
           "        COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
           "    elif [ \"$command\" = help ]; then\n"
           "        COMPREPLY=($(compgen -W \"");
    for (unsigned i = 0; commands[i]; i++)
        printf("%s%s", i ? " " : "", commands[i]->name);
    printf("\" -- \"$word\"))\n"
           "    elif [ -n \"$first\" ] && [ \"$COMP_CWORD\" -eq 2 ]; then\n"
           "        COMPREPLY=($(compgen -W \"$first\" -- \"$word\"))\n"
           "    elif [ -n \"$names\" ]; then\n"
           "        COMPREPLY=($(compgen -W \"$names\" -- \"$word\"))\n"
           "    else\n"
           "        compopt -o default\n"
           "        COMPREPLY=()\n"
           "    fi\n"
           "}\n"
           "complete -F _visor visor\n");
}

static void print_fish(void)
{
    printf("# fish completion for visor\n"
           "complete -c visor -n '__fish_seen_subcommand_from ");
    print_commands(" ", takes_domains);
    printf("' -f -a \"(visor ps --all --format '{{.Name}}' 2>/dev/null)\"\n");
    for (unsigned i = 0; commands[i]; i++) {
        const struct command *c = commands[i];
        printf("complete -c visor -n __fish_use_subcommand -f -a %s -d '%s'\n", c->name, c->summary);
        if (c->words)
            printf(
                "complete -c visor -n '__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from %s' "
                "-f -a '%s'\n",
                c->name, c->words, c->words);
        if (c->lists)
            printf(
                "complete -c visor -n '__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s' -f -a "
                "\"(visor %s 2>/dev/null)\"\n",
                c->name, c->words, c->lists);
        struct command_option options[COMMAND_OPTIONS_MAX];
        const unsigned count = command_options(c, options);
        for (const struct command_option *o = options; o < options + count; o++) {
            printf("complete -c visor -n '__fish_seen_subcommand_from %s' -l %s%s -d '%s'", c->name, o->name,
                   o->argument ? " -r" : "", o->help);
            if (o->choices)
                printf(" -f -a '%s'", o->choices);
            putchar('\n');
        }
    }
}

static int run_completion(void *state, int count, char **words)
{
    (void)state;
    if (count == 1 && strcmp(words[0], "bash") == 0) {
        print_bash();
    } else if (count == 1 && strcmp(words[0], "zsh") == 0) {
        printf("autoload -U +X bashcompinit && bashcompinit\n");
        print_bash();
    } else if (count == 1 && strcmp(words[0], "fish") == 0) {
        print_fish();
    } else {
        fprintf(stderr, "visor: completion: name one shell: bash, zsh or fish\n");
        return STATUS_USAGE;
    }
    return STATUS_OK;
}

static const struct command_option options[] = {{0}};

const struct command command_completion = {
    .name = "completion",
    .arguments = "bash|zsh|fish",
    .summary = "Prints a completion script for a shell",
    .options = options,
    .run = run_completion,
};
