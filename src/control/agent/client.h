/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * agent/client: asks the agent in a guest (docs/agent.md), by the path, or the context (CID), that it has by
 * `visor run --vsock`.
 * A connection is for one request: each function makes its own. The guest is not trusted: what it sends is
 * checked and limited. A timeout is for each answer, -1 is no end.
 *
 * Errors: -ENOTCONN: the machine runs no agent, or not yet; -ENOENT, -ECONNREFUSED: there is no such machine;
 * -ETIMEDOUT; -EPROTO; -ECONNRESET: the guest has gone; -EREMOTEIO: the agent has refused, with its reason.
 */
#ifndef VISOR_CONTROL_AGENT_CLIENT_H
#define VISOR_CONTROL_AGENT_CLIENT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "control/agent/protocol.h"

struct agent_host {
    const char *path; /* of the vsock; NULL: */
    uint32_t cid;     /* the guest's context, of the host's kernel's; 0: */
    int fd;           /* a connection to the agent, which is taken over */
    bool direct;      /* an agent listens there itself (visor-agent --unix) */
    int timeout_ms;
};

int agent_ping(const struct agent_host *host, struct error *error);
/* What the guest is: name and value for each fact, some names several times: hostname, kernel, architecture,
 * uptime, system, system-name, address ("eth0 10.0.2.15/24"). */
int agent_facts(const struct agent_host *host,
                void (*fact)(void *opaque, const char *name, const char *value), void *opaque,
                struct error *error);
/* The guest has begun to shut down when this comes back. */
int agent_shutdown(const struct agent_host *host, enum agent_shutdown how, struct error *error);

/* The guest is a copy, and this one, when it comes back. -EREMOTEIO: what cannot be is not; the rest is. */
int agent_identify(const struct agent_host *host, const struct agent_identity *identity, struct error *error);

struct agent_run {
    struct agent_exec exec;
    int input, output, errors; /* input: -1 for none, without AGENT_STDIN; borrowed, they may block or not */
    /* A descriptor of signalfd() that does not block, or -1. SIGWINCH: the program's terminal gets the size
     * of that at `input`; others are sent to the program. */
    int signals;
};

/* Runs a program in the guest until it ends; *status is its exit status, or 128 and the number of its signal,
 * as in a shell; with -EREMOTEIO 127 if there is no such program, else 126. The timeout is for its start. */
int agent_run(const struct agent_host *host, const struct agent_run *run, int *status, struct error *error);

/* A file of the guest's: what `fd` has, up to its end, gets there under the name and with the mode when it is
 * complete; and the other way round. */
int agent_put(const struct agent_host *host, const char *path, mode_t mode, int fd, struct error *error);
int agent_get(const struct agent_host *host, const char *path, int fd, mode_t *mode, struct error *error);

#endif
