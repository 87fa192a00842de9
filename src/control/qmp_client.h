/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp_client: asks a QMP server, and waits for the answer: what visor's own commands do with a domain.
 *
 *     struct qmp_client *client;
 *     int code = qmp_client_connect(&client, path, 5000, &error);
 *     if (!code)
 *         code = qmp_client_execute(client, "stop", NULL, NULL, &error);
 *     qmp_client_close(client);
 *
 * The server is not trusted: what it sends is limited and checked. For one thread.
 */
#ifndef VISOR_CONTROL_QMP_CLIENT_H
#define VISOR_CONTROL_QMP_CLIENT_H

#include "control/qmp.h"

/* Events that have come while an answer was awaited and that nobody has taken: the oldest are forgotten. */
#define QMP_CLIENT_EVENTS_MAX 256

struct qmp_client;

/*
 * Connects to the socket at `path`, of any length, takes the greeting and negotiates. `timeout_ms`, -1 for no
 * end, is for this and for each later answer. -ENOENT, -ECONNREFUSED: nobody listens there; -EACCES;
 * -ETIMEDOUT; -EPROTO: it does not speak QMP; -EUSERS: it has enough clients. *out is NULL then.
 */
int qmp_client_connect(struct qmp_client **out, const char *path, int timeout_ms, struct error *error);
/* The same with a connected socket, which is taken over, also if this fails. */
int qmp_client_adopt(struct qmp_client **out, int fd, int timeout_ms, struct error *error);
void qmp_client_close(struct qmp_client *client); /* NULL: nothing */

/*
 * Runs a command. `arguments`, which is given away, may be NULL. *result, if it is wanted, is what the server
 * returned, and the caller's then.
 * -EREMOTEIO: the server has refused, with its reason; qmp_client_class() is the class. -ECONNRESET: it has
 * gone. -ETIMEDOUT. After any failure but -EREMOTEIO the connection is of no more use.
 */
int qmp_client_execute(struct qmp_client *client, const char *command, json_t *arguments, json_t **result,
                       struct error *error);
enum qmp_class qmp_client_class(const struct qmp_client *client);
/* The next command comes with this descriptor, which stays the caller's. */
void qmp_client_pass(struct qmp_client *client, int fd);
/* While an answer is awaited, `idle` is called every so many milliseconds. NULL: nothing is. */
void qmp_client_set_idle(struct qmp_client *client, int interval_ms, void (*idle)(void *opaque),
                         void *opaque);
/* The timeout for the answers from now on. */
void qmp_client_set_timeout(struct qmp_client *client, int timeout_ms);

/* The next event, an object with "event", "timestamp" and perhaps "data", which is the caller's. -ETIMEDOUT:
 * there was none in `timeout_ms` (0: look only; -1: no end); -ECONNRESET: the server has gone, and no event
 * is left. */
int qmp_client_event(struct qmp_client *client, int timeout_ms, json_t **event, struct error *error);

/* For poll(): readable when there may be something for qmp_client_event(), which is to be called until it has
 * no more. */
int qmp_client_fd(const struct qmp_client *client);

#endif
