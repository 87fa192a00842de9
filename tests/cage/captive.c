/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "captive.h"

#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"

int captive_wait(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

enum { NOBODY_ELSE = 97, NOT_ENTERED = 98 }; /* statuses */

/* The test's own handlers call what a captive may not. */
static void forget_handlers(void)
{
    static const int handled[] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS};
    for (unsigned i = 0; i < ARRAY_SIZE(handled); i++)
        signal(handled[i], SIG_DFL);
}

int captive_filtered(enum cage_kind kind, unsigned engines, struct cage_page *page, attempt *try,
                     void *opaque)
{
    atomic_store(&page->forbidden, 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return captive_wait(pid);
    struct error error = ERROR_INIT;
    forget_handlers();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || cage_filter_enter(page, engines, &error)) {
        error_report(&error);
        _exit(NOT_ENTERED);
    }
    cage_thread(kind);
    _exit(try(opaque));
}

int captive_enter(struct cage *cage, struct error *error)
{
    return cage_enter(cage, CAGE_ENGINE_KVM, error);
}

int captive_walled(struct cage *cage, int (*enter)(struct cage *, struct error *), attempt *try, void *opaque)
{
    struct error error = ERROR_INIT;
    const pid_t pid = cage_fork(cage, &error);
    if (pid < 0)
        error_report(&error);
    assert_true(pid >= 0);
    if (pid)
        return captive_wait(pid);
    forget_handlers();
    if (enter(cage, &error)) {
        error_report(&error);
        _exit(NOT_ENTERED);
    }
    _exit(try(opaque));
}

int captive_ordinary(attempt *try, void *opaque)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid) {
        const int status = captive_wait(pid);
        if (status == NOBODY_ELSE)
            print_message("[  SKIPPED ] as an ordinary user: there is none here\n");
        return status == NOBODY_ELSE ? 0 : status;
    }
    if (!geteuid() && (setgroups(0, NULL) < 0 || setresgid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID) < 0 ||
                       setresuid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID) < 0))
        _exit(NOBODY_ELSE);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* as after his own execve() */
    _exit(try(opaque));
}

bool captive_is_whole(void)
{
    struct cage_parts parts;
    struct error error = ERROR_INIT;
    if (cage_try(&parts, &error))
        error_report(&error);
    return parts.user && parts.pid && parts.mount && parts.network && parts.ipc && parts.uts &&
           parts.cgroup && parts.rights && parts.limits && parts.filter;
}
