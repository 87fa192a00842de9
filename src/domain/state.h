/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state: how a domain is, as its file state.json has it. */
#ifndef VISOR_DOMAIN_STATE_H
#define VISOR_DOMAIN_STATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/process_id.h"
#include "domain/kind.h"

#define STATE_TIME_SIZE 32 /* "2026-01-31T12:00:00.123456789Z" */

enum domain_phase {
    DOMAIN_CREATED, /* it has never run */
    DOMAIN_RUNNING,
    DOMAIN_PAUSED,
    DOMAIN_RESTARTING, /* its process waits before it starts it again */
    DOMAIN_EXITED,
};

/* Times are nanoseconds since 1970; 0: never. */
struct domain_state {
    enum domain_phase status;
    struct process_id process; /* while it runs; of one that was CREATED to be run at once: who does that */
    struct process_id guest;   /* while it runs: the process that its guest is, if that is another one */
    struct cage_parts cage;    /* of that */
    uint32_t vsock_cid; /* while it runs: its guest's, of the host's kernel's contexts; 0: it is none */
    int64_t created, started, finished;
    struct domain_end end; /* since `finished` */
    unsigned restarts;     /* by its restart policy, since somebody started it */
    bool stopped;          /* somebody has asked for its end */
    bool provisional;      /* CREATED: if who is to run it dies before, it is to be no more */
};

const char *domain_phase_text(enum domain_phase status);
/* Whether it has a process of its own. */
static inline bool domain_state_lives(const struct domain_state *state)
{
    return state->process.pid != 0 && state->status != DOMAIN_CREATED;
}

int64_t state_time_now(void);
/* RFC 3339, in UTC. */
char *state_time_print(int64_t time, char text[STATE_TIME_SIZE]);
/* The other way round. False: it is no such time. */
bool state_time_parse(const char *text, int64_t *time);

/* NULL: out of memory. */
json_t *domain_state_json(const struct domain_state *state);
/* -EINVAL: it is no state. */
int domain_state_load(struct domain_state *state, const json_t *document, struct error *error);

#endif
