/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * call_filter: the system calls that a process keeps, as a table of those it may make (seccomp(2)).
 */
#ifndef VISOR_BASE_CALL_FILTER_H
#define VISOR_BASE_CALL_FILTER_H

#include <stdbool.h>
#include <stdint.h>

enum call_rule {
    CALL_ANY,     /* whatever its arguments are */
    CALL_WITHOUT, /* an argument that has none of the bits of `a` */
    CALL_EITHER,  /* one that is `a` or `b` */
    CALL_BETWEEN, /* one from `a` to `b` */
};

struct call_allowed {
    uint16_t call;
    uint8_t rule, argument;
    uint32_t a, b;
};

#define CALL_FILTER_MOST 128 /* rows */

/*
 * From now on all calls that are not in the table fail with EPERM, for ever. The filter goes through the
 * table: what is called often comes first. False: the kernel has no filters, errno says why. The process may
 * gain no rights (PR_SET_NO_NEW_PRIVS).
 */
bool call_filter_enter(const struct call_allowed *table, unsigned count);

#endif
