/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ready: whether a domain is ready, by a program in it which the file names. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "group/work_private.h"

#define READY_SECONDS 300 /* in which it is to be ready */
#define READY_PAUSE   200 /* ms between two questions */

/* "visor exec" is a command of its own, since it may have to execute itself anew. */
static _Noreturn void ask_run(const struct group_work *work, const struct group_domain *domain,
                              const char *id, pid_t parent)
{
    static char command[] = "visor", exec[] = "exec";
    sigset_t none;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    char **words = calloc(domain->ready.count + 4, sizeof *words);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (null < 0 || !words || getppid() != parent || setenv("VISOR_STORE", work->store->path, 1))
        _exit(125);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    words[0] = command;
    words[1] = exec;
    words[2] = strdup(id);
    memcpy(words + 3, domain->ready.items, domain->ready.count * sizeof *words);
    execv("/proc/self/exe", words);
    _exit(125);
}

/* One question: the program's exit status. */
static int ask(const struct group_work *work, const struct group_domain *domain, const char *id, int *status,
               struct error *error)
{
    const pid_t parent = getpid();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        ask_run(work, domain, id, parent);
    if (child < 0)
        return error_set(error, -errno, "cannot make a process: %s", strerror(errno));
    group_await_child(work, child);
    while (waitpid(child, status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(*status))
        return error_set(error, -EINTR, "the wait for %s was ended", domain->name);
    *status = WEXITSTATUS(*status);
    return 0;
}

static int check_lives(const struct group_work *work, const struct group_domain *domain, const char *id,
                       struct error *error)
{
    struct domain one;
    struct domain_state state;
    int code = domain_open(&one, work->store, id, error);
    if (code)
        return code;
    code = domain_look(&one, &state, error);
    domain_close(&one);
    return code || domain_state_lives(&state)
               ? code
               : error_set(error, -ECANCELED, "it is not started, since %s has ended before it was ready",
                           domain->name);
}

int group_wait_ready(const struct group_work *work, const struct group_domain *domain, const char *id,
                     struct error *error)
{
    const struct timespec pause = {.tv_nsec = READY_PAUSE * 1000000l};
    struct timespec begin, now;
    int status = 0;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (;;) {
        int code = ask(work, domain, id, &status, error);
        if (code || !status)
            return code;
        code = check_lives(work, domain, id, error);
        if (code)
            return code;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - begin.tv_sec >= READY_SECONDS)
            return error_set(
                error, -ECANCELED,
                "it is not started, since %s is not ready after %d seconds (the last status: %d)",
                domain->name, READY_SECONDS, status);
        if (work->interrupted && work->interrupted())
            return error_set(error, -EINTR, "the wait for %s was ended", domain->name);
        nanosleep(&pause, NULL);
    }
}
