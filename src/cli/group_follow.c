/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/group_follow.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"

static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
static volatile sig_atomic_t signals_seen;

static void signal_came(int number)
{
    (void)number;
    signals_seen++;
}

static bool is_interrupted(void)
{
    return signals_seen > 0;
}

/* One domain whose log is printed. */
struct followed {
    const char *name; /* in the file */
    unsigned index;   /* there */
    struct domain domain;
    struct log_reader reader;
    int process; /* descriptor; -1: it has ended */
};

struct following {
    struct group_follower *follower;
    struct followed *domains;
    struct pollfd *wait; /* for the logs, then for each domain's process */
    unsigned count;
    int watch;
    bool chosen[GROUP_DOMAINS_MAX];
    bool colours;
    int width;                      /* of the longest name */
    const struct followed *unended; /* whose line has not come to its end; NULL: none */
    bool failed;
    sig_atomic_t handled; /* signals */
    pid_t stopper;        /* 0: none; the child that stops all */
};

/* -- before ---------------------------------------------------------------------------------------------- */

static void signals_take(struct group_follower *follower)
{
    const struct sigaction action = {.sa_handler = signal_came}; /* without SA_RESTART: waits are ended */
    struct sigaction before;
    sigprocmask(SIG_SETMASK, NULL, &follower->mask);
    for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
        sigaction(numbers[i], &action, &before);
        if (numbers[i] == SIGHUP && before.sa_handler == SIG_IGN) /* by nohup */
            signal(SIGHUP, SIG_IGN);
    }
}

static bool member_open(const struct group_follower *follower, const struct group_member *member,
                        struct domain *domain)
{
    *domain = (struct domain){0};
    snprintf(domain->name, sizeof domain->name, "%s", member->full_name);
    return domain_open(domain, follower->work->store, member->id, NULL) == 0;
}

int group_follow_begin(struct group_follower *follower, struct group_work *work, const bool *wanted,
                       struct error *error)
{
    *follower = (struct group_follower){.work = work, .wanted = wanted};
    int code =
        group_members(work->store, work->group->name, &follower->before, &follower->before_count, error);
    if (code)
        return code;
    follower->places = calloc(follower->before_count + 1, sizeof *follower->places);
    if (!follower->places) {
        free(follower->before);
        return error_set(error, -ENOMEM, "out of memory");
    }
    for (unsigned i = 0; i < follower->before_count; i++) {
        struct domain domain;
        if (!member_open(follower, &follower->before[i], &domain))
            continue;
        log_place_end(&follower->places[i], &domain);
        domain_close(&domain);
    }
    work->interrupted = is_interrupted;
    signals_take(follower);
    return 0;
}

/* -- what is printed ------------------------------------------------------------------------------------- */

static void line_print(struct following *following, const struct followed *followed,
                       const struct domain_log_line *line)
{
    static const char colours[][4] = {"36", "33", "32", "35", "34", "96", "93", "92", "95", "94"};
    const char *colour = colours[followed->index % ARRAY_SIZE(colours)];
    if (following->unended && following->unended != followed)
        putchar('\n');
    if (following->unended == followed) {
    } else if (following->colours) {
        printf("\033[%sm%-*s |\033[0m ", colour, following->width, followed->name);
    } else {
        printf("%-*s | ", following->width, followed->name);
    }
    fwrite(line->text, 1, line->size, stdout);
    if (line->whole)
        putchar('\n');
    following->unended = line->whole ? NULL : followed;
}

static void log_print(struct following *following, struct followed *followed)
{
    struct domain_log_line line;
    size_t at = 0;
    if (log_reader_more(&followed->reader) && !following->failed) {
        fprintf(stderr, "visor: %s: cannot read its log\n", followed->domain.name);
        following->failed = true;
    }
    while (log_reader_next(&followed->reader, &at, &line))
        line_print(following, followed, &line);
    log_reader_drop(&followed->reader, at);
}

static void end_print(struct following *following, const struct followed *followed)
{
    if (following->unended == followed) {
        putchar('\n');
        following->unended = NULL;
    }
    struct domain domain = {0};
    struct domain_state state;
    snprintf(domain.name, sizeof domain.name, "%s", followed->domain.name);
    if (domain_open(&domain, following->follower->work->store, followed->domain.id, NULL))
        return; /* it was to be removed at its end */
    if (domain_look(&domain, &state, NULL) == 0 && !domain_state_lives(&state)) {
        fflush(stdout);
        fprintf(stderr, "%s ended (%d, %s)\n", domain.name, state.end.status, state.end.reason);
        following->failed |= state.end.status != 0 && !following->handled;
    }
    domain_close(&domain);
}

/* -- the end --------------------------------------------------------------------------------------------- */

static bool has_child_succeeded(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return false;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Stops what is followed. */
static int stop_chosen(struct following *following, int seconds)
{
    struct group_work *work = following->follower->work;
    struct error error = ERROR_INIT;
    int code = domain_store_reopen(work->store, &error);
    work->interrupted = NULL; /* by what is heeded here */
    if (!code)
        return group_stop(work, following->chosen, seconds);
    error_report(&error);
    return code;
}

/* The same in a child, while this goes on to print. One before, which has the group's lock, makes way. */
static void stop(struct following *following, int seconds)
{
    if (following->stopper > 0) {
        kill(following->stopper, SIGKILL);
        has_child_succeeded(following->stopper);
    }
    fflush(NULL);
    following->stopper = fork();
    if (following->stopper < 0)
        fprintf(stderr, "visor: cannot make a process: %s\n", strerror(errno));
    if (following->stopper != 0)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++)
        signal(numbers[i], SIG_IGN);
    sigprocmask(SIG_SETMASK, &following->follower->mask, NULL);
    int code = stop_chosen(following, seconds);
    fflush(NULL);
    _exit(code ? 1 : 0);
}

/* Prints what has come of one; whether it has ended, which was looked at before: nothing that was said is
 * missed. */
static bool follow_one(struct following *following, struct followed *followed, struct pollfd *wait)
{
    const bool ends = wait->fd >= 0 && wait->revents;
    log_print(following, followed);
    if (!ends)
        return false;
    end_print(following, followed);
    wait->fd = -1; /* which poll() leaves out */
    return true;
}

/* Does what signals ask for. */
static void heed(struct following *following, int seconds)
{
    for (; following->handled < signals_seen; following->handled++) {
        fprintf(stderr, following->handled ? "visor: ending all at once\n"
                                           : "visor: stopping all; Ctrl-C again ends them at once\n");
        stop(following, following->handled ? 0 : seconds);
    }
}

/* Prints until all have ended. */
static void follow(struct following *following, int seconds)
{
    unsigned left = following->count;
    while (left) {
        log_watch_clear(following->watch);
        for (unsigned i = 0; i < following->count; i++)
            left -= follow_one(following, &following->domains[i], &following->wait[i + 1]);
        fflush(stdout);
        if (left)
            heed(following, seconds);
        if (left && ppoll(following->wait, following->count + 1, NULL, &following->follower->mask) < 0) {
            for (unsigned i = 0; i <= following->count; i++)
                following->wait[i].revents = 0;
        }
    }
}

/* -- together -------------------------------------------------------------------------------------------- */

static const struct log_place *place_of(const struct group_follower *follower, const char *id)
{
    for (unsigned i = 0; i < follower->before_count; i++) {
        if (strcmp(follower->before[i].id, id) == 0)
            return &follower->places[i];
    }
    return NULL;
}

static void add(struct following *following, unsigned index, const struct group_member *member)
{
    struct followed *followed = &following->domains[following->count];
    struct error error = ERROR_INIT;
    if (!member_open(following->follower, member, &followed->domain))
        return;
    followed->name = member->name;
    followed->index = index;
    followed->process = process_id_open(&member->state.process);
    if (log_watch_add(following->watch, &followed->domain, &error)) {
        error_report(&error);
        following->failed = true;
    }
    log_reader_open(&followed->reader, &followed->domain, place_of(following->follower, member->id));
    if (followed->process < 0) { /* it was brief */
        log_print(following, followed);
        end_print(following, followed);
        log_reader_close(&followed->reader);
        domain_close(&followed->domain);
        return;
    }
    following->wait[++following->count] = (struct pollfd){.fd = followed->process, .events = POLLIN};
}

/* Opens all that run, or have run since the beginning. */
static void add_all(struct following *following, const struct group_member *members, unsigned count)
{
    const struct group_work *work = following->follower->work;
    struct group_step steps[GROUP_DOMAINS_MAX];
    group_plan(work->group, members, count, following->follower->wanted, false, steps);
    for (unsigned i = 0; i < work->group->count; i++) {
        const struct group_member *member = steps[i].member;
        following->chosen[i] = steps[i].wanted;
        if (member && steps[i].wanted)
            following->width = MAX(following->width, (int)strlen(member->name));
    }
    for (unsigned i = 0; i < work->group->count; i++) {
        const unsigned index = work->group->order[i];
        const struct group_member *member = steps[index].member;
        if (member && following->chosen[index] && member->state.status != DOMAIN_CREATED)
            add(following, index, member);
    }
}

static void following_free(struct following *following)
{
    for (unsigned i = 0; i < following->count; i++) {
        log_reader_close(&following->domains[i].reader);
        close(following->domains[i].process);
        domain_close(&following->domains[i].domain);
    }
    if (following->watch >= 0)
        close(following->watch);
    free(following->domains);
    free(following->wait);
}

static int follow_all(struct group_follower *follower, int seconds, struct error *error)
{
    struct following following = {.follower = follower, .watch = log_watch_open(error)};
    struct group_member *members = NULL;
    unsigned count = 0;
    sigset_t signals;
    following.colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    following.domains = calloc(GROUP_DOMAINS_MAX, sizeof *following.domains);
    following.wait = calloc(GROUP_DOMAINS_MAX + 1, sizeof *following.wait);
    int code = following.watch < 0 ? following.watch : 0;
    if (!code && (!following.domains || !following.wait))
        code = error_set(error, -ENOMEM, "out of memory");
    if (!code)
        code = group_members(follower->work->store, follower->work->group->name, &members, &count, error);
    if (!code) {
        sigemptyset(&signals);
        for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++)
            sigaddset(&signals, numbers[i]);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        following.wait[0] = (struct pollfd){.fd = following.watch, .events = POLLIN};
        add_all(&following, members, count);
        follow(&following, seconds);
        if (following.stopper)
            following.failed |= !has_child_succeeded(following.stopper);
    }
    following_free(&following);
    free(members);
    return code ? code : following.failed ? -ECHILD : 0;
}

int group_follow_end(struct group_follower *follower, int code, int seconds)
{
    struct error error = ERROR_INIT;
    if (!code && (code = follow_all(follower, seconds, &error)) && error.code)
        error_report(&error);
    free(follower->before);
    free(follower->places);
    return code;
}
