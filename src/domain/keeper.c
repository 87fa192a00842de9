/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/idle_pages.h"
#include "base/macros.h"
#include "domain/caged.h"
#include "domain/child.h"
#include "domain/pin.h"
#include "domain/process_facts.h"

#define SAID_PIECE 4096

struct keeper {
    pthread_mutex_t lock;
    struct domain_run *run;
    const struct domain_kind *kind; /* in the child */
    struct cage *cage;
    pid_t pid;            /* the child's; 0: there is none */
    int process;          /* its pidfd; as all that follows -1: not open */
    int requests, orders; /* the keeper's ends */
    int said;             /* what the child says to standard error */
    struct loop_watch *ended, *asks, *says;
    cpu_set_t anywhere; /* where this process may run that nobody has pinned */
    unsigned kills;     /* how often its end at once was asked for */
    bool has_end;
    struct domain_end end; /* as the child has told it */
};

bool keeper_is_wanted(const struct domain_config *config)
{
    return domain_kind_of(config)->caged && !config->machine.no_cage &&
           strcmp(config->machine.cage, "off") != 0;
}

static struct keeper *keeper_of(const struct domain_run *run)
{
    return run->keeper;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

enum taken { TAKEN, NONE_NOW, NO_MORE };

/* -- what the child says --------------------------------------------------------------------------------- */

static enum taken said_take(const struct keeper *keeper)
{
    char text[SAID_PIECE];
    const ssize_t size = read(keeper->said, text, sizeof text);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? NONE_NOW : NO_MORE;
    if (size > 0)
        keeper->run->said(keeper->run, text, (size_t)size);
    return size ? TAKEN : NO_MORE;
}

static void said_ready(void *opaque, unsigned events)
{
    struct keeper *keeper = opaque;
    (void)events;
    if (said_take(keeper) == NO_MORE)
        loop_watch_change(keeper->says, 0);
}

static void said_take_all(const struct keeper *keeper)
{
    while (keeper->said >= 0 && said_take(keeper) == TAKEN) {
    }
}

/* -- what the child asks for ----------------------------------------------------------------------------- */

static void reply(const struct keeper *keeper, int code, int fd)
{
    const struct keeper_reply answer = {.code = code};
    descriptors_send(keeper->requests, &answer, sizeof answer, &fd, fd >= 0 ? 1 : 0);
}

static void take_news(struct keeper *keeper, const struct keeper_news *news)
{
    struct domain_run *run = keeper->run;
    run->asked |= news->asked;
    if (run->paused != news->paused) {
        run->paused = news->paused;
        run->paused_changed(run, run->paused);
    }
    reply(keeper, 0, -1);
}

static void take_dial(const struct keeper *keeper, uint32_t port)
{
    const int fd = keeper->kind->dial ? keeper->kind->dial(keeper->run, port) : -ECONNREFUSED;
    reply(keeper, fd < 0 ? fd : 0, fd);
    if (fd >= 0)
        close(fd);
}

/* One request of the guest's process, which may be anybody's by now. */
static enum taken request_take(struct keeper *keeper)
{
    struct keeper_request request;
    const ssize_t size = descriptors_receive(keeper->requests, &request, sizeof request, NULL, NULL);
    if (size == -EAGAIN)
        return NONE_NOW;
    if (size == 0)
        return NO_MORE;
    if (size < 0 || !keeper_request_check(&request, (size_t)size)) {
        fprintf(stderr, "visor: the guest's process asks for what there is not; it is killed\n");
        pidfd_send_signal(keeper->process, SIGKILL, NULL, 0);
        return NO_MORE;
    }
    switch ((enum keeper_ask)request.ask) {
    case KEEPER_NEWS: take_news(keeper, &request.news); break;
    case KEEPER_DIAL: take_dial(keeper, request.port); break;
    case KEEPER_THREAD: reply(keeper, process_thread_outside(keeper->pid, request.thread), -1); break;
    case KEEPER_ENDED:
        keeper->end = request.end;
        keeper->has_end = true;
        break;
    case KEEPER_PREPARED:
    case KEEPER_CAGED: break; /* not any more: the check has refused them */
    }
    return TAKEN;
}

static void request_ready(void *opaque, unsigned events)
{
    struct keeper *keeper = opaque;
    (void)events;
    if (request_take(keeper) == NO_MORE)
        loop_watch_change(keeper->asks, 0);
}

static void child_ended(void *opaque, unsigned events)
{
    const struct keeper *keeper = opaque;
    (void)events;
    loop_stop(keeper->run->loop);
}

/* -- its life -------------------------------------------------------------------------------------------- */

static void keeper_discard(struct domain_run *run)
{
    struct keeper *keeper = keeper_of(run);
    if (!keeper)
        return;
    if (keeper->pid > 0) {
        kill(keeper->pid, SIGKILL);
        while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    struct loop_watch *const watches[] = {keeper->ended, keeper->asks, keeper->says};
    for (unsigned i = 0; i < ARRAY_SIZE(watches); i++) {
        if (watches[i])
            loop_watch_remove(watches[i]);
    }
    said_take_all(keeper);
    close_fd(&keeper->process);
    close_fd(&keeper->requests);
    close_fd(&keeper->orders);
    close_fd(&keeper->said);
    if (run->loop)
        loop_free(run->loop);
    run->loop = NULL;
    pin_self(&keeper->anywhere, "the domain's process", NULL);
    cage_free(keeper->cage);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
    run->keeper = NULL;
}

/* The child's ends are in `caged`. */
static int channels_make(struct keeper *keeper, struct caged *caged, struct error *error)
{
    int requests[2], orders[2], said[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, requests) < 0)
        return error_set(error, -errno, "cannot make a socket pair: %s", strerror(errno));
    keeper->requests = requests[0];
    caged->requests = requests[1];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, orders) < 0)
        return error_set(error, -errno, "cannot make a socket pair: %s", strerror(errno));
    keeper->orders = orders[0];
    caged->orders = orders[1];
    if (!keeper->run->background)
        return 0;
    if (pipe2(said, O_CLOEXEC) < 0)
        return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
    keeper->said = said[0];
    caged->errors = said[1];
    fcntl(keeper->said, F_SETFL, O_NONBLOCK);
    return 0;
}

static int child_start(struct keeper *keeper, struct error *error)
{
    struct caged caged = {.run = keeper->run,
                          .kind = keeper->kind,
                          .cage = keeper->cage,
                          .requests = -1,
                          .orders = -1,
                          .errors = -1};
    int code = channels_make(keeper, &caged, error);
    fflush(NULL);
    const pid_t pid = code ? -1 : cage_fork(keeper->cage, error);
    if (pid == 0)
        caged_main(&caged);
    close_fd(&caged.requests);
    close_fd(&caged.orders);
    close_fd(&caged.errors);
    if (code || pid < 0)
        return code ? code : (int)pid;
    keeper->pid = pid;
    keeper->process = pidfd_open(pid, 0);
    return keeper->process < 0
               ? error_set(error, -errno, "cannot watch the guest's process: %s", strerror(errno))
               : 0;
}

/* The same text, for as long as this process lives. */
static const char *stream_name(const char *name)
{
    static const char *const names[] = {"stdout", "stderr"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return names[i];
    }
    return "console";
}

/* What it says before it runs a guest. It, too, may die meanwhile. */
static int await(struct keeper *keeper, enum keeper_ask what, struct keeper_request *request, int *fds,
                 unsigned *count, struct error *error)
{
    struct domain_run *run = keeper->run;
    struct domain_end end;
    const ssize_t size = descriptors_receive(keeper->requests, request, sizeof *request, fds, count);
    if (size == (ssize_t)keeper_request_size(what) && request->ask == what)
        return 0;
    child_wait(keeper->pid, run, &end);
    keeper->pid = 0;
    error_set(error, -ECHILD, "the guest's process has ended at its start: %s %d", end.reason, end.status);
    if (run->background)
        error_hint(error, "visor logs may tell more");
    return -ECHILD;
}

static int await_prepared(struct keeper *keeper, struct error *error)
{
    struct domain_run *run = keeper->run;
    struct keeper_request request;
    int fds[DOMAIN_OUTPUTS];
    unsigned count = DOMAIN_OUTPUTS, next = 0;
    int code = await(keeper, KEEPER_PREPARED, &request, fds, &count, error);
    if (code)
        return code;
    for (unsigned i = 0; i < DOMAIN_OUTPUTS; i++) {
        const char *name = request.prepared.outputs[i].name;
        if (!name[0] || next == count)
            continue;
        run->outputs[i] = (struct domain_output){.fd = fds[next++], .name = stream_name(name)};
        if (request.prepared.outputs[i].is_input)
            run->input = run->outputs[i].fd;
    }
    run->vsock_cid = request.prepared.vsock_cid;
    *error = request.prepared.error;
    return error->code;
}

/* With the rest of the machine. Only now: where this process may run before is where vCPUs may that nobody
 * pins, and that it can be the child has found out. */
static void pin(const struct keeper *keeper)
{
    cpu_set_t set;
    if (pin_find(&keeper->run->config->machine.pin, PIN_REST, &set))
        pin_self(&set, "the domain's process", NULL);
}

/* All but its requests, of which the first two are waited for. */
static int loop_make(struct keeper *keeper, struct error *error)
{
    struct domain_run *run = keeper->run;
    int code = loop_new(&run->loop, run->lock, NULL, error);
    if (code)
        return code;
    keeper->ended = loop_watch_add(run->loop, keeper->process, LOOP_READ, child_ended, keeper, error);
    if (keeper->said >= 0)
        keeper->says = loop_watch_add(run->loop, keeper->said, LOOP_READ, said_ready, keeper, error);
    if (!keeper->ended || (keeper->said >= 0 && !keeper->says))
        return -ENOMEM;
    return loop_settle(run->loop, idle_pages_return, error);
}

static int keeper_prepare(struct domain_run *run, struct error *error)
{
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return error_set(error, -ENOMEM, "out of memory");
    *keeper = (struct keeper){.run = run,
                              .kind = domain_kind_of(run->config),
                              .process = -1,
                              .requests = -1,
                              .orders = -1,
                              .said = -1};
    pthread_mutex_init(&keeper->lock, NULL);
    sched_getaffinity(0, sizeof keeper->anywhere, &keeper->anywhere);
    run->keeper = keeper;
    run->lock = &keeper->lock;
    run->loop = NULL;
    run->asked = run->paused = false;
    const struct cage_options options = {
        .prepares = true,
        .required = strcmp(run->config->machine.cage, "required") == 0,
        .terminal = !run->background && isatty(STDIN_FILENO),
    };
    int code = cage_new(&keeper->cage, &options, error);
    if (!code)
        code = child_start(keeper, error);
    if (!code) { /* while the child is at its work */
        cage_prepare(keeper->cage);
        code = loop_make(keeper, error);
        cage_prepared(keeper->cage);
    }
    if (!code)
        code = await_prepared(keeper, error);
    if (code) {
        keeper_discard(run);
        return code;
    }
    run->guest = keeper->pid;
    pin(keeper);
    return 0;
}

static int keeper_settle(struct domain_run *run, struct error *error)
{
    struct keeper *keeper = keeper_of(run);
    struct keeper_request request;
    int code = await(keeper, KEEPER_CAGED, &request, NULL, NULL, error);
    if (!code && request.caged.code) {
        *error = request.caged;
        code = error->code;
    }
    if (code)
        return code;
    cage_parts(keeper->cage, &run->cage);
    keeper->asks = loop_watch_add(run->loop, keeper->requests, LOOP_READ, request_ready, keeper, error);
    return keeper->asks ? 0 : -ENOMEM;
}

/* Who is gone without a word has crashed, or did what he may not. */
static void end_find(struct keeper *keeper, struct domain_end *end)
{
    struct domain_run *run = keeper->run;
    child_wait(keeper->pid, run, end);
    keeper->pid = 0;
    const int forbidden = cage_forbidden(keeper->cage);
    if (forbidden >= 0) {
        const char *name = cage_call_name(forbidden);
        *end = (struct domain_end){.status = 128 + SIGSYS, .failed = true, .asked = run->asked};
        snprintf(end->reason, sizeof end->reason, "forbidden system call %s", name ? name : "of no name");
        fprintf(stderr, "visor: the guest's process made a system call that its cage forbids: %s (%d)\n",
                name ? name : "?", forbidden);
    } else if (keeper->has_end) {
        *end = keeper->end;
        end->asked |= run->asked;
    } else {
        end->failed = true;
        fprintf(stderr, "visor: the guest's process has died: %s\n", end->reason);
    }
}

static void keeper_run(struct domain_run *run, struct domain_end *end)
{
    struct keeper *keeper = keeper_of(run);
    reply(keeper, 0, -1);
    loop_run(run->loop);
    pthread_mutex_lock(&keeper->lock);
    while (request_take(keeper) == TAKEN) {
    }
    end_find(keeper, end);
    pthread_mutex_unlock(&keeper->lock);
}

static void order(const struct keeper *keeper, char what)
{
    descriptors_send(keeper->orders, &what, sizeof what, NULL, 0);
}

static int keeper_stop(struct domain_run *run, struct error *error)
{
    (void)error;
    order(keeper_of(run), KEEPER_STOP);
    return 0;
}

/* Twice: it does not listen. */
static void keeper_kill(struct domain_run *run)
{
    struct keeper *keeper = keeper_of(run);
    if (keeper->kills++)
        pidfd_send_signal(keeper->process, SIGKILL, NULL, 0);
    else
        order(keeper, KEEPER_KILL);
}

const struct domain_kind domain_kind_keeper = {
    .name = "keeper",
    .prepare = keeper_prepare,
    .settle = keeper_settle,
    .run = keeper_run,
    .discard = keeper_discard,
    .stop = keeper_stop,
    .kill = keeper_kill,
};
