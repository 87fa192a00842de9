/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resources: what a container may use: `linux.resources` of the OCI runtime specification 1.1
 * (config-linux.md, "Control groups") as C structs, and the parser that fills them. cgroup.h applies them.
 *
 * A caller may also fill a struct by hand (for domains, or from the options of `update`): all zero asks for
 * nothing. Strings are the caller's, or the JSON document's, which must live as long. Arrays are of malloc():
 * resources_free().
 */
#ifndef VISOR_PERSONALITY_CONTAINER_RESOURCES_H
#define VISOR_PERSONALITY_CONTAINER_RESOURCES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A number that may be absent. -1 is "no limit" wherever the specification lets a limit be negative. */
struct resource_number {
    bool set;
    int64_t value;
};

struct resource_memory { /* bytes */
    struct resource_number limit, reservation;
    struct resource_number swap;       /* memory and swap together, as in the specification; -1: no limit */
    struct resource_number kernel;     /* ignored: kernels since 5.16 do not have it */
    struct resource_number kernel_tcp; /* v1 only */
    struct resource_number swappiness; /* 0 to 100; v1 only */
    struct resource_number disable_oom_killer;  /* 0, 1; v1 only */
    struct resource_number use_hierarchy;       /* 0, 1; v1 only */
    struct resource_number check_before_update; /* 0, 1: -EBUSY if more than the new limit is in use */
};

struct resource_cpu {
    struct resource_number shares;        /* 2 to 262144; who asks for nothing has 1024; 0: not asked for */
    struct resource_number quota;         /* microseconds in a period; -1 and 0: no limit */
    struct resource_number burst, period; /* microseconds */
    struct resource_number realtime_runtime, realtime_period; /* microseconds; v1 only */
    struct resource_number idle;                              /* 0, 1: runs when nothing else wants to */
    const char *cpus, *mems;                                  /* lists: "0-3,7"; NULL: not asked for */
};

struct resource_device_number { /* for a device, by number: a weight, bytes or operations per second */
    int64_t major, minor, value;
};
struct resource_device_weight {
    int64_t major, minor;
    struct resource_number weight, leaf_weight;
};
struct resource_device_numbers {
    struct resource_device_number *items;
    size_t count;
};

enum { RESOURCE_READ_BPS, RESOURCE_WRITE_BPS, RESOURCE_READ_IOPS, RESOURCE_WRITE_IOPS, RESOURCE_THROTTLES };

struct resource_block_io {
    struct resource_number weight, leaf_weight; /* 10 to 1000; 0: none */
    struct resource_device_weight *device_weights;
    size_t device_weight_count;
    struct resource_device_numbers throttles[RESOURCE_THROTTLES];
};

struct resource_huge_page_limit {
    const char *page_size; /* "2MB", "1GB" */
    int64_t limit;         /* bytes */
};

struct resource_rdma_limit {
    const char *device;
    struct resource_number handles, objects;
};

struct resource_text { /* name: value */
    const char *name, *value;
};

struct resource_priority {
    const char *interface;
    int64_t priority;
};

enum { RESOURCE_DEVICE_READ = 1, RESOURCE_DEVICE_WRITE = 2, RESOURCE_DEVICE_MKNOD = 4 };

struct resource_device_rule {
    bool allow;
    char type;            /* 'a', 'b' or 'c' */
    int64_t major, minor; /* -1: any */
    unsigned access;      /* RESOURCE_DEVICE_*; at least one */
};

struct resources {
    struct resource_memory memory;
    struct resource_cpu cpu;
    struct resource_number pids; /* processes and threads; -1 and 0: no limit */
    struct resource_block_io block_io;
    struct resource_number class_id;      /* of packets, v1 only */
    struct resource_priority *priorities; /* of packets, v1 only */
    size_t priority_count;
    struct resource_huge_page_limit *huge_pages;
    size_t huge_page_count;
    struct resource_rdma_limit *rdma;
    size_t rdma_count;
    struct resource_text *unified; /* files of cgroup v2 and what is written there, last */
    size_t unified_count;
    struct resource_device_rule *devices; /* in order: the last that matches decides */
    size_t device_count;
    bool devices_set; /* the list is there, perhaps empty; else access to devices is not changed */
};

/*
 * Reads the object `linux.resources` (or the document of `update`, which is the same). Mistyped fields and
 * values out of range are -EINVAL with the field's whole name ("linux.resources.memory.limit"); unknown
 * fields are ignored, as the specification wants. `prefix`: where the object is, for messages:
 * "linux.resources". `*resources` is overwritten; after an error nothing is to be freed.
 */
int resources_parse(struct resources *resources, const json_t *object, const char *prefix,
                    struct error *error);
void resources_free(struct resources *resources); /* the arrays; leaves all zero */

#endif
