/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hyperv_test: see hyperv_test.h. */
#include "device/misc/hyperv_test.h"

#include <errno.h>
#include <string.h>

/* Sources need not be made known (1) and forgotten (2). */
enum command { INTERRUPT = 3, MAKE_MESSAGES, END_MESSAGES, MAKE_EVENTS, END_EVENTS };

static const struct device_field connection_fields[] = {
    DEVICE_FIELD(struct hyperv_test_connection, made),
    DEVICE_FIELD(struct hyperv_test_connection, waits),
    DEVICE_FIELD(struct hyperv_test_connection, vcpu),
    DEVICE_LIMITED(struct hyperv_test_connection, source, SYNIC_SOURCES - 1),
    DEVICE_FIELD(struct hyperv_test_connection, type),
    DEVICE_LIMITED(struct hyperv_test_connection, size, SYNIC_PAYLOAD),
    DEVICE_ARRAY(struct hyperv_test_connection, payload),
};

static const struct device_field test_fields[] = {
    DEVICE_STRUCTS(struct hyperv_test, messages, connection_fields),
    DEVICE_STRUCTS(struct hyperv_test, events, connection_fields),
};

/* NULL: there is no such. */
static struct hyperv_test_connection *find(struct hyperv_test_connection *connections, uint32_t number)
{
    return number < HYPERV_TEST_CONNECTIONS && connections[number].made ? &connections[number] : NULL;
}

/* -- what comes by hypercalls ---------------------------------------------------------------------------- */

static void deliver(struct hyperv_test *test, struct hyperv_test_connection *connection)
{
    struct synic_message message = {.type = connection->type, .size = connection->size};
    memcpy(message.payload, connection->payload, sizeof message.payload);
    connection->waits = !synic_post(test->synics[connection->vcpu], connection->source, &message);
}

static int post(void *opaque, uint32_t number, const struct synic_message *message)
{
    struct hyperv_test *test = opaque;
    struct hyperv_test_connection *connection = find(test->messages, number);
    if (!connection)
        return -ENOENT;
    if (connection->waits)
        return -EAGAIN;
    connection->type = message->type;
    connection->size = message->size;
    memcpy(connection->payload, message->payload, sizeof connection->payload);
    deliver(test, connection);
    return 0;
}

/* Flags of a connection begin at its number. */
static int signal_event(void *opaque, uint32_t number, unsigned flag)
{
    struct hyperv_test *test = opaque;
    const struct hyperv_test_connection *connection = find(test->events, number);
    if (!connection || number + flag >= SYNIC_FLAGS)
        return -ENOENT;
    synic_signal(test->synics[connection->vcpu], connection->source, number + flag);
    return 0;
}

static void retry(void *opaque, const struct synic *synic)
{
    struct hyperv_test *test = opaque;
    for (unsigned i = 0; i < HYPERV_TEST_CONNECTIONS; i++) {
        struct hyperv_test_connection *connection = &test->messages[i];
        if (connection->waits && test->synics[connection->vcpu] == synic)
            deliver(test, connection);
    }
}

struct synic_connections hyperv_test_connections(struct hyperv_test *test)
{
    return (struct synic_connections){post, signal_event, test};
}

/* -- the port -------------------------------------------------------------------------------------------- */

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return 0;
}

static void port_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct hyperv_test *test = opaque;
    const unsigned source = value & 0xff, vcpu = value >> 8 & 0xff, number = value >> 24 & 0xff;
    (void)offset;
    if (size != 4 || source >= SYNIC_SOURCES || vcpu >= test->count)
        return;
    const struct hyperv_test_connection made = {
        .made = true, .vcpu = (uint8_t)vcpu, .source = (uint8_t)source};
    switch (value >> 16 & 0xff) {
    case INTERRUPT: synic_interrupt(test->synics[vcpu], source); break;
    case MAKE_MESSAGES: test->messages[number] = made; break;
    case END_MESSAGES: test->messages[number] = (struct hyperv_test_connection){0}; break;
    case MAKE_EVENTS: test->events[number] = made; break;
    case END_EVENTS: test->events[number] = (struct hyperv_test_connection){0}; break;
    default: break;
    }
}

static const struct access_ops ops = {port_read, port_write, 4};

static void test_reset(void *opaque)
{
    struct hyperv_test *test = opaque;
    memset(test->messages, 0, sizeof test->messages);
    memset(test->events, 0, sizeof test->events);
}

static int test_loaded(void *opaque, struct error *error)
{
    const struct hyperv_test *test = opaque;
    for (unsigned i = 0; i < HYPERV_TEST_CONNECTIONS; i++) {
        if (test->messages[i].vcpu >= test->count || test->events[i].vcpu >= test->count)
            return error_set(error, -EINVAL, "a connection leads to a processor that there is not");
    }
    return 0;
}

const struct device_type hyperv_test_type = {
    .name = "hyperv-test",
    .version = 1,
    .fields = test_fields,
    .field_count = ARRAY_SIZE(test_fields),
    .reset = test_reset,
    .loaded = test_loaded,
};

void hyperv_test_init(struct hyperv_test *test, struct synic **synics, unsigned count)
{
    *test = (struct hyperv_test){.synics = synics, .count = count};
    for (unsigned i = 0; i < count; i++)
        synics[i]->waiting = (struct synic_waiting){retry, test};
}

int hyperv_test_attach(struct hyperv_test *test, struct io_space *io, struct error *error)
{
    return io_add(io, "hyperv test", HYPERV_TEST_PORT, 4, 0, &ops, test, error) ? 0 : error->code;
}
