/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * call_filter: the system calls that a process or a thread keeps, as a table of those it may make
 * (seccomp(2)). Several rows may be of one call: it may be made if one of them holds.
 */
#ifndef VISOR_BASE_CALL_FILTER_H
#define VISOR_BASE_CALL_FILTER_H

#include <stdbool.h>
#include <stdint.h>

/* Of an argument the low 32 bits are looked at, which is all that the kernel has of an `int`. */
enum call_rule {
    CALL_ANY,     /* whatever its arguments are */
    CALL_WITHOUT, /* an argument that has none of the bits of `a` */
    CALL_WITHIN,  /* one that has no bits but those of `a`, in all 64 */
    CALL_EITHER,  /* one that is `a` or `b` */
    CALL_BETWEEN, /* one from `a` to `b` */
    CALL_OWN,     /* one that is the calling process's id */
    CALL_ABSENT,  /* it is not made, and fails with ENOSYS: who calls it has another way */
};

struct call_allowed {
    uint16_t call;
    uint8_t rule, argument;
    uint32_t a, b;
};

#define CALL_FILTER_MOST 256 /* rows */

/* What becomes of a call that is in no row. */
enum call_refusal {
    CALL_FAILS, /* with EPERM */
    CALL_TRAPS, /* SIGSYS, whose si_syscall is its number; it is not made whatever the handler does */
};

struct call_filter {
    const struct call_allowed *table;
    unsigned count;
    /* One that is looked at before all others, since the kernel remembers only what is allowed whatever its
     * arguments are; its rows' order is kept. -1: none. */
    int first;
    enum call_refusal refusal;
};

/*
 * From now on this thread, and all that it makes, has only these calls, for ever; another filter can only
 * take more away. Calls of another architecture than the program's end the process. False: the kernel has no
 * filters, errno says why. The process may gain no rights (PR_SET_NO_NEW_PRIVS).
 */
bool call_filter_load(const struct call_filter *filter);

/* The same with a table alone, for who wants EPERM. */
bool call_filter_enter(const struct call_allowed *table, unsigned count);

#endif
