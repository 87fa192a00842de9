/* SPDX-License-Identifier: GPL-2.0-or-later */
/* exec: one more program in a domain that runs. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/domain_each.h"
#include "domain/visit.h"

#define VARIABLES_MAX 256

/* It is visor that has failed, and not the program. */
#define STATUS_NOT_THERE 125

enum option { DETACH, ENV, INTERACTIVE, TTY, USER, WORKDIR };

static const struct command_option options[] = {
    [DETACH] = {.name = "detach", .help = "Do not wait for its end, nor hear it", .letter = 'd'},
    [ENV] = {.name = "env",
             .argument = "K[=V]",
             .help = "Set an environment variable; without a value to that of this environment",
             .letter = 'e'},
    [INTERACTIVE] = {.name = "interactive", .help = "Let it read this standard input", .letter = 'i'},
    [TTY] = {.name = "tty", .help = "Give it a terminal", .letter = 't'},
    [USER] = {.name = "user",
              .argument = "USER[:GROUP]",
              .help = "As this user, by name or number as the domain has them",
              .letter = 'u'},
    [WORKDIR] = {.name = "workdir", .argument = "DIR", .help = "Start in this directory", .letter = 'w'},
    {0},
};

static struct exec_state {
    struct domain_exec exec;
    char *variables[VARIABLES_MAX + 2]; /* and TERM, and the end */
    unsigned variable_count;
} exec_state;

static int add_variable(struct exec_state *state, const char *text, struct error *error)
{
    const char *value = getenv(text);
    if (!*text || *text == '=')
        return error_set(error, -EINVAL, "--env: \"%s\" has no name", text);
    if (state->variable_count == VARIABLES_MAX)
        return error_set(error, -E2BIG, "--env given more than %d times", VARIABLES_MAX);
    if (strchr(text, '=')) {
        state->variables[state->variable_count++] = (char *)(uintptr_t)text;
    } else if (value) {
        if (asprintf(&state->variables[state->variable_count], "%s=%s", text, value) < 0)
            return error_set(error, -ENOMEM, "out of memory");
        state->variable_count++;
    }
    return 0;
}

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct exec_state *state = context;
    switch ((enum option)index) {
    case DETACH: state->exec.detach = true; return 0;
    case ENV: return add_variable(state, argument, error);
    case INTERACTIVE: state->exec.interactive = true; return 0;
    case TTY: state->exec.terminal = true; return 0;
    case USER: state->exec.user = argument; return 0;
    case WORKDIR: state->exec.workdir = argument; return 0;
    }
    return error_set(error, -EINVAL, "unknown option");
}

/* Who has a terminal wants to know which. */
static void terminal_describe(struct exec_state *state, char term[64])
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    const char *name = getenv("TERM");
    ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
    state->exec.rows = size.ws_row;
    state->exec.columns = size.ws_col;
    if (!name || strlen(name) > 50)
        return;
    for (unsigned i = 0; i < state->variable_count; i++) {
        if (strncmp(state->variables[i], "TERM=", 5) == 0)
            return;
    }
    snprintf(term, 64, "TERM=%s", name);
    state->variables[state->variable_count++] = term;
}

/* Those that are the program's now. SIGQUIT stays this command's: a program that takes none of the others can
 * be left by it. */
static int signals_take(void)
{
    static const int passed[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
    sigset_t signals;
    sigemptyset(&signals);
    for (unsigned i = 0; i < sizeof passed / sizeof passed[0]; i++)
        sigaddset(&signals, passed[i]);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int execute(struct exec_state *state, struct domain *domain)
{
    struct domain_visit visit;
    struct error error = ERROR_INIT;
    char term[64];
    int status = 0;
    if (state->exec.terminal)
        terminal_describe(state, term);
    state->exec.environment = state->variables;
    state->exec.input = STDIN_FILENO;
    state->exec.output = STDOUT_FILENO;
    state->exec.errors = STDERR_FILENO;
    int code = domain_visit_begin(&visit, domain, &error);
    if (!code) {
        state->exec.signals = state->exec.detach ? -1 : signals_take();
        code = domain_visit_exec(&visit, &state->exec, &status, &error);
        domain_visit_end(&visit);
    }
    if (!code)
        return status;
    error_report(&error);
    return code == -ENOENT ? STATUS_NOT_FOUND : code == -EACCES ? STATUS_CANNOT_RUN : STATUS_NOT_THERE;
}

static int run_exec(void *context, int count, char **words)
{
    struct exec_state *state = context;
    struct domain_store store;
    struct domain domain;
    if (count < 2) {
        fprintf(stderr,
                "visor: exec: name a domain and a program\n  hint: visor exec NAME PROGRAM [ARGUMENT…]\n");
        return STATUS_USAGE;
    }
    if (state->exec.detach && (state->exec.terminal || state->exec.interactive)) {
        fprintf(stderr, "visor: exec: --detach goes without --tty and --interactive\n");
        return STATUS_USAGE;
    }
    if (domain_one_open("exec", &store, &domain, words[0]))
        return STATUS_NOT_THERE;
    state->exec.arguments = words + 1;
    int status = execute(state, &domain);
    domain_close(&domain);
    domain_store_close(&store);
    return status;
}

const struct command command_exec = {
    .name = "exec",
    .arguments = "NAME PROGRAM [ARGUMENT…]",
    .domains = true,
    .program = true,
    .summary = "Runs one more program in a domain that runs",
    .details = "In a container it is a process of that, in a machine the guest's agent starts it, which\n"
               "\"visor image build\" puts into images. -it is for a shell.\n"
               "Exit status: the program's own, 128 and the signal's number if it was killed by one; 127\n"
               "if there is no such program, 126 if it cannot be executed, 125 if it got not so far.\n"
               "Options may follow the name; \"--\" ends them, before or after it.\n",
    .options = options,
    .option = set_option,
    .run = run_exec,
    .state = &exec_state,
};
