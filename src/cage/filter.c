/* SPDX-License-Identifier: GPL-2.0-or-later */
/* filter: the system calls of each kind of thread, by the table in calls.def, and the end of who makes
 * another. */
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <linux/vfio.h>
#include <linux/vhost.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "base/call_filter.h"
#include "base/macros.h"
#include "cage/private.h"

/* -- the table ------------------------------------------------------------------------------------------- */

struct call {
    uint8_t threads, engines;
    struct call_allowed allowed;
};

/* Threads and engines of rows. */
#define LOOP      (1 << CAGE_LOOP)
#define VCPU      (1 << CAGE_VCPU)
#define BLOCK     (1 << CAGE_BLOCK)
#define ALL       (LOOP | VCPU | BLOCK)
#define KVM       CAGE_ENGINE_KVM
#define TRANSLATE CAGE_ENGINE_TRANSLATE
#define EITHER    (KVM | TRANSLATE)
#define VFIO      CAGE_VFIO
#define VHOST     CAGE_VHOST

/* What holds of a call's arguments, which are counted from 0. */
#define ANY                CALL_ANY, 0, 0, 0
#define ABSENT             CALL_ABSENT, 0, 0, 0
#define OWN(n)             CALL_OWN, n, 0, 0
#define IS(n, a)           CALL_EITHER, n, (uint32_t)(a), (uint32_t)(a)
#define ONE_OF(n, a, b)    CALL_EITHER, n, (uint32_t)(a), (uint32_t)(b)
#define FROM_TO(n, a, b)   CALL_BETWEEN, n, (uint32_t)(a), (uint32_t)(b)
#define WITHOUT(n, bits)   CALL_WITHOUT, n, (uint32_t)(bits), 0
#define ONLY_BITS(n, bits) CALL_WITHIN, n, (uint32_t)(bits), 0

/* As libc makes a thread. */
#define THREAD_FLAGS                                                                                         \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |       \
     CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

#define GROUP(title)
#define CALL(threads, engines, name, rule, why) {threads, engines, {SYS_##name, rule}},

static const struct call table[] = {
#include "cage/calls.def"
};
_Static_assert(ARRAY_SIZE(table) <= CALL_FILTER_MOST, "more than a filter has");

/* -- filters --------------------------------------------------------------------------------------------- */

/* This process's, since it has entered: new threads know nothing else of it. */
static struct {
    bool is_caged;
    unsigned engines;
    struct cage_page *page;
} entered;

static bool load(enum cage_kind kind)
{
    struct call_allowed rows[ARRAY_SIZE(table)];
    unsigned count = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
        if (table[i].threads & 1u << kind && table[i].engines & entered.engines)
            rows[count++] = table[i].allowed;
    const struct call_filter filter = {rows, count, SYS_ioctl, CALL_TRAPS};
    return call_filter_load(&filter);
}

/* Whatever state the process is in: no locks, and nothing but what is allowed. */
static void refused(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    atomic_store(&entered.page->forbidden, (uint32_t)info->si_syscall + 1);
    for (;;)
        syscall(SYS_exit_group, CAGE_STATUS_FORBIDDEN);
}

/* A blocked signal would end the process just as well, but nobody would know why. */
static void let_refusals_through(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGSYS);
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}

int cage_filter_enter(struct cage_page *page, unsigned engines, struct error *error)
{
    const struct sigaction action = {.sa_sigaction = refused, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    entered.page = page;
    entered.engines = engines;
    if (sigaction(SIGSYS, &action, NULL) < 0)
        return error_set(error, -errno, "cannot wait for forbidden calls: %s", strerror(errno));
    let_refusals_through();
    if (!load(CAGE_LOOP))
        return error_set(error, -errno, "cannot load a filter of system calls: %s", strerror(errno));
    entered.is_caged = true;
    return 0;
}

void cage_thread(enum cage_kind kind)
{
    if (!entered.is_caged)
        return;
    let_refusals_through();
    if (kind == CAGE_LOOP || load(kind))
        return;
    fprintf(stderr, "visor: cannot load a thread's filter of system calls: %s\n", strerror(errno));
    _exit(1);
}

/* -- names ----------------------------------------------------------------------------------------------- */

const char *cage_call_name(int number)
{
    static char name[64];
    char *known = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
    if (known)
        snprintf(name, sizeof name, "%s", known);
    else
        snprintf(name, sizeof name, "%d", number);
    free(known);
    return name;
}
