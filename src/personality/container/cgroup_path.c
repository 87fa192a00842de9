/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a domain's cgroups are: linux.cgroupsPath in its two forms. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "personality/container/cgroup_private.h"

#define FIELD "linux.cgroupsPath"

static int no_memory(struct error *error)
{
    return error_set(error, -ENOMEM, "no memory for a cgroup's path");
}

int cgroup_path_resolve(const char *path, const char *base, char **out, struct error *error)
{
    bool absolute = path[0] == '/';
    size_t base_length = absolute ? 0 : strlen(base), length = strlen(path);
    *out = NULL;
    if (base_length + length > PATH_MAX / 2)
        return error_set(error, -ENAMETOOLONG, FIELD " has %zu characters, which is too long", length);
    char *result = malloc(base_length + length + 2), *to = result;
    if (!result)
        return no_memory(error);
    to = mempcpy(to, absolute ? "" : base, base_length);
    while (to > result && to[-1] == '/')
        to--;
    for (const char *part = path; *part;) {
        size_t size = strcspn(part, "/");
        bool dots = (size == 1 && part[0] == '.') || (size == 2 && part[0] == '.' && part[1] == '.');
        if (dots || size > NAME_MAX || memchr(part, '\n', size)) {
            free(result);
            return error_set(error, -EINVAL, FIELD " is '%s': the part '%.*s' cannot be a cgroup's name",
                             path, (int)(size > 64 ? 64 : size),
                             dots                       ? part
                             : memchr(part, '\n', size) ? "(line feed)"
                                                        : part);
        }
        if (size) {
            *to++ = '/';
            to = mempcpy(to, part, size);
        }
        part += size + (part[size] == '/');
    }
    *to = '\0';
    if (to == result) {
        free(result);
        return error_set(error, -EINVAL,
                         FIELD " is '%s', the root of all cgroups, which no container can have", path);
    }
    *out = result;
    return 0;
}

/* systemd.unit(5): what a unit's name is made of; "-" makes a slice's parents. */
static bool is_unit_name(const char *text, size_t length)
{
    static const char more[] = ":-_.\\@";
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (!c || !strchr(more, c)))
            return false;
    }
    return length > 0 && length < 200;
}

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length > tail && !strcmp(text + length - tail, end);
}

int cgroup_path_systemd(const char *path, const char *id, bool user, char **slice, char **scope,
                        struct error *error)
{
    const char *prefix = "visor", *name = id, *colon = NULL, *second = NULL;
    size_t slice_length = 0, prefix_length = strlen(prefix);
    *slice = *scope = NULL;
    if (path) {
        colon = strchr(path, ':');
        second = colon ? strchr(colon + 1, ':') : NULL;
        if (!second || strchr(second + 1, ':'))
            goto invalid;
        slice_length = (size_t)(colon - path);
        prefix = colon + 1;
        prefix_length = (size_t)(second - prefix);
        name = second + 1;
    }
    if (!is_unit_name(name, strlen(name)) || (prefix_length && !is_unit_name(prefix, prefix_length)) ||
        (slice_length && !is_unit_name(path, slice_length)))
        goto invalid;
    const char *fallback = user ? "user.slice" : "system.slice";
    *slice = slice_length ? strndup(path, slice_length) : strdup(fallback);
    int length = ends_in(name, ".slice") ? asprintf(scope, "%s", name)
                                         : asprintf(scope, "%.*s%s%s.scope", (int)prefix_length, prefix,
                                                    prefix_length ? "-" : "", name);
    if (length < 0)
        *scope = NULL;
    if (*slice && *scope && ends_in(*slice, ".slice"))
        return 0;
    bool memory = *slice && *scope;
    free(*slice);
    free(*scope);
    *slice = *scope = NULL;
    if (!memory)
        return no_memory(error);
invalid:
    error_set(error, -EINVAL,
              FIELD " is '%s', which is not SLICE.slice:PREFIX:NAME as --systemd-cgroup wants it",
              path ? path : id);
    error_hint(error, "for a path like /a/b, leave out --systemd-cgroup");
    return -EINVAL;
}
