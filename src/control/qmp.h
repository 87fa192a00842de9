/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp: the words in which commands and events are described: QMP, JSON over a stream, as the "QEMU Machine
 * Protocol Specification" has it. qmp_server.h serves what is described here, qmp_client.h asks for it.
 *
 * Whoever has something to be commanded (a machine, a domain) writes one table:
 *
 *     static const struct qmp_field resize_arguments[] = {
 *         {"device", &qmp_string, .optional = true},
 *         {"size", &qmp_integer},
 *         {0},
 *     };
 *     static const struct qmp_command commands[] = {
 *         {"block_resize", resize_arguments, &qmp_nothing, block_resize},
 *         {0},
 *     };
 *     const struct qmp_table block_table = {.commands = commands, .events = events};
 *
 * What a command is given has been checked against its row: all fields are known, the mandatory ones are
 * there, each has its type. query-commands, query-events and query-qmp-schema tell what the rows say.
 */
#ifndef VISOR_CONTROL_QMP_H
#define VISOR_CONTROL_QMP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* The class of an error, section 2.4.2 of the specification. What fails without saying more is the first. */
enum qmp_class {
    QMP_GENERIC_ERROR,
    QMP_COMMAND_NOT_FOUND,
    QMP_DEVICE_NOT_ACTIVE,
    QMP_DEVICE_NOT_FOUND,
    QMP_KVM_MISSING_CAP,
};
#define QMP_CLASSES 5

/* As it is on the wire: "GenericError". */
const char *qmp_class_name(enum qmp_class error_class);
/* QMP_GENERIC_ERROR for names that are not known. */
enum qmp_class qmp_class_find(const char *name);

/* -- types ----------------------------------------------------------------------------------------------- */

enum qmp_kind {
    QMP_STRING,
    QMP_INTEGER, /* that 64 bits with a sign hold */
    QMP_NUMBER,  /* integers too */
    QMP_BOOLEAN,
    QMP_ANY,
    QMP_ENUM,   /* a string, one of `values` */
    QMP_OBJECT, /* of `fields`, and no others */
    QMP_ARRAY,  /* of `element` */
};

struct qmp_type {
    enum qmp_kind kind;
    const char *const *values;      /* of QMP_ENUM; ends in NULL */
    const struct qmp_field *fields; /* of QMP_OBJECT; ends in a row without name; NULL: it has none */
    const struct qmp_type *element; /* of QMP_ARRAY */
};

struct qmp_field {
    const char *name;
    const struct qmp_type *type;
    bool optional;
};

extern const struct qmp_type qmp_string, qmp_integer, qmp_number, qmp_boolean, qmp_any, qmp_strings;
extern const struct qmp_type qmp_nothing; /* {}: what most commands return */

/* Whether a value has a type. -EINVAL with the reason, in which its name is `where`: "argument 'size' is
 * missing", and an empty name is for the arguments of a command as a whole. */
int qmp_check(const json_t *value, const struct qmp_type *type, const char *where, struct error *error);

/* A string of what may be no UTF-8, such as the name of a file: it has question marks then. */
json_t *qmp_text(const char *text);

/* -- commands -------------------------------------------------------------------------------------------- */

struct qmp_call;

#define QMP_LATER 1

/*
 * Runs a command, on the loop's thread, under its lock. `arguments`, an object that is never NULL, is only
 * lent. 0: done; *result, which is NULL before, is given away, and NULL is {}. A negative errno: it failed,
 * for the reason in *error, whose hint the client is told as well; the class is QMP_GENERIC_ERROR, or what
 * qmp_call_set_class() said. QMP_LATER: whoever has the call will end it by qmp_call_return() or
 * qmp_call_fail(), exactly once, even if the client or the server has gone meanwhile. Until then nothing else
 * of that client is run.
 */
typedef int qmp_function(struct qmp_call *call, const json_t *arguments, json_t **result,
                         struct error *error);

struct qmp_command {
    const char *name;
    const struct qmp_field *arguments; /* ends in a row without name; NULL: it takes none */
    const struct qmp_type *returns;
    qmp_function *run;
    bool any_arguments; /* objects of any fields: the command checks them itself */
};

struct qmp_event {
    const char *name;
    const struct qmp_field *data; /* NULL: it has none */
    /* Of those that come faster, the first is sent, and the last when so much time has passed. 0: all are. */
    unsigned interval_ms;
};

struct qmp_table {
    const struct qmp_command *commands; /* ends in a row without name; may be NULL */
    const struct qmp_event *events;     /* likewise */
};

/* Of a call: what was said with the table (qmp_server_add()), the command's row, the server. */
void *qmp_call_opaque(const struct qmp_call *call);
const struct qmp_command *qmp_call_command(const struct qmp_call *call);
struct qmp_server *qmp_call_server(const struct qmp_call *call);
/* The descriptor that came with the command (SCM_RIGHTS), which is the caller's then; -1: none has. */
int qmp_call_take_descriptor(struct qmp_call *call);
/*
 * What a client has begun and has not brought to its end when it goes. gone() is called exactly once, on the
 * loop's thread under its lock: when the client has gone, or the server, before qmp_server_free() comes back;
 * if the command is still under way, maybe before it is answered. The struct is the caller's until then.
 */
struct qmp_leave {
    void (*gone)(void *opaque);
    void *opaque;
    struct qmp_leave *next; /* the client's */
};
/* In a command's function. */
void qmp_call_await_leave(struct qmp_call *call, struct qmp_leave *leave);

/* For a function that is about to fail: the class of its error. */
void qmp_call_set_class(struct qmp_call *call, enum qmp_class error_class);

/* The ends of a call that came back with QMP_LATER, under the loop's lock. The call is gone afterwards.
 * `result` is given away; NULL is {}. */
void qmp_call_return(struct qmp_call *call, json_t *result);
void qmp_call_fail(struct qmp_call *call, enum qmp_class error_class, const struct error *error);

#endif
