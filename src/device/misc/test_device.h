/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_device: what kernels made for tests (kvm-unit-tests) expect of a machine that tests them: a port that
 * keeps what is written, memory that is a device's, and ISA interrupts that they pull themselves.
 */
#ifndef VISOR_DEVICE_MISC_TEST_DEVICE_H
#define VISOR_DEVICE_MISC_TEST_DEVICE_H

#include "device/device.h"
#include "device/irq.h"
#include "memory/io_space.h"
#include "memory/memory_map.h"

enum {
    TEST_DEVICE_VALUE = 0xe0,   /* four ports */
    TEST_DEVICE_LINES = 0x2000, /* a port for each line: 0 lowers it */
    TEST_DEVICE_LINE_COUNT = 16,
    TEST_DEVICE_MEMORY_SIZE = 0x10000,
};
#define TEST_DEVICE_MEMORY UINT64_C(0xff000000)

struct test_device {
    uint32_t value;
    uint8_t memory[TEST_DEVICE_MEMORY_SIZE];
    struct irq_line lines[TEST_DEVICE_LINE_COUNT];
};

extern const struct device_type test_device_type;

void test_device_init(struct test_device *device, const struct irq_line lines[TEST_DEVICE_LINE_COUNT]);
int test_device_attach(struct test_device *device, struct io_space *io, struct memory_map *memory,
                       struct error *error);

#endif
