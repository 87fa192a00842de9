/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oci list, ps: the containers, and the processes in one. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/visible.h"
#include "cli/oci.h"
#include "personality/container/container.h"
#include "personality/container/store.h"

enum option { FORMAT, QUIET };

static const struct command_option list_options[] = {
    [FORMAT] = {.name = "format",
                .argument = "FORMAT",
                .help = "As a table or json",
                .choices = "table json",
                .letter = 'f'},
    [QUIET] = {.name = "quiet", .help = "Only the ids", .letter = 'q'},
    {0},
};
static const struct command_option ps_options[] = {
    [FORMAT] = {.name = "format",
                .argument = "FORMAT",
                .help = "As a table or json",
                .choices = "table json",
                .letter = 'f'},
    {0},
};

static struct list_state {
    bool json, quiet;
} list_state;

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct list_state *state = context;
    if (index == QUIET)
        state->quiet = true;
    else if (strcmp(argument, "json") == 0 || strcmp(argument, "table") == 0)
        state->json = argument[0] == 'j';
    else
        return error_set(error, -EINVAL, "--format is table or json, not \"%s\"", argument);
    return 0;
}

static void print_row(const struct container_state *state)
{
    const struct store_record *record = &state->entry->record;
    printf("%-20s %-8d %-9s %-40s %-30s %u\n", record->id,
           state->status == CONTAINER_STOPPED ? 0 : record->pid, container_status_name(state->status),
           record->bundle, record->created, record->owner);
}

/* One that is just being made or deleted is not there, for this. */
static void list_one(const struct list_state *options, const char *id, json_t *all)
{
    struct error ignored = ERROR_INIT;
    struct container_state state;
    if (options->quiet) {
        puts(id);
        return;
    }
    if (container_state(oci_options.state_root, id, &state, &ignored) < 0)
        return;
    if (options->json) {
        json_t *document = container_state_document(&state);
        json_object_set_new(document, "owner", json_integer(state.entry->record.owner));
        json_array_append_new(all, document);
    } else {
        print_row(&state);
    }
    container_state_free(&state);
}

static int run_list(void *context, int count, char **words)
{
    const struct list_state *options = context;
    struct error error = ERROR_INIT;
    char **ids;
    (void)words;
    if (!oci_check_words(&oci_list, count, 0, 0))
        return STATUS_USAGE;
    if (store_list(oci_options.state_root, &ids, &error) < 0)
        return oci_fail(&error);
    json_t *all = json_array();
    if (!options->json && !options->quiet)
        printf("%-20s %-8s %-9s %-40s %-30s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER");
    for (char **id = ids; *id; id++)
        list_one(options, *id, all);
    if (options->json) {
        json_dumpf(all, stdout, JSON_COMPACT);
        putchar('\n');
    }
    json_decref(all);
    store_list_free(ids);
    return STATUS_OK;
}

/* "Name:", "PPid:" and such of /proc/PID/status; "" if it has ended. */
static void read_status(pid_t pid, const char *name, char *value, size_t size)
{
    char path[64], line[256];
    size_t length = strlen(name);
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    value[0] = '\0';
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, name, length) != 0 || line[length] != ':')
            continue;
        char *word = line + length + 1 + strspn(line + length + 1, " \t");
        snprintf(value, size, "%.*s", (int)strcspn(word, "\t\n"), word);
        break;
    }
    if (file)
        fclose(file);
}

static void print_process(pid_t pid)
{
    char name[64], parent[16], user[16], path[64], words[256];
    read_status(pid, "Name", name, sizeof name);
    read_status(pid, "PPid", parent, sizeof parent);
    read_status(pid, "Uid", user, sizeof user);
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    FILE *file = fopen(path, "re");
    size_t size = file ? fread(words, 1, sizeof words - 1, file) : 0;
    if (file)
        fclose(file);
    while (size && !words[size - 1])
        size--;
    words[size] = '\0';
    for (size_t i = 0; i < size; i++)
        words[i] = words[i] ? words[i] : ' ';
    visible_make(words, size);
    visible_make(name, strlen(name));
    printf("%-8s %-8d %-8s %s\n", user, (int)pid, parent, size ? words : name);
}

static int run_ps(void *context, int count, char **words)
{
    const struct list_state *options = context;
    struct error error = ERROR_INIT;
    pid_t *pids;
    size_t number;
    if (!oci_check_words(&oci_ps, count, 1, 1))
        return STATUS_USAGE;
    if (container_processes(oci_options.state_root, words[0], &pids, &number, &error) < 0)
        return oci_fail(&error);
    if (!options->json)
        printf("%-8s %-8s %-8s %s\n", "UID", "PID", "PPID", "CMD");
    for (size_t i = 0; i < number; i++) {
        if (options->json)
            printf("%s%d", i ? "," : "[", (int)pids[i]);
        else
            print_process(pids[i]);
    }
    if (options->json)
        printf("%s]\n", number ? "" : "[");
    free(pids);
    return STATUS_OK;
}

const struct command oci_list = {
    .name = "oci list",
    .arguments = "",
    .summary = "Lists the containers of this state directory",
    .options = list_options,
    .option = set_option,
    .run = run_list,
    .state = &list_state,
};

const struct command oci_ps = {
    .name = "oci ps",
    .arguments = "ID",
    .summary = "Lists the processes in a container, with the host's process ids",
    .options = ps_options,
    .option = set_option,
    .run = run_ps,
    .state = &list_state,
};
