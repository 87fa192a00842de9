/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oci: the OCI runtime's command line: finds the command among its own, and tells errors as callers want
 * them. */
#include "cli/oci.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "personality/container/oci_config.h"
#include "personality/container/store.h"

struct oci_options oci_options;

const struct command *const oci_commands[] = {
    &oci_create, &oci_start,    &oci_state,      &oci_kill,    &oci_delete, &oci_run,
    &oci_exec,   &oci_ps,       &oci_list,       &oci_pause,   &oci_resume, &oci_update,
    &oci_spec,   &oci_features, &oci_checkpoint, &oci_restore, NULL,
};

enum option { ROOT, LOG, LOG_FORMAT, DEBUG, SYSTEMD_CGROUP, ROOTLESS, VERSION };

static const struct command_option options[] = {
    [ROOT] = {.name = "root", .argument = "DIR", .help = "Where containers are remembered", .is_file = true},
    [LOG] = {.name = "log", .argument = "FILE", .help = "Write errors there, too", .is_file = true},
    [LOG_FORMAT] = {.name = "log-format",
                    .argument = "FORMAT",
                    .help = "As what: text or json",
                    .choices = "text json"},
    [DEBUG] = {.name = "debug", .help = "Accepted for callers that give it"},
    [SYSTEMD_CGROUP] = {.name = "systemd-cgroup", .help = "Let systemd make the cgroups"},
    [ROOTLESS] = {.name = "rootless",
                  .argument = "WHEN",
                  .help = "Accepted for callers that give it: rights are found out",
                  .choices = "auto true false"},
    [VERSION] = {.name = "version", .help = "Print visor's version, and the specification's", .letter = 'v'},
    {0},
};

static bool version_wanted;

static int set_option(void *state, int index, const char *argument, struct error *error)
{
    (void)state;
    switch ((enum option)index) {
    case ROOT: oci_options.state_root = argument; return 0;
    case LOG: oci_options.log = argument; return 0;
    case LOG_FORMAT:
        if (strcmp(argument, "json") != 0 && strcmp(argument, "text") != 0)
            return error_set(error, -EINVAL, "--log-format is text or json, not \"%s\"", argument);
        oci_options.log_json = argument[0] == 'j';
        return 0;
    case DEBUG: oci_options.debug = true; return 0;
    case SYSTEMD_CGROUP: oci_options.systemd_cgroup = true; return 0;
    case ROOTLESS: return 0;
    case VERSION: version_wanted = true; return 0;
    }
    return error_set(error, -EINVAL, "unknown option");
}

/* One line, in one write: several may write to the same log. */
static void write_log(const struct error *error)
{
    char when[40];
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &parts);
    json_t *line = json_pack("{s:s, s:s, s:s}", "level", "error", "msg", error->message, "time", when);
    char *json = line ? json_dumps(line, JSON_COMPACT) : NULL;
    int fd = open(oci_options.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd >= 0 && json) {
        if (oci_options.log_json)
            dprintf(fd, "%s\n", json);
        else
            dprintf(fd, "time=\"%s\" level=error msg=\"%s\"\n", when, error->message);
    }
    if (fd >= 0)
        close(fd);
    free(json);
    json_decref(line);
}

int oci_fail(const struct error *error)
{
    if (oci_options.log)
        write_log(error);
    error_report(error);
    return STATUS_FAILED;
}

bool oci_check_words(const struct command *command, int count, int least, int most)
{
    if (count >= least && count <= most)
        return true;
    fprintf(stderr, "visor: %s: %s\n  hint: visor %s %s\n", command->name,
            count < least ? "an argument is missing" : "too many arguments", command->name,
            command->arguments);
    return false;
}

int oci_parse_number(const char *text, const char *option, unsigned *number, struct error *error)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-' || value > 0x7fffffff)
        return error_set(error, -EINVAL, "--%s: \"%s\" is not a number", option, text);
    *number = (unsigned)value;
    return 0;
}

static int run_oci(void *state, int count, char **words)
{
    (void)state;
    if (version_wanted) {
        printf("visor version %s\nspec: %s\n", VISOR_VERSION, OCI_VERSION);
        return STATUS_OK;
    }
    if (!oci_options.state_root)
        oci_options.state_root = store_default_root();
    if (!count || !oci_options.state_root) {
        fprintf(stderr, "visor: oci: which command?\n  hint: \"visor help oci\" lists them\n");
        return STATUS_USAGE;
    }
    for (unsigned i = 0; oci_commands[i]; i++) {
        if (strcmp(oci_commands[i]->name + strlen("oci "), words[0]) == 0)
            return command_run(oci_commands[i], count, words);
    }
    fprintf(stderr, "visor: oci: there is no command \"%s\"\n  hint: \"visor help oci\" lists them\n",
            words[0]);
    return STATUS_USAGE;
}

const struct command command_oci = {
    .name = "oci",
    .arguments = "COMMAND [OPTION…] [ARGUMENT…]",
    .words =
        "create start state kill delete run exec ps list pause resume update spec features checkpoint restore",
    .summary = "Runs containers as an OCI runtime, for podman, containerd and others",
    .details =
        "Commands: create start state kill delete run exec ps list pause resume update spec features\n"
        "checkpoint restore.\n"
        "\"visor oci COMMAND --help\" tells more about one. Called as visor-oci, visor is this command.\n"
        "\n"
        "Examples:\n"
        "  visor oci spec && visor oci run test\n"
        "  podman --runtime /usr/bin/visor-oci run debian\n",
    .options = options,
    .option = set_option,
    .run = run_oci,
};
