/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/hook.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "personality/container/process.h"

/* The state as a file: the hook may read it or not, and nobody waits for the other. */
static int make_input(const char *state)
{
    int fd = memfd_create("state", MFD_CLOEXEC);
    size_t size = strlen(state);
    if (fd < 0)
        return -errno;
    if (write(fd, state, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0) {
        close(fd);
        return -EIO;
    }
    return fd;
}

static void execute(const struct oci_hook *hook, int input)
{
    char *const only_path[] = {(char *)hook->path, NULL};
    dup2(input, STDIN_FILENO);
    process_close_on_exec(STDERR_FILENO + 1);
    execve(hook->path, hook->args_count ? (char **)hook->args : only_path,
           hook->environment ? (char **)hook->environment : environ);
    fprintf(stderr, "visor: cannot execute the hook %s: %s\n", hook->path, strerror(errno));
    _exit(127);
}

static int wait_for(const struct oci_hook *hook, pid_t child, struct error *error)
{
    int status;
    if (hook->has_timeout) {
        struct pollfd watch = {.fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN};
        int ready;
        do {
            ready = watch.fd < 0 ? 1 : poll(&watch, 1, (int)hook->timeout * 1000);
        } while (ready < 0 && errno == EINTR);
        if (watch.fd >= 0)
            close(watch.fd);
        if (ready == 0) {
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
            return error_set(error, -ETIMEDOUT, "it has not ended after %u seconds", hook->timeout);
        }
    }
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return error_set(error, -errno, "cannot wait for it: %s", strerror(errno));
    }
    if (WIFSIGNALED(status))
        return error_set(error, -EIO, "it was killed by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return error_set(error, -EIO, "its exit status is %d", WEXITSTATUS(status));
    return 0;
}

static int run_one(const struct oci_hook *hook, const char *state, struct error *error)
{
    int input = make_input(state);
    if (input < 0)
        return error_set(error, input, "cannot make its input: %s", strerror(-input));
    pid_t child = fork();
    if (child == 0)
        execute(hook, input);
    int code = child < 0 ? error_set(error, -errno, "cannot start a process: %s", strerror(errno))
                         : wait_for(hook, child, error);
    close(input);
    return code;
}

int hooks_run(const struct oci_config *config, enum oci_hook_kind kind, const char *state,
              struct error *error)
{
    int result = 0;
    for (unsigned i = 0; i < config->hooks[kind].hooks_count; i++) {
        const struct oci_hook *hook = &config->hooks[kind].hooks[i];
        struct error failure = ERROR_INIT;
        int code = run_one(hook, state, &failure);
        if (code == 0)
            continue;
        error_prefix(&failure, "hooks.%s[%u]: %s: ", oci_hook_names[kind], i, hook->path);
        *error = failure;
        result = code;
        if (kind != OCI_HOOK_POSTSTOP)
            break;
    }
    return result;
}
