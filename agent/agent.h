/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * agent: between the files of the guest's agent, a small static program. Its main process listens; each
 * connection has a process of its own, which does the one thing that is asked for (control/agent/protocol.h).
 */
#ifndef VISOR_AGENT_H
#define VISOR_AGENT_H

#include <sys/types.h>

#include "control/agent/protocol.h"

/* -- connection.c ---------------------------------------------------------------------------------------- */

struct connection {
    int fd;
    bool is_test; /* it may not shut down what the agent runs on */
    uint8_t input[AGENT_HEADER + AGENT_FRAME_MAX];
    size_t size; /* of the input; what was taken is at the beginning */
    size_t taken;
    struct buffer output;
};

/* Blocks until all of `output` is sent, which is empty then. False: the host has gone. */
bool connection_flush(struct connection *connection);
/* Reads once. False: the host has gone. */
bool connection_read(struct connection *connection);
/* The next frame that is complete: 1, 0: none yet, -EPROTO. It is there until the next call. */
int connection_next(struct connection *connection, struct agent_frame *frame);
/* Blocks for the next frame. False: there will be none. */
bool connection_wait(struct connection *connection, struct agent_frame *frame);
/* All has been said: waits until the host has hung up, for what is closed before that may get lost. */
void connection_end(struct connection *connection);
/* Sends an answer that ends the connection. */
void connection_done(struct connection *connection);
void connection_fail(struct connection *connection, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* -- serve.c --------------------------------------------------------------------------------------------- */

/* All of a connection, from HELLO to its end. */
void serve(int fd, bool is_test);

/* -- exec.c, files.c, facts.c, identity.c --------------------------------------------------------------- */

void serve_exec(struct connection *connection, struct reader *request);
void serve_put(struct connection *connection, struct reader *request);
void serve_get(struct connection *connection, struct reader *request);
void serve_facts(struct connection *connection);
void serve_shutdown(struct connection *connection, struct reader *request);
void serve_identity(struct connection *connection, struct reader *request);

/* -- user.c ---------------------------------------------------------------------------------------------- */

struct agent_user {
    uid_t uid;
    gid_t gid;
    gid_t groups[64];
    int group_count;
    char name[64], home[256], shell[256]; /* of /etc/passwd; empty if it is not there */
};

/* What /etc/passwd and /etc/group have: a static program has no other way. -ENOENT: there is no such user or
 * group. */
int user_find(const char *text, struct agent_user *user);

#endif
