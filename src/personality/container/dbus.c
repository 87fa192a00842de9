/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/dbus.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/macros.h"

enum {
    FIELD_PATH = 1,
    FIELD_INTERFACE,
    FIELD_MEMBER,
    FIELD_ERROR_NAME,
    FIELD_REPLY_SERIAL,
    FIELD_DESTINATION,
    FIELD_SENDER,
    FIELD_SIGNATURE
};

#define AUTHENTICATION_MAX 256

void dbus_align(struct buffer *buffer, unsigned bytes)
{
    while (buffer->size % bytes && !buffer->failed)
        buffer_append_integer(buffer, 0, 1);
}

void dbus_put_integer(struct buffer *buffer, uint64_t value, unsigned bytes)
{
    dbus_align(buffer, bytes);
    buffer_append_integer(buffer, value, bytes);
}

void dbus_put_text(struct buffer *buffer, const char *text)
{
    dbus_put_integer(buffer, strlen(text), 4);
    buffer_append(buffer, text, strlen(text) + 1);
}

void dbus_put_signature(struct buffer *buffer, const char *signature)
{
    buffer_append_integer(buffer, strlen(signature), 1);
    buffer_append(buffer, signature, strlen(signature) + 1);
}

void dbus_begin_array(struct buffer *buffer, unsigned align, size_t *start)
{
    dbus_put_integer(buffer, 0, 4);
    *start = buffer->size - 4;
    dbus_align(buffer, align);
}

void dbus_end_array(struct buffer *buffer, unsigned align, size_t start)
{
    size_t first =
        ALIGN_UP(start + 4, (size_t)align); /* what is before it for its alignment does not count */
    if (!buffer->failed)
        buffer_patch_integer(buffer, start, buffer->size - first, 4);
}

static void put_field(struct buffer *message, unsigned field, const char *signature, const char *text)
{
    dbus_align(message, 8);
    buffer_append_integer(message, field, 1);
    dbus_put_signature(message, signature);
    if (*signature == 'g')
        dbus_put_signature(message, text);
    else
        dbus_put_text(message, text);
}

void dbus_begin_call(struct buffer *message, uint32_t serial, const char *member, const char *signature)
{
    const uint8_t start[] = {'l', DBUS_CALL, 0, 1};
    size_t fields;
    buffer_append(message, start, sizeof start);
    buffer_append_integer(message, 0, 4); /* the body's size, see dbus_end_call() */
    buffer_append_integer(message, serial, 4);
    dbus_begin_array(message, 8, &fields);
    put_field(message, FIELD_PATH, "o", "/org/freedesktop/systemd1");
    put_field(message, FIELD_INTERFACE, "s", "org.freedesktop.systemd1.Manager");
    put_field(message, FIELD_MEMBER, "s", member);
    put_field(message, FIELD_DESTINATION, "s", "org.freedesktop.systemd1");
    put_field(message, FIELD_SIGNATURE, "g", signature);
    dbus_end_array(message, 8, fields);
    dbus_align(message, 8);
}

void dbus_end_call(struct buffer *message, size_t body)
{
    if (!message->failed)
        buffer_patch_integer(message, 4, message->size - body, 4);
}

size_t dbus_size(const uint8_t header[DBUS_HEADER])
{
    struct reader reader = {.data = header + 4, .left = DBUS_HEADER - 4};
    uint64_t body = reader_take_integer(&reader, 4);
    reader_take_integer(&reader, 4);
    uint64_t fields = reader_take_integer(&reader, 4);
    uint64_t size = DBUS_HEADER + ALIGN_UP(fields, UINT64_C(8)) + body;
    return header[0] == 'l' && header[3] == 1 && size <= DBUS_MESSAGE_MAX ? (size_t)size : 0;
}

/* Positions in a message, which alignment is by. */
struct cursor {
    const uint8_t *data;
    size_t size, position;
    bool failed;
};

static uint64_t take(struct cursor *cursor, unsigned bytes)
{
    size_t start = ALIGN_UP(cursor->position, (size_t)bytes);
    if (start > cursor->size || cursor->size - start < bytes) {
        cursor->failed = true;
        return 0;
    }
    struct reader reader = {.data = cursor->data + start, .left = bytes};
    cursor->position = start + bytes;
    return reader_take_integer(&reader, bytes);
}

/* A length of `bytes` bytes, text, and a zero. */
static const char *take_text(struct cursor *cursor, unsigned bytes)
{
    uint64_t length = take(cursor, bytes);
    if (cursor->failed || cursor->size - cursor->position <= length) {
        cursor->failed = true;
        return "";
    }
    const char *text = (const char *)cursor->data + cursor->position;
    if (memchr(text, '\0', length + 1) != text + length) {
        cursor->failed = true;
        return "";
    }
    cursor->position += length + 1;
    return text;
}

/* Fields of types that visor does not know end the message: nobody sends such. */
static void parse_field(struct cursor *cursor, struct dbus_message *message)
{
    unsigned field = (unsigned)take(cursor, 1);
    const char *signature = take_text(cursor, 1), *text = "";
    uint64_t number = 0;
    if (!strcmp(signature, "u"))
        number = take(cursor, 4);
    else if (!strcmp(signature, "s") || !strcmp(signature, "o"))
        text = take_text(cursor, 4);
    else if (!strcmp(signature, "g"))
        text = take_text(cursor, 1);
    else
        cursor->failed = true;
    if (cursor->failed)
        return;
    switch (field) {
    case FIELD_MEMBER: snprintf(message->member, sizeof message->member, "%s", text); break;
    case FIELD_ERROR_NAME: snprintf(message->error_name, sizeof message->error_name, "%s", text); break;
    case FIELD_SIGNATURE: snprintf(message->signature, sizeof message->signature, "%s", text); break;
    case FIELD_REPLY_SERIAL: message->reply_serial = (uint32_t)number; break;
    }
}

int dbus_parse(struct dbus_message *message, const uint8_t *data, size_t size)
{
    struct cursor cursor = {.data = data, .size = size, .position = 12};
    *message = (struct dbus_message){0};
    if (size < DBUS_HEADER || dbus_size(data) != size)
        return -EBADMSG;
    message->type = data[1];
    size_t fields = (size_t)take(&cursor, 4), end = DBUS_HEADER + fields;
    cursor.size = end; /* dbus_size() has seen that it is within the message */
    while (!cursor.failed && ALIGN_UP(cursor.position, (size_t)8) < end) {
        cursor.position = ALIGN_UP(cursor.position, (size_t)8);
        parse_field(&cursor, message);
    }
    if (cursor.failed)
        return -EBADMSG;
    size_t body = ALIGN_UP(end, (size_t)8);
    message->body = data + body;
    message->body_size = size - body;
    return 0;
}

const char *dbus_take_text(const struct dbus_message *message, size_t *position)
{
    struct cursor cursor = {.data = message->body, .size = message->body_size, .position = *position};
    const char *text = take_text(&cursor, 4);
    *position = cursor.position;
    return cursor.failed ? NULL : text;
}

bool dbus_take_integer(const struct dbus_message *message, size_t *position, uint32_t *value)
{
    struct cursor cursor = {.data = message->body, .size = message->body_size, .position = *position};
    *value = (uint32_t)take(&cursor, 4);
    *position = cursor.position;
    return !cursor.failed;
}

static int send_bytes(int fd, const void *data, size_t size)
{
    const char *next = data;
    while (size) {
        ssize_t sent = send(fd, next, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return -errno;
        next += MAX(sent, 0);
        size -= (size_t)MAX(sent, 0);
    }
    return 0;
}

int dbus_send(int fd, const struct buffer *message)
{
    return message->failed ? -ENOMEM : send_bytes(fd, message->data, message->size);
}

static int receive_bytes(int fd, int milliseconds, uint8_t *data, size_t size)
{
    while (size) {
        int ready = poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, milliseconds);
        ssize_t got = ready > 0 ? recv(fd, data, size, 0) : ready;
        if (ready == 0)
            return -ETIMEDOUT;
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            return -ECONNRESET;
        data += MAX(got, 0);
        size -= (size_t)MAX(got, 0);
    }
    return 0;
}

int dbus_receive(int fd, int milliseconds, struct buffer *storage, struct dbus_message *message)
{
    uint8_t header[DBUS_HEADER];
    int result = receive_bytes(fd, milliseconds, header, sizeof header);
    if (result < 0)
        return result;
    size_t size = dbus_size(header);
    if (!size)
        return -EBADMSG;
    buffer_free(storage);
    *storage = (struct buffer){0};
    buffer_append(storage, header, sizeof header);
    for (size_t i = sizeof header; i < size && !storage->failed; i += 8) /* room for the rest */
        buffer_append_integer(storage, 0, (unsigned)MIN(size - i, (size_t)8));
    if (storage->failed)
        return -ENOMEM;
    result = receive_bytes(fd, milliseconds, storage->data + sizeof header, size - sizeof header);
    return result < 0 ? result : dbus_parse(message, storage->data, size);
}

/* "Authentication Protocol": the kernel says who visor is, so no name is given. */
static int authenticate(int fd, int milliseconds)
{
    static const char hello[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
    char answer[AUTHENTICATION_MAX] = "";
    size_t used = 0;
    unsigned lines = 0;
    int result = send_bytes(fd, hello, sizeof hello - 1);
    while (result == 0 && lines < 2 && used < sizeof answer - 1) { /* "DATA" and "OK GUID"; no byte more */
        result = receive_bytes(fd, milliseconds, (uint8_t *)answer + used, 1);
        lines += answer[used++] == '\n';
    }
    if (result == 0 && !strstr(answer, "OK "))
        result = -EACCES;
    return result;
}

int dbus_connect(const char *path, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return error_set(error, -ENAMETOOLONG, "the path %s is too long for a socket", path);
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = fd < 0 ? -errno : 0;
    if (result == 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        result = -errno;
    if (result == 0)
        result = authenticate(fd, 5000);
    if (result == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return error_set(error, result, "cannot reach systemd at %s: %s", path, strerror(-result));
}
