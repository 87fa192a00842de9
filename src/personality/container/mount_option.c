/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/mount_option.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>

#include "base/macros.h"

enum effect {
    NOTHING,   /* understood, and the way things are anyway */
    ATTRIBUTE, /* set or clear an attribute, also recursively with an "r" before it */
    ATIME,     /* one of the values of MOUNT_ATTR__ATIME, likewise */
    SUPER,     /* a flag of the file system */
    PROPAGATE, /* "r" before it: recursively */
    BIND,      /* likewise */
    IDMAP,     /* likewise */
    REMOUNT,
    COPY_UP,
};

struct option {
    const char *name;
    enum effect effect;
    uint64_t set, clear;
    bool recursive;
};

#define ATTRIBUTE_PAIR(on, off, bit)                                                                         \
    {on, ATTRIBUTE, bit, 0, false}, {"r" on, ATTRIBUTE, bit, 0, true}, {off, ATTRIBUTE, 0, bit, false},      \
    {                                                                                                        \
        "r" off, ATTRIBUTE, 0, bit, true                                                                     \
    }
#define ATIME_PAIR(name, value)                                                                              \
    {name, ATIME, value, MOUNT_ATTR__ATIME, false},                                                          \
    {                                                                                                        \
        "r" name, ATIME, value, MOUNT_ATTR__ATIME, true                                                      \
    }
#define RECURSIVE_PAIR(name, effect, value)                                                                  \
    {name, effect, value, 0, false},                                                                         \
    {                                                                                                        \
        "r" name, effect, value, 0, true                                                                     \
    }

static const struct option table[] = {
    {"defaults", NOTHING, 0, 0, false},
    ATTRIBUTE_PAIR("ro", "rw", MOUNT_ATTR_RDONLY),
    ATTRIBUTE_PAIR("nosuid", "suid", MOUNT_ATTR_NOSUID),
    ATTRIBUTE_PAIR("nodev", "dev", MOUNT_ATTR_NODEV),
    ATTRIBUTE_PAIR("noexec", "exec", MOUNT_ATTR_NOEXEC),
    ATTRIBUTE_PAIR("nodiratime", "diratime", MOUNT_ATTR_NODIRATIME),
    ATTRIBUTE_PAIR("nosymfollow", "symfollow", MOUNT_ATTR_NOSYMFOLLOW),
    ATIME_PAIR("relatime", MOUNT_ATTR_RELATIME),
    ATIME_PAIR("atime", MOUNT_ATTR_RELATIME),
    ATIME_PAIR("norelatime", MOUNT_ATTR_STRICTATIME),
    ATIME_PAIR("noatime", MOUNT_ATTR_NOATIME),
    ATIME_PAIR("strictatime", MOUNT_ATTR_STRICTATIME),
    ATIME_PAIR("nostrictatime", MOUNT_ATTR_RELATIME),
    {"sync", SUPER, MS_SYNCHRONOUS, 0, false},
    {"async", SUPER, 0, MS_SYNCHRONOUS, false},
    {"dirsync", SUPER, MS_DIRSYNC, 0, false},
    {"lazytime", SUPER, MS_LAZYTIME, 0, false},
    {"nolazytime", SUPER, 0, MS_LAZYTIME, false},
    {"mand", SUPER, MS_MANDLOCK, 0, false},
    {"nomand", SUPER, 0, MS_MANDLOCK, false},
    {"iversion", SUPER, MS_I_VERSION, 0, false},
    {"noiversion", SUPER, 0, MS_I_VERSION, false},
    {"silent", SUPER, MS_SILENT, 0, false},
    {"loud", SUPER, 0, MS_SILENT, false},
    RECURSIVE_PAIR("shared", PROPAGATE, MS_SHARED),
    RECURSIVE_PAIR("slave", PROPAGATE, MS_SLAVE),
    RECURSIVE_PAIR("private", PROPAGATE, MS_PRIVATE),
    RECURSIVE_PAIR("unbindable", PROPAGATE, MS_UNBINDABLE),
    RECURSIVE_PAIR("bind", BIND, 0),
    RECURSIVE_PAIR("idmap", IDMAP, 0),
    {"remount", REMOUNT, 0, 0, false},
    {"tmpcopyup", COPY_UP, 0, 0, false},
};

const char *mount_option_name(unsigned index)
{
    return index < ARRAY_SIZE(table) ? table[index].name : NULL;
}

static void change(uint64_t *set, uint64_t *clear, const struct option *option)
{
    *set = (*set & ~option->clear) | option->set;
    *clear = (*clear & ~option->set) | option->clear;
}

static void apply(struct mount_options *parsed, const struct option *option)
{
    switch (option->effect) {
    case NOTHING: break;
    case ATTRIBUTE:
        if (option->set == MOUNT_ATTR_RDONLY || option->clear == MOUNT_ATTR_RDONLY)
            parsed->read_only = option->set != 0;
        __attribute__((fallthrough));
    case ATIME:
        if (option->recursive)
            change(&parsed->recursive_set, &parsed->recursive_clear, option);
        else
            change(&parsed->set, &parsed->clear, option);
        break;
    case SUPER: parsed->super_set = (parsed->super_set & ~option->clear) | option->set; break;
    case PROPAGATE:
        parsed->propagation = option->set;
        parsed->propagation_recursive = option->recursive;
        break;
    case BIND:
        parsed->bind = true;
        parsed->recursive_bind |= option->recursive;
        break;
    case IDMAP:
        parsed->idmap = true;
        parsed->recursive_idmap |= option->recursive;
        break;
    case REMOUNT: parsed->remount = true; break;
    case COPY_UP: parsed->copy_up = true; break;
    }
}

int mount_options_parse(struct mount_options *parsed, const char *const *options, unsigned count,
                        const char **data, struct error *error)
{
    *parsed = (struct mount_options){.data = data};
    for (unsigned i = 0; i < count; i++) {
        const struct option *found = NULL;
        for (unsigned j = 0; j < ARRAY_SIZE(table) && !found; j++) {
            if (strcmp(table[j].name, options[i]) == 0)
                found = &table[j];
        }
        if (found)
            apply(parsed, found);
        else if (options[i][0])
            data[parsed->data_count++] = options[i];
    }
    if (parsed->idmap && !parsed->bind)
        return error_set(error, -EINVAL, "idmap is for bind mounts: \"bind\" or \"rbind\" is missing");
    return 0;
}
