/* SPDX-License-Identifier: GPL-2.0-or-later */
/* captive: processes that stand in for who is caught in a cage, with all of it or with one wall alone. */
#ifndef VISOR_TESTS_CAGE_CAPTIVE_H
#define VISOR_TESTS_CAGE_CAPTIVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <sys/types.h>

#include "cage/private.h"

/* What a captive tries: 0 if all was refused as it should be. */
typedef int attempt(void *opaque);

#define HELD(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            dprintf(2, "%s:%d: not held: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);           \
            return 1;                                                                                        \
        }                                                                                                    \
    } while (0)
/* A call fails, for this reason. */
#define FAILS(call, reason) HELD((errno = 0, (call)) == -1 && errno == (reason))

#define ORDINARY_ID 65533 /* of who has no rights, in tests that root runs */

/* How a process ended, as a shell has it. */
int captive_wait(pid_t pid);

/* In a process that has the filter alone, of this kind of thread; what `page` tells is of it. Returns how
 * it ended. */
int captive_filtered(enum cage_kind kind, unsigned engines, struct cage_page *page, attempt *try,
                     void *opaque);

/* In one that cage_fork() makes, where `enter` is cage_enter() with KVM's calls, or puts up a wall alone. */
int captive_walled(struct cage *cage, int (*enter)(struct cage *, struct error *), attempt *try,
                   void *opaque);
int captive_enter(struct cage *cage, struct error *error);

/* In a process of somebody who has no rights. 0, too, in a user namespace that has nobody but root. */
int captive_ordinary(attempt *try, void *opaque);

/* Whether this host gives all of a cage to who calls this. */
bool captive_is_whole(void);

#endif
