/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/acpi/aml.h"

#include <string.h>

/* Encodings: ACPI specification 6.4, table 20.2 and 6.4.2 "Small Resource Data Type" and what follows. */
enum {
    ZERO_OP = 0x00,
    ONE_OP = 0x01,
    NAME_OP = 0x08,
    BYTE_PREFIX = 0x0a,
    WORD_PREFIX = 0x0b,
    DWORD_PREFIX = 0x0c,
    STRING_PREFIX = 0x0d,
    QWORD_PREFIX = 0x0e,
    SCOPE_OP = 0x10,
    BUFFER_OP = 0x11,
    PACKAGE_OP = 0x12,
    METHOD_OP = 0x14,
    DUAL_NAME_PREFIX = 0x2e,
    EXTENDED_PREFIX = 0x5b,
    DEVICE_OP = 0x82, /* after the prefix */
    ARGUMENT_0 = 0x68,
    STORE_OP = 0x70,
    NOTIFY_OP = 0x86,
    IF_OP = 0xa0,
    RETURN_OP = 0xa4,
};

enum {
    RESOURCE_IRQ = 0x22,      /* two bytes follow */
    RESOURCE_IO = 0x47,       /* seven */
    RESOURCE_END = 0x79,      /* one */
    RESOURCE_MEMORY32 = 0x86, /* fixed */
    RESOURCE_DWORD = 0x87,
    RESOURCE_WORD = 0x88,
    RESOURCE_QWORD = 0x8a,
};

enum { SPACE_MEMORY = 0, SPACE_IO = 1, SPACE_BUS = 2 };

static void put(struct aml *aml, uint64_t value, unsigned bytes)
{
    buffer_append_integer(aml->out, value, bytes);
}

static void put_segment(struct aml *aml, const char *name, size_t length)
{
    for (size_t i = 0; i < 4; i++)
        put(aml, i < length ? (uint8_t)name[i] : '_', 1);
}

/* A name of one segment, or two with a dot between, with or without the root's backslash. */
static void put_path(struct aml *aml, const char *path)
{
    if (*path == '\\')
        put(aml, (uint8_t)*path++, 1);
    const char *dot = strchr(path, '.');
    if (dot) {
        put(aml, DUAL_NAME_PREFIX, 1);
        put_segment(aml, path, (size_t)(dot - path));
        path = dot + 1;
    }
    put_segment(aml, path, strlen(path));
}

static void begin(struct aml *aml)
{
    if (aml->depth < AML_DEPTH)
        aml->open[aml->depth] = aml->out->size;
    else
        aml->out->failed = true;
    aml->depth++;
}

void aml_begin_scope(struct aml *aml, const char *path)
{
    put(aml, SCOPE_OP, 1);
    begin(aml);
    put_path(aml, path);
}

void aml_begin_device(struct aml *aml, const char *name)
{
    put(aml, EXTENDED_PREFIX, 1);
    put(aml, DEVICE_OP, 1);
    begin(aml);
    put_path(aml, name);
}

void aml_begin_method(struct aml *aml, const char *name, unsigned arguments)
{
    put(aml, METHOD_OP, 1);
    begin(aml);
    put_path(aml, name);
    put(aml, arguments, 1);
}

void aml_begin_package(struct aml *aml, unsigned elements)
{
    put(aml, PACKAGE_OP, 1);
    begin(aml);
    put(aml, elements, 1);
}

void aml_begin_if(struct aml *aml, const char *variable)
{
    put(aml, IF_OP, 1);
    begin(aml);
    put_path(aml, variable);
}

/* Puts the length, which counts its own bytes, before the content. */
void aml_end(struct aml *aml)
{
    struct buffer *out = aml->out;
    if (--aml->depth >= AML_DEPTH || out->failed)
        return;
    size_t start = aml->open[aml->depth], size = out->size - start;
    unsigned bytes = size + 1 < 1 << 6 ? 1 : size + 2 < 1 << 12 ? 2 : size + 3 < 1 << 20 ? 3 : 4;
    size += bytes;
    buffer_append_integer(out, 0, bytes);
    if (out->failed)
        return;
    memmove(out->data + start + bytes, out->data + start, out->size - start - bytes);
    uint64_t encoded = bytes == 1 ? size : (bytes - 1) << 6 | (size & 15) | size >> 4 << 8;
    buffer_patch_integer(out, start, encoded, bytes);
}

void aml_name(struct aml *aml, const char *name)
{
    put(aml, NAME_OP, 1);
    put_path(aml, name);
}

void aml_integer(struct aml *aml, uint64_t value)
{
    if (value <= 1) {
        put(aml, value ? ONE_OP : ZERO_OP, 1);
        return;
    }
    unsigned bytes = value >> 8 == 0 ? 1 : value >> 16 == 0 ? 2 : value >> 32 == 0 ? 4 : 8;
    put(aml,
        bytes == 1   ? BYTE_PREFIX
        : bytes == 2 ? WORD_PREFIX
        : bytes == 4 ? DWORD_PREFIX
                     : QWORD_PREFIX,
        1);
    put(aml, value, bytes);
}

void aml_string(struct aml *aml, const char *text)
{
    put(aml, STRING_PREFIX, 1);
    buffer_append(aml->out, text, strlen(text) + 1);
}

/* Three letters of five bits, four hexadecimal digits; the first byte is the most significant. */
void aml_eisa_id(struct aml *aml, const char *id)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 3; i++)
        value = value << 5 | (id[i] & 0x1f);
    for (unsigned i = 3; i < 7; i++)
        value = value << 4 | (uint32_t)(id[i] <= '9' ? id[i] - '0' : id[i] - 'A' + 10);
    put(aml, DWORD_PREFIX, 1);
    put(aml, __builtin_bswap32(value), 4);
}

void aml_return_name(struct aml *aml, const char *name)
{
    put(aml, RETURN_OP, 1);
    put_path(aml, name);
}

void aml_notify(struct aml *aml, const char *name, unsigned value)
{
    put(aml, NOTIFY_OP, 1);
    put_path(aml, name);
    aml_integer(aml, value);
}

void aml_store_argument(struct aml *aml, const char *name)
{
    put(aml, STORE_OP, 1);
    put(aml, ARGUMENT_0, 1);
    put_path(aml, name);
}

void aml_begin_resources(struct aml *aml)
{
    aml->resources = (struct buffer){0};
}

/* A buffer of their bytes and an end tag, whose checksum of 0 is not looked at. */
void aml_end_resources(struct aml *aml)
{
    struct buffer *list = &aml->resources;
    buffer_append_integer(list, RESOURCE_END, 2);
    aml_name(aml, "_CRS");
    put(aml, BUFFER_OP, 1);
    begin(aml);
    aml_integer(aml, list->size);
    if (list->failed)
        aml->out->failed = true;
    else
        buffer_append(aml->out, list->data, list->size);
    aml_end(aml);
    buffer_free(list);
}

static void put_resource(struct aml *aml, uint64_t value, unsigned bytes)
{
    buffer_append_integer(&aml->resources, value, bytes);
}

void aml_io(struct aml *aml, uint16_t first, uint8_t count)
{
    put_resource(aml, RESOURCE_IO, 1);
    put_resource(aml, 1, 1); /* all 16 bits are decoded */
    put_resource(aml, first, 2);
    put_resource(aml, first, 2);
    put_resource(aml, 1, 1);
    put_resource(aml, count, 1);
}

void aml_irq(struct aml *aml, unsigned irq)
{
    put_resource(aml, RESOURCE_IRQ, 1);
    put_resource(aml, 1u << irq, 2);
}

void aml_memory32(struct aml *aml, uint32_t start, uint32_t size)
{
    put_resource(aml, RESOURCE_MEMORY32, 1);
    put_resource(aml, 9, 2);
    put_resource(aml, 1, 1); /* read and write */
    put_resource(aml, start, 4);
    put_resource(aml, size, 4);
}

/* An address space descriptor of the producer's kind with fixed ends; its numbers have `bytes` bytes. */
static void put_window(struct aml *aml, unsigned type, unsigned space, uint64_t start, uint64_t size,
                       unsigned flags, unsigned bytes)
{
    const unsigned fixed = 1 << 2 | 1 << 3;
    put_resource(aml, type, 1);
    put_resource(aml, 3 + 5 * bytes, 2);
    put_resource(aml, space, 1);
    put_resource(aml, fixed, 1);
    put_resource(aml, flags, 1);
    put_resource(aml, 0, bytes); /* granularity */
    put_resource(aml, start, bytes);
    put_resource(aml, start + size - 1, bytes);
    put_resource(aml, 0, bytes); /* translation */
    put_resource(aml, size, bytes);
}

void aml_bus_window(struct aml *aml, unsigned first, unsigned count)
{
    put_window(aml, RESOURCE_WORD, SPACE_BUS, first, count, 0, 2);
}

void aml_io_window(struct aml *aml, unsigned first, unsigned count)
{
    const unsigned entire_range = 3;
    put_window(aml, RESOURCE_WORD, SPACE_IO, first, count, entire_range, 2);
}

void aml_memory_window(struct aml *aml, uint64_t start, uint64_t size)
{
    const unsigned read_write = 1;
    bool wide = (start + size - 1) >> 32 != 0;
    put_window(aml, wide ? RESOURCE_QWORD : RESOURCE_DWORD, SPACE_MEMORY, start, size, read_write,
               wide ? 8 : 4);
}
