/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/copy_plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_dots(const char *part)
{
    return strcmp(part, ".") == 0 || strcmp(part, "..") == 0;
}

bool copy_path_is_directory(const char *path)
{
    const char *last = last_part(path);
    return !*last || is_dots(last);
}

/* Without slashes at its end, but the first. */
static void trim(char *path)
{
    for (size_t size = strlen(path); size > 1 && path[size - 1] == '/'; size--)
        path[size - 1] = '\0';
}

static int split(struct copy_plan *plan, const char *path, struct error *error)
{
    char whole[PATH_MAX];
    snprintf(whole, sizeof whole, "%s", path);
    trim(whole);
    const char *name = last_part(whole);
    const int length = (int)(name - whole);
    if (strlen(name) >= sizeof plan->name)
        return error_set(error, -ENAMETOOLONG, "%.80s...: the name is too long", name);
    snprintf(plan->directory, sizeof plan->directory, "%.*s", length ? length : 1, length ? whole : ".");
    trim(plan->directory);
    strcpy(plan->name, name);
    return 0;
}

static int into_directory(struct copy_plan *plan, const char *path, bool contents, struct error *error)
{
    const char *name = last_part(plan->source);
    snprintf(plan->directory, sizeof plan->directory, "%s", path);
    if (contents)
        return 0;
    if (strlen(name) >= sizeof plan->name)
        return error_set(error, -ENAMETOOLONG, "%.80s...: the name is too long", name);
    strcpy(plan->name, name);
    return 0;
}

int copy_plan_make(struct copy_plan *plan, const struct copy_end *source, const struct copy_end *target,
                   struct error *error)
{
    const bool is_directory = source->type == DOMAIN_FILE_DIRECTORY;
    *plan = (struct copy_plan){.follow = copy_path_is_directory(source->path)};
    if (strlen(source->path) >= PATH_MAX || strlen(target->path) >= PATH_MAX)
        return error_set(error, -ENAMETOOLONG, "the path is too long");
    if (source->type == DOMAIN_FILE_NONE)
        return error_set(error, -ENOENT, "there is no %s", source->path);
    if (plan->follow && !is_directory)
        return error_set(error, -ENOTDIR, "%s is no directory", source->path);
    strcpy(plan->source, source->path);
    trim(plan->source);
    /* "dir/." is "dir" of which the name is not meant; there is no name in "/" and ".." */
    const bool nameless = is_dots(last_part(plan->source)) || !*last_part(plan->source);
    const size_t size = strlen(plan->source);
    if (size > 2 && strcmp(plan->source + size - 2, "/.") == 0) {
        plan->source[size - 2] = '\0';
        trim(plan->source);
    }
    if (target->type == DOMAIN_FILE_DIRECTORY)
        return into_directory(plan, target->path, nameless, error);
    if (target->type != DOMAIN_FILE_NONE && is_directory)
        return error_set(error, -ENOTDIR, "%s is no directory, and is not replaced by one", target->path);
    if (target->type != DOMAIN_FILE_NONE && copy_path_is_directory(target->path))
        return error_set(error, -ENOTDIR, "%s is no directory", target->path);
    if (copy_path_is_directory(target->path) && !is_directory)
        return error_set(error, -ENOENT, "there is no directory %s", target->path);
    return split(plan, target->path, error);
}
