/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp_frame: takes a stream of bytes apart into JSON objects, without parsing more of them than where they
 * end, and within limits.
 *
 * Objects follow one another with or without white space between them. Strings may stand in apostrophes as
 * well, as people write them in a shell; they are changed to JSON's.
 */
#ifndef VISOR_CONTROL_QMP_FRAME_H
#define VISOR_CONTROL_QMP_FRAME_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

struct qmp_limits {
    size_t bytes;
    unsigned values, depth;
};

struct qmp_frame {
    struct qmp_limits limits;
    struct buffer text; /* of the object, as far as it has come */
    unsigned depth, values;
    char quote;   /* that the string ends with; 0: outside of strings */
    bool escaped; /* after a backslash */
    bool skip;    /* to the end of the line */
};

enum qmp_frame_state { QMP_FRAME_MORE, QMP_FRAME_OBJECT, QMP_FRAME_BAD };

void qmp_frame_init(struct qmp_frame *frame, struct qmp_limits limits);
void qmp_frame_free(struct qmp_frame *frame);

/*
 * Takes bytes; *taken is how many, all of them unless an object ends before.
 * QMP_FRAME_OBJECT: one is complete; qmp_frame_parse() has it, before the next bytes are taken.
 * QMP_FRAME_BAD: there will be none, for the reason in *error; the rest of the line is skipped.
 */
enum qmp_frame_state qmp_frame_take(struct qmp_frame *frame, const char *data, size_t size, size_t *taken,
                                    struct error *error);

/* The complete object, the caller's. NULL with error: it is no JSON; the frame is ready for the next one. */
json_t *qmp_frame_parse(struct qmp_frame *frame, struct error *error);

#endif
