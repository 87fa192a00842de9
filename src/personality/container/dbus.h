/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dbus: as much of the D-Bus protocol as it takes to ask systemd for something: a connection to its own
 * socket, a call, its answer, and signals. libsystemd, which could do this, is to be had as a shared library
 * only, and visor is one static program.
 *
 * D-Bus specification 0.38 ("Message Protocol", "Marshaling"). All numbers are little endian, which every
 * peer must understand; answers in the other order are refused.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_DBUS_H
#define VISOR_PERSONALITY_CONTAINER_DBUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* Writing values. Positions count from the buffer's start, which has to be the message's. */
void dbus_put_integer(struct buffer *buffer, uint64_t value, unsigned bytes); /* aligned to its size */
void dbus_put_text(struct buffer *buffer, const char *text);                  /* s, o */
void dbus_put_signature(struct buffer *buffer, const char *signature);        /* g */
void dbus_align(struct buffer *buffer, unsigned bytes);
/* An array: `start` goes from the first call to the second; `align`: of its elements. */
void dbus_begin_array(struct buffer *buffer, unsigned align, size_t *start);
void dbus_end_array(struct buffer *buffer, unsigned align, size_t start);

/* A call of systemd's manager; its arguments are to be appended to `message`. */
void dbus_begin_call(struct buffer *message, uint32_t serial, const char *member, const char *signature);
/* After the arguments, which began at the size that the message had after dbus_begin_call(). */
void dbus_end_call(struct buffer *message, size_t body);

enum dbus_type { DBUS_CALL = 1, DBUS_RETURN, DBUS_ERROR, DBUS_SIGNAL };

struct dbus_message {
    unsigned type;
    uint32_t reply_serial;                           /* of an answer */
    char member[64], error_name[128], signature[64]; /* "": absent */
    const uint8_t *body;                             /* in the bytes that were parsed */
    size_t body_size;
};
#define DBUS_HEADER      16         /* bytes by which dbus_size() knows how long a message is */
#define DBUS_MESSAGE_MAX (1u << 20) /* the specification's limit is 128 MiB; systemd's answers are short */
/* The whole size of a message by its first DBUS_HEADER bytes; 0: it is none, or is too long. */
size_t dbus_size(const uint8_t header[DBUS_HEADER]);
/* -EBADMSG: `size` bytes, as dbus_size() said, are no message. */
int dbus_parse(struct dbus_message *message, const uint8_t *data, size_t size);
/* The next string or object path of a body; NULL: there is none. `*position` starts at 0. */
const char *dbus_take_text(const struct dbus_message *message, size_t *position);
bool dbus_take_integer(const struct dbus_message *message, size_t *position, uint32_t *value);

/* Connects and says who is there: user and process as the kernel knows them. The descriptor is the caller's.
 */
int dbus_connect(const char *path, struct error *error);
/* Sends it all. */
int dbus_send(int fd, const struct buffer *message);
/* The next message, within `milliseconds`; its bytes are in `storage`, which is overwritten. -ETIMEDOUT. */
int dbus_receive(int fd, int milliseconds, struct buffer *storage, struct dbus_message *message);

#endif
