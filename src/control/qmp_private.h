/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qmp_private: between the files of the server: its clients, its calls, its events. */
#ifndef VISOR_CONTROL_QMP_PRIVATE_H
#define VISOR_CONTROL_QMP_PRIVATE_H

#include "control/qmp_frame.h"
#include "control/qmp_server.h"

#define QMP_INPUT_SIZE 16384
#define QMP_TABLES_MAX 16

struct qmp_client_end {
    struct qmp_server *server;
    struct qmp_client_end *next;
    int fd;
    int passed; /* the last descriptor that it has sent and nobody has taken; -1: none */
    struct loop_watch *watch;
    struct qmp_frame frame;
    char
        input[QMP_INPUT_SIZE]; /* of `input_size` bytes those from `input_taken` on have not been looked at */
    size_t input_taken, input_size;
    struct buffer output; /* those from `output_sent` on have not been sent */
    size_t output_sent;
    bool negotiated;
    bool ended;               /* it sends no more */
    bool dead;                /* it is to be hung up */
    struct qmp_call *call;    /* that has not been answered yet; NULL: none */
    struct qmp_leave *leaves; /* who wants to know when it goes */
};

struct qmp_call {
    struct qmp_server *server;     /* NULL: it has gone */
    struct qmp_client_end *client; /* NULL: it has gone */
    const struct qmp_command *command;
    void *opaque;
    json_t *id; /* NULL: it has none */
    enum qmp_class error_class;
    bool running;         /* its function has not come back */
    bool later, answered; /* the function has come back with QMP_LATER; it was answered before it came back */
    struct qmp_call *next; /* of those that have not been answered */
};

/* An event that was sent so lately that the next one must wait. */
struct qmp_throttle {
    const struct qmp_event *event;
    uint64_t until; /* nanoseconds of the host's monotonic clock */
    json_t *held;   /* what is sent then; NULL: nothing has come */
    struct qmp_throttle *next;
};

struct qmp_entry {
    const struct qmp_table *table;
    void *opaque;
};

struct qmp_listener {
    struct qmp_server *server;
    int fd;
    struct loop_watch *watch;
    char *path; /* that is removed at the end; NULL: none */
};

struct qmp_server {
    struct loop *loop;
    struct qmp_entry tables[QMP_TABLES_MAX];
    unsigned table_count;
    struct qmp_listener listeners[QMP_LISTENERS_MAX];
    unsigned listener_count;
    uid_t user;   /* who has made it: its process may be somebody else by now */
    int spare_fd; /* given up for a moment when there are no others */
    struct qmp_client_end *clients;
    unsigned client_count;
    struct qmp_call *calls; /* that will be answered later */
    struct loop_call work;  /* clients are to be hung up, or to go on */
    int timer_fd;           /* for what is held; -1 until it is needed */
    struct loop_watch *timer_watch;
    struct qmp_throttle *throttles;
};

/* -- qmp_server.c ---------------------------------------------------------------------------------------- */

/* Appends a message, which is given away, to what the client is sent. */
void qmp_client_end_send(struct qmp_client_end *client, json_t *message);

/* -- qmp_dispatch.c -------------------------------------------------------------------------------------- */

json_t *qmp_greeting(void);
json_t *qmp_error(enum qmp_class error_class, const struct error *error, const json_t *id);
/* NULL: there is none. */
const struct qmp_command *qmp_command_find(const struct qmp_server *server, const char *name, void **opaque);
/* Runs what the client's frame has complete. */
void qmp_dispatch(struct qmp_client_end *client);
extern const struct qmp_table qmp_builtin; /* its opaque is the server */

/* -- qmp_event.c ----------------------------------------------------------------------------------------- */

const struct qmp_event *qmp_event_find(const struct qmp_server *server, const char *name);
void qmp_events_free(struct qmp_server *server);

/* -- qmp_schema.c ---------------------------------------------------------------------------------------- */

/* What query-qmp-schema returns. NULL: out of memory. */
json_t *qmp_schema(const struct qmp_server *server);

#endif
