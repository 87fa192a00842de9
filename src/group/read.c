/* SPDX-License-Identifier: GPL-2.0-or-later */
/* read: a group from its file. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/similar.h"
#include "group/private.h"

int group_at(const struct group_reading *reading, unsigned line, unsigned column, struct error *error)
{
    error_prefix(error, "%s:%u:%u: ", reading->source->path, line, column);
    return error->code;
}

/* -- the parts of a file --------------------------------------------------------------------------------- */

/* What a directory's name leaves of itself as a name: what cannot be in one is left out. */
static void name_of_directory(const char *directory, char name[STORE_NAME_MAX + 1])
{
    const char *slash = strrchr(directory, '/');
    size_t used = 0;
    for (const char *at = slash ? slash + 1 : directory; *at && used < STORE_NAME_MAX / 2; at++) {
        if (isalnum((unsigned char)*at) || (used && strchr("_.-", *at)))
            name[used++] = *at;
    }
    name[used] = '\0';
}

static int set_name(struct group_reading *reading, const char *name, struct error *error)
{
    int code = domain_store_name_check(name, error);
    if (!code)
        snprintf(reading->group->name, sizeof reading->group->name, "%s", name);
    return code;
}

/* By what was asked for, the file, or the directory's name. */
static int read_name(struct group_reading *reading, const struct document_value *value, struct error *error)
{
    char name[STORE_NAME_MAX + 1];
    if (reading->source->name)
        return set_name(reading, reading->source->name, error);
    if (value) {
        int code = value->type == DOCUMENT_TEXT ? set_name(reading, value->text, error)
                                                : error_set(error, -EINVAL, "a text is wanted");
        if (code)
            error_prefix(error, "name: ");
        return code ? group_at(reading, value->line, value->column, error) : 0;
    }
    name_of_directory(reading->source->directory, name);
    if (name[0])
        return set_name(reading, name, error);
    error_set(error, -EINVAL, "%s: the group has no name", reading->source->path);
    error_hint(error, "begin the file with a line such as \"name: lab\"");
    return -EINVAL;
}

static int read_domains(struct group_reading *reading, const struct document_value *value,
                        struct error *error)
{
    struct group *group = reading->group;
    int code = 0;
    if (!value || value->type != DOCUMENT_MAP || !value->count) {
        error_set(error, -EINVAL, "domains: there are none");
        error_hint(error, "domains: {NAME: {program: {command: [PROGRAM]}}}");
        return group_at(reading, value ? value->line : 1, value ? value->column : 1, error);
    }
    if (value->count > GROUP_DOMAINS_MAX) {
        error_set(error, -E2BIG, "domains: there are %u, and at most %d can be", value->count,
                  GROUP_DOMAINS_MAX);
        return group_at(reading, value->line, value->column, error);
    }
    group->domains = calloc(value->count, sizeof *group->domains);
    if (!group->domains)
        return error_set(error, -ENOMEM, "out of memory");
    for (unsigned i = 0; !code && i < value->count; i++)
        code = group_read_domain(reading, &value->entries[i], &group->domains[group->count++], error);
    return code ? code : group_read_needs(reading, value, error);
}

/* The names that can be at the top. */
static const char *const top_names[] = {"name", "networks", "domains", NULL};

static const char *top_next(void *opaque)
{
    const char *const **at = opaque;
    return **at ? *(*at)++ : NULL;
}

static int check_top(const struct group_reading *reading, const struct document_value *root,
                     struct error *error)
{
    for (unsigned i = 0; i < root->count; i++) {
        const struct document_entry *entry = &root->entries[i];
        const char *const *at = top_names;
        while (*at && strcmp(*at, entry->name) != 0)
            at++;
        if (*at || strncmp(entry->name, "x-", 2) == 0)
            continue;
        at = top_names;
        const char *meant = similar_find(entry->name, top_next, &at);
        error_set(error, -EINVAL, "%.64s: there is no such part of a group", entry->name);
        if (strcmp(entry->name, "services") == 0)
            error_hint(error, "they are called domains here");
        else if (meant)
            error_hint(error, "did you mean %s?", meant);
        else
            error_hint(error, "there are name, networks, domains, and x-... for what only anchors are on");
        return group_at(reading, entry->line, entry->column, error);
    }
    return 0;
}

static const struct document_value *part(const struct document_value *root, const char *name)
{
    const struct document_entry *entry = document_find(root, name);
    return entry ? entry->value : NULL;
}

static int read_parts(struct group_reading *reading, struct error *error)
{
    const struct document_value *root = reading->document.root;
    if (!root || root->type != DOCUMENT_MAP) {
        error_set(error, -EINVAL, "a group is a map that has \"domains\" in it");
        return group_at(reading, root ? root->line : 1, root ? root->column : 1, error);
    }
    int code = check_top(reading, root, error);
    if (!code)
        code = read_name(reading, part(root, "name"), error);
    if (!code && part(root, "networks"))
        code = group_read_networks(reading, part(root, "networks"), error);
    return code ? code : read_domains(reading, part(root, "domains"), error);
}

int group_read(struct group *group, const struct group_source *source, struct error *error)
{
    struct group_reading reading = {.group = group, .source = source};
    struct variables variables = {.environment = source->environment};
    int code = 0;
    *group = (struct group){0};
    if (source->variables)
        code = variables_read(&variables, source->variables, source->variables_size, source->variables_path,
                              error);
    if (!code)
        code = document_read(&reading.document, source->text, source->size, source->path, &variables,
                             &group->warnings, error);
    if (!code)
        code = read_parts(&reading, error);
    document_free(&reading.document);
    variables_free(&variables);
    return code;
}

void group_free(struct group *group)
{
    for (unsigned i = 0; i < group->count; i++) {
        struct group_domain *domain = &group->domains[i];
        free(domain->name);
        free(domain->needs);
        domain_list_clear(&domain->ready);
        json_decref(domain->document);
        domain_config_free(&domain->config);
    }
    for (unsigned i = 0; i < group->network_count; i++) {
        free(group->networks[i].name);
        json_decref(group->networks[i].options);
    }
    free(group->domains);
    free(group->networks);
    domain_list_clear(&group->warnings);
    *group = (struct group){0};
}

/* -- files ----------------------------------------------------------------------------------------------- */

/* All of a file; -ENOENT among others. */
static int read_whole(const char *path, struct buffer *text, struct error *error)
{
    const bool standard = strcmp(path, "-") == 0;
    uint8_t piece[16384];
    ssize_t size;
    int fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return error_set(error, -errno, "cannot read %s: %s", path, strerror(errno));
    while ((size = read(fd, piece, sizeof piece)) > 0 && text->size <= DOMAIN_DOCUMENT_MAX)
        buffer_append(text, piece, (size_t)size);
    int code = size < 0 ? error_set(error, -errno, "cannot read %s: %s", path, strerror(errno)) : 0;
    close(fd);
    return !code && text->failed ? error_set(error, -ENOMEM, "cannot read %s: out of memory", path) : code;
}

/* The directory that a file is in, without symbolic links; of standard input the working directory. */
static int directory_of(const char *path, char directory[PATH_MAX], struct error *error)
{
    char copy[PATH_MAX];
    if ((size_t)snprintf(copy, sizeof copy, "%s", path) >= sizeof copy)
        return error_set(error, -ENAMETOOLONG, "the file's name is longer than %d bytes", PATH_MAX);
    if (realpath(strcmp(path, "-") == 0 ? "." : dirname(copy), directory))
        return 0;
    return error_set(error, -errno, "cannot tell the directory of %s: %s", path, strerror(errno));
}

static const char *usual_path(struct error *error)
{
    static const char *const names[] = {"visor.yaml", "visor.yml"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (access(names[i], F_OK) == 0)
            return names[i];
    }
    error_set(error, -ENOENT, "there is neither visor.yaml nor visor.yml here");
    error_hint(error, "give the file: -f FILE");
    return NULL;
}

int group_read_file(struct group *group, const char *path, const char *name, struct error *error)
{
    char directory[PATH_MAX], variables_path[PATH_MAX + 8];
    struct buffer text = {0}, variables = {0};
    *group = (struct group){0};
    if (!path && !(path = usual_path(error)))
        return error->code;
    int code = read_whole(path, &text, error);
    if (!code)
        code = directory_of(path, directory, error);
    if (!code) {
        snprintf(variables_path, sizeof variables_path, "%s/.env", directory);
        code = access(variables_path, F_OK) == 0 ? read_whole(variables_path, &variables, error) : 0;
    }
    if (!code) {
        const struct group_source source = {
            .text = (const char *)text.data,
            .size = text.size,
            .path = strcmp(path, "-") == 0 ? "standard input" : path,
            .directory = directory,
            .name = name,
            .environment = (const char *const *)environ,
            .variables = (const char *)variables.data,
            .variables_path = variables_path,
            .variables_size = variables.size,
        };
        code = group_read(group, &source, error);
    }
    buffer_free(&text);
    buffer_free(&variables);
    return code;
}
