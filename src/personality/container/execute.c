/* SPDX-License-Identifier: GPL-2.0-or-later */
/* execute: one more process in a container that runs. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/channel.h"
#include "personality/container/container.h"
#include "personality/container/container_user.h"
#include "personality/container/environment.h"
#include "personality/container/foreign.h"
#include "personality/container/held.h"
#include "personality/container/limits.h"
#include "personality/container/oci_names.h"
#include "personality/container/pid_file.h"
#include "personality/container/process.h"
#include "personality/container/rdt.h"
#include "personality/container/self_exe.h"
#include "personality/container/spawn.h"
#include "personality/container/terminal.h"

/* Descriptors are -1 where there is none. */
/* How long a first process may take to execute its program once it was told to. */
#define START_PAUSE 2000000 /* ns */
#define START_TRIES 500

struct executing {
    const struct container_execution *execution;
    struct held held;
    struct oci_config *config;
    struct oci_process process;
    struct limits limits;
    int first;          /* the container's first process */
    int root;           /* its root */
    int console_socket; /* -1: none */
    int channel;
    uint64_t namespaces; /* to join */
    struct container_user user;
    char home[sizeof "HOME=" + sizeof((struct container_user *)NULL)->home];
    const char **environments[2]; /* of malloc() */
    bool late;                    /* it goes in when it has no rights any more: can_go_late() */
    pid_t maker;                  /* of the process, or 0: it has ended */
    pid_t pid;                    /* 0: not made yet */
    int terminal;
};

/* The container's root. While its first process is still visor's it was not made safe from being looked into,
 * and an ordinary user cannot look at it: where it is being started that is soon over. */
static int open_first(const struct executing *executing, enum container_status status, struct error *error)
{
    const struct store_record *record = &executing->held.entry->record;
    const struct timespec pause = {.tv_nsec = START_PAUSE};
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/root", record->pid);
    for (unsigned tries = 0;; tries++) {
        int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), code = root < 0 ? -errno : 0;
        if (code == 0 && !self_exe_is_exposed_by(record->pid))
            return root;
        if (root >= 0)
            close(root);
        if (code < 0 && code != -EACCES)
            return error_set(error, code, "cannot open %s: %s", path, strerror(-code));
        if (status != CONTAINER_CREATED && tries < START_TRIES) {
            nanosleep(&pause, NULL);
            continue;
        }
        error_set(error, -EINVAL, "cannot execute a process in container \"%s\": it is %s",
                  executing->execution->id,
                  status == CONTAINER_CREATED ? container_status_name(status) : "not started yet");
        error_hint(error, "start it first");
        return -EINVAL;
    }
}

static int find_container(struct executing *executing, struct error *error)
{
    const struct container_execution *execution = executing->execution;
    int code = held_take(&executing->held, execution->state_root, execution->id, false, error);
    if (code < 0)
        return code;
    const struct store_record *record = &executing->held.entry->record;
    enum container_status status = state_status(record, executing->held.directory);
    executing->first = state_open_process(record);
    if (executing->first < 0 || status == CONTAINER_PAUSED || status == CONTAINER_CREATING)
        return error_set(error, -EINVAL, "cannot execute a process in container \"%s\": it is %s",
                         execution->id,
                         container_status_name(executing->first < 0 ? CONTAINER_STOPPED : status));
    code = store_config(executing->held.entry, &executing->config, error);
    if (code < 0)
        return code;
    executing->root = open_first(executing, status, error);
    executing->namespaces = spawn_different_namespaces(record->pid);
    return executing->root < 0 ? executing->root : 0;
}

static int add_variables(struct executing *executing, const char ***merged, const char *const *added,
                         struct error *error)
{
    struct oci_process *process = &executing->process;
    *merged = environment_merge(process->environment, added, &process->environment_count);
    process->environment = *merged;
    return *merged ? 0 : error_set(error, -ENOMEM, "out of memory");
}

static int change_user(struct executing *executing, const char *text, struct error *error)
{
    struct container_user *user = &executing->user;
    struct oci_user *target = &executing->process.user;
    int code = container_user_find(user, executing->root, text, error);
    if (code < 0)
        return code;
    target->uid = user->uid;
    target->gid = user->gid;
    target->additional_gids = user->groups;
    target->additional_gids_count = user->group_count;
    snprintf(executing->home, sizeof executing->home, "HOME=%s", user->home);
    const char *const added[] = {executing->home, NULL};
    return add_variables(executing, &executing->environments[0], added, error);
}

static int prepare(struct executing *executing, struct error *error)
{
    const struct container_execution *execution = executing->execution;
    executing->process = execution->process ? *execution->process : executing->config->process;
    if (execution->change)
        execution->change(&executing->process, execution->opaque);
    int code = execution->user ? change_user(executing, execution->user, error) : 0;
    if (code == 0 && execution->environment)
        code = add_variables(executing, &executing->environments[1], execution->environment, error);
    if (code < 0)
        return code;
    if (!executing->process.args_count)
        return error_set(error, -EINVAL, "which program is to be executed?");
    if (!executing->process.terminal && execution->console_socket)
        return error_set(error, -EINVAL, "--console-socket is for processes with a terminal: give --tty");
    if (execution->console_socket) {
        executing->console_socket = terminal_connect(execution->console_socket, error);
        if (executing->console_socket < 0)
            return executing->console_socket;
    }
    return limits_open(&executing->limits, execution->state_root, &executing->held.entry->record,
                       executing->config, error);
}

static int enter_root(const struct executing *executing, struct error *error)
{
    if (fchdir(executing->root) < 0 || chroot(".") < 0)
        return error_set(error, -errno, "cannot enter the container's root: %s", strerror(errno));
    return 0;
}

static int take_streams(const int *stdio, struct error *error)
{
    signal(SIGPIPE, SIG_DFL); /* what the caller makes of it is not the program's */
    for (int i = 0; stdio && i < 3; i++) {
        if (dup2(stdio[i], i) < 0)
            return error_set(error, -errno, "cannot give the program its standard streams: %s",
                             strerror(errno));
    }
    return 0;
}

/* All that is the container's but its processes and time, which only children can have. */
static int join(struct executing *executing, int *label, struct error *error)
{
    int code = take_streams(executing->execution->stdio, error);
    if (code == 0)
        code = process_set_oom_score(&executing->process, error);
    if (code == 0)
        code = process_set_affinity(&executing->process, false, error);
    prctl(PR_SET_DUMPABLE, 0);
    if (code == 0)
        code = limits_enter(&executing->limits, error);
    if (code == 0)
        code = process_set_affinity(&executing->process, true, error);
    if (code == 0)
        code = process_take_platform(&executing->config->platform, error);
    if (code == 0)
        code = process_open_label(&executing->process, label, error);
    if (code == 0 && executing->namespaces && setns(executing->first, (int)executing->namespaces) < 0)
        code = error_set(error, -errno, "cannot join the container's namespaces: %s", strerror(errno));
    if (code == 0 && executing->namespaces & CLONE_NEWUSER)
        code = spawn_become_root(error);
    if (code == 0)
        code = process_leave_keyring(error);
    if (code == 0)
        code = enter_root(executing, error);
    if (code == 0)
        process_take_null();
    return code;
}

/* What the caller has in his environment is no business of who may look into the process. */
static void wipe_environment(void)
{
    for (char **variable = environ; *variable; variable++)
        memset(*variable, 0, strlen(*variable));
}

/* Goes on as a new process, which is in the container's namespaces of processes and times as well. From here
 * on it can be seen inside. */
static int go_in(struct executing *executing, int terminal, struct error *error)
{
    wipe_environment();
    pid_t pid = spawn_sibling(error);
    if (pid > 0) {
        channel_send_pid(executing->channel, CHANNEL_SPAWNED, pid);
        _exit(0);
    }
    if (pid < 0)
        return pid;
    setsid();
    return executing->process.terminal ? terminal_control(terminal, error) : 0;
}

static int become(struct executing *executing, struct process_program *program, struct error *error)
{
    struct container_terminal terminal = {-1, -1};
    int label = -1;
    int code = join(executing, &label, error);
    if (code == 0 && executing->process.terminal) {
        code = terminal_make(&terminal, executing->root, &executing->process, error);
        if (code == 0)
            code = terminal_hand_over(&terminal, executing->console_socket, executing->channel, error);
    }
    if (code < 0)
        return code;
    const int kept[] = {executing->channel, label, terminal.slave};
    process_close_others(executing->execution->preserve_fds, kept, ARRAY_SIZE(kept));
    if (!executing->late)
        code = go_in(executing, terminal.slave, error);
    const int descriptors[] = {terminal.slave, label};
    if (code == 0)
        code = limits_become(&executing->limits, &executing->process, descriptors, executing->channel,
                             program, error);
    return code == 0 && executing->late ? go_in(executing, terminal.slave, error) : code;
}

/*
 * Whether the process becomes the container's own before it goes in. Who is in there with CAP_SYS_PTRACE, and
 * no user namespace to have it in, may look into all processes that he sees, and have them do what he likes:
 * they must not have more than he. It cannot be where the filter is at work by then and makes no processes,
 * where who serves the filter's notifications is told the process's id, and where a new process may not have
 * the scheduling that this one has got.
 */
static bool can_go_late(const struct executing *executing)
{
    const struct limits *limits = &executing->limits;
    if (executing->process.has_scheduler)
        return false;
    return !limits->has_filter ||
           (!limits->filter.notifies && (executing->process.no_new_privileges || limits->filter_forks));
}

static _Noreturn void run(struct executing *executing)
{
    struct error error = ERROR_INIT;
    struct process_program program = {0};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (become(executing, &program, &error) == 0) {
        channel_send(executing->channel, CHANNEL_READY, -1);
        if (channel_expect(executing->channel, CHANNEL_START, &error) < 0)
            _exit(1); /* nobody waits for it any more */
        process_close_on_exec(STDERR_FILENO + 1 + executing->execution->preserve_fds);
        limits_execute(&executing->limits, &executing->process, &program, &error);
    }
    channel_send_error(executing->channel, &error);
    _exit(1);
}

static int spawn(struct executing *executing, struct error *error)
{
    int ends[2];
    int code = channel_pair(ends, error);
    if (code < 0)
        return code;
    executing->late = can_go_late(executing);
    executing->maker = spawn_child(limits_directory(&executing->limits), error);
    if (executing->maker == 0) {
        executing->channel = ends[1];
        close(ends[0]);
        run(executing);
    }
    executing->channel = ends[0];
    close(ends[1]);
    return executing->maker < 0 ? executing->maker : 0;
}

static void reap(pid_t *pid)
{
    while (*pid > 0 && waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *pid = 0;
}

/* Its own word for it is not enough: it could be anybody's. */
static int take_pid(struct executing *executing, pid_t pid, struct error *error)
{
    siginfo_t info;
    if (executing->pid || pid == executing->maker ||
        waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return error_set(error, -EPROTO, "the process says that it is another one");
    reap(&executing->maker);
    executing->pid = pid;
    struct rdt rdt;
    rdt_open(&rdt, &executing->config->platform, executing->held.entry->record.id);
    return rdt_enter(&rdt, pid, error);
}

static int send_listener(const struct executing *executing, int listener, struct error *error)
{
    const struct store_record *record = &executing->held.entry->record;
    char *state = state_text(executing->config, record->id, record->bundle, CONTAINER_RUNNING, record->pid);
    int code = state ? limits_send_listener(&executing->limits, listener, executing->pid, state, error)
                     : error_set(error, -ENOMEM, "out of memory");
    free(state);
    return code;
}

static int take_listener(struct executing *executing, int listener, struct error *error)
{
    struct channel_message message;
    int code = 0;
    if (!executing->pid) { /* the word of its maker has been overtaken */
        channel_receive(executing->channel, &message);
        code = message.kind == CHANNEL_SPAWNED
                   ? take_pid(executing, message.pid, error)
                   : error_set(error, -EPIPE, "the process has ended before it was ready");
    }
    if (code == 0)
        code = send_listener(executing, listener, error);
    close(listener);
    if (code == 0)
        channel_send(executing->channel, CHANNEL_TAKEN, -1);
    return code;
}

static int let_start(const struct executing *executing, struct error *error)
{
    const char *file = executing->execution->pid_file;
    int code = file ? pid_file_write(file, executing->pid, error) : 0;
    if (code == 0)
        channel_send(executing->channel, CHANNEL_START, -1);
    return code;
}

/* Its next word; or there will be none, because the container has come to its end, perhaps frozen: whoever
 * went in meanwhile stands still, and nobody thaws him. */
static int wait_for_word(const struct executing *executing, struct error *error)
{
    struct pollfd watches[] = {{.fd = executing->channel, .events = POLLIN},
                               {.fd = executing->first, .events = POLLIN}};
    while (poll(watches, ARRAY_SIZE(watches), -1) < 0 && errno == EINTR)
        ;
    return watches[0].revents
               ? 0
               : error_set(error, -ESRCH, "container \"%s\" has ended meanwhile", executing->execution->id);
}

/* Until the program is executed, which ends the channel. */
static int serve(struct executing *executing, struct error *error)
{
    struct channel_message message;
    bool ready = false, started = false;
    for (;;) {
        int code = wait_for_word(executing, error);
        if (code < 0)
            return code;
        channel_receive(executing->channel, &message);
        switch (message.kind) {
        case CHANNEL_TERMINAL:
            executing->terminal = message.fd;
            channel_send(executing->channel, CHANNEL_TAKEN, -1);
            break;
        case CHANNEL_LISTENER: code = take_listener(executing, message.fd, error); break;
        case CHANNEL_FOREIGN: code = foreign_serve(executing->channel, error); break;
        case CHANNEL_SPAWNED: code = take_pid(executing, message.pid, error); break;
        case CHANNEL_READY: ready = true; break;
        case CHANNEL_ERROR: *error = message.error; return message.error.code < 0 ? message.error.code : -EIO;
        case CHANNEL_END:
            return started ? 0 : error_set(error, -EPIPE, "the process has ended before it was ready");
        default: code = error_set(error, -EPROTO, "the process says what nobody understands");
        }
        if (code == 0 && ready && executing->pid && !started) {
            started = true;
            code = let_start(executing, error);
        }
        if (code < 0)
            return code;
    }
}

static void release(struct executing *executing)
{
    const int fds[] = {executing->first, executing->root, executing->console_socket, executing->channel};
    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    limits_release(&executing->limits);
    free(executing->environments[0]);
    free(executing->environments[1]);
    oci_config_free(executing->config);
    held_release(&executing->held);
}

int container_execute(const struct container_execution *execution, struct container_new *made,
                      struct error *error)
{
    struct executing executing = {
        .execution = execution,
        .held.directory = -1,
        .first = -1,
        .root = -1,
        .console_socket = -1,
        .channel = -1,
        .terminal = -1,
    };
    int code = self_exe_protect(error);
    if (code == 0)
        code = find_container(&executing, error);
    if (code == 0)
        code = prepare(&executing, error);
    if (code == 0)
        code = spawn(&executing, error);
    if (code == 0)
        code = serve(&executing, error);
    pid_t *const made_processes[] = {&executing.maker, &executing.pid};
    for (unsigned i = 0; code < 0 && i < ARRAY_SIZE(made_processes); i++) {
        if (*made_processes[i] > 0)
            kill(*made_processes[i], SIGKILL);
        reap(made_processes[i]);
    }
    if (code < 0 && executing.terminal >= 0) {
        close(executing.terminal);
        executing.terminal = -1;
    }
    *made = (struct container_new){
        .pid = executing.pid, .channel = -1, .terminal = executing.terminal, .users = -1, .network = -1};
    release(&executing);
    return code;
}
