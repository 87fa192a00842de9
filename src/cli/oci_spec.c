/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oci spec: a config.json to begin with. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/oci.h"
#include "personality/container/oci_template.h"

enum option { BUNDLE, ROOTLESS };

static const struct command_option options[] = {
    [BUNDLE] = {.name = "bundle",
                .argument = "DIR",
                .help = "Write it there, not into the current directory",
                .is_file = true,
                .letter = 'b'},
    [ROOTLESS] = {.name = "rootless", .help = "For an ordinary user: with a user namespace, and no limits"},
    {0},
};

static struct spec_state {
    const char *bundle;
    bool rootless;
} spec_state = {.bundle = "."};

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct spec_state *state = context;
    (void)error;
    if (index == BUNDLE)
        state->bundle = argument;
    else
        state->rootless = true;
    return 0;
}

static int write_document(const char *path, const json_t *document, struct error *error)
{
    char *text = json_dumps(document, JSON_INDENT(4));
    int fd = text ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    int code = fd < 0 || dprintf(fd, "%s\n", text) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    free(text);
    if (code == -EEXIST)
        return error_set(error, code, "%s exists already: remove it first", path);
    return code < 0 ? error_set(error, code, "cannot write %s: %s", path, strerror(-code)) : 0;
}

static int run_spec(void *context, int count, char **words)
{
    const struct spec_state *state = context;
    struct error error = ERROR_INIT;
    char path[PATH_MAX];
    (void)words;
    if (!oci_check_words(&oci_spec, count, 0, 0))
        return STATUS_USAGE;
    json_t *document = oci_template_make(
        &(struct oci_template){.rootless = state->rootless, .host_network = state->rootless});
    snprintf(path, sizeof path, "%s/config.json", state->bundle);
    int code = write_document(path, document, &error);
    json_decref(document);
    return code < 0 ? oci_fail(&error) : STATUS_OK;
}

const struct command oci_spec = {
    .name = "oci spec",
    .arguments = "",
    .summary = "Writes a config.json to begin with",
    .options = options,
    .option = set_option,
    .run = run_spec,
    .state = &spec_state,
};
