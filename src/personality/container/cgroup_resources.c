/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of what linux.resources is in files of version 1 and version 2.
 *
 * Weights keep their proportions: what asks for nothing has 1024 shares in version 1 and weight 100 in
 * version 2, so that shares * 100 / 1024 is the same part of the processor in both; likewise a block I/O
 * weight of 500 is 100.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "personality/container/cgroup_private.h"

enum conversion {
    NUMBER,     /* as it is */
    LIMIT,      /* -1 is none: "-1" in version 1, "max" in version 2 */
    SHARES,     /* of the processor */
    SWAP,       /* with memory in version 1, alone in version 2 */
    CPU_PERIOD, /* in version 2, these two are one file */
    CPU_QUOTA,
    WEIGHT, /* of block I/O */
};

enum trait {
    ABSENT_IF_ZERO = 1, /* 0 asks for nothing */
    AGAIN_V1 = 2,       /* its range depends on what is set after it */
    AGAIN_V2 = 4,
    OPTIONAL_V1 = 8,        /* kernels without the file: nothing to do */
    HARMLESS_V2 = 16,       /* version 2 does without, whatever is asked */
    HARMLESS_V2_FALSE = 32, /* it does as if this were 0 */
    HARMLESS_V2_TRUE = 64,
    HARMLESS_V2_NONE = 128, /* no limit */
};

struct row {
    const char *field;
    enum cgroup_controller controller;
    size_t offset;
    enum conversion conversion;
    unsigned traits;
    const char *v1, *v1_other, *v2;
};
#define ROW(field_, controller_, member, conversion_, traits_, v1_, v2_)                                     \
    {                                                                                                        \
        field_, CONTROLLER_##controller_, offsetof(struct resources, member), conversion_, traits_, v1_,     \
            NULL, v2_                                                                                        \
    }

/* In the order of writing. */
static const struct row rows[] = {
    ROW("memory.useHierarchy", MEMORY, memory.use_hierarchy, NUMBER, OPTIONAL_V1 | HARMLESS_V2_TRUE,
        "memory.use_hierarchy", NULL),
    ROW("memory.limit", MEMORY, memory.limit, LIMIT, ABSENT_IF_ZERO | AGAIN_V1, "memory.limit_in_bytes",
        "memory.max"),
    ROW("memory.swap", MEMORY, memory.swap, SWAP, ABSENT_IF_ZERO | AGAIN_V1, "memory.memsw.limit_in_bytes",
        "memory.swap.max"),
    ROW("memory.reservation", MEMORY, memory.reservation, LIMIT, ABSENT_IF_ZERO, "memory.soft_limit_in_bytes",
        "memory.low"),
    ROW("memory.kernel", MEMORY, memory.kernel, LIMIT, ABSENT_IF_ZERO | OPTIONAL_V1 | HARMLESS_V2,
        "memory.kmem.limit_in_bytes", NULL),
    ROW("memory.kernelTCP", MEMORY, memory.kernel_tcp, LIMIT, ABSENT_IF_ZERO | HARMLESS_V2_NONE,
        "memory.kmem.tcp.limit_in_bytes", NULL),
    ROW("memory.swappiness", MEMORY, memory.swappiness, NUMBER, 0, "memory.swappiness", NULL),
    ROW("memory.disableOOMKiller", MEMORY, memory.disable_oom_killer, NUMBER, HARMLESS_V2_FALSE,
        "memory.oom_control", NULL),
    ROW("cpu.shares", CPU, cpu.shares, SHARES, ABSENT_IF_ZERO | AGAIN_V1 | AGAIN_V2, "cpu.shares",
        "cpu.weight"),
    ROW("cpu.idle", CPU, cpu.idle, NUMBER, 0, "cpu.idle", "cpu.idle"),
    ROW("cpu.period", CPU, cpu.period, CPU_PERIOD, ABSENT_IF_ZERO | AGAIN_V1 | AGAIN_V2, "cpu.cfs_period_us",
        "cpu.max"),
    ROW("cpu.quota", CPU, cpu.quota, CPU_QUOTA, AGAIN_V1 | AGAIN_V2, "cpu.cfs_quota_us", "cpu.max"),
    ROW("cpu.burst", CPU, cpu.burst, NUMBER, 0, "cpu.cfs_burst_us", "cpu.max.burst"),
    ROW("cpu.realtimePeriod", CPU, cpu.realtime_period, NUMBER, ABSENT_IF_ZERO | AGAIN_V1, "cpu.rt_period_us",
        NULL),
    ROW("cpu.realtimeRuntime", CPU, cpu.realtime_runtime, NUMBER, ABSENT_IF_ZERO | AGAIN_V1,
        "cpu.rt_runtime_us", NULL),
    ROW("pids.limit", PIDS, pids, LIMIT, 0, "pids.max", "pids.max"),
    {"blockIO.weight", CONTROLLER_BLOCK_IO, offsetof(struct resources, block_io.weight), WEIGHT,
     ABSENT_IF_ZERO, "blkio.weight", "blkio.bfq.weight", "io.bfq.weight"},
    ROW("blockIO.leafWeight", BLOCK_IO, block_io.leaf_weight, NUMBER, ABSENT_IF_ZERO, "blkio.leaf_weight",
        NULL),
    ROW("network.classID", NET_CLS, class_id, NUMBER, 0, "net_cls.classid", NULL),
};

struct maker {
    struct cgroup_plan *plan;
    const struct resources *resources;
    unsigned v1, v2;
    struct error *error;
};

/* 1 or 2, or a negative errno: the host does not have it. */
static int version_of(struct maker *maker, enum cgroup_controller controller, const char *field)
{
    if (maker->v1 & CONTROLLER_BIT(controller))
        return 1;
    if (maker->v2 & CONTROLLER_BIT(controller))
        return 2;
    const char *name = cgroup_controller_name(controller, 2);
    if (!*name || maker->v1)
        name = cgroup_controller_name(controller, 1);
    error_set(maker->error, -ENOTSUP,
              "linux.resources.%s needs the cgroup controller '%s', which this host does not have", field,
              name);
    if (controller == CONTROLLER_MEMORY)
        error_hint(maker->error, "some kernels want cgroup_enable=memory on their command line");
    return -ENOTSUP;
}

static int only_v1(struct maker *maker, const char *field)
{
    return error_set(maker->error, -ENOTSUP,
                     "linux.resources.%s is a setting of cgroup version 1, and this host has version 2",
                     field);
}

static struct cgroup_setting *add(struct maker *maker, enum cgroup_controller controller, const char *field,
                                  const char *file)
{
    struct cgroup_plan *plan = maker->plan;
    if (plan->count == plan->capacity) {
        size_t capacity = plan->capacity ? plan->capacity * 2 : 16;
        struct cgroup_setting *more = realloc(plan->settings, capacity * sizeof *more);
        if (!more) {
            plan->failed = true;
            return NULL;
        }
        plan->settings = more;
        plan->capacity = capacity;
    }
    struct cgroup_setting *setting = &plan->settings[plan->count++];
    *setting = (struct cgroup_setting){.controller = controller, .field = field};
    snprintf(setting->file, sizeof setting->file, "%s", file);
    if (controller < CONTROLLERS)
        plan->controllers |= CONTROLLER_BIT(controller);
    return setting;
}

__attribute__((format(printf, 2, 3))) static void set(struct cgroup_setting *setting, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (setting)
        vsnprintf(setting->value, sizeof setting->value, format, arguments);
    va_end(arguments);
}

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

static void set_limit(struct cgroup_setting *setting, int64_t value, int version)
{
    if (value < 0)
        set(setting, "%s", version == 2 ? "max" : "-1");
    else
        set(setting, "%" PRId64, value);
}

/* Both parts of cpu.max at once; a period without a quota leaves the quota. */
static void put_cpu_max(struct maker *maker)
{
    const struct resource_cpu *cpu = &maker->resources->cpu;
    struct cgroup_setting *setting =
        add(maker, CONTROLLER_CPU, cpu->quota.set ? "cpu.quota" : "cpu.period", "cpu.max");
    bool period = cpu->period.set && cpu->period.value;
    char quota[24] = "max";
    if (!setting)
        return;
    if (cpu->quota.value > 0)
        snprintf(quota, sizeof quota, "%" PRId64, cpu->quota.value);
    setting->keeps_quota = !cpu->quota.set;
    setting->again = true; /* a burst may have to be lowered first */
    if (period)
        set(setting, "%s %" PRId64, cpu->quota.set ? quota : "", cpu->period.value);
    else
        set(setting, "%s", quota);
}

static int put_swap_v2(struct maker *maker, struct cgroup_setting *setting)
{
    const struct resource_memory *memory = &maker->resources->memory;
    if (memory->swap.value < 0)
        set(setting, "max");
    else if (!memory->limit.set || memory->limit.value <= 0)
        return error_set(
            maker->error, -EINVAL,
            "linux.resources.memory.swap limits memory and swap together: it needs memory.limit");
    else
        set(setting, "%" PRId64, memory->swap.value - memory->limit.value);
    return 0;
}

static void put_weight_v2(struct cgroup_setting *setting, int64_t weight)
{
    if (!setting)
        return;
    set(setting, "%" PRId64, weight);
    snprintf(setting->other_file, sizeof setting->other_file, "io.weight");
    snprintf(setting->other_value, sizeof setting->other_value, "default %" PRId64,
             clamp(weight / 5, 1, 10000));
}

static int put_v2(struct maker *maker, const struct row *row, int64_t value)
{
    if (!row->v2) {
        bool harmless = (row->traits & HARMLESS_V2) || (row->traits & HARMLESS_V2_FALSE && value == 0) ||
                        (row->traits & HARMLESS_V2_TRUE && value == 1) ||
                        (row->traits & HARMLESS_V2_NONE && value < 0);
        return harmless ? 0 : only_v1(maker, row->field);
    }
    if (row->conversion == CPU_PERIOD && maker->resources->cpu.quota.set)
        return 0; /* with the quota */
    if (row->conversion == CPU_PERIOD || row->conversion == CPU_QUOTA) {
        put_cpu_max(maker);
        return 0;
    }
    struct cgroup_setting *setting = add(maker, row->controller, row->field, row->v2);
    if (!setting)
        return 0;
    setting->again = row->traits & AGAIN_V2;
    setting->optional = row->conversion == SWAP && value < 0;
    setting->checks_usage = row->offset == offsetof(struct resources, memory.limit) &&
                            maker->resources->memory.check_before_update.value && value > 0;
    switch (row->conversion) {
    case SHARES: set(setting, "%" PRId64, clamp(value * 100 / 1024, 1, 10000)); break;
    case SWAP: return put_swap_v2(maker, setting);
    case WEIGHT: put_weight_v2(setting, value); break;
    case LIMIT: set_limit(setting, value, 2); break;
    default: set(setting, "%" PRId64, value);
    }
    return 0;
}

static void put_v1(struct maker *maker, const struct row *row, int64_t value)
{
    struct cgroup_setting *setting = add(maker, row->controller, row->field, row->v1);
    if (!setting)
        return;
    setting->again = row->traits & AGAIN_V1;
    setting->optional = row->traits & OPTIONAL_V1 || (row->conversion == SWAP && value < 0);
    set_limit(setting, row->conversion == CPU_QUOTA && value <= 0 ? -1 : value, 1);
    if (row->v1_other) {
        snprintf(setting->other_file, sizeof setting->other_file, "%s", row->v1_other);
        snprintf(setting->other_value, sizeof setting->other_value, "%" PRId64, value);
    }
    if (row->offset == offsetof(struct resources, pids) && value < 0)
        set(setting, "max"); /* of version 2's make, in version 1 too */
}

static int put_rows(struct maker *maker)
{
    for (const struct row *row = rows; row < rows + ARRAY_SIZE(rows); row++) {
        const struct resource_number *number = (const void *)((const char *)maker->resources + row->offset);
        int64_t value = number->value;
        if (!number->set || (row->traits & ABSENT_IF_ZERO && value == 0))
            continue;
        if (row->offset == offsetof(struct resources, pids) && value == 0)
            value = -1;
        int version = version_of(maker, row->controller, row->field);
        if (version < 0)
            return version;
        int result = 0;
        if (version == 1)
            put_v1(maker, row, value);
        else
            result = put_v2(maker, row, value);
        if (result < 0)
            return result;
    }
    return 0;
}

static int put_cpuset(struct maker *maker)
{
    const struct resource_cpu *cpu = &maker->resources->cpu;
    const struct {
        const char *field, *file, *text;
    } lists[] = {{"cpu.cpus", "cpuset.cpus", cpu->cpus}, {"cpu.mems", "cpuset.mems", cpu->mems}};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        const char *text = lists[i].text;
        if (!text || !*text)
            continue;
        int version = version_of(maker, CONTROLLER_CPUSET, lists[i].field);
        if (version < 0)
            return version;
        if (text[strspn(text, "0123456789,-")])
            return error_set(maker->error, -EINVAL, "linux.resources.%s is '%s', not a list like 0-3,7",
                             lists[i].field, text);
        struct cgroup_setting *setting = add(maker, CONTROLLER_CPUSET, lists[i].field, lists[i].file);
        if (setting)
            setting->text = text;
    }
    return 0;
}

static const struct throttle {
    const char *field, *v1, *v2;
} throttles[RESOURCE_THROTTLES] = {
    [RESOURCE_READ_BPS] = {"blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"},
    [RESOURCE_WRITE_BPS] = {"blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"},
    [RESOURCE_READ_IOPS] = {"blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"},
    [RESOURCE_WRITE_IOPS] = {"blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"},
};

static int put_throttles(struct maker *maker)
{
    for (size_t which = 0; which < RESOURCE_THROTTLES; which++) {
        const struct resource_device_numbers *numbers = &maker->resources->block_io.throttles[which];
        const struct throttle *throttle = &throttles[which];
        for (size_t i = 0; i < numbers->count; i++) {
            const struct resource_device_number *item = &numbers->items[i];
            int version = version_of(maker, CONTROLLER_BLOCK_IO, throttle->field);
            if (version < 0)
                return version;
            struct cgroup_setting *setting =
                add(maker, CONTROLLER_BLOCK_IO, throttle->field, version == 1 ? throttle->v1 : "io.max");
            if (version == 1)
                set(setting, "%" PRId64 ":%" PRId64 " %" PRId64, item->major, item->minor, item->value);
            else if (item->value)
                set(setting, "%" PRId64 ":%" PRId64 " %s=%" PRId64, item->major, item->minor, throttle->v2,
                    item->value);
            else
                set(setting, "%" PRId64 ":%" PRId64 " %s=max", item->major, item->minor, throttle->v2);
        }
    }
    return 0;
}

static int put_device_weight(struct maker *maker, const struct resource_device_weight *item, int version)
{
    static const char field[] = "blockIO.weightDevice";
    if (item->leaf_weight.set) {
        if (version == 2)
            return only_v1(maker, field);
        set(add(maker, CONTROLLER_BLOCK_IO, field, "blkio.leaf_weight_device"),
            "%" PRId64 ":%" PRId64 " %" PRId64, item->major, item->minor, item->leaf_weight.value);
    }
    if (!item->weight.set)
        return 0;
    int64_t weight = item->weight.value;
    struct cgroup_setting *setting =
        add(maker, CONTROLLER_BLOCK_IO, field, version == 1 ? "blkio.weight_device" : "io.bfq.weight");
    if (!setting)
        return 0;
    set(setting, "%" PRId64 ":%" PRId64 " %" PRId64, item->major, item->minor, weight);
    snprintf(setting->other_file, sizeof setting->other_file, "%s",
             version == 1 ? "blkio.bfq.weight_device" : "io.weight");
    snprintf(setting->other_value, sizeof setting->other_value, "%u:%u %d", (unsigned)item->major,
             (unsigned)item->minor, (int)(version == 1 ? weight : clamp(weight / 5, 1, 10000)));
    return 0;
}

static int put_device_weights(struct maker *maker)
{
    const struct resource_block_io *block_io = &maker->resources->block_io;
    for (size_t i = 0; i < block_io->device_weight_count; i++) {
        int version = version_of(maker, CONTROLLER_BLOCK_IO, "blockIO.weightDevice");
        int result = version < 0 ? version : put_device_weight(maker, &block_io->device_weights[i], version);
        if (result < 0)
            return result;
    }
    return 0;
}

static int put_huge_pages(struct maker *maker)
{
    static const char field[] = "hugepageLimits";
    for (size_t i = 0; i < maker->resources->huge_page_count; i++) {
        const struct resource_huge_page_limit *item = &maker->resources->huge_pages[i];
        int version = version_of(maker, CONTROLLER_HUGETLB, field);
        if (version < 0)
            return version;
        const char *end = version == 1 ? "limit_in_bytes" : "max";
        for (unsigned reserved = 0; reserved < 2; reserved++) {
            char file[64];
            snprintf(file, sizeof file, "hugetlb.%.12s.%s%s", item->page_size, reserved ? "rsvd." : "", end);
            struct cgroup_setting *setting = add(maker, CONTROLLER_HUGETLB, field, file);
            set(setting, "%" PRId64, item->limit);
            if (setting)
                setting->optional = reserved;
        }
    }
    return 0;
}

static int put_network(struct maker *maker)
{
    static const char field[] = "network.priorities";
    for (size_t i = 0; i < maker->resources->priority_count; i++) {
        const struct resource_priority *item = &maker->resources->priorities[i];
        int version = version_of(maker, CONTROLLER_NET_PRIO, field);
        if (version < 0)
            return version;
        set(add(maker, CONTROLLER_NET_PRIO, field, "net_prio.ifpriomap"), "%.64s %" PRId64, item->interface,
            item->priority);
    }
    return 0;
}

static int put_rdma(struct maker *maker)
{
    for (size_t i = 0; i < maker->resources->rdma_count; i++) {
        const struct resource_rdma_limit *item = &maker->resources->rdma[i];
        char handles[40] = "", objects[40] = "";
        int version = version_of(maker, CONTROLLER_RDMA, "rdma");
        if (version < 0)
            return version;
        if (item->handles.set)
            snprintf(handles, sizeof handles, " hca_handle=%" PRId64, item->handles.value);
        if (item->objects.set)
            snprintf(objects, sizeof objects, " hca_object=%" PRId64, item->objects.value);
        set(add(maker, CONTROLLER_RDMA, "rdma", "rdma.max"), "%.40s%s%s", item->device, handles, objects);
    }
    return 0;
}

static int put_unified(struct maker *maker, bool has_v2)
{
    for (size_t i = 0; i < maker->resources->unified_count; i++) {
        const struct resource_text *item = &maker->resources->unified[i];
        char prefix[32];
        enum cgroup_controller controller = CONTROLLER_CORE;
        size_t length = strcspn(item->name, ".");
        if (length >= sizeof prefix)
            length = sizeof prefix - 1;
        memcpy(prefix, item->name, length);
        prefix[length] = '\0';
        if (!has_v2)
            return error_set(
                maker->error, -ENOTSUP,
                "linux.resources.unified.%s needs cgroup version 2, which this host does not have",
                item->name);
        unsigned bit = cgroup_controllers_parse(prefix, ".", 2);
        if (strcmp(prefix, "cgroup") != 0 && !(bit & maker->v2))
            return error_set(
                maker->error, -ENOTSUP,
                "linux.resources.unified.%s: the controller '%s' is not in cgroup version 2 on this host%s",
                item->name, prefix, bit & maker->v1 ? ", but in version 1" : "");
        if (bit)
            controller = (enum cgroup_controller)__builtin_ctz(bit);
        if (strlen(item->name) >= sizeof((struct cgroup_setting *)0)->file)
            return error_set(maker->error, -EINVAL,
                             "linux.resources.unified.%s: no cgroup file has such a name", item->name);
        struct cgroup_setting *setting = add(maker, controller, "unified", item->name);
        if (setting)
            setting->text = item->value;
    }
    return 0;
}

/* What the kernel would refuse with less to say. */
static int check(const struct resources *resources, struct error *error)
{
    const struct resource_memory *memory = &resources->memory;
    const struct resource_cpu *cpu = &resources->cpu;
    if (memory->limit.set && memory->swap.set && memory->swap.value > 0 &&
        (memory->limit.value < 0 || memory->swap.value < memory->limit.value))
        return error_set(error, -EINVAL,
                         "linux.resources.memory.swap is %" PRId64
                         ", less than memory.limit, which it includes",
                         memory->swap.value);
    if (cpu->burst.set && cpu->quota.set && cpu->quota.value > 0 && cpu->burst.value > cpu->quota.value)
        return error_set(error, -EINVAL, "linux.resources.cpu.burst is %" PRId64 ", more than cpu.quota",
                         cpu->burst.value);
    return 0;
}

int cgroup_plan_make(struct cgroup_plan *plan, const struct resources *resources, unsigned v1, unsigned v2,
                     bool has_v2, struct error *error)
{
    static int (*const parts[])(struct maker *) = {
        put_rows, put_cpuset, put_device_weights, put_throttles, put_huge_pages, put_network, put_rdma};
    struct resources completed = *resources;
    struct resource_memory *memory = &completed.memory;
    struct maker maker = {plan, &completed, v1, v2, error};
    if (memory->limit.set && memory->limit.value < 0 && !memory->swap.value)
        memory->swap = memory->limit; /* no limit of memory under one of memory and swap is none */
    *plan = (struct cgroup_plan){0};
    int result = check(resources, error);
    for (size_t i = 0; result == 0 && i < ARRAY_SIZE(parts); i++)
        result = parts[i](&maker);
    if (result == 0)
        result = put_unified(&maker, has_v2);
    if (resources->device_count && v1 & CONTROLLER_BIT(CONTROLLER_DEVICES))
        plan->controllers |= CONTROLLER_BIT(CONTROLLER_DEVICES);
    if (result == 0 && plan->failed)
        result = error_set(error, -ENOMEM, "no memory for a container's limits");
    if (result < 0)
        cgroup_plan_free(plan);
    return result;
}

void cgroup_plan_free(struct cgroup_plan *plan)
{
    free(plan->settings);
    *plan = (struct cgroup_plan){0};
}
