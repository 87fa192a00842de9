/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ps: lists domains. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "cli/command.h"
#include "cli/domain_view.h"
#include "cli/group_words.h"
#include "cli/table.h"

#define FILTERS_MAX 16
#define SHORT_ID    12

enum { ALL, QUIET, JSON, FORMAT, FILTER, GROUP, GROUP_FILE, NO_TRUNC };

static const struct command_option options[] = {
    [ALL] = {.name = "all", .letter = 'a', .help = "Those that do not run, too"},
    [QUIET] = {.name = "quiet", .letter = 'q', .help = "Only their ids"},
    [JSON] = {.name = "json", .help = "Print JSON"},
    [FORMAT] = {.name = "format",
                .argument = "TEXT",
                .help = "A line of this for each: '{{.Name}} {{.Status}}'; or json"},
    [FILTER] = {.name = "filter",
                .argument = "K=V",
                .letter = 'f',
                .choices = "name= id= status= kind= label=",
                .help = "Only those whose name, id, status, kind or label is this (may be repeated)"},
    [GROUP] = {.name = "group", .argument = "NAME", .help = "Only those of this group"},
    [GROUP_FILE] = {.name = "file",
                    .argument = "FILE",
                    .is_file = true,
                    .help = "Only those of the group in this file; also -f FILE, if FILE is no filter"},
    [NO_TRUNC] = {.name = "no-trunc", .help = "Whole ids"},
    {0},
};

static struct ps_state {
    bool all, quiet, json, no_trunc;
    const char *format;
    const char *filters[FILTERS_MAX];
    unsigned filter_count;
    const char *file;               /* of a group */
    char group[STORE_NAME_MAX + 1]; /* "": any */
} ps;

/* -- options --------------------------------------------------------------------------------------------- */

static int add_filter(const char *text, struct error *error)
{
    static const char *const names[] = {"name=", "id=", "status=", "kind=", "label="};
    if (ps.filter_count == FILTERS_MAX)
        return error_set(error, -E2BIG, "more than %d filters", FILTERS_MAX);
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (strncmp(text, names[i], strlen(names[i])) == 0) {
            ps.filters[ps.filter_count++] = text;
            return 0;
        }
    }
    if (access(text, R_OK) == 0 || strcmp(text, "-") == 0) { /* -f FILE, as "visor up" has it */
        ps.file = text;
        return 0;
    }
    error_set(error, -EINVAL, "there is no filter \"%s\", nor such a file", text);
    error_hint(error, "name=PART, id=BEGINNING, status=STATUS, kind=KIND, label=KEY[=VALUE]");
    return -EINVAL;
}

/* The field whose name follows {{. */
static bool field_at(const char *text, char name[32], size_t *length)
{
    *length = strcspn(text + 3, "}");
    if (*length >= 32 || strncmp(text + 3 + *length, "}}", 2) != 0)
        return false;
    memcpy(name, text + 3, *length);
    name[*length] = '\0';
    *length += 5;
    for (unsigned i = 0; domain_view_fields[i]; i++) {
        if (strcmp(domain_view_fields[i], name) == 0)
            return true;
    }
    return false;
}

static int set_format(const char *text, struct error *error)
{
    char name[32], known[128] = "";
    size_t length;
    ps.json = strcmp(text, "json") == 0;
    ps.format = ps.json ? NULL : text;
    for (const char *at = strstr(text, "{{."); at; at = strstr(at + 1, "{{.")) {
        if (field_at(at, name, &length))
            continue;
        for (unsigned i = 0; domain_view_fields[i]; i++) {
            strcat(known, i ? " ." : ".");
            strcat(known, domain_view_fields[i]);
        }
        error_set(error, -EINVAL, "--format: there is no field at \"%.40s\"", at);
        error_hint(error, "there are %s", known);
        return -EINVAL;
    }
    return 0;
}

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    (void)context;
    switch (index) {
    case ALL: ps.all = true; break;
    case QUIET: ps.quiet = true; break;
    case JSON: ps.json = true; break;
    case FORMAT: return set_format(argument, error);
    case FILTER: return add_filter(argument, error);
    case GROUP: snprintf(ps.group, sizeof ps.group, "%s", argument); break;
    case GROUP_FILE: ps.file = argument; break;
    default: ps.no_trunc = true;
    }
    return 0;
}

/* -- which ----------------------------------------------------------------------------------------------- */

static bool has_label(const struct domain_view *view, const char *wanted)
{
    const struct domain_list *labels = &view->config.labels;
    size_t length = strlen(wanted);
    for (unsigned i = 0; i < labels->count; i++) {
        const char *label = labels->items[i];
        if (strncmp(label, wanted, length) == 0 &&
            (!label[length] || (label[length] == '=' && !strchr(wanted, '='))))
            return true;
    }
    return false;
}

static bool passes(const struct domain_view *view, const char *filter)
{
    const char *value = strchr(filter, '=') + 1;
    switch (filter[0]) {
    case 'n': return strstr(view->name, value);
    case 'i': return strncmp(view->id, value, strlen(value)) == 0;
    case 's': return strcmp(domain_phase_text(view->state.status), value) == 0;
    case 'k': return !view->damaged && strcmp(view->config.kind, value) == 0;
    default: return has_label(view, value);
    }
}

/* A filter by status speaks of those that do not run, too. */
static bool is_wanted(const struct domain_view *view)
{
    const char *group = ps.group[0] ? group_label(&view->config, GROUP_LABEL) : "";
    bool all = ps.all;
    if (!group || strcmp(group, ps.group) != 0)
        return false;
    for (unsigned i = 0; i < ps.filter_count; i++) {
        all |= ps.filters[i][0] == 's';
        if (!passes(view, ps.filters[i]))
            return false;
    }
    return all || domain_state_lives(&view->state);
}

static int newest_first(const void *one, const void *two)
{
    const struct domain_view *a = one, *b = two;
    return a->state.created < b->state.created ? 1 : -(a->state.created > b->state.created);
}

/* -- how ------------------------------------------------------------------------------------------------- */

static void print_format(const struct domain_view *view)
{
    char name[32], text[DOMAIN_TEXT_MAX + 1];
    size_t length;
    for (const char *at = ps.format; *at; at++) {
        if (strncmp(at, "{{.", 3) == 0 && field_at(at, name, &length)) {
            fputs(domain_view_text(view, name, text, sizeof text), stdout);
            at += length - 1;
        } else if (at[0] == '\\' && (at[1] == 't' || at[1] == 'n')) {
            putchar(*++at == 't' ? '\t' : '\n');
        } else {
            putchar(*at);
        }
    }
    putchar('\n');
}

static void print_table(const struct domain_view *views, unsigned count)
{
    static const char *const fields[] = {"ID", "Name", "Kind", "Image", "Created", "Status"};
    static const char *const heads[] = {"ID", "NAME", "KIND", "IMAGE", "CREATED", "STATUS"};
    struct table table = {.columns = ARRAY_SIZE(fields)};
    char text[DOMAIN_TEXT_MAX + 1];
    for (unsigned i = 0; i < ARRAY_SIZE(heads); i++)
        table_add(&table, heads[i]);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(fields); j++) {
            domain_view_text(&views[i], fields[j], text, sizeof text);
            if (j == 0 && !ps.no_trunc)
                text[SHORT_ID] = '\0';
            table_add(&table, text);
        }
    }
    table_print(&table);
}

static int print_json(const struct domain_view *views, unsigned count)
{
    json_t *array = json_array();
    int failed = 0;
    for (unsigned i = 0; i < count; i++)
        failed |= json_array_append_new(array, domain_view_json(&views[i], NULL));
    if (!failed)
        failed = json_dumpf(array, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(array);
    return failed ? STATUS_FAILED : STATUS_OK;
}

static int print(const struct domain_view *views, unsigned count)
{
    if (ps.json)
        return print_json(views, count);
    for (unsigned i = 0; i < count && ps.quiet; i++)
        printf("%.*s\n", ps.no_trunc ? STORE_ID_DIGITS : SHORT_ID, views[i].id);
    for (unsigned i = 0; i < count && !ps.quiet && ps.format; i++)
        print_format(&views[i]);
    if (!ps.quiet && !ps.format)
        print_table(views, count);
    return STATUS_OK;
}

static unsigned read_views(struct domain_store *store, const struct domain_store_entry *entries,
                           unsigned count, struct domain_view *views)
{
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++) {
        struct domain domain = {0};
        struct error error = ERROR_INIT;
        if (domain_open(&domain, store, entries[i].id, NULL))
            continue; /* it was removed meanwhile */
        memcpy(domain.name, entries[i].name, sizeof domain.name);
        int code = domain_view_read(&views[found], &domain, &error);
        if (code && code != -ENOENT)
            error_report(&error);
        if (!code && is_wanted(&views[found]))
            found++;
        else
            domain_view_free(&views[found]);
        domain_close(&domain);
    }
    return found;
}

/* The name of the group whose file was given. */
static int read_group(void)
{
    const struct group_words words = {.path = ps.file, .name = ps.group[0] ? ps.group : NULL};
    struct group group;
    struct error error = ERROR_INIT;
    int code = group_words_read(&words, false, &group, &error);
    if (code)
        error_report(&error);
    memcpy(ps.group, group.name, sizeof ps.group);
    group_free(&group);
    return code;
}

static int run_ps(void *context, int count, char **words)
{
    struct domain_store store;
    struct domain_store_entry *entries;
    struct error error = ERROR_INIT;
    unsigned entry_count;
    (void)context;
    if (count) {
        fprintf(stderr, "visor: ps: it takes no words, and \"%s\" is one\n  hint: --filter name=%s\n",
                words[0], words[0]);
        return STATUS_USAGE;
    }
    if (ps.file && read_group())
        return STATUS_USAGE;
    if (domain_store_open(&store, false, &error) ||
        domain_store_list(&store, &entries, &entry_count, &error)) {
        error_report(&error);
        return STATUS_FAILED;
    }
    struct domain_view *views = calloc(entry_count + 1, sizeof *views);
    unsigned found = views ? read_views(&store, entries, entry_count, views) : 0;
    int status = STATUS_FAILED;
    if (views) {
        qsort(views, found, sizeof *views, newest_first);
        status = print(views, found);
    }
    for (unsigned i = 0; i < found; i++)
        domain_view_free(&views[i]);
    free(views);
    free(entries);
    domain_store_close(&store);
    return status;
}

const struct command command_ps = {
    .name = "ps",
    .arguments = "",
    .summary = "Lists the domains that run",
    .details = "Fields of --format: .ID .Name .Kind .Image .Created .State .Status .Pid .Restarts\n",
    .options = options,
    .option = set_option,
    .run = run_ps,
};
