/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/caged.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/idle_pages.h"
#include "base/macros.h"
#include "domain/control.h"
#include "domain/store.h"

static struct caged *caged_of(const struct domain_run *run)
{
    return run->caged;
}

/* -- asking the keeper ----------------------------------------------------------------------------------- */

/* The reply's code; `*fd`, may be NULL, is the descriptor that came with it, or -1. A keeper that is gone has
 * this process killed in a moment. */
static int ask(const struct caged *caged, const struct keeper_request *request, int *fd)
{
    struct keeper_reply reply;
    unsigned came = fd ? 1 : 0;
    if (fd)
        *fd = -1;
    int code = descriptors_send(caged->requests, request, keeper_request_size(request->ask), NULL, 0);
    if (code)
        return code;
    const ssize_t size = descriptors_receive(caged->requests, &reply, sizeof reply, fd, fd ? &came : NULL);
    return size == sizeof reply ? reply.code : -ESRCH;
}

static void tell_news(struct domain_run *run, bool paused)
{
    const struct keeper_request request = {.ask = KEEPER_NEWS,
                                           .news = {.paused = paused, .asked = run->asked}};
    ask(caged_of(run), &request, NULL);
}

static int dial(struct domain_run *run, uint32_t port)
{
    const struct keeper_request request = {.ask = KEEPER_DIAL, .port = port};
    int fd;
    const int code = ask(caged_of(run), &request, &fd);
    if (!code && fd >= 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return code ? code : -ECONNREFUSED;
}

static pid_t thread_outside(struct domain_run *run, pid_t thread)
{
    const struct keeper_request request = {.ask = KEEPER_THREAD, .thread = thread};
    const int code = ask(caged_of(run), &request, NULL);
    return code > 0 ? code : 0;
}

/* The keeper has the outputs from here on. */
static int tell_prepared(struct caged *caged, const struct error *error)
{
    struct domain_run *run = caged->run;
    struct keeper_request request = {.ask = KEEPER_PREPARED,
                                     .prepared = {.error = *error, .vsock_cid = run->vsock_cid}};
    int fds[DOMAIN_OUTPUTS];
    unsigned count = 0;
    for (unsigned i = 0; i < DOMAIN_OUTPUTS; i++) {
        const struct domain_output *output = &run->outputs[i];
        if (error->code || output->fd < 0)
            continue;
        snprintf(request.prepared.outputs[i].name, KEEPER_NAME_SIZE, "%s", output->name);
        request.prepared.outputs[i].is_input = output->fd == run->input;
        fds[count++] = output->fd;
    }
    const int code =
        descriptors_send(caged->requests, &request, keeper_request_size(request.ask), fds, count);
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    return code;
}

static int tell_caged(const struct caged *caged, const struct error *error)
{
    const struct keeper_request request = {.ask = KEEPER_CAGED, .caged = *error};
    return descriptors_send(caged->requests, &request, keeper_request_size(request.ask), NULL, 0);
}

/* Until the keeper has written down that the domain runs. */
static bool may_run(const struct caged *caged)
{
    struct keeper_reply reply;
    return descriptors_receive(caged->requests, &reply, sizeof reply, NULL, NULL) == sizeof reply &&
           !reply.code;
}

/* -- being ordered --------------------------------------------------------------------------------------- */

static void ordered(void *opaque, unsigned events)
{
    struct caged *caged = opaque;
    struct domain_run *run = caged->run;
    struct error error = ERROR_INIT;
    char order;
    (void)events;
    const ssize_t size = descriptors_receive(caged->orders, &order, sizeof order, NULL, NULL);
    if (size == 0) /* no keeper any more: this process is killed in a moment */
        loop_watch_change(caged->ordered, 0);
    if (size != sizeof order)
        return;
    run->asked = true;
    if (order == KEEPER_KILL)
        caged->kind->kill(run);
    else if (order == KEEPER_STOP && caged->kind->stop(run, &error))
        error_report(&error);
}

/* -- its life -------------------------------------------------------------------------------------------- */

/* Nothing that the keeper has open is needed but these; of the domain only names and paths. */
static int take_over(struct caged *caged, struct error *error)
{
    struct domain_run *run = caged->run;
    int keep[CAGE_DESCRIPTORS + 3];
    unsigned count = cage_descriptors(caged->cage, keep);
    keep[count++] = caged->requests;
    keep[count++] = caged->orders;
    if (run->resume)
        keep[count++] = run->resume->fd;
    int code = caged->kind->enter ? caged->kind->enter(run, error) : 0;
    if (caged->errors >= 0 &&
        (dup2(caged->errors, STDOUT_FILENO) < 0 || dup2(caged->errors, STDERR_FILENO) < 0))
        code = error_set(error, -errno, "cannot take over standard error: %s", strerror(errno));
    descriptors_close_others(keep, count);
    if (run->domain)
        domain_forget_descriptors(run->domain);
    return code;
}

static int control_open(struct caged *caged, struct domain_control **control, struct error *error)
{
    const struct domain *domain = caged->run->domain;
    char path[PATH_MAX];
    if (domain)
        domain_run_path(domain, DOMAIN_CONTROL_FILE, path);
    return domain_control_new(control, caged->run, domain ? path : NULL, error);
}

static void abandon(const struct caged *caged, struct domain_control *control)
{
    domain_control_free(control, NULL);
    caged->kind->discard(caged->run);
}

static int prepare(struct caged *caged, struct domain_control **control, struct error *error)
{
    struct domain_run *run = caged->run;
    int code = take_over(caged, error);
    json_object_seed(0); /* else at its first use, from a file */
    if (!code)
        code = caged->kind->prepare(run, error);
    if (run->resume)
        close(run->resume->fd); /* what is still needed of the file is mapped */
    if (!code)
        code = control_open(caged, control, error);
    if (!code) {
        caged->ordered = loop_watch_add(run->loop, caged->orders, LOOP_READ, ordered, caged, error);
        code = caged->ordered ? 0 : -ENOMEM;
    }
    if (code && run->loop)
        abandon(caged, *control);
    return code;
}

/* While the keeper goes on with its part of the start. */
static int enter(const struct caged *caged, struct domain_control *control, struct error *error)
{
    const int code = cage_enter(caged->cage, caged->run->cage_engines, error);
    if (code)
        abandon(caged, control);
    return code;
}

_Noreturn void caged_main(struct caged *caged)
{
    struct domain_run *run = caged->run;
    struct domain_control *control = NULL;
    struct error error = ERROR_INIT;
    struct keeper_request last = {.ask = KEEPER_ENDED};
    run->caged = caged;
    run->paused_changed = tell_news;
    run->dial = dial;
    run->thread_outside = thread_outside;
    error.code = prepare(caged, &control, &error);
    if (tell_prepared(caged, &error) || error.code)
        _exit(DOMAIN_CANNOT_RUN);
    const int pages = idle_pages_open();
    error.code = enter(caged, control, &error);
    if (tell_caged(caged, &error) || error.code)
        _exit(DOMAIN_CANNOT_RUN);
    idle_pages_return_by(pages); /* it has begun, and seldom needs again what that took */
    if (!may_run(caged))
        _exit(DOMAIN_CANNOT_RUN);
    caged->kind->run(run, &last.end);
    domain_control_free(control, &last.end);
    caged->kind->discard(run);
    descriptors_send(caged->requests, &last, keeper_request_size(last.ask), NULL, 0);
    fflush(NULL);
    _exit(0);
}
