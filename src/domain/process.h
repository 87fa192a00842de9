/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process: a domain's process, from its start to its end. There is one for each domain that runs, and nothing
 * else stays.
 *
 * Its standard error and its console go to the domain's log; its console is also at the socket
 * RUN/ID/console. SIGTERM, SIGINT and SIGHUP ask the domain to end by itself, a second one ends it. After its
 * end it is started again here if its restart policy says so, after a delay that grows from 0.1 s to a minute
 * as long as it ends within ten seconds.
 */
#ifndef VISOR_DOMAIN_PROCESS_H
#define VISOR_DOMAIN_PROCESS_H

#include "domain/kind.h"
#include "domain/store.h"

#define DOMAIN_PID_FILE     "pid"     /* in RUN/ID */
#define DOMAIN_CONSOLE_FILE "console" /* in RUN/ID: a socket */
#define DOMAIN_VSOCK_FILE   "vsock"   /* in RUN/ID: a machine's, unless its configuration says where */
/* In the domain's directory: the exit status in decimal, or nothing if the process was killed. It is made
 * anew at each start, and kept open it can be read after the domain was removed. */
#define DOMAIN_EXIT_FILE "exit"

/*
 * Starts a domain in a process of its own; its lock is held before, and it does not run. 0: it runs, and the
 * lock is released. -errno: why not; the domain is as it was before, and the lock is still held.
 */
int domain_start(struct domain *domain, struct error *error);
/* The same, and it goes on from where it was saved. */
int domain_resume(struct domain *domain, const struct domain_resume *resume, struct error *error);

/* The same for several at once: each is begun, and then waited for, in any case. */
struct domain_starting {
    struct domain *domain;
    int report; /* a pipe from its process; -1: it was not begun */
};
int domain_resume_begin(struct domain_starting *starting, struct domain *domain,
                        const struct domain_resume *resume, struct error *error);
int domain_resume_end(struct domain_starting *starting, struct error *error);

/*
 * Runs a domain in this process, with its console on stdio, until its end, and removes it then if its
 * configuration says so. Its lock is held before, and it is closed afterwards. 0 and its end; or -errno: why
 * it could not be started.
 */
int domain_run_here(struct domain *domain, struct domain_end *end, struct error *error);

/* The same for what is in no store. */
int domain_run_unstored(const struct domain_config *config, struct domain_end *end, struct error *error);

#endif
