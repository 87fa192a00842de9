/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oci exec: one more process in a container. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "cli/oci.h"
#include "personality/container/container.h"
#include "personality/container/oci_names.h"

#define VARIABLES_MAX 256
#define GROUPS_MAX    64

/* As callers of other OCI runtimes know it: no status that programs are likely to have. */
#define STATUS_NOT_EXECUTED 255

enum option {
    CONSOLE_SOCKET,
    CWD,
    ENV,
    TTY,
    USER,
    ADDITIONAL_GIDS,
    PROCESS,
    DETACH,
    PID_FILE,
    PROCESS_LABEL,
    APPARMOR,
    NO_NEW_PRIVS,
    CAP,
    PRESERVE_FDS,
};

static const struct command_option options[] = {
    [CONSOLE_SOCKET] = {.name = "console-socket",
                        .argument = "PATH",
                        .help = "Send the terminal's master to this Unix socket",
                        .is_file = true},
    [CWD] = {.name = "cwd", .argument = "DIR", .help = "Start in this directory of the container"},
    [ENV] = {.name = "env", .argument = "K=V", .help = "Set an environment variable", .letter = 'e'},
    [TTY] = {.name = "tty", .help = "Give it a terminal", .letter = 't'},
    [USER] = {.name = "user", .argument = "UID[:GID]", .help = "As this user, by number", .letter = 'u'},
    [ADDITIONAL_GIDS] = {.name = "additional-gids",
                         .argument = "GID",
                         .help = "And this group (may be repeated)",
                         .letter = 'g'},
    [PROCESS] = {.name = "process",
                 .argument = "FILE",
                 .help = "All of it by this file, an object process of config.json",
                 .is_file = true,
                 .letter = 'p'},
    [DETACH] = {.name = "detach", .help = "Do not wait for its end", .letter = 'd'},
    [PID_FILE] = {.name = "pid-file",
                  .argument = "FILE",
                  .help = "Write its process id there",
                  .is_file = true},
    [PROCESS_LABEL] = {.name = "process-label", .argument = "LABEL", .help = "With this label of SELinux"},
    [APPARMOR] = {.name = "apparmor", .argument = "NAME", .help = "With this profile of AppArmor"},
    [NO_NEW_PRIVS] = {.name = "no-new-privs", .help = "It cannot gain privileges"},
    [CAP] = {.name = "cap",
             .argument = "CAP",
             .help = "Add this capability (may be repeated)",
             .letter = 'c'},
    [PRESERVE_FDS] = {.name = "preserve-fds", .argument = "N", .help = "Let it have N descriptors from 3 on"},
    {0},
};

static struct exec_state {
    struct container_execution execution;
    const char *cwd, *process_file, *label, *apparmor;
    const char *variables[VARIABLES_MAX + 1]; /* and NULL */
    unsigned variable_count;
    gid_t groups[GROUPS_MAX];
    unsigned group_count;
    uint32_t uid, gid;
    uint64_t capabilities;
    bool has_user, tty, detach, no_new_privileges;
    char **words;
    unsigned word_count;
} exec_state;

static int set_user(struct exec_state *state, const char *text, struct error *error)
{
    char *end;
    unsigned long uid = strtoul(text, &end, 10), gid = 0;
    bool right = end != text;
    if (right && *end == ':') {
        const char *group = end + 1;
        gid = strtoul(group, &end, 10);
        right = end != group;
    }
    if (!right || *end || uid >= UINT32_MAX || gid >= UINT32_MAX)
        return error_set(error, -EINVAL, "--user: \"%s\" is not UID[:GID], numbers", text);
    state->uid = (uint32_t)uid;
    state->gid = (uint32_t)gid;
    state->has_user = true;
    return 0;
}

static int add_capability(struct exec_state *state, const char *name, struct error *error)
{
    uint64_t number;
    if (!oci_name_find(oci_capability_names, name, &number))
        return error_set(error, -EINVAL, "--cap: there is no capability \"%s\"", name);
    state->capabilities |= UINT64_C(1) << number;
    return 0;
}

static int add_variable(struct exec_state *state, const char *text, struct error *error)
{
    if (state->variable_count == VARIABLES_MAX)
        return error_set(error, -E2BIG, "--env given more than %d times", VARIABLES_MAX);
    state->variables[state->variable_count++] = text;
    return 0;
}

static int add_group(struct exec_state *state, const char *text, struct error *error)
{
    unsigned group;
    if (state->group_count == GROUPS_MAX)
        return error_set(error, -E2BIG, "--additional-gids given more than %d times", GROUPS_MAX);
    int code = oci_parse_number(text, "additional-gids", &group, error);
    if (code == 0)
        state->groups[state->group_count++] = group;
    return code;
}

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct exec_state *state = context;
    switch ((enum option)index) {
    case CONSOLE_SOCKET: state->execution.console_socket = argument; return 0;
    case CWD: state->cwd = argument; return 0;
    case ENV: return add_variable(state, argument, error);
    case TTY: state->tty = true; return 0;
    case USER: return set_user(state, argument, error);
    case ADDITIONAL_GIDS: return add_group(state, argument, error);
    case PROCESS: state->process_file = argument; return 0;
    case DETACH: state->detach = true; return 0;
    case PID_FILE: state->execution.pid_file = argument; return 0;
    case PROCESS_LABEL: state->label = argument; return 0;
    case APPARMOR: state->apparmor = argument; return 0;
    case NO_NEW_PRIVS: state->no_new_privileges = true; return 0;
    case CAP: return add_capability(state, argument, error);
    case PRESERVE_FDS:
        return oci_parse_number(argument, "preserve-fds", &state->execution.preserve_fds, error);
    }
    return error_set(error, -EINVAL, "unknown option");
}

/* The container's own process is what all is by default, but the terminal. */
static void change_process(struct oci_process *process, void *opaque)
{
    struct exec_state *state = opaque;
    if (!state->process_file)
        process->terminal = false;
    process->terminal |= state->tty;
    if (state->word_count) {
        process->args = (const char **)state->words;
        process->args_count = state->word_count;
    }
    if (state->cwd)
        process->cwd = state->cwd;
    if (state->has_user) {
        process->user.uid = state->uid;
        process->user.gid = state->gid;
    }
    if (state->group_count) {
        process->user.additional_gids = state->groups;
        process->user.additional_gids_count = state->group_count;
    }
    if (state->label)
        process->selinux_label = state->label;
    if (state->apparmor)
        process->apparmor_profile = state->apparmor;
    process->no_new_privileges |= state->no_new_privileges;
    for (unsigned set = 0; set < OCI_CAPABILITY_SETS; set++) {
        if (set != OCI_CAPABILITY_AMBIENT && set != OCI_CAPABILITY_INHERITABLE)
            process->capabilities.sets[set] |= state->capabilities;
    }
}

static int execute(struct exec_state *state, struct error *error)
{
    struct container_new made;
    struct oci_process_file *file = NULL;
    if (state->process_file) {
        int code = oci_process_read(&file, state->process_file, error);
        if (code < 0)
            return code;
        state->execution.process = &file->process;
    }
    if (!state->detach)
        oci_hold_signals();
    int code = container_execute(&state->execution, &made, error);
    oci_process_free(file);
    if (code < 0)
        return code;
    return state->detach ? STATUS_OK : oci_foreground(&made);
}

static int run_exec(void *context, int count, char **words)
{
    struct exec_state *state = context;
    struct error error = ERROR_INIT;
    if (!oci_check_words(&oci_exec, count, state->process_file ? 1 : 2, 1 << 20))
        return STATUS_USAGE;
    state->execution.state_root = oci_options.state_root;
    state->execution.id = words[0];
    state->words = words + 1;
    state->word_count = (unsigned)count - 1;
    state->execution.change = change_process;
    state->execution.opaque = state;
    state->execution.environment = state->variables;
    int status = execute(state, &error);
    if (status >= 0)
        return status;
    oci_fail(&error);
    return STATUS_NOT_EXECUTED;
}

const struct command oci_exec = {
    .name = "oci exec",
    .arguments = "ID PROGRAM [ARGUMENT…]",
    .program = true,
    .summary = "Runs one more program in a container",
    .details = "Without --process, what no option says is as for the container's own program.\n"
               "Exit status: the program's own, 128 and the signal's number if it was killed by one,\n"
               "255 if it could not be executed.\n",
    .options = options,
    .option = set_option,
    .run = run_exec,
    .state = &exec_state,
};
