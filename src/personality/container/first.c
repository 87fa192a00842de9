/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/first.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/channel.h"
#include "personality/container/hook.h"
#include "personality/container/inside.h"
#include "personality/container/process.h"
#include "personality/container/self_exe.h"
#include "personality/container/state.h"
#include "personality/container/terminal.h"

/* A new network namespace's lo is down, and everybody expects it up. */
static void raise_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
}

static int set_names(const struct oci_config *config, struct error *error)
{
    if (config->hostname && config->hostname[0] &&
        sethostname(config->hostname, strlen(config->hostname)) < 0)
        return error_set(error, -errno, "hostname: cannot set it to %s: %s", config->hostname,
                         strerror(errno));
    if (config->domainname && config->domainname[0] &&
        setdomainname(config->domainname, strlen(config->domainname)) < 0)
        return error_set(error, -errno, "domainname: cannot set it to %s: %s", config->domainname,
                         strerror(errno));
    return 0;
}

/* By the host's /proc, whose /proc/sys shows everybody his own namespaces. */
static int set_sysctl(const struct json_pair *sysctl, struct error *error)
{
    char path[160] = "/proc/sys/";
    size_t prefix = strlen(path), length = strlen(sysctl->name);
    if (length >= sizeof path - prefix)
        return error_set(error, -EINVAL, "linux.sysctl: there is no %s", sysctl->name);
    strcpy(path + prefix, sysctl->name);
    if (strcspn(sysctl->name, ".") < strcspn(sysctl->name, "/")) { /* "net.ipv4.conf.eth0/1.forwarding" */
        for (char *c = path + prefix; *c; c++)
            *c = *c == '.' ? '/' : *c == '/' ? '.' : *c;
    }
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t size = strlen(sysctl->value);
    int code = fd < 0 || write(fd, sysctl->value, size) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return code < 0 ? error_set(error, code, "linux.sysctl: cannot set %s to %s: %s", sysctl->name,
                                sysctl->value, strerror(-code))
                    : 0;
}

/* Namespaces and what is in them except the file system. */
static int enter_namespaces(struct first *first, struct error *error)
{
    const struct oci_linux *platform = &first->config->platform;
    int code = limits_enter(&first->limits, error);
    if (code == 0 && platform->new_namespaces & CLONE_NEWUSER)
        code = channel_expect(first->channel, CHANNEL_MAPPED, error);
    if (code == 0 && (platform->new_namespaces | platform->joined_namespaces) & CLONE_NEWUSER)
        code = spawn_become_root(error);
    if (code == 0)
        code = spawn_join(&first->spawn, error);
    if (code < 0)
        return code;
    setsid();
    if (!first->options->no_new_keyring)
        code = process_leave_keyring(error);
    if (code < 0)
        return code;
    if (platform->new_namespaces & CLONE_NEWNET)
        raise_loopback();
    code = set_names(first->config, error);
    for (unsigned i = 0; i < platform->sysctls_count && code == 0; i++)
        code = set_sysctl(&platform->sysctls[i], error);
    return code;
}

static int run_hooks(struct first *first, enum oci_hook_kind kind, enum container_status status,
                     struct error *error)
{
    if (!first->config->hooks[kind].hooks_count)
        return 0;
    char *state = state_text(first->config, first->options->id, first->bundle, status, getpid());
    int code =
        state ? hooks_run(first->config, kind, state, error) : error_set(error, -ENOMEM, "out of memory");
    free(state);
    return code;
}

static int run_hooks_before_root(struct first *first, struct error *error)
{
    const struct oci_hooks *hooks = first->config->hooks;
    int code = 0;
    if (hooks[OCI_HOOK_PRESTART].hooks_count || hooks[OCI_HOOK_CREATE_RUNTIME].hooks_count) {
        channel_send(first->channel, CHANNEL_HOOKS, -1);
        code = channel_expect(first->channel, CHANNEL_HOOKED, error);
    }
    return code < 0 ? code : run_hooks(first, OCI_HOOK_CREATE_CONTAINER, CONTAINER_CREATED, error);
}

static int make_terminal(struct first *first, struct container_terminal *terminal, struct error *error)
{
    int code = terminal_make(terminal, first->rootfs.tree, &first->config->process, error);
    if (code == 0)
        code = rootfs_console(&first->rootfs, terminal->slave, error);
    if (code == 0)
        code = terminal_control(terminal->slave, error);
    return code < 0 ? code : terminal_hand_over(terminal, first->console_socket, first->channel, error);
}

/* A container without a mount namespace of its own: only its root differs from the host's. */
static int change_root(struct first *first, struct error *error)
{
    if (chdir(first->rootfs.path) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return error_set(error, -errno, "cannot make %s the root: %s", first->rootfs.path, strerror(errno));
    return run_hooks_before_root(first, error);
}

static int build_root(struct first *first, struct container_terminal *terminal, struct error *error)
{
    const struct oci_linux *platform = &first->config->platform;
    if (!((platform->new_namespaces | platform->joined_namespaces) & CLONE_NEWNS))
        return change_root(first, error);
    int code = rootfs_attach(&first->rootfs, error);
    if (code == 0)
        code = rootfs_mount(&first->rootfs, error);
    if (code == 0)
        code = run_hooks_before_root(first, error);
    if (code == 0 && first->config->process.terminal)
        code = make_terminal(first, terminal, error);
    if (code == 0)
        code = rootfs_protect(&first->rootfs, error);
    if (code == 0)
        code = rootfs_enter(&first->rootfs, error);
    if (code == 0)
        process_take_null();
    return code;
}

static int prepare(struct first *first, struct process_program *program, struct error *error)
{
    const struct oci_config *config = first->config;
    struct container_terminal terminal = {-1, -1};
    int label = -1;
    int code = enter_namespaces(first, error);
    if (code == 0 && !first->spawn.middle)
        code = process_set_oom_score(&config->process, error);
    if (code == 0)
        code = process_open_label(&config->process, &label, error);
    if (code == 0)
        code = build_root(first, &terminal, error);
    if (code < 0)
        return code;
    prctl(PR_SET_DUMPABLE, 0);
    const int kept[] = {first->channel, first->start, first->launch, label, terminal.slave};
    process_close_others(first->options->preserve_fds, kept, ARRAY_SIZE(kept));
    code = process_take_platform(&config->platform, error);
    const int descriptors[] = {terminal.slave, label};
    if (code == 0 && config->has_process)
        code = limits_become(&first->limits, &config->process, descriptors, first->channel, program, error);
    if (code == 0)
        process_close_rest(first->options->preserve_fds, kept, 3, program);
    return code;
}

/* Who wants to start the container connects; who only looks goes away again. */
static int accept_start(int listener)
{
    for (;;) {
        int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0 && errno != EINTR && errno != ECONNABORTED)
            return -1;
        if (connection < 0)
            continue;
        struct error error = ERROR_INIT;
        if (channel_expect(connection, CHANNEL_START, &error) == 0)
            return connection;
        close(connection);
    }
}

/* Until somebody says to start; his channel. -1: nobody will. */
static int wait_for_start(struct first *first)
{
    struct error error = ERROR_INIT;
    /* The creator may go now; or never: it became another user, which has undone what was said before. */
    prctl(PR_SET_PDEATHSIG, first->options->resident ? SIGKILL : 0);
    channel_send(first->channel, CHANNEL_READY, -1);
    if (first->start < 0)
        return channel_expect(first->channel, CHANNEL_START, &error) < 0 ? -1 : first->channel;
    if (channel_expect(first->channel, CHANNEL_TAKEN, &error) < 0)
        return -1; /* the creator has died before it wrote down that there is a container */
    close(first->channel);
    return accept_start(first->start);
}

/* Returns only what went wrong. */
static int execute(struct first *first, int channel, const struct process_program *program,
                   struct error *error)
{
    const struct oci_process *process = &first->config->process;
    if (first->launch < 0 || program->execution)
        return limits_execute(&first->limits, process, program, error);
    int code = self_exe_launch(first->launch, channel, program->path, process->args, process->environment);
    return error_set(error, code, "exec: \"%s\": %s", program->path, strerror(-code));
}

/* What the creator is in the middle of is not the program's. */
static int take_over(const struct first *first, struct error *error)
{
    sigset_t none;
    sigemptyset(&none);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; first->options->stdio && i < 3; i++) {
        if (dup2(first->options->stdio[i], i) < 0)
            return error_set(error, -errno, "cannot give the program its standard streams: %s",
                             strerror(errno));
    }
    return 0;
}

void first_run(struct first *first)
{
    struct error error = ERROR_INIT;
    struct process_program program = {0};
    if (take_over(first, &error) < 0 || prepare(first, &program, &error) < 0) {
        channel_send_error(first->channel, &error);
        _exit(1);
    }
    int channel = wait_for_start(first);
    if (channel < 0)
        _exit(1);
    int code = run_hooks(first, OCI_HOOK_START_CONTAINER, CONTAINER_CREATED, &error);
    if (code == 0 && !program.path)
        code = error_set(&error, -EINVAL, "process: missing, and there is nothing to start");
    if (code == 0) {
        process_close_on_exec(3 + first->options->preserve_fds);
        channel_send(channel, CHANNEL_STARTED, -1);
        execute(first, channel, &program, &error);
    }
    channel_send_error(channel, &error);
    _exit(1);
}
