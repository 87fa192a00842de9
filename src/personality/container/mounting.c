/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/mounting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/macros.h"

/* What the file system says in its own words, such as "tmpfs: Bad value for 'size'", if it says anything. */
static void add_kernel_words(int context, struct error *error)
{
    char line[160];
    ssize_t size = read(context, line, sizeof line - 1);
    if (size <= 2)
        return;
    line[size] = '\0';
    line[strcspn(line, "\n")] = '\0';
    size_t length = strlen(error->message);
    snprintf(error->message + length, sizeof error->message - length, " (%s)", line + 2);
}

static int set_data(int context, const char *type, const char *option, struct error *error)
{
    char name[64];
    const char *value = strchr(option, '=');
    size_t length = value ? (size_t)(value - option) : strlen(option);
    if (length >= sizeof name)
        return error_set(error, -EINVAL, "%s does not know the option \"%s\"", type, option);
    memcpy(name, option, length);
    name[length] = '\0';
    if (fsconfig(context, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, name, value ? value + 1 : NULL,
                 0) == 0)
        return 0;
    int code = -errno;
    error_set(error, code, "%s does not take the option \"%s\": %s", type, option, strerror(-code));
    add_kernel_words(context, error);
    return code;
}

static int configure(int context, const char *type, const char *source, const struct mount_options *options,
                     const char *label, struct error *error)
{
    static const struct {
        unsigned long flag;
        const char *name;
    } flags[] = {
        {MS_SYNCHRONOUS, "sync"}, {MS_DIRSYNC, "dirsync"}, {MS_LAZYTIME, "lazytime"}, {MS_MANDLOCK, "mand"}};

    if (source && source[0] && fsconfig(context, FSCONFIG_SET_STRING, "source", source, 0) < 0)
        return error_set(error, -errno, "%s does not take the source %s: %s", type, source, strerror(errno));
    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
        if (options->super_set & flags[i].flag)
            fsconfig(context, FSCONFIG_SET_FLAG, flags[i].name, NULL, 0); /* a hint to most */
    }
    if (options->read_only && source && source[0] == '/') /* a disk that may itself be read-only */
        fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0);
    int code = 0;
    for (unsigned i = 0; i < options->data_count && code == 0; i++)
        code = set_data(context, type, options->data[i], error);
    if (code == 0 && label && label[0] && fsconfig(context, FSCONFIG_SET_STRING, "context", label, 0) < 0)
        code =
            error_set(error, -errno, "%s does not take the label \"%s\": %s", type, label, strerror(errno));
    return code;
}

int mounting_new(const char *type, const char *source, const struct mount_options *options, const char *label,
                 struct error *error)
{
    int context = fsopen(type, FSOPEN_CLOEXEC);
    if (context < 0)
        return error_set(error, -errno, "this host has no file system \"%s\": %s", type, strerror(errno));
    int mount = configure(context, type, source, options, label, error);
    if (mount == 0 && fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        mount = error_set(error, -errno, "cannot make a file system %s: %s", type, strerror(errno));
        add_kernel_words(context, error);
    }
    if (mount == 0) {
        mount = fsmount(context, FSMOUNT_CLOEXEC, (unsigned)(options->set | options->recursive_set));
        if (mount < 0)
            mount = error_set(error, -errno, "cannot mount a file system %s: %s", type, strerror(errno));
    }
    close(context);
    return mount;
}

int mounting_copy(int directory, const char *path, bool recursive, struct error *error)
{
    int mount = open_tree(directory, path,
                          OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (path[0] ? 0 : AT_EMPTY_PATH) |
                              (recursive ? AT_RECURSIVE : 0));
    return mount < 0 ? error_set(error, -errno, "cannot bind %s: %s", path, strerror(errno)) : mount;
}

static int change(int mount, uint64_t set, uint64_t clear, uint64_t propagation, int user_namespace,
                  bool recursive)
{
    struct mount_attr attributes = {
        .attr_set = set | (user_namespace >= 0 ? MOUNT_ATTR_IDMAP : 0),
        .attr_clr = clear,
        .propagation = propagation,
        .userns_fd = user_namespace >= 0 ? (uint64_t)user_namespace : 0,
    };
    if (!attributes.attr_set && !attributes.attr_clr && !propagation)
        return 0;
    int flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    return mount_setattr(mount, "", (unsigned)flags, &attributes, sizeof attributes) < 0 ? -errno : 0;
}

int mounting_change(int mount, const struct mount_options *options, int user_namespace, const char *name,
                    struct error *error)
{
    int code = 0;
    if (user_namespace >= 0) {
        code = change(mount, 0, 0, 0, user_namespace, options->recursive_idmap);
        if (code < 0)
            return error_set(error, code, "cannot map the ids of %s: %s", name,
                             code == -EINVAL ? "its file system cannot do that" : strerror(-code));
    }
    if (code == 0)
        code = change(mount, options->recursive_set, options->recursive_clear, 0, -1, true);
    if (code == 0)
        code = change(mount, options->set, options->clear, 0, -1, false);
    if (code == 0)
        code = change(mount, 0, 0, options->propagation, -1, options->propagation_recursive);
    if (code < 0)
        return error_set(error, code, "cannot set the options of the mount %s: %s", name, strerror(-code));
    return 0;
}

int mounting_attach(int mount, int target, const char *name, struct error *error)
{
    if (move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return error_set(error, -errno, "cannot mount on %s: %s", name, strerror(errno));
    return 0;
}

int mounting_attribute(int mount, uint64_t set, bool recursive)
{
    return change(mount, set, 0, 0, -1, recursive);
}
