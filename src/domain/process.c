/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/macros.h"
#include "domain/console.h"
#include "domain/control.h"
#include "domain/events.h"
#include "domain/keeper.h"
#include "domain/log.h"

#define DELAY_LEAST 100         /* ms before it is started again */
#define DELAY_MOST  60000       /* ms */
#define LONG_ENOUGH 10000000000 /* ns that it has run, for the delay to be the least again */

struct process {
    struct domain *domain; /* NULL: it is in no store */
    struct domain_run run;
    const struct domain_kind *kind;   /* of its configuration */
    const struct domain_kind *runner; /* what runs it here: `kind`, or its keeper */
    struct domain_state state;
    struct domain_log *log;
    struct domain_console *console;
    struct domain_control *control;
    int signals; /* signalfd */
    int report;  /* a pipe to who has started it; -1: nobody, or he was told */
    struct loop_watch *signals_watch;
    unsigned delay;              /* ms */
    struct stat config_file;     /* of run.config */
    struct domain_config config; /* a newer one, which run.config is then */
};

/* -- signals --------------------------------------------------------------------------------------------- */

/* The first signal asks the domain to end, the second one ends it. */
static void signal_came(void *opaque, unsigned events)
{
    struct process *process = opaque;
    struct signalfd_siginfo info;
    struct error error = ERROR_INIT;
    (void)events;
    if (read(process->signals, &info, sizeof info) != sizeof info)
        return;
    if (process->kind->signal) {
        process->kind->signal(&process->run, (int)info.ssi_signo);
        return;
    }
    const bool again = process->run.asked;
    process->run.asked = true;
    if (again) {
        process->runner->kill(&process->run);
        return;
    }
    fprintf(stderr, "visor: %s: the guest is asked to switch off; the next signal ends it at once\n",
            strsignal((int)info.ssi_signo));
    if (process->runner->stop(&process->run, &error))
        error_report(&error);
}

static int signals_take(struct process *process, struct error *error)
{
    static const int own[] = {SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU, SIGSEGV,
                              SIGBUS,  SIGFPE,  SIGILL,  SIGTRAP, SIGPIPE};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    if (process->kind->signal) { /* it wants all that are not about this process */
        sigfillset(&signals);
        for (unsigned i = 0; i < ARRAY_SIZE(own); i++)
            sigdelset(&signals, own[i]);
    }
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    process->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (process->signals < 0)
        return error_set(error, -errno, "cannot wait for signals: %s", strerror(errno));
    return 0;
}

/* -- its configuration ----------------------------------------------------------------------------------- */

static void config_file_look(const struct process *process, struct stat *file)
{
    if (fstatat(process->domain->directory, "config.json", file, AT_SYMLINK_NOFOLLOW) < 0)
        *file = (struct stat){0};
}

/* Takes the configuration that it has been given meanwhile ("visor update"), for what is decided from here
 * on. Not while the kind has the old one. What cannot be read changes nothing. */
static void config_refresh(struct process *process)
{
    struct domain_config newer;
    struct error error = ERROR_INIT;
    struct stat file;
    config_file_look(process, &file);
    if (file.st_ino == process->config_file.st_ino &&
        file.st_ctim.tv_sec == process->config_file.st_ctim.tv_sec &&
        file.st_ctim.tv_nsec == process->config_file.st_ctim.tv_nsec)
        return;
    process->config_file = file;
    int code = domain_read_config(process->domain, &newer, &error);
    if (!code && domain_kind_of(&newer) == process->kind) {
        domain_config_free(&process->config);
        process->config = newer;
        process->run.config = &process->config;
        if (process->log)
            domain_log_limit(process->log, newer.log_size);
        return;
    }
    if (code)
        error_report(&error);
    domain_config_free(&newer);
}

/* -- what is written down -------------------------------------------------------------------------------- */

/* With the domain's lock, which is taken for it unless it is held. What cannot be written is only told of:
 * the domain goes on. */
static void state_put(struct process *process, enum domain_event event)
{
    struct domain *domain = process->domain;
    struct error error = ERROR_INIT;
    if (!domain)
        return;
    const bool held = domain->lock >= 0;
    if ((!held && domain_lock(domain, &error)) || domain_write_state(domain, &process->state, event, &error))
        error_report(&error);
    if (!held)
        domain_unlock(domain);
}

static void paused_changed(struct domain_run *run, bool paused)
{
    struct process *process = (struct process *)((char *)run - offsetof(struct process, run));
    process->state.status = paused ? DOMAIN_PAUSED : DOMAIN_RUNNING;
    state_put(process, paused ? DOMAIN_EVENT_PAUSE : DOMAIN_EVENT_RESUME);
    domain_control_paused(process->control, paused); /* who waits for that will find it written down */
}

/* Into the log, which is that process's standard error no less than this one's. */
static void said(struct domain_run *run, const void *text, size_t size)
{
    const struct process *process = (struct process *)((char *)run - offsetof(struct process, run));
    domain_log_write_own(process->log, text, size);
}

static int file_write(int directory, const char *name, int flags, const char *text)
{
    int fd = openat(directory, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (fd < 0)
        return -errno;
    int code = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return code;
}

/* Its processes, where others look for them. */
static int begin_files_put(struct process *process, struct error *error)
{
    struct domain *domain = process->domain;
    char text[24];
    int code = process_id_self(&process->state.process, error);
    process->state.guest = (struct process_id){0};
    if (!code && process->run.guest)
        code = process_id_find(&process->state.guest, process->run.guest, error);
    if (code)
        return code;
    process->state.status = DOMAIN_RUNNING;
    process->state.started = state_time_now();
    process->state.finished = 0;
    process->state.end = (struct domain_end){0};
    snprintf(text, sizeof text, "%d\n", (int)getpid());
    int run = openat(domain->store->run, domain->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    code = run < 0 ? -errno : file_write(run, DOMAIN_PID_FILE, O_CREAT | O_TRUNC, text);
    if (run >= 0)
        close(run);
    unlinkat(domain->directory, DOMAIN_EXIT_FILE, 0);
    if (!code)
        code = file_write(domain->directory, DOMAIN_EXIT_FILE, O_CREAT | O_EXCL, "");
    if (code)
        return error_set(error, code, "cannot write down that the domain runs: %s", strerror(-code));
    return 0;
}

/* That it runs, for all commands. */
static int begin_put(struct process *process, struct error *error)
{
    process->state.cage = process->run.cage;
    process->state.vsock_cid = process->run.vsock_cid;
    return domain_write_state(process->domain, &process->state, DOMAIN_EVENT_START, error);
}

/* That it has come to its end, and all it leaves. */
static void end_put(struct process *process, const struct domain_end *end)
{
    struct domain *domain = process->domain;
    struct error error = ERROR_INIT;
    char text[16];
    process->state.status = DOMAIN_EXITED;
    process->state.process = (struct process_id){0};
    process->state.guest = (struct process_id){0};
    process->state.finished = state_time_now();
    process->state.end = *end;
    snprintf(text, sizeof text, "%d\n", end->status);
    if (domain_lock(domain, &error)) {
        error_report(&error);
        return;
    }
    file_write(domain->directory, DOMAIN_EXIT_FILE, 0, text);
    domain_remove_run(domain);
    config_refresh(process);
    const bool remove = process->run.config->remove;
    if (remove)
        domain_event_put_state(domain, DOMAIN_EVENT_EXIT, &process->state);
    if (remove ? domain_remove(domain, &error)
               : domain_write_state(domain, &process->state, DOMAIN_EVENT_EXIT, &error))
        error_report(&error);
    domain_unlock(domain);
}

/* -- one run --------------------------------------------------------------------------------------------- */

static int console_open(struct process *process, struct error *error)
{
    char path[PATH_MAX];
    domain_run_path(process->domain, DOMAIN_CONSOLE_FILE, path);
    int code = domain_log_attach(process->log, process->run.loop, error);
    return code ? code : domain_console_new(&process->console, &process->run, process->log, path, error);
}

/* A guest in a process of its own is controlled there. */
static int control_open(struct process *process, struct error *error)
{
    char path[PATH_MAX];
    if (process->runner != process->kind)
        return 0;
    if (process->domain)
        domain_run_path(process->domain, DOMAIN_CONTROL_FILE, path);
    return domain_control_new(&process->control, &process->run, process->domain ? path : NULL, error);
}

/* Comes before the loop is freed. `end` may be NULL: it has not run. */
static void run_detach(struct process *process, const struct domain_end *end)
{
    domain_control_free(process->control, end);
    process->control = NULL;
    if (process->signals_watch)
        loop_watch_remove(process->signals_watch);
    process->signals_watch = NULL;
    domain_console_detach(process->console);
    if (process->log)
        domain_log_detach(process->log);
}

/* Comes after the kind has let go of its side of the console. */
static void run_close(struct process *process)
{
    domain_console_free(process->console);
    process->console = NULL;
    for (unsigned i = 0; i < DOMAIN_OUTPUTS; i++) { /* those that nobody has taken over */
        if (process->run.outputs[i].fd == process->run.input)
            process->run.input = -1;
        if (process->run.outputs[i].fd >= 0)
            close(process->run.outputs[i].fd);
        process->run.outputs[i].fd = -1;
    }
    if (process->run.input >= 0)
        close(process->run.input);
    process->run.input = -1;
}

static int runner_prepare(struct process *process, struct error *error)
{
    struct domain_run *run = &process->run;
    const struct domain_kind *kind = process->kind;
    process->runner = keeper_is_wanted(run->config) ? &domain_kind_keeper : kind;
    int code = kind->arrive ? kind->arrive(run, error) : 0;
    if (!code && process->runner == kind && kind->enter)
        code = kind->enter(run, error);
    if (!code)
        code = process->runner->prepare(run, error);
    if (code && kind->leave)
        kind->leave(run);
    return code;
}

static void runner_discard(struct process *process)
{
    process->runner->discard(&process->run);
    if (process->kind->leave)
        process->kind->leave(&process->run);
}

/* It has not run. */
static void run_undo(struct process *process)
{
    run_detach(process, NULL);
    runner_discard(process);
    run_close(process);
}

/* All that can fail. On failure nothing of it is left. */
static int run_prepare(struct process *process, struct error *error)
{
    int code = runner_prepare(process, error);
    if (code) {
        run_close(process);
        return code;
    }
    process->signals_watch =
        loop_watch_add(process->run.loop, process->signals, LOOP_READ, signal_came, process, error);
    code = process->signals_watch ? 0 : -ENOMEM;
    if (!code && process->run.background)
        code = console_open(process, error);
    if (!code)
        code = control_open(process, error);
    if (!code)
        return 0;
    run_undo(process);
    return code;
}

/* Before it runs; on failure likewise. */
static int run_settle(struct process *process, struct error *error)
{
    const int code = process->runner->settle ? process->runner->settle(&process->run, error) : 0;
    if (code)
        run_undo(process);
    return code;
}

static void run_until_end(struct process *process, struct domain_end *end)
{
    process->runner->run(&process->run, end);
    process->state.stopped = end->asked;
    run_detach(process, end);
    runner_discard(process);
    run_close(process);
}

/* -- its life -------------------------------------------------------------------------------------------- */

static bool wants_restart(struct process *process, const struct domain_end *end)
{
    enum domain_restart policy;
    unsigned most;
    config_refresh(process);
    if (process->state.stopped || domain_restart_parse(process->run.config->restart, &policy, &most, NULL))
        return false;
    switch (policy) {
    case RESTART_NO: return false;
    case RESTART_ON_FAILURE: return end->failed && (!most || process->state.restarts < most);
    case RESTART_ALWAYS:
    case RESTART_UNLESS_STOPPED: break;
    }
    return true;
}

/* Whether a signal means that the domain's end is wanted, whatever its kind. */
static bool is_end(uint32_t number)
{
    return number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT;
}

/* Before it is started again. False: somebody does not want that. */
static bool wait_for_restart(struct process *process, const struct domain_end *end)
{
    const bool was_long = state_time_now() - process->state.started >= LONG_ENOUGH;
    process->delay = was_long || !process->delay ? DELAY_LEAST : MIN(2 * process->delay, DELAY_MOST);
    process->state.status = DOMAIN_RESTARTING;
    process->state.guest = (struct process_id){0};
    process->state.restarts++;
    process->state.finished = state_time_now();
    process->state.end = *end;
    state_put(process, DOMAIN_EVENT_RESTART);
    const int64_t until = state_time_now() + (int64_t)process->delay * 1000000;
    struct pollfd wait = {.fd = process->signals, .events = POLLIN};
    for (int64_t left; (left = until - state_time_now()) > 0;) {
        struct signalfd_siginfo info;
        if (poll(&wait, 1, (int)MIN(left / 1000000 + 1, process->delay)) > 0 &&
            read(process->signals, &info, sizeof info) == sizeof info && is_end(info.ssi_signo)) {
            process->state.stopped = true;
            return false;
        }
    }
    config_refresh(process);
    return strcmp(process->run.config->restart, "no") != 0;
}

/* With the lock, as at its first start: nobody changes the configuration before it is told that it runs. What
 * cannot be written down is only told of: it runs. */
static void run_again(struct process *process, struct domain_end *end)
{
    struct error error = ERROR_INIT;
    if (domain_lock(process->domain, &error))
        error_report(&error);
    config_refresh(process);
    int code = run_prepare(process, &error);
    if (!code && begin_files_put(process, &error))
        error_report(&error);
    if (!code)
        code = run_settle(process, &error);
    if (code)
        *end = (struct domain_end){.status = DOMAIN_CANNOT_RUN, .reason = "cannot start", .failed = true};
    if (code || begin_put(process, &error))
        error_report(&error);
    domain_unlock(process->domain);
    if (!code)
        run_until_end(process, end);
}

/* The domain runs, and its lock is free. */
static void live(struct process *process, struct domain_end *end)
{
    run_until_end(process, end);
    while (wants_restart(process, end) && wait_for_restart(process, end))
        run_again(process, end);
    end_put(process, end);
}

static int process_begin(struct process *process, struct error *error)
{
    struct domain *domain = process->domain;
    int code = domain_read_state(domain, &process->state, error);
    if (code)
        return code;
    process->state.restarts = 0;
    process->state.stopped = false;
    config_file_look(process, &process->config_file);
    int run = domain_make_run(domain, error);
    if (run < 0)
        return run;
    close(run);
    code = run_prepare(process, error);
    if (process->run.resume)
        close(process->run.resume->fd); /* what is still needed of the file is mapped */
    process->run.resume = NULL;
    if (!code) {
        code = begin_files_put(process, error);
        if (code)
            run_undo(process);
        else
            code = run_settle(process, error);
    }
    if (!code) {
        code = begin_put(process, error);
        if (code)
            run_undo(process);
    }
    if (code)
        domain_remove_run(domain);
    return code;
}

static void process_init(struct process *process, struct domain *domain, const struct domain_config *config)
{
    if (domain)
        snprintf(domain->kind, sizeof domain->kind, "%s", config->kind);
    *process = (struct process){
        .domain = domain,
        .kind = domain_kind_of(config),
        .runner = domain_kind_of(config),
        .signals = -1,
        .report = -1,
        .run = {.config = config,
                .domain = domain,
                .name = domain ? domain->name : "",
                .outputs = {{.fd = -1}, {.fd = -1}},
                .input = -1,
                .paused_changed = paused_changed,
                .said = said},
    };
}

static int kind_check(const struct process *process, struct error *error)
{
    return process->kind->prepare ? 0 : domain_kind_cannot(process->kind, "run as a domain yet", error);
}

int domain_run_here(struct domain *domain, struct domain_end *end, struct error *error)
{
    struct domain_config config;
    struct process process;
    int code = domain_read_config(domain, &config, error);
    if (!code) {
        process_init(&process, domain, &config);
        code = kind_check(&process, error);
        if (!code)
            code = signals_take(&process, error);
        if (!code)
            code = process_begin(&process, error);
        if (!code) {
            domain_unlock(domain);
            live(&process, end);
            domain_config_free(&process.config);
        } else if (config.remove && domain_remove(domain, NULL)) {
            domain_unlock(domain); /* the next command removes it */
        }
        if (process.signals >= 0)
            close(process.signals);
    }
    domain_config_free(&config);
    domain_close(domain);
    return code;
}

int domain_run_unstored(const struct domain_config *config, struct domain_end *end, struct error *error)
{
    struct process process;
    process_init(&process, NULL, config);
    int code = kind_check(&process, error);
    if (!code)
        code = signals_take(&process, error);
    if (!code)
        code = run_prepare(&process, error);
    if (!code)
        code = run_settle(&process, error);
    if (!code)
        run_until_end(&process, end);
    if (process.signals >= 0)
        close(process.signals);
    return code;
}

/* -- a process of its own -------------------------------------------------------------------------------- */

struct report {
    int code; /* 0: it runs */
    struct error error;
};

static void report_send(struct process *process, int code, const struct error *error)
{
    struct report report = {.code = code, .error = *error};
    if (write(process->report, &report, sizeof report) < 0)
        fprintf(stderr, "visor: nobody waits for the domain's start any more\n");
    close(process->report);
    process->report = -1;
}

/* Nothing of the command's is the domain's: terminal, descriptors, directory. The domain's lock stays held,
 * since its descriptor is the same. */
static int detach(struct process *process, struct error *error)
{
    struct domain *domain = process->domain;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0)
        return error_set(error, -errno, "cannot open /dev/null: %s", strerror(errno));
    close(null);
    int code = domain_store_reopen(domain->store, error);
    if (!code)
        code = domain_reopen(domain, error);
    if (!code)
        code = domain_log_open(&process->log, domain->directory, process->run.config->log_size, error);
    if (!code)
        code = domain_log_redirect(process->log, error);
    if (!code && chdir("/") < 0)
        code = error_set(error, -errno, "cannot change to /: %s", strerror(errno));
    return code;
}

/* Several that begin together do not take the processors from one another before all are there. */
static void hold(int fd)
{
    struct pollfd wait = {.fd = fd};
    while (poll(&wait, 1, -1) < 0 && errno == EINTR) {
    }
    close(fd);
}

/* The domain's process. */
static void process_main(struct domain *domain, const struct domain_config *config,
                         const struct domain_resume *resume, int report)
{
    const int held = resume ? resume->hold : -1;
    int keep[] = {report, domain->lock, resume ? resume->fd : report, held >= 0 ? held : report};
    struct process process;
    struct domain_end end;
    struct error error = ERROR_INIT;
    descriptors_close_others(keep, ARRAY_SIZE(keep));
    process_init(&process, domain, config);
    process.run.resume = resume;
    process.run.background = true;
    process.report = report;
    int code = detach(&process, &error);
    if (!code)
        code = signals_take(&process, &error);
    if (!code)
        code = process_begin(&process, &error);
    report_send(&process, code, &error);
    if (!code) {
        domain_unlock(domain);
        domain->brief = config->remove; /* who has made it has had it settle until here */
        if (held >= 0)
            hold(held);
        live(&process, &end);
    }
    domain_log_close(process.log);
    _exit(code ? DOMAIN_CANNOT_RUN : 0);
}

static int report_wait(int fd, struct error *error)
{
    struct report report;
    ssize_t size;
    while ((size = read(fd, &report, sizeof report)) < 0 && errno == EINTR) {
    }
    if (size != sizeof report) {
        error_set(error, -ECHILD, "the domain's process has died at its start");
        error_hint(error, "visor logs may tell more");
        return -ECHILD;
    }
    *error = report.error;
    return report.code;
}

static int resume_check(const struct domain_config *config, const struct domain_resume *resume,
                        struct error *error)
{
    const struct domain_kind *kind = domain_kind_of(config);
    if (!kind->prepare)
        return domain_kind_cannot(kind, "run as a domain yet", error);
    return resume && !kind->save ? domain_kind_cannot(kind, "restored", error) : 0;
}

int domain_resume_begin(struct domain_starting *starting, struct domain *domain,
                        const struct domain_resume *resume, struct error *error)
{
    struct domain_config config;
    int pipe[2] = {-1, -1}, code = domain_read_config(domain, &config, error);
    *starting = (struct domain_starting){.domain = domain, .report = -1};
    if (!code && pipe2(pipe, O_CLOEXEC) < 0)
        code = error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
    if (!code)
        code = resume_check(&config, resume, error);
    fflush(NULL);
    pid_t child = code ? -1 : fork();
    if (child == 0) {
        setsid();
        if (fork() == 0) /* not the session's leader: no terminal becomes its own */
            process_main(domain, &config, resume, pipe[1]);
        _exit(0);
    }
    if (!code && child < 0)
        code = error_set(error, -errno, "cannot make a process: %s", strerror(errno));
    if (pipe[1] >= 0)
        close(pipe[1]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    if (child > 0)
        starting->report = pipe[0];
    else if (pipe[0] >= 0)
        close(pipe[0]);
    domain_config_free(&config);
    return code;
}

int domain_resume_end(struct domain_starting *starting, struct error *error)
{
    int code = report_wait(starting->report, error);
    if (!code)
        domain_unlock(starting->domain); /* as its process has done */
    close(starting->report);
    starting->report = -1;
    return code;
}

int domain_resume(struct domain *domain, const struct domain_resume *resume, struct error *error)
{
    struct domain_starting starting;
    int code = domain_resume_begin(&starting, domain, resume, error);
    return code ? code : domain_resume_end(&starting, error);
}

int domain_start(struct domain *domain, struct error *error)
{
    return domain_resume(domain, NULL, error);
}
