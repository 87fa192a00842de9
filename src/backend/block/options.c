/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend/block/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/block/overlay.h"
#include "backend/block/raw.h"

static int option_choose(const char *option, const char *value, const char *one, const char *two,
                         bool *is_two, struct error *error)
{
    *is_two = !strcmp(value, two);
    if (*is_two || !strcmp(value, one))
        return 0;
    return error_set(error, -EINVAL, "%s=%s: it is %s or %s", option, value, one, two);
}

static int option_set(struct block_options *options, char *option, struct error *error)
{
    bool second;
    char *value = strchr(option, '=');

    if (!strcmp(option, "readonly")) {
        options->read_only = true;
    } else if (!strcmp(option, "snapshot")) {
        options->snapshot = true;
    } else if (value && !strncmp(option, "cache=", 6)) {
        return option_choose("cache", value + 1, "writeback", "none", &options->direct, error);
    } else if (value && !strncmp(option, "aio=", 4)) {
        if (option_choose("aio", value + 1, "io_uring", "threads", &second, error))
            return -EINVAL;
        options->io = second ? BLOCK_IO_THREADS : BLOCK_IO_URING;
    } else if (value && !strncmp(option, "format=", 7)) {
        if (strcmp(value + 1, "raw"))
            return error_set(error, -EINVAL, "format=%s: visor reads only raw disks", value + 1);
        options->raw = true;
    } else if (value && !strncmp(option, "serial=", 7)) {
        if (!value[1] || strlen(value + 1) > BLOCK_SERIAL_MAX)
            return error_set(error, -EINVAL, "a disk's serial number has 1 to %d characters: %s",
                             BLOCK_SERIAL_MAX, value + 1);
        strcpy(options->serial, value + 1);
    } else {
        error_set(error, -EINVAL, "a disk has no option \"%s\"", option);
        error_hint(error,
                   "readonly, snapshot, cache=none, serial=S, format=raw, aio=threads; a comma in a file's "
                   "name is written twice");
        return -EINVAL;
    }
    return 0;
}

/* The end of the next piece, at a single comma or the end; doubled ones become one in `to`. */
static const char *piece_copy(char *to, const char *text)
{
    while (*text && (*text != ',' || text[1] == ',')) {
        if (*text == ',')
            text++;
        *to++ = *text++;
    }
    *to = '\0';
    return text;
}

int block_options_parse(struct block_options *options, const char *text, struct error *error)
{
    *options = (struct block_options){.path = malloc(strlen(text) + 1)};
    char *piece = malloc(strlen(text) + 1);
    int code = 0;

    if (!options->path || !piece)
        code = error_set(error, -ENOMEM, "out of memory");
    if (!code) {
        text = piece_copy(options->path, text);
        if (!*options->path)
            code = error_set(error, -EINVAL, "a disk's file is missing");
    }
    while (!code && *text) {
        text = piece_copy(piece, text + 1);
        code = option_set(options, piece, error);
    }
    free(piece);
    if (code)
        block_options_free(options);
    return code;
}

void block_options_free(struct block_options *options)
{
    free(options->path);
    options->path = NULL;
}

int block_open(struct block_backend **out, const struct block_options *options, struct loop *loop,
               struct error *error)
{
    struct block_backend *raw = NULL;
    struct block_options base = *options;
    const bool overlay = options->snapshot && !options->read_only;

    base.read_only = options->read_only || options->snapshot;
    int code = raw_open(&raw, &base, loop, error);
    if (code || !overlay) {
        *out = raw;
        return code;
    }
    code = overlay_open(out, raw, options, loop, error);
    if (code)
        block_close(raw);
    return code;
}

void block_close(struct block_backend *backend)
{
    if (backend)
        backend->ops->close(backend);
}
