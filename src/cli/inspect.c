/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inspect: everything that is known of domains, as JSON. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/domain_each.h"
#include "cli/domain_view.h"

enum { FIELD };

static const struct command_option options[] = {
    [FIELD] = {.name = "field",
               .argument = "PATH",
               .letter = 'f',
               .help = "Only this: config.machine.memory, config.machine.disks[0], state.status"},
    {0},
};

static const char *field;

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    (void)context;
    (void)index;
    (void)error;
    field = argument;
    return 0;
}

/* The value at a path of names and [indices]; NULL: there is none. */
static json_t *value_at(json_t *value, const char *path)
{
    while (value && *path) {
        char name[128];
        size_t length;
        if (*path == '[') {
            char *end;
            unsigned long index = strtoul(path + 1, &end, 10);
            if (end == path + 1 || *end != ']')
                return NULL;
            value = json_array_get(value, index);
            path = end + 1;
        } else {
            path += *path == '.';
            length = strcspn(path, ".[");
            if (!length || length >= sizeof name)
                return NULL;
            memcpy(name, path, length);
            name[length] = '\0';
            value = json_object_get(value, name);
            path += length;
        }
    }
    return value;
}

static int inspect_one(struct domain *domain, void *opaque, struct error *error)
{
    struct domain_view view;
    json_t *array = opaque;
    int code = domain_view_read(&view, domain, error);
    if (!code && view.damaged)
        error_report(error);
    json_t *whole = code ? NULL : domain_view_json(&view, domain);
    if (!code && !whole)
        code = error_set(error, -ENOMEM, "out of memory");
    json_t *value = code || !field ? whole : value_at(whole, field);
    if (!code && !value) {
        code = error_set(error, -ENOENT, "%s: %s has no such field", field, domain->name);
        error_hint(error, "visor inspect %s shows all", domain->name);
    }
    if (!code && !field)
        code = json_array_append(array, whole) ? error_set(error, -ENOMEM, "out of memory") : 0;
    else if (!code && json_is_string(value))
        printf("%s\n", json_string_value(value));
    else if (!code && !json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY))
        putchar('\n');
    json_decref(whole);
    domain_view_free(&view);
    return code;
}

static int run_inspect(void *context, int count, char **words)
{
    json_t *array = json_array();
    (void)context;
    const struct domain_each each = {
        .command = "inspect", .silent = true, .one = inspect_one, .opaque = array};
    int status = domain_each_run(&each, count, words);
    if (status != STATUS_USAGE && !field) {
        json_dumpf(array, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(array);
    return status;
}

const struct command command_inspect = {
    .name = "inspect",
    .arguments = "NAME…",
    .domains = true,
    .summary = "Prints all that is known of domains, as JSON",
    .details = "What is under \"config\" is for \"visor create --from\":\n"
               "  visor inspect -f config web | visor create --from - --name web2\n",
    .options = options,
    .option = set_option,
    .run = run_inspect,
};
