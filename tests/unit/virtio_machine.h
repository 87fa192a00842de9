/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio_machine: a machine with nothing but memory and a PCI bus, and the guest's side of virtio: a small
 * driver that finds a device's structures, sets up queues in guest memory, and puts chains into them.
 *
 * Memory: 1 MiB in two regions of 512 KiB that touch, but not on the host. Queue n of a device is at
 * n * 8 KiB, data from DATA on.
 */
#ifndef VISOR_TESTS_UNIT_VIRTIO_MACHINE_H
#define VISOR_TESTS_UNIT_VIRTIO_MACHINE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "device/pci/pci.h"
#include "device/virtio/virtio.h"
#include "fake_clock.h"

#define RAM_SIZE 0x100000
#define HALF     (RAM_SIZE / 2)
#define DATA     0x60000
#define WINDOW   UINT64_C(0xc0000000)

static struct memory_map map;
static struct memory_backing *ram[2];
static struct io_space io;
static struct devices devices;
static struct pci_bus bus;
static bool lines[24];
static unsigned messages;
static uint64_t message_address;
static uint32_t message_data;
static uint32_t message_counts[64]; /* by data */
static const char *broken_reason;
static const struct signal_host *signals; /* for place() */

static void set_line(void *opaque, unsigned number, bool level)
{
    (void)opaque;
    assert_true(number < 24);
    lines[number] = level;
}

static bool take_message(void *opaque, uint64_t address, uint32_t data)
{
    (void)opaque;
    messages++;
    message_address = address;
    message_data = data;
    if (data < 64)
        message_counts[data]++;
    return true;
}

static void note_broken(void *opaque, const char *name, const char *reason)
{
    (void)opaque, (void)name;
    broken_reason = reason;
}

static void machine_set_up(void)
{
    struct error error = ERROR_INIT;
    messages = 0;
    memset(lines, 0, sizeof lines);
    memset(message_counts, 0, sizeof message_counts);
    broken_reason = NULL;
    devices = (struct devices){0};
    fake_clock_start(0);
    assert_int_equal(memory_map_init(&map, UINT64_C(0xffffffffff), &error), 0);
    assert_int_equal(io_space_init(&io, &error), 0);
    for (unsigned i = 0; i < 2; i++) {
        ram[i] = memory_backing_create("ram", HALF, &error);
        assert_non_null(memory_add_ram(&map, "ram", i * HALF, HALF, 0, ram[i], 0, &error));
    }
    struct pci_wiring wiring = {
        .memory = &map,
        .io = &io,
        .mmconfig = 0xb0000000,
        .windows = {WINDOW, 0x20000000, UINT64_C(0x100000000), UINT64_C(1) << 36, 0xc000, 0x3000},
        .intx = {set_line, NULL, 16},
        .isa = {set_line, NULL, 0},
        .messages = {.send = take_message},
    };
    assert_int_equal(pci_bus_init(&bus, &wiring, &error), 0);
    assert_int_equal(devices_add(&devices, &pci_bus_type, "pci", &bus, &error), 0);
}

/* After the test has freed its devices. */
static void machine_tear_down(void)
{
    devices_free(&devices);
    memory_map_destroy(&map);
    io_space_destroy(&io);
    timers_destroy(&timers);
    for (unsigned i = 0; i < 2; i++)
        memory_backing_free(ram[i]);
}

static __attribute__((unused)) void machine_power_on(void)
{
    struct error error = ERROR_INIT;
    devices_reset(&devices);
    assert_int_equal(pci_assign(&bus, &error), 0);
}

static __attribute__((unused)) struct virtio_place place(const char *name)
{
    return (struct virtio_place){&bus, PCI_SLOT_ANY, &devices, name, note_broken, NULL, signals};
}

/* Guest memory. */
static uint64_t get(uint64_t address, unsigned size)
{
    uint64_t value = 0;
    assert_int_equal(memory_mmio_read(&map, address, size, &value), 0);
    return value;
}

static void set(uint64_t address, unsigned size, uint64_t value)
{
    assert_int_equal(memory_mmio_write(&map, address, size, value), 0);
}

static uint32_t config_get(unsigned slot, unsigned offset, unsigned size)
{
    io_write(&io, 0xcf8, 4, 0x80000000 | slot << 11 | (offset & 0xfc));
    return io_read(&io, (uint16_t)(0xcfc + (offset & 3)), size);
}

static void config_set(unsigned slot, unsigned offset, unsigned size, uint32_t value)
{
    io_write(&io, 0xcf8, 4, 0x80000000 | slot << 11 | (offset & 0xfc));
    io_write(&io, (uint16_t)(0xcfc + (offset & 3)), size, value);
}

/* The guest's driver of one device. */
struct driver_queue {
    uint16_t size, next, available, used; /* descriptors and chains so far */
    uint64_t descriptors, driver, device;
};

struct driver {
    unsigned slot, msix;
    uint64_t structures[6]; /* by type of capability */
    uint32_t stride;
    uint64_t features;
    struct driver_queue queues[VIRTIO_QUEUES_MAX];
};

#define COMMON(offset) (driver->structures[1] + (offset))

static __attribute__((unused)) void driver_find(struct driver *driver, unsigned slot)
{
    *driver = (struct driver){.slot = slot};
    uint64_t bar = config_get(slot, 0x10, 4) & ~15u;
    bar |= (uint64_t)config_get(slot, 0x14, 4) << 32;
    for (unsigned at = config_get(slot, 0x34, 1); at; at = config_get(slot, at + 1, 1)) {
        if (config_get(slot, at, 1) == 0x11)
            driver->msix = at;
        if (config_get(slot, at, 1) != 9)
            continue;
        unsigned type = config_get(slot, at + 3, 1);
        assert_true(type >= 1 && type <= 5);
        driver->structures[type] = type == 5 ? at : bar + config_get(slot, at + 8, 4);
        if (type == 2)
            driver->stride = config_get(slot, at + 16, 4);
    }
    config_set(slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static __attribute__((unused)) uint64_t driver_features(struct driver *driver)
{
    set(COMMON(0), 4, 0);
    uint64_t features = get(COMMON(4), 4);
    set(COMMON(0), 4, 1);
    return features | get(COMMON(4), 4) << 32;
}

static __attribute__((unused)) void driver_agree(struct driver *driver, uint64_t features)
{
    set(COMMON(0x14), 1, 0);
    assert_int_equal(get(COMMON(0x14), 1), 0);
    set(COMMON(0x14), 1, 3);
    driver->features = features;
    set(COMMON(8), 4, 0);
    set(COMMON(0xc), 4, (uint32_t)features);
    set(COMMON(8), 4, 1);
    set(COMMON(0xc), 4, features >> 32);
    set(COMMON(0x14), 1, 11);
}

/* Vector n for queue n, data 1 + n; vector `count` with data 0 for changes of the configuration. */
static __attribute__((unused)) void driver_use_messages(struct driver *driver, unsigned count)
{
    uint64_t table =
        (config_get(driver->slot, 0x10, 4) & ~15u) + (config_get(driver->slot, driver->msix + 4, 4) & ~7u);
    for (unsigned i = 0; i <= count; i++) {
        set(table + 16 * i, 4, 0xfee00000);
        set(table + 16 * i + 4, 4, 0);
        set(table + 16 * i + 8, 4, i == count ? 0 : i + 1);
        set(table + 16 * i + 12, 4, 0);
    }
    config_set(driver->slot, driver->msix + 2, 2, 0x8000);
    set(COMMON(0x10), 2, count);
    assert_int_equal(get(COMMON(0x10), 2), count);
    for (unsigned i = 0; i < count; i++) {
        set(COMMON(0x16), 2, i);
        set(COMMON(0x1a), 2, i);
        assert_int_equal(get(COMMON(0x1a), 2), i);
    }
}

static __attribute__((unused)) void driver_queue(struct driver *driver, unsigned number, uint16_t size)
{
    struct driver_queue *queue = &driver->queues[number];
    uint64_t base = number * 0x2000u;
    *queue = (struct driver_queue){size, 0, 0, 0, base, base + 0x1000, base + 0x1400};
    uint8_t zeros[0x2000] = {0};
    memory_write(&map, base, zeros, sizeof zeros);
    set(COMMON(0x16), 2, number);
    set(COMMON(0x18), 2, size);
    set(COMMON(0x20), 4, queue->descriptors);
    set(COMMON(0x24), 4, 0);
    set(COMMON(0x28), 4, queue->driver);
    set(COMMON(0x2c), 4, 0);
    set(COMMON(0x30), 4, queue->device);
    set(COMMON(0x34), 4, 0);
    set(COMMON(0x1c), 2, 1);
}

static __attribute__((unused)) void driver_start(struct driver *driver)
{
    set(COMMON(0x14), 1, 15);
}

/* All of it: the features that are offered but for `without`, queues of 16, messages. */
static __attribute__((unused)) void driver_begin(struct driver *driver, unsigned slot, unsigned queues,
                                                 uint64_t without)
{
    driver_find(driver, slot);
    driver_agree(driver, driver_features(driver) & ~without);
    assert_int_equal(get(COMMON(0x14), 1), 11);
    driver_use_messages(driver, queues);
    for (unsigned i = 0; i < queues; i++)
        driver_queue(driver, i, 16);
    driver_start(driver);
    assert_int_equal(get(COMMON(0x14), 1), 15);
}

struct buffer_part {
    uint64_t address;
    uint32_t length;
    bool write;
};

static __attribute__((unused)) void driver_descriptor(uint64_t table, unsigned index, uint64_t address,
                                                      uint32_t length, unsigned flags, unsigned next)
{
    set(table + 16 * index, 8, address);
    set(table + 16 * index + 8, 4, length);
    set(table + 16 * index + 12, 2, flags);
    set(table + 16 * index + 14, 2, next);
}

static __attribute__((unused)) void driver_make_available(struct driver *driver, unsigned number,
                                                          unsigned head)
{
    struct driver_queue *queue = &driver->queues[number];
    set(queue->driver + 4 + 2 * (queue->available % queue->size), 2, head);
    set(queue->driver + 2, 2, ++queue->available);
}

/* Puts a chain into a queue; descriptors are used in turn. Returns its head. */
static __attribute__((unused)) unsigned driver_put(struct driver *driver, unsigned number,
                                                   const struct buffer_part *parts, unsigned count)
{
    struct driver_queue *queue = &driver->queues[number];
    unsigned head = queue->next % queue->size;
    for (unsigned i = 0; i < count; i++) {
        unsigned index = queue->next++ % queue->size;
        driver_descriptor(queue->descriptors, index, parts[i].address, parts[i].length,
                          (i + 1 < count) | (parts[i].write ? 2u : 0), queue->next % queue->size);
    }
    driver_make_available(driver, number, head);
    return head;
}

static __attribute__((unused)) void driver_kick(struct driver *driver, unsigned number)
{
    set(driver->structures[2] + driver->stride * number, 2, number);
}

/* The next used element: true if there is one. */
static __attribute__((unused)) bool driver_take(struct driver *driver, unsigned number, uint32_t *head,
                                                uint32_t *length)
{
    struct driver_queue *queue = &driver->queues[number];
    if ((uint16_t)get(queue->device + 2, 2) == queue->used)
        return false;
    uint64_t element = queue->device + 4 + 8 * (queue->used % queue->size);
    queue->used++;
    if (head)
        *head = (uint32_t)get(element, 4);
    if (length)
        *length = (uint32_t)get(element + 4, 4);
    /* used_event: interrupt at the next one */
    set(queue->driver + 4 + 2 * queue->size, 2, queue->used);
    return true;
}

static __attribute__((unused)) bool driver_is_broken(struct driver *driver)
{
    return get(COMMON(0x14), 1) & 64;
}

#endif
