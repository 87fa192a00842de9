/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oci update: other limits for a container that runs. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "cli/oci.h"
#include "personality/container/container.h"
#include "personality/container/resources.h"

enum option {
    RESOURCES,
    CPUSET_CPUS,
    CPUSET_MEMS,
    NUMBERS, /* the rest are numbers, by the table below */
    MEMORY = NUMBERS,
    MEMORY_RESERVATION,
    MEMORY_SWAP,
    CPU_SHARE,
    CPU_QUOTA,
    CPU_PERIOD,
    CPU_BURST,
    CPU_IDLE,
    PIDS_LIMIT,
    BLKIO_WEIGHT,
};

static const struct command_option options[] = {
    [RESOURCES] = {.name = "resources",
                   .argument = "FILE",
                   .help = "All by this file, an object linux.resources; - is standard input",
                   .is_file = true,
                   .letter = 'r'},
    [CPUSET_CPUS] = {.name = "cpuset-cpus", .argument = "LIST", .help = "Run on these processors: 0-3,7"},
    [CPUSET_MEMS] = {.name = "cpuset-mems", .argument = "LIST", .help = "With memory of these nodes"},
    [MEMORY] = {.name = "memory", .argument = "SIZE", .help = "How much memory; -1 for no limit"},
    [MEMORY_RESERVATION] = {.name = "memory-reservation",
                            .argument = "SIZE",
                            .help = "Above it, give back first"},
    [MEMORY_SWAP] = {.name = "memory-swap",
                     .argument = "SIZE",
                     .help = "Memory and swap together; -1: no limit"},
    [CPU_SHARE] = {.name = "cpu-share", .argument = "N", .help = "Share of processor time, others have 1024"},
    [CPU_QUOTA] = {.name = "cpu-quota", .argument = "N", .help = "Microseconds in a period; -1: no limit"},
    [CPU_PERIOD] = {.name = "cpu-period", .argument = "N", .help = "How long a period is"},
    [CPU_BURST] = {.name = "cpu-burst", .argument = "N", .help = "How much unused time may be saved up"},
    [CPU_IDLE] = {.name = "cpu-idle", .argument = "N", .help = "1: run only when nothing else wants to"},
    [PIDS_LIMIT] = {.name = "pids-limit",
                    .argument = "N",
                    .help = "How many processes and threads; -1: no limit"},
    [BLKIO_WEIGHT] = {.name = "blkio-weight", .argument = "N", .help = "Share of disk time, 10 to 1000"},
    {0},
};

#define NUMBER(member, size)                                                                                 \
    {                                                                                                        \
        offsetof(struct resources, member), size                                                             \
    }
static const struct {
    size_t offset;
    bool is_size; /* K, M and G may follow */
} numbers[] = {
    [MEMORY] = NUMBER(memory.limit, true),     [MEMORY_RESERVATION] = NUMBER(memory.reservation, true),
    [MEMORY_SWAP] = NUMBER(memory.swap, true), [CPU_SHARE] = NUMBER(cpu.shares, false),
    [CPU_QUOTA] = NUMBER(cpu.quota, false),    [CPU_PERIOD] = NUMBER(cpu.period, false),
    [CPU_BURST] = NUMBER(cpu.burst, false),    [CPU_IDLE] = NUMBER(cpu.idle, false),
    [PIDS_LIMIT] = NUMBER(pids, false),        [BLKIO_WEIGHT] = NUMBER(block_io.weight, false),
};

static struct update_state {
    const char *file;
    struct resources resources;
    bool given; /* any but --resources */
} update_state;

static int set_number(struct update_state *state, int index, const char *text, struct error *error)
{
    struct resource_number *number =
        (struct resource_number *)(void *)((char *)&state->resources + numbers[index].offset);
    char *end;
    uint64_t bytes;
    errno = 0;
    number->set = true;
    number->value = strtoll(text, &end, 10);
    if (!errno && end != text && !*end)
        return 0;
    int code =
        numbers[index].is_size && size_parse(text, options[index].name, 0, INT64_MAX, &bytes, NULL) == 0
            ? 0
            : error_set(error, -EINVAL, "--%s: \"%s\" is not a number", options[index].name, text);
    if (code == 0)
        number->value = (int64_t)bytes;
    return code;
}

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct update_state *state = context;
    state->given |= index != RESOURCES;
    switch (index) {
    case RESOURCES: state->file = argument; return 0;
    case CPUSET_CPUS: state->resources.cpu.cpus = argument; return 0;
    case CPUSET_MEMS: state->resources.cpu.mems = argument; return 0;
    default: return set_number(state, index, argument, error);
    }
}

static int read_resources(const char *path, json_t **document, struct resources *resources,
                          struct error *error)
{
    json_error_t problem;
    *document = strcmp(path, "-") == 0 ? json_loadf(stdin, 0, &problem) : json_load_file(path, 0, &problem);
    if (!*document)
        return error_set(error, -EINVAL, "--resources: %s: %s", path, problem.text);
    int code = resources_parse(resources, *document, "linux.resources", error);
    resources->devices_set =
        false; /* rules for devices stay: callers leave out those that every container has */
    return code;
}

static int run_update(void *context, int count, char **words)
{
    struct update_state *state = context;
    struct error error = ERROR_INIT;
    json_t *document = NULL;
    if (!oci_check_words(&oci_update, count, 1, 1))
        return STATUS_USAGE;
    int code = state->file && state->given
                   ? error_set(&error, -EINVAL, "--resources says it all: no other option goes with it")
                   : 0;
    if (code == 0 && state->file)
        code = read_resources(state->file, &document, &state->resources, &error);
    if (code == 0)
        code = container_update(oci_options.state_root, words[0], &state->resources, &error);
    if (state->file)
        resources_free(&state->resources);
    json_decref(document);
    return code < 0 ? oci_fail(&error) : STATUS_OK;
}

const struct command oci_update = {
    .name = "oci update",
    .arguments = "ID",
    .summary = "Changes the limits of a container, also while it runs",
    .options = options,
    .option = set_option,
    .run = run_update,
    .state = &update_state,
};
