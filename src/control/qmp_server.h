/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp_server: serves the commands of tables (qmp.h) to clients on Unix sockets, as a part of an event loop.
 *
 *     qmp_server_new(&server, loop, &error);
 *     qmp_server_add(server, &machine_qmp_table, machine, &error);
 *     qmp_server_listen(server, "/run/visor/web/control", &error);
 *     ... loop_run(loop); qmp_server_event(server, "STOP", NULL); ...
 *     qmp_server_free(server);
 *
 * All functions are for who holds the loop's lock, or before loop_run() and after it.
 *
 * A client gets the greeting and must negotiate (qmp_capabilities) before all else; of capabilities there are
 * none, so that commands are never run out of band. Its commands are run one after the other and answered in
 * order with their ids; several clients are served side by side. Beside those of the tables there are
 * qmp_capabilities, query-commands, query-events, query-qmp-schema and query-version.
 *
 * What is not as it should be has a defined answer:
 * - no JSON, wrong UTF-8, deeper than QMP_DEPTH_MAX, more than QMP_VALUES_MAX values, or longer than
 *   QMP_MESSAGE_MAX: GenericError without id; if its end cannot be known, the rest of the line is skipped;
 * - JSON that is no command: GenericError, with the id if there is one;
 * - a client beyond QMP_CLIENTS_MAX: GenericError instead of the greeting, and the end of the connection;
 * - a process of another user, except root: the end of the connection;
 * - a client that does not read: its commands wait. When events of more than QMP_OUTPUT_MAX bytes wait for
 *   it, it is hung up.
 * - a client that closes its side gets the answers to what it has sent, before it is hung up.
 */
#ifndef VISOR_CONTROL_QMP_SERVER_H
#define VISOR_CONTROL_QMP_SERVER_H

#include "base/loop.h"
#include "control/qmp.h"

#define QMP_MESSAGE_MAX   (1u << 20) /* bytes of a command */
#define QMP_VALUES_MAX    20000      /* in one command */
#define QMP_DEPTH_MAX     64
#define QMP_OUTPUT_MAX    (1u << 20) /* bytes */
#define QMP_CLIENTS_MAX   32
#define QMP_LISTENERS_MAX 2

struct qmp_server;

int qmp_server_new(struct qmp_server **out, struct loop *loop, struct error *error);
/* Hangs up all clients, when what is ready to be sent has been offered to them, and removes its sockets. Not
 * from within a command. */
void qmp_server_free(struct qmp_server *server);

/* Adds commands and events; the table stays the caller's. `opaque` is what its functions get by
 * qmp_call_opaque(). -EEXIST: a name is there already. */
int qmp_server_add(struct qmp_server *server, const struct qmp_table *table, void *opaque,
                   struct error *error);

/* Listens at a path, with mode 0600; at most at QMP_LISTENERS_MAX: -EBUSY. What a process that has died left
 * there is replaced; -EADDRINUSE: another listens there, or it is no socket. Of any length; it is removed by
 * qmp_server_free(). */
int qmp_server_listen(struct qmp_server *server, const char *path, struct error *error);
/* The same on a socket that listens already (from systemd, say); it is taken over, unless this fails. */
int qmp_server_listen_fd(struct qmp_server *server, int fd, struct error *error);
/* A client that is connected already, of whom no credentials are asked: one end of a socketpair(), say. It is
 * taken over, also if this fails. */
int qmp_server_adopt(struct qmp_server *server, int fd, struct error *error);

/* Tells all clients that have negotiated, with the time. `name` must be in a table; `data`, which is given
 * away, is NULL for events without. */
void qmp_server_event(struct qmp_server *server, const char *name, json_t *data);

/* How many clients there are, negotiated or not. */
unsigned qmp_server_clients(const struct qmp_server *server);

#endif
