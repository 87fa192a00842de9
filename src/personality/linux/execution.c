/* SPDX-License-Identifier: GPL-2.0-or-later */
/* execution: a foreign program for a process that is about to execute it by itself: a container's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "personality/linux/arch.h"
#include "personality/linux/start.h"

#define SCRIPT_DEPTH_MAX 5

struct linux_execution {
    struct linux_target target;
    int descriptors[LINUX_EXECUTION_DESCRIPTORS]; /* visor, the program */
    char *variable;
    char **arguments, **environment;
};

/* With system calls that any filter allows, since one may be at work. */
static ssize_t read_head(const char *path, char head[LINUX_SCRIPT_HEAD + 1])
{
    struct stat status;
    if (stat(path, &status) < 0 || !S_ISREG(status.st_mode))
        return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t size = read(fd, head, LINUX_SCRIPT_HEAD);
    close(fd);
    return size;
}

bool linux_is_foreign(const char *path)
{
    char head[LINUX_SCRIPT_HEAD + 1], name[PATH_MAX], *interpreter, *argument;
    snprintf(name, sizeof name, "%s", path);
    for (unsigned depth = 0; depth <= SCRIPT_DEPTH_MAX; depth++) {
        ssize_t size = read_head(name, head);
        if (size < 2)
            return false;
        if (head[0] != '#' || head[1] != '!')
            return linux_arch_for(elf_machine_of((const uint8_t *)head, (size_t)size), false) != NULL;
        head[size] = '\0';
        if (linux_script_parse(head, (size_t)size, &interpreter, &argument) < 0)
            return false;
        snprintf(name, sizeof name, "%s", interpreter);
    }
    return false;
}

static size_t count_words(char *const *words)
{
    size_t count = 0;
    while (words && words[count])
        count++;
    return count;
}

/* `first`, then `rest` from `skip` on, then NULL; of malloc(). */
static char **join_words(char *const *first, size_t first_count, char *const *rest, size_t skip)
{
    size_t count = count_words(rest);
    skip = skip < count ? skip : count;
    char **all = calloc(first_count + count - skip + 1, sizeof *all);
    if (!all)
        return NULL;
    memcpy(all, first, first_count * sizeof *all);
    if (count > skip)
        memcpy(all + first_count, rest + skip, (count - skip) * sizeof *all);
    return all;
}

static int prepare(struct linux_execution *execution, int visor_fd, char *const *arguments,
                   char *const *environment, struct error *error)
{
    struct linux_target *target = &execution->target;
    execution->descriptors[0] = linux_hide_fd(visor_fd, true);
    execution->descriptors[1] = target->fd = linux_hide_fd(target->fd, true);
    const struct linux_start start = {
        .visor_fd = execution->descriptors[0],
        .program_fd = target->fd,
        .store_fd = -1,
        .trace_fd = -1,
        .exec_name = target->exec_name,
        .path = target->path,
    };
    execution->variable = linux_exec_print(&start, LINUX_DEBUG_NONE);
    execution->arguments =
        join_words(target->prefix, target->prefix_count, arguments, target->prefix_count ? 1 : 0);
    if (execution->variable)
        execution->environment = join_words(&execution->variable, 1, environment, 0);
    if (!execution->arguments || !execution->environment)
        return error_set(error, -ENOMEM, "cannot run %s: out of memory", target->path);
    return 0;
}

int linux_execution_new(struct linux_execution **out, int visor_fd, const char *path, char *const *arguments,
                        char *const *environment, struct error *error)
{
    const struct linux_program_file file = {AT_FDCWD, path, 0};
    struct linux_execution *execution = calloc(1, sizeof *execution);
    if (!execution) {
        close(visor_fd);
        return error_set(error, -ENOMEM, "cannot run %s: out of memory", path);
    }
    execution->descriptors[0] = visor_fd;
    execution->descriptors[1] = -1;
    int code = linux_target_find(&execution->target, NULL, &file, false, error);
    if (code == 0 && execution->target.native)
        code = error_set(error, -ENOEXEC, "cannot run %s: it has changed meanwhile", path);
    if (code == 0)
        code = prepare(execution, visor_fd, arguments, environment, error);
    if (code < 0)
        linux_execution_free(execution);
    else
        *out = execution;
    return code;
}

const int *linux_execution_descriptors(const struct linux_execution *execution)
{
    return execution->descriptors;
}

int linux_execution_run(const struct linux_execution *execution)
{
    for (unsigned i = 0; i < LINUX_EXECUTION_DESCRIPTORS; i++)
        fcntl(execution->descriptors[i], F_SETFD, 0);
    execveat(execution->descriptors[0], "", execution->arguments, execution->environment, AT_EMPTY_PATH);
    return -errno;
}

void linux_execution_free(struct linux_execution *execution)
{
    if (!execution)
        return;
    close(execution->descriptors[0]);
    linux_target_release(&execution->target);
    free(execution->variable);
    free(execution->arguments);
    free(execution->environment);
    free(execution);
}
