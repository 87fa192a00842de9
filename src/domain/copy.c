/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archive/tree.h"
#include "base/visible.h"
#include "domain/copy_plan.h"

/* A process that goes into the domain. */
struct aside {
    pid_t pid;
    int stream; /* this end of what it reads or writes; -1: none */
    int report; /* a pipe */
};

struct report {
    int code;
    struct error error;
    struct domain_file file;
};

enum errand { LOOK, PUT, GET };

struct copying {
    struct domain_visit *visit;
    const struct domain_copy *copy;
    char inside[PATH_MAX];
    struct copy_plan plan;
    struct tree_options options; /* of this side */
    uint64_t done, total;
};

/* -- the other side -------------------------------------------------------------------------------------- */

static _Noreturn void aside_run(struct domain_visit *visit, enum errand errand,
                                const struct domain_transfer *transfer)
{
    const struct domain_visits *visits = visit->kind->visits;
    struct report report = {0};
    report.code = errand == LOOK  ? visits->look(visit, transfer, &report.file, &report.error)
                  : errand == PUT ? visits->put(visit, transfer, &report.error)
                                  : visits->get(visit, transfer, &report.error);
    _exit(write(transfer->report, &report, sizeof report) != sizeof report);
}

/* transfer->stream is the other end's, which is closed here. */
static int aside_start(struct aside *aside, struct domain_visit *visit, enum errand errand,
                       struct domain_transfer *transfer, int ours, struct error *error)
{
    int ends[2];
    *aside = (struct aside){.stream = ours, .report = -1};
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
    fflush(NULL);
    aside->pid = fork();
    if (aside->pid == 0) {
        close(ends[0]);
        if (ours >= 0)
            close(ours);
        transfer->report = ends[1];
        aside_run(visit, errand, transfer);
    }
    int code = aside->pid < 0 ? -errno : 0;
    close(ends[1]);
    aside->report = ends[0];
    if (code)
        close(ends[0]);
    return code ? error_set(error, code, "cannot make a process: %s", strerror(-code)) : 0;
}

/* Its end, and what it has to say. */
static int aside_end(struct aside *aside, struct domain_file *file, struct error *error)
{
    struct report report;
    ssize_t size;
    int status;
    if (aside->stream >= 0)
        close(aside->stream);
    while ((size = read(aside->report, &report, sizeof report)) < 0 && errno == EINTR)
        ;
    close(aside->report);
    while (waitpid(aside->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (size != sizeof report)
        return error_set(error, -ECHILD, "the process that went into the domain has died");
    if (file)
        *file = report.file;
    if (report.code)
        *error = report.error;
    return report.code;
}

static int look_inside(struct copying *copying, bool follow, struct domain_file *file, struct error *error)
{
    struct domain_transfer transfer = {.path = copying->inside, .follow = follow, .stream = -1};
    struct aside aside;
    int code = aside_start(&aside, copying->visit, LOOK, &transfer, -1, error);
    return code ? code : aside_end(&aside, file, error);
}

/* -- this side ------------------------------------------------------------------------------------------- */

static int look_outside(const char *path, bool follow, struct domain_file *file, struct error *error)
{
    struct stat status;
    *file = (struct domain_file){0};
    if (fstatat(AT_FDCWD, path, &status, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : error_set(error, -errno, "cannot look at %s: %s", path, strerror(errno));
    file->type = S_ISDIR(status.st_mode)   ? DOMAIN_FILE_DIRECTORY
                 : S_ISLNK(status.st_mode) ? DOMAIN_FILE_LINK
                                           : DOMAIN_FILE_OTHER;
    file->size = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
    return 0;
}

static int look_at_both(struct copying *copying, struct domain_file *inside, struct domain_file *outside,
                        struct error *error)
{
    const struct domain_copy *copy = copying->copy;
    const bool follow = copy->follow || copy_path_is_directory(copy->into ? copy->outside : copying->inside);
    int code = look_inside(copying, copy->into || follow, inside, error);
    return code ? code : look_outside(copy->outside, !copy->into || follow, outside, error);
}

static int plan_make(struct copying *copying, struct error *error)
{
    const struct domain_copy *copy = copying->copy;
    struct domain_file inside, outside;
    int code = look_at_both(copying, &inside, &outside, error);
    if (code)
        return code;
    const struct copy_end in = {copying->inside, inside.type}, out = {copy->outside, outside.type};
    copying->total = copy->into ? outside.size : inside.size;
    return copy->into ? copy_plan_make(&copying->plan, &out, &in, error)
                      : copy_plan_make(&copying->plan, &in, &out, error);
}

static void note_copied(void *opaque, uint64_t bytes)
{
    struct copying *copying = opaque;
    copying->done += bytes;
    if (copying->copy->copied)
        copying->copy->copied(copying->copy->opaque, copying->done, copying->total);
}

static void note_left_out(void *opaque, const char *path, const char *why)
{
    const struct copying *copying = opaque;
    if (copying->copy->left_out)
        copying->copy->left_out(copying->copy->opaque, path, why);
}

/* Of two that have failed one may only say that the stream between them has ended: -EPIPE who writes it,
 * -EPROTO who reads it. The other's reason is the reason. */
static int one_error(bool into, int ours, const struct error *our_error, int theirs,
                     const struct error *their_error, struct error *error)
{
    const int ours_follows = into ? -EPIPE : -EPROTO, theirs_follows = into ? -EPROTO : -EPIPE;
    if (!into && !ours && theirs == theirs_follows)
        return 0; /* it wrote what comes behind an archive's end, which nobody has to read */
    const bool tell_ours = ours && (!theirs || ours != ours_follows || theirs == theirs_follows);
    if (!ours && !theirs)
        return 0;
    *error = tell_ours ? *our_error : *their_error;
    return tell_ours ? ours : theirs;
}

/* -- in -------------------------------------------------------------------------------------------------- */

static int send(struct copying *copying, int stream, struct error *error)
{
    const struct domain_copy *copy = copying->copy;
    if (!copy->outside)
        return tree_repack(copy->stream, stream, &copying->options, error);
    const bool follow = copy->follow || copying->plan.follow;
    int object = open(copying->plan.source, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
    if (object < 0)
        return error_set(error, -errno, "cannot open %s: %s", copying->plan.source, strerror(errno));
    if (copy->copied)
        copying->total = tree_size(object);
    int code = tree_pack(object, copying->plan.name, stream, &copying->options, error);
    close(object);
    return code;
}

static int plan_stream_in(struct copying *copying, struct error *error)
{
    struct domain_file inside;
    int code = look_inside(copying, true, &inside, error);
    if (!code && inside.type != DOMAIN_FILE_DIRECTORY)
        code =
            error_set(error, -ENOTDIR, "an archive goes into a directory, and %s is none", copying->inside);
    snprintf(copying->plan.directory, sizeof copying->plan.directory, "%s", copying->inside);
    return code;
}

static int copy_in(struct copying *copying, struct error *error)
{
    struct aside aside;
    struct error ours = ERROR_INIT, theirs = ERROR_INIT;
    struct domain_transfer transfer = {
        .path = copying->plan.directory, .follow = true, .owner = copying->copy->owner};
    int ends[2], code = copying->copy->outside ? plan_make(copying, error) : plan_stream_in(copying, error);
    if (code)
        return code;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
    transfer.stream = ends[0];
    code = aside_start(&aside, copying->visit, PUT, &transfer, ends[1], error);
    close(ends[0]);
    if (code) {
        close(ends[1]);
        return code;
    }
    code = send(copying, aside.stream, &ours);
    return one_error(true, code, &ours, aside_end(&aside, NULL, &theirs), &theirs, error);
}

/* -- out ------------------------------------------------------------------------------------------------- */

static int receive(struct copying *copying, int stream, struct error *error)
{
    const struct copy_plan *plan = &copying->plan;
    const struct tree_unpack where = {
        .directory = open(plan->directory, O_PATH | O_DIRECTORY | O_CLOEXEC),
        .as = plan->name[0] ? plan->name : NULL,
    };
    if (where.directory < 0)
        return error_set(error, -errno, "cannot open %s: %s", plan->directory, strerror(errno));
    int code = tree_unpack(&where, stream, &copying->options, error);
    close(where.directory);
    return code;
}

/* The archive goes out as it comes. */
static int copy_stream_out(struct copying *copying, struct error *error)
{
    const struct domain_copy *copy = copying->copy;
    const struct copy_end target = {".", DOMAIN_FILE_DIRECTORY};
    struct domain_file inside;
    struct aside aside;
    int code = look_inside(copying, copy->follow || copy_path_is_directory(copying->inside), &inside, error);
    if (!code)
        code =
            copy_plan_make(&copying->plan, &(struct copy_end){copying->inside, inside.type}, &target, error);
    struct domain_transfer transfer = {
        .path = copying->plan.source,
        .follow = copy->follow || copying->plan.follow,
        .owner = true,
        .as = copying->plan.name[0] ? copying->plan.name : NULL,
        .stream = copy->stream,
        .left_out = note_left_out,
        .opaque = copying,
    };
    if (!code)
        code = aside_start(&aside, copying->visit, GET, &transfer, -1, error);
    return code ? code : aside_end(&aside, NULL, error);
}

static int copy_out(struct copying *copying, struct error *error)
{
    struct aside aside;
    struct error ours = ERROR_INIT, theirs = ERROR_INIT;
    int ends[2], code;
    if (!copying->copy->outside)
        return copy_stream_out(copying, error);
    code = plan_make(copying, error);
    if (code)
        return code;
    struct domain_transfer transfer = {
        .path = copying->plan.source,
        .follow = copying->copy->follow || copying->plan.follow,
        .owner = copying->copy->owner,
        .as = copying->plan.name[0] ? copying->plan.name : NULL,
        .left_out = note_left_out,
        .opaque = copying,
    };
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
    transfer.stream = ends[1];
    code = aside_start(&aside, copying->visit, GET, &transfer, ends[0], error);
    close(ends[1]);
    if (code) {
        close(ends[0]);
        return code;
    }
    code = receive(copying, aside.stream, &ours);
    return one_error(false, code, &ours, aside_end(&aside, NULL, &theirs), &theirs, error);
}

/* -- both ------------------------------------------------------------------------------------------------ */

int domain_visit_copy(struct domain_visit *visit, const struct domain_copy *copy, struct error *error)
{
    const struct domain_visits *visits = visit->kind->visits;
    struct copying copying = {
        .visit = visit,
        .copy = copy,
        .options = {.owner = copy->owner,
                    .special = copy->into || copy->owner,
                    .self = -1,
                    .copied = note_copied,
                    .left_out = note_left_out,
                    .opaque = &copying},
    };
    int code = domain_visit_check(visit, visits && visits->look && visits->put && visits->get,
                                  "copied to or from", error);
    if (code)
        return code;
    if (snprintf(copying.inside, PATH_MAX, "%s%s", copy->inside[0] == '/' ? "" : "/", copy->inside) >=
        PATH_MAX)
        return error_set(error, -ENAMETOOLONG, "the path is too long");
    signal(SIGPIPE, SIG_IGN);
    copying.options.self = tree_open_self(error);
    if (copying.options.self < 0)
        return copying.options.self;
    code = copy->into ? copy_in(&copying, error) : copy_out(&copying, error);
    close(copying.options.self);
    if (code) /* names in it may be the domain's */
        visible_make(error->message, strlen(error->message));
    return code;
}
