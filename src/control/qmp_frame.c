/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/qmp_frame.h"

#include <errno.h>
#include <string.h>

void qmp_frame_init(struct qmp_frame *frame, struct qmp_limits limits)
{
    *frame = (struct qmp_frame){.limits = limits};
}

void qmp_frame_free(struct qmp_frame *frame)
{
    buffer_free(&frame->text);
}

static void frame_begin(struct qmp_frame *frame)
{
    frame->text.size = 0;
    frame->text.failed = false;
    frame->depth = frame->values = 0;
    frame->quote = 0;
    frame->escaped = false;
}

static void put(struct qmp_frame *frame, char c)
{
    buffer_append(&frame->text, &c, 1);
}

/* A byte of a string. In apostrophes, `"` means itself and `\'` an apostrophe. */
static int take_in_string(struct qmp_frame *frame, char c, struct error *error)
{
    if ((unsigned char)c < 0x20)
        return error_set(error, -EBADMSG, "invalid JSON: a control character, 0x%02x, in a string", c);
    if (frame->escaped) {
        frame->escaped = false;
        if (c != '\'')
            put(frame, '\\');
        put(frame, c);
    } else if (c == '\\') {
        frame->escaped = true;
    } else if (c == frame->quote) {
        frame->quote = 0;
        put(frame, '"');
    } else {
        if (c == '"')
            put(frame, '\\');
        put(frame, c);
    }
    return 0;
}

static int take_outside(struct qmp_frame *frame, char c, struct error *error)
{
    if ((unsigned char)c >= 0x7f || ((unsigned char)c < 0x20 && !strchr("\t\n\r", c)) || c == '\0')
        return error_set(error, -EBADMSG, "invalid JSON: byte 0x%02x", (unsigned char)c);
    switch (c) {
    case '"':
    case '\'':
        frame->quote = c;
        c = '"';
        break;
    case '{':
    case '[':
        frame->values++;
        if (++frame->depth > frame->limits.depth)
            return error_set(error, -E2BIG, "JSON of more than %u levels", frame->limits.depth);
        break;
    case '}':
    case ']': frame->depth--; break;
    case ',':
        if (++frame->values > frame->limits.values)
            return error_set(error, -E2BIG, "JSON of more than %u values", frame->limits.values);
        break;
    default: break;
    }
    put(frame, c);
    return 0;
}

static int take_byte(struct qmp_frame *frame, char c, struct error *error)
{
    if (!frame->depth && c != '{')
        return error_set(error, -EBADMSG, "invalid JSON: what is no object, beginning with byte 0x%02x",
                         (unsigned char)c);
    int code = frame->quote ? take_in_string(frame, c, error) : take_outside(frame, c, error);
    if (code)
        return code;
    if (frame->text.size > frame->limits.bytes)
        return error_set(error, -E2BIG, "JSON of more than %zu bytes", frame->limits.bytes);
    if (frame->text.failed)
        return error_set(error, -ENOMEM, "out of memory for JSON");
    return 0;
}

enum qmp_frame_state qmp_frame_take(struct qmp_frame *frame, const char *data, size_t size, size_t *taken,
                                    struct error *error)
{
    for (size_t i = 0; i < size; i++) {
        const char c = data[i];
        *taken = i + 1;
        if (frame->skip) {
            frame->skip = c != '\n';
            continue;
        }
        if (!frame->depth) {
            if (strchr(" \t\r\n", c) && c)
                continue;
            frame_begin(frame);
        }
        if (take_byte(frame, c, error)) {
            frame->skip = c != '\n';
            frame->depth = 0;
            buffer_free(&frame->text);
            return QMP_FRAME_BAD;
        }
        if (!frame->depth)
            return QMP_FRAME_OBJECT;
    }
    *taken = size;
    return QMP_FRAME_MORE;
}

json_t *qmp_frame_parse(struct qmp_frame *frame, struct error *error)
{
    json_error_t reason;
    json_t *value =
        json_loadb((const char *)frame->text.data, frame->text.size, JSON_REJECT_DUPLICATES, &reason);
    if (!value)
        error_set(error, -EBADMSG, "invalid JSON: %s, line %d, column %d", reason.text, reason.line,
                  reason.column);
    /* A long one was an exception: its memory is not kept for the next. */
    if (frame->text.capacity > 64 * 1024)
        buffer_free(&frame->text);
    return value;
}
