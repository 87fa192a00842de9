/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hyperv_test: what kernels made for tests (kvm-unit-tests) expect to test a guest's synthetic interrupts
 * with: a port by which they interrupt, and make connections that their hypercalls then lead to. 32 bits are
 * written to it: a source, from bit 8 on a vCPU, from bit 16 on what to do, from bit 24 on the number of a
 * connection.
 *
 * A message whose slot is taken waits in its connection, which has room for one.
 */
#ifndef VISOR_DEVICE_MISC_HYPERV_TEST_H
#define VISOR_DEVICE_MISC_HYPERV_TEST_H

#include "device/irq/synic.h"
#include "memory/io_space.h"

enum { HYPERV_TEST_PORT = 0x3000, HYPERV_TEST_CONNECTIONS = 256 };

struct hyperv_test_connection {
    bool made, waits;
    uint8_t vcpu, source;
    uint32_t type; /* `waits`: the message */
    uint8_t size, payload[SYNIC_PAYLOAD];
};

struct hyperv_test {
    struct hyperv_test_connection messages[HYPERV_TEST_CONNECTIONS], events[HYPERV_TEST_CONNECTIONS];
    struct synic **synics; /* by vCPU */
    unsigned count;
};

extern const struct device_type hyperv_test_type;

/* The synics wake what waits; the connections are for who serves hypercalls. */
void hyperv_test_init(struct hyperv_test *test, struct synic **synics, unsigned count);
int hyperv_test_attach(struct hyperv_test *test, struct io_space *io, struct error *error);
struct synic_connections hyperv_test_connections(struct hyperv_test *test);

#endif
