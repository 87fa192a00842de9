/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resources: the parser of linux.resources. */
#include "personality/container/resources.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "personality/container/json_bind.h"

#define NAME_MAX_LENGTH 160 /* of a field, with all that is around it */
#define SIZE_LIMIT      INT64_MAX

#define INTEGER(struct_, name_, member, least_, most_)                                                       \
    JSON_BIND_GIVEN(struct struct_, JSON_NUMBER, name_, member, least_, most_)
#define BOOLEAN(struct_, name_, member) JSON_BIND_GIVEN(struct struct_, JSON_FLAG, name_, member, 0, 1)
#define TEXT(struct_, name_, member)    JSON_BIND_TEXT(struct struct_, name_, member)

static const struct json_field memory_fields[] = {
    INTEGER(resource_memory, "limit", limit, -1, SIZE_LIMIT),
    INTEGER(resource_memory, "reservation", reservation, -1, SIZE_LIMIT),
    INTEGER(resource_memory, "swap", swap, -1, SIZE_LIMIT),
    INTEGER(resource_memory, "kernel", kernel, -1, SIZE_LIMIT),
    INTEGER(resource_memory, "kernelTCP", kernel_tcp, -1, SIZE_LIMIT),
    INTEGER(resource_memory, "swappiness", swappiness, 0, 100),
    BOOLEAN(resource_memory, "disableOOMKiller", disable_oom_killer),
    BOOLEAN(resource_memory, "useHierarchy", use_hierarchy),
    BOOLEAN(resource_memory, "checkBeforeUpdate", check_before_update),
    {0},
};
static const struct json_field cpu_fields[] = {
    INTEGER(resource_cpu, "shares", shares, 0, SIZE_LIMIT),
    INTEGER(resource_cpu, "quota", quota, -1, SIZE_LIMIT),
    INTEGER(resource_cpu, "burst", burst, 0, SIZE_LIMIT),
    INTEGER(resource_cpu, "period", period, 0, SIZE_LIMIT),
    INTEGER(resource_cpu, "realtimeRuntime", realtime_runtime, -1, SIZE_LIMIT),
    INTEGER(resource_cpu, "realtimePeriod", realtime_period, 0, SIZE_LIMIT),
    INTEGER(resource_cpu, "idle", idle, 0, 1),
    TEXT(resource_cpu, "cpus", cpus),
    TEXT(resource_cpu, "mems", mems),
    {0},
};
static const struct json_field pids_fields[] = {INTEGER(resources, "limit", pids, -1, SIZE_LIMIT), {0}};
static const struct json_field block_io_fields[] = {
    INTEGER(resource_block_io, "weight", weight, 0, 1000),
    INTEGER(resource_block_io, "leafWeight", leaf_weight, 0, 1000),
    {0},
};
static const struct json_field network_fields[] = {INTEGER(resources, "classID", class_id, 0, UINT32_MAX),
                                                   {0}};

/* Where an array's item is read before it is put in its place. */
struct item {
    struct resource_number major, minor, number, other;
    const char *name, *text;
};
static const struct json_field weight_fields[] = {
    INTEGER(item, "major", major, 0, UINT32_MAX),
    INTEGER(item, "minor", minor, 0, UINT32_MAX),
    INTEGER(item, "weight", number, 0, 1000),
    INTEGER(item, "leafWeight", other, 0, 1000),
    {0},
};
static const struct json_field throttle_fields[] = {
    INTEGER(item, "major", major, 0, UINT32_MAX),
    INTEGER(item, "minor", minor, 0, UINT32_MAX),
    INTEGER(item, "rate", number, 0, SIZE_LIMIT),
    {0},
};
static const struct json_field huge_page_fields[] = {
    TEXT(item, "pageSize", name),
    INTEGER(item, "limit", number, 0, SIZE_LIMIT),
    {0},
};
static const struct json_field priority_fields[] = {
    TEXT(item, "name", name),
    INTEGER(item, "priority", number, 0, UINT32_MAX),
    {0},
};
static const struct json_field rdma_fields[] = {
    INTEGER(item, "hcaHandles", number, 0, UINT32_MAX),
    INTEGER(item, "hcaObjects", other, 0, UINT32_MAX),
    {0},
};
static const struct json_field device_fields[] = {
    BOOLEAN(item, "allow", number),
    TEXT(item, "type", name),
    INTEGER(item, "major", major, -1, UINT32_MAX),
    INTEGER(item, "minor", minor, -1, UINT32_MAX),
    TEXT(item, "access", text),
    {0},
};

static int missing(const char *prefix, const char *name, struct error *error)
{
    return error_set(error, -EINVAL, "%s.%s is missing", prefix, name);
}

/* Takes one item of a list; the list's array has room for it. */
typedef int item_function(struct resources *resources, const struct item *item, const char *prefix,
                          struct error *error);

static int put_weight(struct resources *resources, const struct item *item, const char *prefix,
                      struct error *error)
{
    struct resource_block_io *block_io = &resources->block_io;
    if (!item->major.set || !item->minor.set)
        return missing(prefix, item->major.set ? "minor" : "major", error);
    if (!item->number.set && !item->other.set)
        return error_set(error, -EINVAL, "%s has neither weight nor leafWeight", prefix);
    block_io->device_weights[block_io->device_weight_count++] =
        (struct resource_device_weight){item->major.value, item->minor.value, item->number, item->other};
    return 0;
}

static int put_throttle(struct resources *resources, unsigned which, const struct item *item,
                        const char *prefix, struct error *error)
{
    struct resource_device_numbers *numbers = &resources->block_io.throttles[which];
    if (!item->major.set || !item->minor.set || !item->number.set)
        return missing(prefix, !item->major.set ? "major" : !item->minor.set ? "minor" : "rate", error);
    numbers->items[numbers->count++] =
        (struct resource_device_number){item->major.value, item->minor.value, item->number.value};
    return 0;
}

#define PUT_THROTTLE(function, which)                                                                        \
    static int function(struct resources *resources, const struct item *item, const char *prefix,            \
                        struct error *error)                                                                 \
    {                                                                                                        \
        return put_throttle(resources, which, item, prefix, error);                                          \
    }
PUT_THROTTLE(put_read_bps, RESOURCE_READ_BPS)
PUT_THROTTLE(put_write_bps, RESOURCE_WRITE_BPS)
PUT_THROTTLE(put_read_iops, RESOURCE_READ_IOPS)
PUT_THROTTLE(put_write_iops, RESOURCE_WRITE_IOPS)

static int put_huge_page(struct resources *resources, const struct item *item, const char *prefix,
                         struct error *error)
{
    if (!item->name || !item->number.set)
        return missing(prefix, item->name ? "limit" : "pageSize", error);
    size_t digits = strspn(item->name, "0123456789");
    if (!digits || digits > 8 || !strchr("KMG", item->name[digits]) ||
        strcmp(item->name + digits + 1, "B") != 0)
        return error_set(error, -EINVAL, "%s.pageSize is '%s', not a size like 2MB or 1GB", prefix,
                         item->name);
    resources->huge_pages[resources->huge_page_count++] =
        (struct resource_huge_page_limit){item->name, item->number.value};
    return 0;
}

/* A name that becomes a word of a line that the kernel reads. */
static bool is_word(const char *text)
{
    return *text && !strpbrk(text, " \t\r\n");
}

static int put_priority(struct resources *resources, const struct item *item, const char *prefix,
                        struct error *error)
{
    if (!item->name || !item->number.set)
        return missing(prefix, item->name ? "priority" : "name", error);
    if (!is_word(item->name))
        return error_set(error, -EINVAL, "%s.name is '%s', which names no interface", prefix, item->name);
    resources->priorities[resources->priority_count++] =
        (struct resource_priority){item->name, item->number.value};
    return 0;
}

static int put_device(struct resources *resources, const struct item *item, const char *prefix,
                      struct error *error)
{
    struct resource_device_rule rule = {
        .allow = item->number.value,
        .type = item->name ? item->name[0] : 'a',
        .major = item->major.set ? item->major.value : -1,
        .minor = item->minor.set ? item->minor.value : -1,
    };
    if (!item->number.set)
        return missing(prefix, "allow", error);
    if (item->name && (strlen(item->name) != 1 || !strchr("abc", item->name[0])))
        return error_set(error, -EINVAL, "%s.type is '%s', not a, b or c", prefix, item->name);
    for (const char *access = item->text ? item->text : "rwm"; *access; access++) {
        if (!strchr("rwm", *access))
            return error_set(error, -EINVAL, "%s.access is '%s', which is not made of r, w and m", prefix,
                             item->text);
        rule.access |= *access == 'r'   ? RESOURCE_DEVICE_READ
                       : *access == 'w' ? RESOURCE_DEVICE_WRITE
                                        : RESOURCE_DEVICE_MKNOD;
    }
    if (!rule.access)
        return error_set(error, -EINVAL, "%s.access is empty", prefix);
    resources->devices[resources->device_count++] = rule;
    return 0;
}

/* The arrays: where they are, what is in them, where they go to. */
static const struct list {
    const char *group; /* NULL: linux.resources itself */
    const char *name;
    const struct json_field *fields;
    size_t array, item_size; /* the pointer's offset */
    item_function *put;
} lists[] = {
#define LIST(group_, name_, fields_, array_, put_)                                                           \
    {                                                                                                        \
        .group = (group_), .name = (name_), .fields = (fields_),                                             \
        .array = offsetof(struct resources, array_), .item_size = sizeof *((struct resources *)0)->array_,   \
        .put = (put_)                                                                                        \
    }
    LIST("blockIO", "weightDevice", weight_fields, block_io.device_weights, put_weight),
    LIST("blockIO", "throttleReadBpsDevice", throttle_fields, block_io.throttles[RESOURCE_READ_BPS].items,
         put_read_bps),
    LIST("blockIO", "throttleWriteBpsDevice", throttle_fields, block_io.throttles[RESOURCE_WRITE_BPS].items,
         put_write_bps),
    LIST("blockIO", "throttleReadIOPSDevice", throttle_fields, block_io.throttles[RESOURCE_READ_IOPS].items,
         put_read_iops),
    LIST("blockIO", "throttleWriteIOPSDevice", throttle_fields, block_io.throttles[RESOURCE_WRITE_IOPS].items,
         put_write_iops),
    LIST("network", "priorities", priority_fields, priorities, put_priority),
    LIST(NULL, "hugepageLimits", huge_page_fields, huge_pages, put_huge_page),
    LIST(NULL, "devices", device_fields, devices, put_device),
#undef LIST
};

/* The objects of simple members. */
static const struct group {
    const char *name;
    const struct json_field *fields;
    size_t offset;
} groups[] = {
    {"memory", memory_fields, offsetof(struct resources, memory)},
    {"cpu", cpu_fields, offsetof(struct resources, cpu)},
    {"pids", pids_fields, 0},
    {"blockIO", block_io_fields, offsetof(struct resources, block_io)},
    {"network", network_fields, 0},
};

static void *make_array(size_t count, size_t size, struct error *error)
{
    void *array = calloc(count ? count : 1, size);
    if (!array)
        error_set(error, -ENOMEM, "no memory for a container's resources");
    return array;
}

static int read_list(const struct list *list, const json_t *group, const char *prefix,
                     struct resources *resources, struct error *error)
{
    const json_t *array;
    int result = json_member(group, list->name, JSON_ARRAY, prefix, &array, error);
    if (result < 0 || !array)
        return result;
    void *items = make_array(json_array_size(array), list->item_size, error);
    if (!items)
        return -ENOMEM;
    *(void **)((char *)resources + list->array) = items;
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *value = json_array_get(array, i);
        char name[NAME_MAX_LENGTH];
        struct item item = {0};
        snprintf(name, sizeof name, "%.100s.%s[%zu]", prefix, list->name, i);
        result = json_bind_at(name, value, list->fields, &item, error);
        if (result == 0)
            result = list->put(resources, &item, name, error);
        if (result < 0)
            return result;
    }
    return 0;
}

static int read_rdma(struct resources *resources, const json_t *object, const char *prefix,
                     struct error *error)
{
    const char *device;
    json_t *value;
    if (!(resources->rdma = make_array(json_object_size(object), sizeof *resources->rdma, error)))
        return -ENOMEM;
    json_object_foreach((json_t *)object, device, value)
    {
        char name[NAME_MAX_LENGTH];
        struct item item = {0};
        snprintf(name, sizeof name, "%s.rdma.%s", prefix, device);
        if (!json_is_object(value) || !is_word(device))
            return error_set(error, -EINVAL, "%s must be the name of a device with an object", name);
        int result = json_bind_at(name, value, rdma_fields, &item, error);
        if (result < 0)
            return result;
        if (!item.number.set && !item.other.set)
            return error_set(error, -EINVAL, "%s has neither hcaHandles nor hcaObjects", name);
        resources->rdma[resources->rdma_count++] =
            (struct resource_rdma_limit){device, item.number, item.other};
    }
    return 0;
}

static int read_unified(struct resources *resources, const json_t *object, const char *prefix,
                        struct error *error)
{
    const char *file;
    json_t *value;
    if (!(resources->unified = make_array(json_object_size(object), sizeof *resources->unified, error)))
        return -ENOMEM;
    json_object_foreach((json_t *)object, file, value)
    {
        if (!*file || strchr(file, '/') || !strchr(file, '.') || file[0] == '.')
            return error_set(error, -EINVAL, "%s.unified: '%s' is not the name of a cgroup file", prefix,
                             file);
        if (!json_is_string(value))
            return error_set(error, -EINVAL, "%s.unified.%s must be a string", prefix, file);
        resources->unified[resources->unified_count++] =
            (struct resource_text){file, json_string_value(value)};
    }
    return 0;
}

static int read_all(struct resources *resources, const json_t *object, const char *prefix,
                    struct error *error)
{
    char name[NAME_MAX_LENGTH];
    const json_t *member;
    int result = 0;
    for (const struct group *group = groups; group < groups + ARRAY_SIZE(groups); group++) {
        snprintf(name, sizeof name, "%s.%s", prefix, group->name);
        result = json_member(object, group->name, JSON_OBJECT, prefix, &member, error);
        if (result == 0 && member)
            result = json_bind_at(name, member, group->fields, (char *)resources + group->offset, error);
        if (result < 0)
            return result;
    }
    for (const struct list *list = lists; list < lists + ARRAY_SIZE(lists); list++) {
        member = list->group ? json_object_get(object, list->group) : object;
        snprintf(name, sizeof name, list->group ? "%s.%s" : "%s", prefix, list->group);
        result = member ? read_list(list, member, name, resources, error) : 0;
        if (result < 0)
            return result;
    }
    resources->devices_set = resources->devices != NULL;
    result = json_member(object, "rdma", JSON_OBJECT, prefix, &member, error);
    if (result == 0 && member)
        result = read_rdma(resources, member, prefix, error);
    if (result == 0)
        result = json_member(object, "unified", JSON_OBJECT, prefix, &member, error);
    if (result == 0 && member)
        result = read_unified(resources, member, prefix, error);
    return result;
}

int resources_parse(struct resources *resources, const json_t *object, const char *prefix,
                    struct error *error)
{
    *resources = (struct resources){0};
    if (!json_is_object(object))
        return error_set(error, -EINVAL, "%s must be an object", prefix);
    int result = read_all(resources, object, prefix, error);
    if (result < 0)
        resources_free(resources);
    return result;
}

void resources_free(struct resources *resources)
{
    for (const struct list *list = lists; list < lists + ARRAY_SIZE(lists); list++)
        free(*(void **)((char *)resources + list->array));
    free(resources->rdma);
    free(resources->unified);
    *resources = (struct resources){0};
}
