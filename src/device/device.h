/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device: what all devices of a machine have in common.
 *
 * A device is one struct with all its state. Its type has a table of the fields that are the guest's doing;
 * the rest (lines to other devices, back pointers) is how it is wired and made anew by its init function.
 * Saving, loading and showing work from the table. A machine adds its instances to `struct devices` under
 * names of their own.
 *
 * A device trusts nothing a guest does, and reads no clock but the machine's. Everything here happens under
 * the machine's lock. What a saved device drove its lines to, the device at the other end has saved as well:
 * loading drives no line. The clock is set before, to what it was when the devices were saved.
 *
 * The saved form (all numbers little endian, a NAME is a byte of length and its characters):
 *     "VDEV", u32 format (1), then for each device:
 *     NAME of the instance, NAME of the type, u32 version of the type, u32 bytes that follow, FIELD*
 *     FIELD := NAME, u8 kind, u32 size of an element, u32 count, then the elements:
 *         integer, bool: `size` bytes; timer: u8 armed, u64 deadline (size 9);
 *         struct (size 0): u32 bytes that follow, FIELD*
 * The fields of a struct come in any order, each exactly once, but for those that are optional.
 */
#ifndef VISOR_DEVICE_DEVICE_H
#define VISOR_DEVICE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/timer.h"

enum device_field_kind {
    DEVICE_INTEGER, /* 1, 2, 4 or 8 bytes, atomic or not */
    DEVICE_BOOL,
    DEVICE_TIMER,
    DEVICE_STRUCT,
};

#define DEVICE_FIELDS_MAX 64 /* in one struct */

struct device_field {
    const char *name;
    enum device_field_kind kind;
    size_t offset, size; /* of an element, in the device's struct */
    unsigned count;
    bool optional;                     /* what was saved before there was the field has it not: it stays */
    uint64_t limit;                    /* the largest value of an integer that may be loaded; 0: any */
    const struct device_field *fields; /* of a struct */
    unsigned field_count;
};

#define DEVICE_MEMBER(type, member) (((type *)0)->member)
#define DEVICE_KIND_OF(value)       _Generic((value), bool : DEVICE_BOOL, default : DEVICE_INTEGER)
#define DEVICE_FIELD(type, member)  DEVICE_LIMITED(type, member, 0)
#define DEVICE_LIMITED(type, member, most)                                                                   \
    {                                                                                                        \
        .name = #member, .kind = DEVICE_KIND_OF(DEVICE_MEMBER(type, member)),                                \
        .offset = offsetof(type, member), .size = sizeof(DEVICE_MEMBER(type, member)), .count = 1,           \
        .limit = (most)                                                                                      \
    }
#define DEVICE_ARRAY(type, member)                                                                           \
    {                                                                                                        \
        .name = #member, .kind = DEVICE_KIND_OF(DEVICE_MEMBER(type, member)[0]),                             \
        .offset = offsetof(type, member), .size = sizeof(DEVICE_MEMBER(type, member)[0]),                    \
        .count = ARRAY_SIZE(DEVICE_MEMBER(type, member))                                                     \
    }
#define DEVICE_LATER_FIELD(type, member)                                                                     \
    {                                                                                                        \
        .name = #member, .kind = DEVICE_KIND_OF(DEVICE_MEMBER(type, member)),                                \
        .offset = offsetof(type, member), .size = sizeof(DEVICE_MEMBER(type, member)), .count = 1,           \
        .optional = true                                                                                     \
    }
#define DEVICE_LATER_ARRAY(type, member)                                                                     \
    {                                                                                                        \
        .name = #member, .kind = DEVICE_KIND_OF(DEVICE_MEMBER(type, member)[0]),                             \
        .offset = offsetof(type, member), .size = sizeof(DEVICE_MEMBER(type, member)[0]),                    \
        .count = ARRAY_SIZE(DEVICE_MEMBER(type, member)), .optional = true                                   \
    }
#define DEVICE_TIMER_FIELD(type, member)                                                                     \
    {                                                                                                        \
        .name = #member, .kind = DEVICE_TIMER, .offset = offsetof(type, member),                             \
        .size = sizeof(struct timer), .count = 1                                                             \
    }
/* An array of structs that have the table `table`. */
#define DEVICE_STRUCTS(type, member, table)                                                                  \
    {                                                                                                        \
        .name = #member, .kind = DEVICE_STRUCT, .offset = offsetof(type, member),                            \
        .size = sizeof(DEVICE_MEMBER(type, member)[0]), .count = ARRAY_SIZE(DEVICE_MEMBER(type, member)),    \
        .fields = (table), .field_count = ARRAY_SIZE(table)                                                  \
    }

/* A struct inside the device's. */
#define DEVICE_PART(type, member, table)                                                                     \
    {                                                                                                        \
        .name = #member, .kind = DEVICE_STRUCT, .offset = offsetof(type, member),                            \
        .size = sizeof(DEVICE_MEMBER(type, member)), .count = 1, .fields = (table),                          \
        .field_count = ARRAY_SIZE(table)                                                                     \
    }

struct device_type {
    const char *name;
    uint32_t version; /* grows with the meaning of the fields */
    bool unsaved;     /* its state is not visor's to have: no machine with such a device can be saved */
    const struct device_field *fields;
    unsigned field_count;
    /* As a reset of the machine does; NULL: it has none. Lines are driven to where they then belong. */
    void (*reset)(void *state);
    /* After loading, may be NULL: checks what fields may be only together. Fills error. */
    int (*loaded)(void *state, struct error *error);
};

struct device {
    const struct device_type *type;
    char name[32];
    void *state;
    struct device *next;
};

struct devices {
    struct device *first; /* in the order in which they were added, which is that of resets */
};

/* Neither the type nor the state are taken over. -EEXIST: the name is taken; -EINVAL: too long. */
int devices_add(struct devices *devices, const struct device_type *type, const char *name, void *state,
                struct error *error);
void devices_free(struct devices *devices);
void devices_reset(struct devices *devices);
/* The name of one that cannot be saved, or NULL. */
const char *devices_unsaved(const struct devices *devices);
/* Appends all devices' saved form; buffer->failed if memory ran out. */
void devices_save(const struct devices *devices, struct buffer *buffer);
/* Loads what a machine with the same devices saved. -EINVAL with the reason if it does not fit; the devices
 * are then as before, or reset if it was their `loaded` that refused. */
int devices_load(struct devices *devices, const void *data, size_t size, struct error *error);
/* Whether there is a device of this name in what was saved, as far as that can be read. */
bool devices_saved(const void *data, size_t size, const char *name);

#endif
