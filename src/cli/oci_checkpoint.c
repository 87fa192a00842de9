/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oci checkpoint, oci restore: a container's processes go to files, and come back. */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "cli/oci.h"
#include "personality/container/container.h"

enum option {
    IMAGE_PATH,
    WORK_PATH,
    TCP_ESTABLISHED,
    EXT_UNIX_SK,
    SHELL_JOB,
    LAZY_PAGES,
    FILE_LOCKS,
    MANAGE_CGROUPS,
    EMPTY_NS,
    AUTO_DEDUP,
    COMMON,
    /* of checkpoint */
    PARENT_PATH = COMMON,
    LEAVE_RUNNING,
    STATUS_FD,
    PAGE_SERVER,
    PRE_DUMP,
    /* of restore */
    BUNDLE = COMMON,
    CONSOLE_SOCKET,
    DETACH,
    PID_FILE,
    NO_SUBREAPER,
    NO_PIVOT,
    LSM_PROFILE,
    LSM_MOUNT_CONTEXT,
};

#define COMMON_OPTIONS                                                                                       \
    [IMAGE_PATH] = {.name = "image-path",                                                                    \
                    .argument = "DIR",                                                                       \
                    .help = "The directory of the checkpoint; \"checkpoint\"",                               \
                    .is_file = true},                                                                        \
    [WORK_PATH] = {.name = "work-path",                                                                      \
                   .argument = "DIR",                                                                        \
                   .help = "The directory of CRIU's log; that of the checkpoint",                            \
                   .is_file = true},                                                                         \
    [TCP_ESTABLISHED] = {.name = "tcp-established", .help = "Its connections of TCP, too"},                  \
    [EXT_UNIX_SK] = {.name = "ext-unix-sk", .help = "It may have Unix sockets of others"},                   \
    [SHELL_JOB] = {.name = "shell-job", .help = "It may be a shell's job"},                                  \
    [LAZY_PAGES] = {.name = "lazy-pages", .help = "Its memory comes when it is needed"},                     \
    [FILE_LOCKS] = {.name = "file-locks", .help = "Its locks of files, too"},                                \
    [MANAGE_CGROUPS] = {.name = "manage-cgroups-mode",                                                       \
                        .argument = "MODE",                                                                  \
                        .help = "How CRIU is to treat cgroups; without, visor does",                         \
                        .choices = "soft full strict ignore"},                                               \
    [EMPTY_NS] = {.name = "empty-ns",                                                                        \
                  .argument = "network",                                                                     \
                  .help = "Its network is not restored",                                                     \
                  .choices = "network"},                                                                     \
    [AUTO_DEDUP] = {.name = "auto-dedup", .help = "What several checkpoints have is kept once"}

static const struct command_option checkpoint_options[] = {
    COMMON_OPTIONS,
    [PARENT_PATH] = {.name = "parent-path",
                     .argument = "DIR",
                     .help = "An earlier one, from the directory of this: only what has changed is written"},
    [LEAVE_RUNNING] = {.name = "leave-running", .help = "It goes on"},
    [STATUS_FD] = {.name = "status-fd", .argument = "N", .help = "Where CRIU says that it serves memory"},
    [PAGE_SERVER] = {.name = "page-server", .argument = "HOST:PORT", .help = "Its memory goes there"},
    [PRE_DUMP] = {.name = "pre-dump", .help = "Only its memory; it goes on"},
    {0},
};
static const struct command_option restore_options[] = {
    COMMON_OPTIONS,
    [BUNDLE] = {.name = "bundle",
                .argument = "DIR",
                .help = "The directory with config.json; the current one",
                .is_file = true,
                .letter = 'b'},
    [CONSOLE_SOCKET] = {.name = "console-socket",
                        .argument = "PATH",
                        .help = "Refused: containers with a terminal have no checkpoints",
                        .is_file = true},
    [DETACH] = {.name = "detach", .help = "Do not wait for its end", .letter = 'd'},
    [PID_FILE] = {.name = "pid-file",
                  .argument = "FILE",
                  .help = "Write the first process's id there",
                  .is_file = true},
    [NO_SUBREAPER] = {.name = "no-subreaper", .help = "Accepted for callers that give it"},
    [NO_PIVOT] = {.name = "no-pivot", .help = "Accepted for callers that give it"},
    [LSM_PROFILE] = {.name = "lsm-profile", .argument = "TYPE:NAME", .help = "Its profile from now on"},
    [LSM_MOUNT_CONTEXT] = {.name = "lsm-mount-context",
                           .argument = "CONTEXT",
                           .help = "The label of its mounts from now on"},
    {0},
};

static struct checkpoint_state {
    struct container_checkpoint checkpoint;
    struct container_options options;
    bool detach;
} checkpoint_state = {
    .checkpoint = {.image_path = "checkpoint", .status_fd = -1},
    .options = {.bundle = ".", .foreground = true},
};

/* True: it is one of those that both commands have. */
static bool set_common(struct container_checkpoint *checkpoint, int index, const char *argument)
{
    switch (index) {
    case IMAGE_PATH: checkpoint->image_path = argument; return true;
    case WORK_PATH: checkpoint->work_path = argument; return true;
    case TCP_ESTABLISHED: checkpoint->tcp_established = true; return true;
    case EXT_UNIX_SK: checkpoint->ext_unix_sk = true; return true;
    case SHELL_JOB: checkpoint->shell_job = true; return true;
    case LAZY_PAGES: checkpoint->lazy_pages = true; return true;
    case FILE_LOCKS: checkpoint->file_locks = true; return true;
    case MANAGE_CGROUPS: checkpoint->manage_cgroups = argument; return true;
    case EMPTY_NS: checkpoint->empty_network = true; return true;
    case AUTO_DEDUP: checkpoint->auto_dedup = true; return true;
    default: return false;
    }
}

static int set_checkpoint_option(void *context, int index, const char *argument, struct error *error)
{
    struct checkpoint_state *state = context;
    struct container_checkpoint *checkpoint = &state->checkpoint;
    unsigned number;
    int code = 0;
    if (set_common(checkpoint, index, argument))
        return 0;
    switch (index) {
    case PARENT_PATH: checkpoint->parent_path = argument; return 0;
    case LEAVE_RUNNING: checkpoint->leave_running = true; return 0;
    case STATUS_FD:
        code = oci_parse_number(argument, "status-fd", &number, error);
        checkpoint->status_fd = code == 0 ? (int)number : -1;
        return code;
    case PAGE_SERVER: checkpoint->page_server = argument; return 0;
    case PRE_DUMP: checkpoint->pre_dump = true; return 0;
    default: return error_set(error, -EINVAL, "unknown option");
    }
}

static int set_restore_option(void *context, int index, const char *argument, struct error *error)
{
    struct checkpoint_state *state = context;
    if (set_common(&state->checkpoint, index, argument))
        return 0;
    switch (index) {
    case BUNDLE: state->options.bundle = argument; return 0;
    case CONSOLE_SOCKET:
        return error_set(error, -ENOTSUP, "--console-socket: containers with a terminal have no checkpoints");
    case DETACH: state->detach = true; return 0;
    case PID_FILE: state->options.pid_file = argument; return 0;
    case NO_SUBREAPER:
    case NO_PIVOT: return 0;
    case LSM_PROFILE: state->checkpoint.lsm_profile = argument; return 0;
    case LSM_MOUNT_CONTEXT: state->checkpoint.lsm_mount_context = argument; return 0;
    default: return error_set(error, -EINVAL, "unknown option");
    }
}

static int run_checkpoint(void *context, int count, char **words)
{
    const struct checkpoint_state *state = context;
    struct error error = ERROR_INIT;
    if (!oci_check_words(&oci_checkpoint, count, 1, 1))
        return STATUS_USAGE;
    return container_checkpoint(oci_options.state_root, words[0], &state->checkpoint, &error) < 0
               ? oci_fail(&error)
               : STATUS_OK;
}

static int run_restore(void *context, int count, char **words)
{
    struct checkpoint_state *state = context;
    struct error error = ERROR_INIT;
    struct container_new made;
    if (!oci_check_words(&oci_restore, count, 1, 1))
        return STATUS_USAGE;
    state->options.state_root = oci_options.state_root;
    state->options.systemd_cgroup = oci_options.systemd_cgroup;
    state->options.id = words[0];
    if (!state->detach)
        oci_hold_signals();
    if (container_restore(&state->options, &state->checkpoint, &made, &error) < 0)
        return oci_fail(&error);
    if (state->detach)
        return STATUS_OK;
    int status = oci_foreground(&made);
    if (container_delete(oci_options.state_root, words[0], true, &error) < 0)
        oci_fail(&error);
    return status;
}

const struct command oci_checkpoint = {
    .name = "oci checkpoint",
    .arguments = "ID",
    .summary = "Writes a container's processes to files, by CRIU, and deletes the container",
    .details = "\"visor oci restore\" brings it back.\n",
    .options = checkpoint_options,
    .option = set_checkpoint_option,
    .run = run_checkpoint,
    .state = &checkpoint_state,
};

const struct command oci_restore = {
    .name = "oci restore",
    .arguments = "ID",
    .summary = "Makes a container of a bundle and a checkpoint, by CRIU, and waits for its end",
    .details = "Exit status: the program's own, 128 and the signal's number if it was killed by one,\n"
               "1 if it could not be restored.\n",
    .options = restore_options,
    .option = set_restore_option,
    .run = run_restore,
    .state = &checkpoint_state,
};
