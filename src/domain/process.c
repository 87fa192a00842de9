/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct process {
    struct domain_run *run;
    const struct domain_kind *kind;
    int signals; /* signalfd */
    struct loop_watch *signals_watch;
    bool asked; /* it was asked to end by itself */
};

/* The first signal asks the domain to end, the second one ends it. */
static void signal_came(void *opaque, unsigned events)
{
    struct process *process = opaque;
    struct signalfd_siginfo info;
    struct error error = ERROR_INIT;
    (void)events;
    if (read(process->signals, &info, sizeof info) != sizeof info)
        return;
    if (process->asked) {
        process->kind->kill(process->run);
        return;
    }
    process->asked = true;
    fprintf(stderr, "visor: %s: the guest is asked to switch off; the next signal ends it at once\n",
            strsignal((int)info.ssi_signo));
    if (process->kind->stop(process->run, &error))
        error_report(&error);
}

static int signals_take(struct process *process, struct error *error)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    process->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (process->signals < 0)
        return error_set(error, -errno, "cannot wait for signals: %s", strerror(errno));
    return 0;
}

int domain_process_run(struct domain_run *run, struct domain_end *end, struct error *error)
{
    struct process process = {.run = run, .kind = domain_kind_of(run->config), .signals = -1};
    int code = signals_take(&process, error);
    if (!code)
        code = process.kind->prepare(run, error);
    if (!code) {
        process.signals_watch =
            loop_watch_add(run->loop, process.signals, LOOP_READ, signal_came, &process, error);
        code = process.signals_watch ? 0 : -ENOMEM;
        if (!code) {
            process.kind->run(run, end);
            loop_watch_remove(process.signals_watch);
        }
        process.kind->discard(run);
    }
    if (process.signals >= 0)
        close(process.signals);
    return code;
}
