/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_device: see test_device.h. */
#include "device/misc/test_device.h"

#include <string.h>

static const struct device_field test_device_fields[] = {
    DEVICE_FIELD(struct test_device, value),
    DEVICE_ARRAY(struct test_device, memory),
};

static uint64_t value_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct test_device *device = opaque;
    (void)size;
    return device->value >> 8 * offset;
}

static void value_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct test_device *device = opaque;
    const uint32_t mask = (uint32_t)((UINT64_C(1) << 8 * size) - 1) << 8 * offset;
    device->value = (device->value & ~mask) | ((uint32_t)value << 8 * offset & mask);
}

static uint64_t line_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return 0;
}

static void line_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    const struct test_device *device = opaque;
    (void)size;
    irq_set(&device->lines[offset], value != 0);
}

static uint64_t memory_get(void *opaque, uint64_t offset, unsigned size)
{
    const struct test_device *device = opaque;
    uint64_t value = 0;
    memcpy(&value, device->memory + offset, size);
    return value;
}

static void memory_set(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct test_device *device = opaque;
    memcpy(device->memory + offset, &value, size);
}

static const struct access_ops value_ops = {value_read, value_write, 4};
static const struct access_ops line_ops = {line_read, line_write, 1};
static const struct access_ops memory_ops = {memory_get, memory_set, 8};

static void test_device_reset(void *opaque)
{
    struct test_device *device = opaque;
    device->value = 0;
    memset(device->memory, 0, sizeof device->memory);
    for (unsigned i = 0; i < TEST_DEVICE_LINE_COUNT; i++)
        irq_set(&device->lines[i], false);
}

const struct device_type test_device_type = {
    .name = "test-device",
    .version = 1,
    .fields = test_device_fields,
    .field_count = ARRAY_SIZE(test_device_fields),
    .reset = test_device_reset,
};

void test_device_init(struct test_device *device, const struct irq_line lines[TEST_DEVICE_LINE_COUNT])
{
    memcpy(device->lines, lines, sizeof device->lines);
    test_device_reset(device);
}

int test_device_attach(struct test_device *device, struct io_space *io, struct memory_map *memory,
                       struct error *error)
{
    if (!io_add(io, "test value", TEST_DEVICE_VALUE, 4, 0, &value_ops, device, error) ||
        !io_add(io, "test lines", TEST_DEVICE_LINES, TEST_DEVICE_LINE_COUNT, 0, &line_ops, device, error) ||
        !memory_add_mmio(memory, "test memory", TEST_DEVICE_MEMORY, TEST_DEVICE_MEMORY_SIZE, 0, &memory_ops,
                         device, error))
        return error->code;
    return 0;
}
