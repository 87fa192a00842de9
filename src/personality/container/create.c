/* SPDX-License-Identifier: GPL-2.0-or-later */
/* create: makes a container, up to the point where its first process waits for the start. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "personality/container/channel.h"
#include "personality/container/container.h"
#include "personality/container/first.h"
#include "personality/container/foreign.h"
#include "personality/container/hook.h"
#include "personality/container/id_map.h"
#include "personality/container/making.h"
#include "personality/container/pid_file.h"
#include "personality/container/self_exe.h"
#include "personality/container/state.h"
#include "personality/container/store.h"
#include "personality/container/terminal.h"
#include "personality/container/unix_path.h"

/* In the bundle, unless it is a path from the root. */
static const char *config_name(const struct making *making)
{
    return making->options->config ? making->options->config : "config.json";
}

static int open_bundle(struct making *making, struct error *error)
{
    const char *path = making->options->bundle;
    struct stat status;
    if (!realpath(path, making->bundle))
        return error_set(error, -errno, "cannot open the bundle %s: %s", path, strerror(errno));
    making->bundle_fd = open(making->bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (making->bundle_fd < 0)
        return error_set(error, -errno, "cannot open the bundle %s: %s", path, strerror(errno));
    int code = oci_config_read(&making->config, making->bundle_fd, config_name(making), error);
    if (code < 0) {
        if (making->options->config)
            error_prefix(error, "%s: ", making->options->config);
        else
            error_prefix(error, "%s/config.json: ", making->bundle);
        return code;
    }
    const char *root = making->config->root.path;
    char relative[PATH_MAX];
    if (snprintf(relative, sizeof relative, "%s%s%s", root[0] == '/' ? "" : making->bundle,
                 root[0] == '/' ? "" : "/", root) >= (int)sizeof relative ||
        !realpath(relative, making->root) || stat(making->root, &status) < 0)
        return error_set(error, -errno, "root.path: cannot open %s: %s", root, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return error_set(error, -ENOTDIR, "root.path: %s is not a directory", root);
    return 0;
}

/* What the options and the configuration say must fit together. */
static int check_options(const struct making *making, struct error *error)
{
    const struct container_options *options = making->options;
    const struct oci_config *config = making->config;
    bool terminal = config->has_process && config->process.terminal;
    uint64_t namespaces = config->platform.new_namespaces | config->platform.joined_namespaces;
    if (terminal && !options->console_socket && !options->foreground)
        return error_set(error, -EINVAL,
                         "process.terminal is true: --console-socket is wanted to send it to");
    if (!terminal && options->console_socket)
        return error_set(error, -EINVAL,
                         "--console-socket is for containers with a terminal: process.terminal "
                         "is not true");
    if (!(namespaces & CLONE_NEWNS)) {
        if (config->platform.masked_paths_count || config->platform.readonly_paths_count || terminal)
            return error_set(
                error, -EINVAL,
                "linux.namespaces: without a mount namespace there can be no terminal, and no masked or "
                "read-only paths");
        if (config->mounts_count || config->platform.devices_count || config->root.readonly)
            fprintf(stderr,
                    "visor: warning: linux.namespaces: without a mount namespace, mounts and devices are not "
                    "made, and the root is not made read-only\n");
    }
    if (config->platform.mount_label && config->platform.mount_label[0] &&
        access("/sys/fs/selinux/status", F_OK) < 0)
        return error_set(error, -ENOTSUP, "linux.mountLabel: this host does not run SELinux");
    return 0;
}

static void fill_record(struct making *making)
{
    const struct oci_config *config = making->config;
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    /* not by strftime(), which reads the file of the time zone first */
    snprintf(making->created, sizeof making->created, "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ",
             parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
             now.tv_nsec);
    making->record = (struct store_record){
        .version = OCI_VERSION,
        .id = making->options->id,
        .bundle = making->bundle,
        .root = making->root,
        .created = making->created,
        .annotations = config->annotations,
        .annotations_count = config->annotations_count,
        .owner = geteuid(),
        .poststart = config->hooks[OCI_HOOK_POSTSTART].hooks_count > 0,
        .poststop = config->hooks[OCI_HOOK_POSTSTOP].hooks_count > 0,
        .default_filter = making->options->default_filter,
        .rdt = config->platform.has_rdt,
    };
}

/* The socket on which the first process waits. */
static int make_start_socket(struct making *making, struct error *error)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(error, -errno, "cannot make a socket: %s", strerror(errno));
    int code = unix_path_bind_at(fd, making->directory, "start");
    if (code == 0 && listen(fd, 4) < 0)
        code = -errno;
    if (code < 0) {
        close(fd);
        return error_set(error, code, "cannot make the socket for the start: %s", strerror(-code));
    }
    making->first.start = fd;
    return 0;
}

/* The cgroups are found by this, whatever happens to this process. */
static int write_location(void *opaque, const char *path, struct error *error)
{
    struct making *making = opaque;
    making->record.cgroup_path = path;
    making->written = true;
    return store_write(making->directory, &making->record, making->bundle_fd, config_name(making), error);
}

int making_open(struct making *making, const struct container_options *options, struct error *error)
{
    *making = (struct making){
        .options = options,
        .bundle_fd = -1,
        .directory = -1,
        .channel = -1,
        .terminal = -1,
        .users = -1,
        .network = -1,
        .net_devices = {.namespace = -1},
        .first = {.start = -1, .console_socket = -1, .launch = -1, .rootfs.tree = -1},
    };
    return open_bundle(making, error);
}

static int claim_class(struct making *making, struct error *error)
{
    const struct oci_linux *platform = &making->config->platform;
    char root[PATH_MAX];
    if (!platform->has_rdt)
        return 0;
    int code = rdt_find(root, RDT_MOUNTS, error);
    if (code == 0)
        code = rdt_claim(&making->rdt, root, &platform->rdt, making->options->id, error);
    return code < 0 ? code : rdt_apply(&making->rdt, error);
}

int making_claim(struct making *making, struct error *error)
{
    struct first *first = &making->first;
    int code = making->directory = store_create(making->options->state_root, making->options->id, error);
    fill_record(making);
    if (code >= 0)
        code = limits_prepare(&first->limits, making->options, making->config, write_location, making, error);
    if (code < 0)
        return code;
    limits_record(&first->limits, &making->record);
    if (!making->written)
        code = store_write(making->directory, &making->record, making->bundle_fd, config_name(making), error);
    return code < 0 ? code : claim_class(making, error);
}

static int prepare(struct making *making, struct error *error)
{
    struct first *first = &making->first;
    int code = making->options->foreground ? 0 : make_start_socket(making, error);
    if (code == 0 && making->options->console_socket)
        code = first->console_socket = terminal_connect(making->options->console_socket, error);
    if (code < 0)
        return code;
    first->rootfs = (struct rootfs){
        .config = making->config,
        .path = making->root,
        .bundle = making->bundle_fd,
        .no_pivot = making->options->no_pivot,
        .limits = &first->limits,
        .tree = -1,
    };
    code = rootfs_prepare(&first->rootfs, error);
    return code < 0 ? code
                    : spawn_prepare(&first->spawn, making->config, limits_directory(&first->limits), error);
}

static int spawn(struct making *making, struct error *error)
{
    struct first *first = &making->first;
    int ends[2];
    int code = channel_pair(ends, error);
    if (code < 0)
        return code;
    first->options = making->options;
    first->config = making->config;
    first->bundle = making->bundle;
    making->pid = spawn_process(&first->spawn, error);
    if (making->pid == 0) {
        close(ends[0]);
        close(making->directory);
        first->channel = ends[1];
        first_run(first);
    }
    close(ends[1]);
    making->channel = ends[0];
    return making->pid < 0 ? making->pid : 0;
}

static int run_runtime_hooks(struct making *making, struct error *error)
{
    /* "created" begins where the environment is there (runtime.md, "State", and step 2 of "Lifecycle") */
    char *state =
        state_text(making->config, making->options->id, making->bundle, CONTAINER_CREATED, making->pid);
    if (!state)
        return error_set(error, -ENOMEM, "cannot run the hooks: out of memory");
    int code = hooks_run(making->config, OCI_HOOK_PRESTART, state, error);
    if (code == 0)
        code = hooks_run(making->config, OCI_HOOK_CREATE_RUNTIME, state, error);
    free(state);
    return code;
}

static int send_listener(const struct making *making, int listener, struct error *error)
{
    char *state =
        state_text(making->config, making->options->id, making->bundle, CONTAINER_CREATING, making->pid);
    int code = state ? limits_send_listener(&making->first.limits, listener, making->pid, state, error)
                     : error_set(error, -ENOMEM, "out of memory");
    free(state);
    return code;
}

/* Serves the first process until it has all that it needs. */
static int serve(struct making *making, struct error *error)
{
    struct channel_message message;
    int code = 0;
    while (code == 0) {
        channel_receive(making->channel, &message);
        switch (message.kind) {
        case CHANNEL_HOOKS:
            code = run_runtime_hooks(making, error);
            if (code == 0)
                channel_send(making->channel, CHANNEL_HOOKED, -1);
            break;
        case CHANNEL_TERMINAL:
            making->terminal = message.fd;
            channel_send(making->channel, CHANNEL_TAKEN, -1);
            break;
        case CHANNEL_LISTENER:
            code = send_listener(making, message.fd, error);
            close(message.fd);
            if (code == 0)
                channel_send(making->channel, CHANNEL_TAKEN, -1);
            break;
        case CHANNEL_FOREIGN: code = foreign_serve(making->channel, error); break;
        case CHANNEL_READY: cgroup_settle(making->first.limits.cgroup); return 0;
        case CHANNEL_ERROR: *error = message.error; return message.error.code < 0 ? message.error.code : -EIO;
        default:
            return error_set(error, -EPIPE, "the container's first process has ended before it was ready");
        }
    }
    return code;
}

/* Before the first process becomes another user, whom the creator could not look at any more. If it has
 * failed already, it says why itself. */
static void keep_namespaces(struct making *making)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)making->pid);
    making->users = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)making->pid);
    making->network = open(path, O_RDONLY | O_CLOEXEC);
}

int making_note(struct making *making, bool made, struct error *error)
{
    making->record.pid = making->pid;
    if (!making->record.start_time)
        making->record.start_time = state_process_start(making->pid);
    making->record.made = made;
    return store_note(making->directory, &making->record, error);
}

static int make(struct making *making, struct error *error)
{
    int code = spawn(making, error);
    if (code < 0)
        return code;
    if (making->options->keep_namespaces)
        keep_namespaces(making);
    if (making->config->platform.new_namespaces & CLONE_NEWUSER) {
        code = id_map_write(making->pid, &making->config->platform, error);
        if (code == 0)
            channel_send(making->channel, CHANNEL_MAPPED, -1);
    }
    if (code == 0) /* while it works */
        code = making_note(making, false, error);
    if (code == 0)
        code = rdt_enter(&making->rdt, making->pid, error);
    if (code == 0)
        code = net_devices_move(&making->net_devices, making->config, making->pid, error);
    if (code == 0)
        code = serve(making, error);
    if (code == 0 && making->options->pid_file)
        code = pid_file_write(making->options->pid_file, making->pid, error);
    return code < 0 ? code : making_note(making, true, error);
}

void making_undo(struct making *making)
{
    struct error ignored = ERROR_INIT;
    net_devices_return(&making->net_devices);
    if (making->pid > 0) {
        kill(making->pid, SIGKILL);
        while (waitpid(making->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    limits_remove(&making->first.limits);
    rdt_remove(&making->rdt, &ignored);
    if (making->directory >= 0)
        store_remove(making->options->state_root, making->options->id, making->directory, &ignored);
    const int fds[] = {making->terminal, making->users, making->network};
    for (unsigned i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

void making_release(struct making *making)
{
    const int fds[] = {making->bundle_fd, making->directory, making->first.start,
                       making->first.console_socket};
    for (unsigned i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    net_devices_release(&making->net_devices);
    if (making->config)
        rootfs_release(&making->first.rootfs);
    spawn_release(&making->first.spawn);
    limits_release(&making->first.limits);
    oci_config_free(making->config);
}

_Static_assert(CHANNEL_NOT_EXECUTED == 12, "launch.S knows it by number");

/* The cheap way does only where the process is alone in the container until it executes the program, and
 * where that is the first one that it executes: labels and filters are for the program. */
static int protect_self(struct making *making, struct error *error)
{
    const struct oci_config *config = making->config;
    bool alone = config->platform.new_namespaces & CLONE_NEWPID &&
                 !config->hooks[OCI_HOOK_START_CONTAINER].hooks_count;
    bool plain = !config->platform.seccomp && !making->options->default_filter &&
                 !config->process.apparmor_profile && !config->process.selinux_label;
    if (!self_exe_is_exposed())
        return 0;
    if (alone && plain)
        making->first.launch = self_exe_open_launch();
    if (making->first.launch >= 0)
        return 0;
    return making->options->resident
               ? error_set(error, -EPERM, "visor's own file would be in the reach of the container")
               : self_exe_protect(error);
}

int container_create(const struct container_options *options, struct container_new *made, struct error *error)
{
    struct making making;
    int code = making_open(&making, options, error);
    if (code == 0)
        code = check_options(&making, error);
    if (code == 0)
        code = protect_self(&making, error);
    if (code == 0)
        code = making_claim(&making, error);
    if (code == 0)
        code = prepare(&making, error);
    if (code == 0)
        code = make(&making, error);
    if (code < 0)
        making_undo(&making);
    else if (!options->foreground)
        channel_send(making.channel, CHANNEL_TAKEN, -1);
    *made = (struct container_new){.pid = making.pid,
                                   .channel = making.channel,
                                   .terminal = making.terminal,
                                   .users = making.users,
                                   .network = making.network,
                                   .poststart = making.record.poststart};
    if (making.channel >= 0 && (code < 0 || !options->foreground)) {
        close(making.channel);
        made->channel = -1;
    }
    making_release(&making);
    return code < 0 ? code : 0;
}
