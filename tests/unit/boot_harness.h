/* SPDX-License-Identifier: GPL-2.0-or-later */
/* boot_harness: a machine's memory to boot kernels into, and images of kernels made up for the tests. */
#ifndef VISOR_TESTS_BOOT_HARNESS_H
#define VISOR_TESTS_BOOT_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "boot/bytes.h"
#include "boot/loader.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

struct boot_machine {
    struct memory_map map;
    struct memory_backing *backing;
    struct boot_config config;
    struct boot_module modules[8];
    struct x86_state state;
    struct error error;
};

static inline void machine_set_up(struct boot_machine *m, uint64_t size)
{
    struct ram_piece pieces[RAM_PIECES_MAX];
    memset(m, 0, sizeof *m);
    m->config.modules = m->modules;
    assert_int_equal(ram_layout_init(&m->config.layout, size, &m->error), 0);
    m->backing = memory_backing_create("test", size, &m->error);
    assert_non_null(m->backing);
    assert_int_equal(memory_map_init(&m->map, (UINT64_C(1) << 40) - 1, &m->error), 0);
    unsigned count = ram_layout_pieces(&m->config.layout, pieces);
    for (unsigned i = 0; i < count; i++)
        assert_non_null(memory_add_ram(&m->map, "ram", pieces[i].base, pieces[i].size, 0, m->backing,
                                       pieces[i].backing_offset, &m->error));
}

static inline void machine_tear_down(struct boot_machine *m)
{
    boot_file_close(m->config.kernel);
    for (unsigned i = 0; i < m->config.module_count; i++)
        boot_file_close(m->modules[i].file);
    memory_map_destroy(&m->map);
    memory_backing_free(m->backing);
}

static inline void machine_kernel(struct boot_machine *m, const void *data, size_t size)
{
    boot_file_close(m->config.kernel);
    m->config.kernel = boot_file_of_memory("test.kernel", data, size);
    assert_non_null(m->config.kernel);
}

static inline void machine_module(struct boot_machine *m, const void *data, size_t size, const char *text)
{
    struct boot_module *module = &m->modules[m->config.module_count++];
    module->file = boot_file_of_memory("test.initrd", data, size);
    module->command_line = text;
    assert_non_null(module->file);
}

static inline int machine_boot(struct boot_machine *m)
{
    m->error = (struct error)ERROR_INIT;
    return boot_load(&m->config, &m->map, &m->state, &m->error);
}

/* The boot fails, with a message that has this in it. */
static inline void machine_refuses(struct boot_machine *m, const char *reason)
{
    struct x86_state before = m->state;
    assert_true(machine_boot(m) < 0);
    if (!strstr(m->error.message, reason))
        fail_msg("\"%s\" is not in \"%s\"", reason, m->error.message);
    assert_memory_equal(&before, &m->state, sizeof before);
}

static inline uint64_t machine_get(struct boot_machine *m, uint64_t address, unsigned size)
{
    uint8_t bytes[8];
    assert_int_equal(memory_read(&m->map, address, bytes, size), 0);
    return bytes_get(bytes, size);
}

static inline void machine_has(struct boot_machine *m, uint64_t address, const void *data, size_t size)
{
    void *there = malloc(size);
    assert_non_null(there);
    assert_int_equal(memory_read(&m->map, address, there, size), 0);
    assert_memory_equal(there, data, size);
    free(there);
}

/* A bzImage of protocol 2.15 whose code counts up. */
#define TEST_SETUP_SIZE 0x400
static inline uint8_t *make_bzimage(size_t code_size)
{
    uint8_t *image = calloc(1, TEST_SETUP_SIZE + code_size);
    assert_non_null(image);
    image[0x1f1] = TEST_SETUP_SIZE / 512 - 1;
    bytes_put(image + 0x1f4, code_size / 16, 4);
    bytes_put(image + 0x1fe, 0xaa55, 2);
    image[0x200] = 0xeb;
    image[0x201] = 0x6a;
    memcpy(image + 0x202, "HdrS", 4);
    bytes_put(image + 0x206, 0x20f, 2);
    image[0x211] = 1;
    bytes_put(image + 0x22c, 0x7fffffff, 4);
    bytes_put(image + 0x230, 0x200000, 4);
    image[0x234] = 1;
    bytes_put(image + 0x236, 0x3, 2);
    bytes_put(image + 0x238, 2047, 4);
    bytes_put(image + 0x258, 0x1000000, 8);
    bytes_put(image + 0x260, 0x800000, 4);
    for (size_t i = 0; i < code_size; i++)
        image[TEST_SETUP_SIZE + i] = (uint8_t)(i ^ i >> 8);
    return image;
}

#endif
