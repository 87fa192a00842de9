/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registry of a machine's devices, and their saved form by their tables of fields. */
#include "device/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char magic[4] = "VDEV";
#define FORMAT     1
#define TIMER_SIZE 9

int devices_add(struct devices *devices, const struct device_type *type, const char *name, void *state,
                struct error *error)
{
    struct device **link = &devices->first;
    for (; *link; link = &(*link)->next)
        if (!strcmp((*link)->name, name))
            return error_set(error, -EEXIST, "there is a device \"%s\" already", name);
    if (strlen(name) >= sizeof(*link)->name)
        return error_set(error, -EINVAL, "the name of device \"%s\" is too long", name);
    struct device *device = calloc(1, sizeof *device);
    if (!device)
        return error_set(error, -ENOMEM, "no memory for device \"%s\"", name);
    device->type = type;
    device->state = state;
    strcpy(device->name, name);
    *link = device;
    return 0;
}

void devices_free(struct devices *devices)
{
    while (devices->first) {
        struct device *device = devices->first;
        devices->first = device->next;
        free(device);
    }
}

void devices_reset(struct devices *devices)
{
    for (struct device *device = devices->first; device; device = device->next)
        if (device->type->reset)
            device->type->reset(device->state);
}

static void save_name(struct buffer *buffer, const char *name)
{
    buffer_append_integer(buffer, strlen(name), 1);
    buffer_append(buffer, name, strlen(name));
}

static uint64_t load_integer(const void *from, size_t size)
{
    switch (size) {
    case 1: return *(const uint8_t *)from;
    case 2: return *(const uint16_t *)from;
    case 4: return *(const uint32_t *)from;
    default: return *(const uint64_t *)from;
    }
}

static void store_integer(void *to, size_t size, uint64_t value)
{
    switch (size) {
    case 1: *(uint8_t *)to = (uint8_t)value; break;
    case 2: *(uint16_t *)to = (uint16_t)value; break;
    case 4: *(uint32_t *)to = (uint32_t)value; break;
    default: *(uint64_t *)to = value; break;
    }
}

static size_t saved_size(const struct device_field *field)
{
    return field->kind == DEVICE_STRUCT ? 0 : field->kind == DEVICE_TIMER ? TIMER_SIZE : field->size;
}

/* Any value goes, and no order of bytes matters. */
static bool plain_bytes(const struct device_field *field)
{
    return field->kind == DEVICE_INTEGER && field->size == 1 && !field->limit;
}

static void save_fields(struct buffer *buffer, const struct device_field *fields, unsigned count,
                        const uint8_t *state);

static void save_element(struct buffer *buffer, const struct device_field *field, const uint8_t *from)
{
    switch (field->kind) {
    case DEVICE_INTEGER:
        buffer_append_integer(buffer, load_integer(from, field->size), (unsigned)field->size);
        break;
    case DEVICE_BOOL: buffer_append_integer(buffer, *(const bool *)from, 1); break;
    case DEVICE_TIMER: {
        const struct timer *timer = (const struct timer *)from;
        buffer_append_integer(buffer, timer->armed, 1);
        buffer_append_integer(buffer, timer->armed ? timer->deadline : 0, 8);
        break;
    }
    case DEVICE_STRUCT: {
        size_t start = buffer->size;
        buffer_append_integer(buffer, 0, 4);
        save_fields(buffer, field->fields, field->field_count, from);
        buffer_patch_integer(buffer, start, buffer->size - start - 4, 4);
        break;
    }
    }
}

static void save_fields(struct buffer *buffer, const struct device_field *fields, unsigned count,
                        const uint8_t *state)
{
    for (unsigned i = 0; i < count; i++) {
        const struct device_field *field = &fields[i];
        save_name(buffer, field->name);
        buffer_append_integer(buffer, field->kind, 1);
        buffer_append_integer(buffer, saved_size(field), 4);
        buffer_append_integer(buffer, field->count, 4);
        if (plain_bytes(field))
            buffer_append(buffer, state + field->offset, field->count);
        for (unsigned j = 0; j < field->count && !plain_bytes(field); j++)
            save_element(buffer, field, state + field->offset + j * field->size);
    }
}

const char *devices_unsaved(const struct devices *devices)
{
    for (const struct device *device = devices->first; device; device = device->next)
        if (device->type->unsaved)
            return device->name;
    return NULL;
}

void devices_save(const struct devices *devices, struct buffer *buffer)
{
    buffer_append(buffer, magic, sizeof magic);
    buffer_append_integer(buffer, FORMAT, 4);
    for (const struct device *device = devices->first; device; device = device->next) {
        save_name(buffer, device->name);
        save_name(buffer, device->type->name);
        buffer_append_integer(buffer, device->type->version, 4);
        size_t start = buffer->size;
        buffer_append_integer(buffer, 0, 4);
        save_fields(buffer, device->type->fields, device->type->field_count, device->state);
        buffer_patch_integer(buffer, start, buffer->size - start - 4, 4);
    }
}

/* Loading goes over the bytes twice: first only to check, so that a wrong file changes nothing. */
struct loader {
    const char *device;
    bool store;
    struct error *error;
};

static void load_name(struct reader *reader, char name[256])
{
    size_t length = reader_take_integer(reader, 1);
    const uint8_t *characters = reader_take(reader, length);
    if (!characters)
        length = 0;
    else
        memcpy(name, characters, length);
    name[length] = '\0';
}

static int load_fields(struct loader *loader, struct reader reader, const struct device_field *fields,
                       unsigned count, uint8_t *state);

static int load_timer(struct loader *loader, struct reader *reader, struct timer *timer)
{
    uint64_t armed = reader_take_integer(reader, 1), deadline = reader_take_integer(reader, 8);
    if (armed > 1)
        return -EINVAL;
    if (loader->store)
        timer_set(timer, armed ? deadline : TIMER_NEVER);
    return 0;
}

static int load_element(struct loader *loader, struct reader *reader, const struct device_field *field,
                        uint8_t *to)
{
    int code = 0;
    if (field->kind == DEVICE_STRUCT) {
        size_t size = reader_take_integer(reader, 4);
        const uint8_t *data = reader_take(reader, size);
        if (data)
            return load_fields(loader, (struct reader){data, size, false}, field->fields, field->field_count,
                               to);
    } else if (field->kind == DEVICE_TIMER) {
        code = load_timer(loader, reader, (struct timer *)to);
    } else {
        uint64_t value = reader_take_integer(reader, (unsigned)field->size);
        uint64_t limit = field->kind == DEVICE_BOOL ? 1 : field->limit ? field->limit : UINT64_MAX;
        if (value > limit)
            code = -EINVAL;
        else if (loader->store && !reader->failed)
            store_integer(to, field->size, value);
    }
    if (reader->failed)
        return error_set(loader->error, -EINVAL, "device %s: the saved state ends within field %s",
                         loader->device, field->name);
    if (code)
        return error_set(loader->error, code, "device %s: field %s has a value that cannot be",
                         loader->device, field->name);
    return 0;
}

static int load_bytes(struct loader *loader, struct reader *reader, const struct device_field *field,
                      uint8_t *to)
{
    const uint8_t *bytes = reader_take(reader, field->count);
    if (!bytes)
        return error_set(loader->error, -EINVAL, "device %s: the saved state ends within field %s",
                         loader->device, field->name);
    if (loader->store)
        memcpy(to, bytes, field->count);
    return 0;
}

static int load_fields(struct loader *loader, struct reader reader, const struct device_field *fields,
                       unsigned count, uint8_t *state)
{
    uint64_t seen = 0;
    while (reader.left) {
        char name[256];
        load_name(&reader, name);
        unsigned i = 0;
        while (i < count && strcmp(fields[i].name, name))
            i++;
        if (i == count || (seen >> i & 1))
            return error_set(loader->error, -EINVAL, "device %s: the saved state has a field \"%s\" %s",
                             loader->device, name, i == count ? "that is not known" : "twice");
        seen |= UINT64_C(1) << i;
        const struct device_field *field = &fields[i];
        uint64_t kind = reader_take_integer(&reader, 1), size = reader_take_integer(&reader, 4);
        uint64_t elements = reader_take_integer(&reader, 4);
        if (kind != field->kind || size != saved_size(field) || elements != field->count)
            return error_set(loader->error, -EINVAL, "device %s: field %s was saved in another form",
                             loader->device, name);
        if (plain_bytes(field)) {
            int code = load_bytes(loader, &reader, field, state + field->offset);
            if (code)
                return code;
            continue;
        }
        for (unsigned j = 0; j < field->count; j++) {
            int code = load_element(loader, &reader, field, state + field->offset + j * field->size);
            if (code)
                return code;
        }
    }
    for (unsigned i = 0; i < count; i++)
        if (!(seen >> i & 1) && !fields[i].optional)
            return error_set(loader->error, -EINVAL, "device %s: the saved state lacks field %s",
                             loader->device, fields[i].name);
    return 0;
}

/* One device's section; *found is it. */
static int load_section(struct loader *loader, struct reader *reader, struct devices *devices,
                        struct device **found)
{
    char name[256], type[256];
    load_name(reader, name);
    load_name(reader, type);
    uint64_t version = reader_take_integer(reader, 4);
    size_t size = reader_take_integer(reader, 4);
    const uint8_t *data = reader_take(reader, size);
    if (!data)
        return error_set(loader->error, -EINVAL, "the saved state of the devices is cut off");
    struct device *device = devices->first;
    while (device && strcmp(device->name, name))
        device = device->next;
    if (!device)
        return error_set(loader->error, -EINVAL, "the saved machine has a device \"%s\", this one has not",
                         name);
    if (strcmp(device->type->name, type) || device->type->version != version)
        return error_set(loader->error, -EINVAL,
                         "device %s: saved as %s version %u, here it is %s version %u", name, type,
                         (unsigned)version, device->type->name, (unsigned)device->type->version);
    *found = device;
    loader->device = device->name;
    return load_fields(loader, (struct reader){data, size, false}, device->type->fields,
                       device->type->field_count, device->state);
}

static unsigned devices_count(const struct devices *devices)
{
    unsigned count = 0;
    for (const struct device *device = devices->first; device; device = device->next)
        count++;
    return count;
}

static int load_all(struct loader *loader, struct reader reader, struct devices *devices)
{
    unsigned count = devices_count(devices), loaded = 0;
    bool *seen = calloc(count + 1, sizeof *seen);
    if (!seen)
        return error_set(loader->error, -ENOMEM, "no memory to load devices");
    int code = 0;
    while (reader.left && !code) {
        struct device *device = NULL;
        code = load_section(loader, &reader, devices, &device);
        unsigned i = 0;
        for (const struct device *other = devices->first; other && other != device; other = other->next)
            i++;
        if (!code && seen[i])
            code = error_set(loader->error, -EINVAL, "device %s was saved twice", device->name);
        seen[i] = true;
        loaded++;
    }
    const struct device *device = devices->first;
    for (unsigned i = 0; !code && i < count; i++, device = device->next)
        if (!seen[i])
            code = error_set(loader->error, -EINVAL, "the saved machine has no device \"%s\"", device->name);
    free(seen);
    return code;
}

bool devices_saved(const void *data, size_t size, const char *name)
{
    struct reader reader = {data, size, false};
    reader_take(&reader, sizeof magic + 4);
    while (reader.left && !reader.failed) {
        char saved[256], type[256];
        load_name(&reader, saved);
        load_name(&reader, type);
        reader_take_integer(&reader, 4);
        reader_take(&reader, reader_take_integer(&reader, 4));
        if (!reader.failed && strcmp(saved, name) == 0)
            return true;
    }
    return false;
}

int devices_load(struct devices *devices, const void *data, size_t size, struct error *error)
{
    struct reader reader = {data, size, false};
    const uint8_t *head = reader_take(&reader, sizeof magic);
    if (!head || memcmp(head, magic, sizeof magic))
        return error_set(error, -EINVAL, "this is not the saved state of devices");
    uint64_t format = reader_take_integer(&reader, 4);
    if (format != FORMAT)
        return error_set(error, -EINVAL, "devices were saved in format %u, known is %u", (unsigned)format,
                         FORMAT);
    struct loader loader = {.error = error};
    int code = load_all(&loader, reader, devices);
    if (code)
        return code;
    loader.store = true;
    code = load_all(&loader, reader, devices);
    for (struct device *device = devices->first; device && !code; device = device->next) {
        if (device->type->loaded)
            code = device->type->loaded(device->state, error);
        if (code)
            error_prefix(error, "device %s: ", device->name);
    }
    if (code)
        devices_reset(devices);
    return code;
}
