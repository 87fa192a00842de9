/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kind_program: domains that are Linux programs of another CPU. The program is a child of the domain's
 * process, in the background the leader of a session of its own; what else is in its process group ends with
 * it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "domain/child.h"
#include "domain/host_limits.h"
#include "domain/kind.h"
#include "domain/pin.h"
#include "domain/program.h"
#include "domain/visit_kinds.h"
#include "personality/container/cgroup.h"

struct program_run {
    pthread_mutex_t lock;
    struct domain_run *run;
    pid_t pid;   /* 0: there is none */
    int process; /* its pidfd */
    struct loop_watch *watch;
    int master;            /* of its terminal, which the console has; -1: none */
    struct cgroup *cgroup; /* while it is made; NULL: it needs none */
    int stdio[3];          /* the program's ends, until it has them; -1: those of this process */
};

static int program_check(const struct domain_config *config, struct error *error)
{
    if (config->program.command.count)
        return 0;
    error_set(error, -EINVAL, "name the program or the disk to run");
    error_hint(error, "visor run [OPTION…] PROGRAM [ARG…], visor run [OPTION…] IMAGE");
    return -EINVAL;
}

static void program_summary(const struct domain_config *config, char *text, size_t size)
{
    const char *path = config->program.command.items[0], *slash = strrchr(path, '/');
    snprintf(text, size, "%s", slash ? slash + 1 : path);
}

/* -- what it is connected to ----------------------------------------------------------------------------- */

static int terminal_make(struct program_run *own, struct error *error)
{
    char name[64];
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 || ptsname_r(master, name, sizeof name)) {
        int code = error_set(error, -errno, "cannot make a terminal: %s", strerror(errno));
        if (master >= 0)
            close(master);
        return code;
    }
    own->run->outputs[0] = (struct domain_output){.fd = master, .name = "console"};
    own->run->input = own->master = master;
    for (unsigned i = 0; i < 3; i++) {
        own->stdio[i] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (own->stdio[i] < 0)
            return error_set(error, -errno, "cannot open %s: %s", name, strerror(errno));
    }
    return 0;
}

static int stdio_make(struct program_run *own, struct error *error)
{
    if (!own->run->background)
        return 0;
    if (own->run->config->program.terminal)
        return terminal_make(own, error);
    return child_streams_make(own->run, own->stdio, error);
}

/* -- the child ------------------------------------------------------------------------------------------- */

struct report {
    int code;
    struct error error;
};

/* What there is for it of processors. */
static int limits_take(const struct program_run *own, struct error *error)
{
    const char *cpus = own->run->config->program.pin;
    cpu_set_t set;
    int code = own->cgroup ? cgroup_enter_self(own->cgroup, false, error) : 0;
    if (code || !cpus)
        return code;
    pin_cpus(cpus, &set);
    return pin_self(&set, "the program", error);
}

/* Nothing of the domain's process is the program's: signals, session, descriptors. */
static int child_prepare(struct program_run *own, pid_t parent, struct error *error)
{
    sigset_t none;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        return error_set(error, -ESRCH, "the domain's process has died");
    for (int i = 0; i < 3; i++) {
        if (own->stdio[i] >= 0 && dup2(own->stdio[i], i) < 0)
            return error_set(error, -errno, "cannot give the program its streams: %s", strerror(errno));
    }
    if (own->run->background) {
        setsid();
        if (own->run->config->program.terminal && ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
            return error_set(error, -errno, "cannot give the program its terminal: %s", strerror(errno));
    }
    int code = limits_take(own, error);
    if (code)
        return code;
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return 0;
}

static _Noreturn void child_main(struct program_run *own, pid_t parent, int report)
{
    struct report said = {.error = ERROR_INIT};
    said.code = child_prepare(own, parent, &said.error);
    if (!said.code) {
        if (report > 3)
            close_range(3, (unsigned)report - 1, 0);
        close_range((unsigned)report + 1, ~0u, 0);
        said.code = domain_program_become(own->run->config, report, &said.error);
    }
    if (write(report, &said, sizeof said) < 0)
        error_report(&said.error);
    _exit(said.code == -ENOENT ? DOMAIN_NOT_FOUND : DOMAIN_CANNOT_RUN);
}

/* Waits until the program is loaded, or cannot be. */
static int report_wait(int fd, struct error *error)
{
    struct report said;
    ssize_t size;
    while ((size = read(fd, &said, sizeof said)) < 0 && errno == EINTR) {
    }
    if (size != sizeof said)
        return 0;
    *error = said.error;
    return said.code;
}

static int child_make(struct program_run *own, struct error *error)
{
    int ends[2], code = 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
    pid_t parent = getpid();
    fflush(NULL);
    own->pid = fork();
    if (own->pid == 0)
        child_main(own, parent, ends[1]);
    if (own->pid < 0)
        code = error_set(error, -errno, "cannot make a process: %s", strerror(errno));
    close(ends[1]);
    child_streams_close(own->stdio);
    if (!code)
        code = report_wait(ends[0], error);
    close(ends[0]);
    if (!code) {
        own->process = pidfd_open(own->pid, 0);
        code =
            own->process < 0 ? error_set(error, -errno, "cannot watch the program: %s", strerror(errno)) : 0;
    }
    return code;
}

/* -- its life -------------------------------------------------------------------------------------------- */

static void group_kill(const struct program_run *own, int number)
{
    if (own->pid > 0)
        kill(own->run->background ? -own->pid : own->pid, number);
}

static void program_ended(void *opaque, unsigned events)
{
    struct program_run *own = opaque;
    (void)events;
    loop_stop(own->run->loop);
}

static void program_discard(struct domain_run *run)
{
    struct program_run *own = run->own;
    if (!own)
        return;
    if (own->pid > 0) {
        group_kill(own, SIGKILL);
        while (waitpid(own->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    child_streams_close(own->stdio);
    if (own->watch)
        loop_watch_remove(own->watch);
    if (own->process >= 0)
        close(own->process);
    if (run->loop)
        loop_free(run->loop);
    run->loop = NULL;
    pthread_mutex_destroy(&own->lock);
    free(own);
    run->own = NULL;
}

static int program_prepare(struct domain_run *run, struct error *error)
{
    struct program_run *own = calloc(1, sizeof *own);
    if (!own)
        return error_set(error, -ENOMEM, "out of memory");
    *own = (struct program_run){.run = run, .process = -1, .master = -1, .stdio = {-1, -1, -1}};
    pthread_mutex_init(&own->lock, NULL);
    run->own = own;
    run->lock = &own->lock;
    run->loop = NULL;
    run->asked = run->paused = false;
    int code = stdio_make(own, error);
    if (!code)
        code = host_limits_make(&own->cgroup, run->domain, run->config, error);
    if (!code)
        code = child_make(own, error);
    cgroup_close(own->cgroup);
    own->cgroup = NULL;
    if (!code)
        code = loop_new(&run->loop, run->lock, NULL, error);
    if (!code) {
        own->watch = loop_watch_add(run->loop, own->process, LOOP_READ, program_ended, own, error);
        code = own->watch ? 0 : -ENOMEM;
    }
    if (code)
        program_discard(run);
    return code;
}

static void program_run_until_end(struct domain_run *run, struct domain_end *end)
{
    struct program_run *own = run->own;
    loop_run(run->loop);
    child_wait(own->pid, run, end);
    if (run->background)
        kill(-own->pid, SIGKILL); /* what it has left behind in its group */
    own->pid = 0;
}

/* One from the terminal comes to the program by itself. */
static void program_signal(struct domain_run *run, int number)
{
    const struct program_run *own = run->own;
    if (number == SIGTERM || number == SIGINT || number == SIGQUIT)
        run->asked = true;
    if (!run->background && (number == SIGINT || number == SIGQUIT) && isatty(STDIN_FILENO))
        return;
    kill(own->pid, number);
}

static int program_stop(struct domain_run *run, struct error *error)
{
    const struct program_run *own = run->own;
    return kill(own->pid, SIGTERM) < 0
               ? error_set(error, -errno, "cannot send the program a signal: %s", strerror(errno))
               : 0;
}

static void program_kill(struct domain_run *run)
{
    group_kill(run->own, SIGKILL);
}

static int set_paused(struct domain_run *run, bool paused)
{
    group_kill(run->own, paused ? SIGSTOP : SIGCONT);
    if (run->paused != paused) {
        run->paused = paused;
        run->paused_changed(run, paused);
    }
    return 0;
}

static int program_pause(struct domain_run *run, struct error *error)
{
    (void)error;
    return set_paused(run, true);
}

static int program_resume(struct domain_run *run, struct error *error)
{
    (void)error;
    return set_paused(run, false);
}

static int program_resize(struct domain_run *run, unsigned rows, unsigned columns, struct error *error)
{
    const struct program_run *own = run->own;
    return child_resize(own->master, rows, columns, error);
}

const struct domain_kind domain_kind_program = {
    .name = "program",
    .check = program_check,
    .summary = program_summary,
    .prepare = program_prepare,
    .run = program_run_until_end,
    .discard = program_discard,
    .signal = program_signal,
    .stop = program_stop,
    .kill = program_kill,
    .pause = program_pause,
    .resume = program_resume,
    .resize = program_resize,
    .visits = &domain_program_visits,
};
