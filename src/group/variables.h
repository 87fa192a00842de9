/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * variables: ${NAME} in texts, from the environment and a file of NAME=VALUE lines (.env), as compose files
 * have them:
 *
 *     $NAME, ${NAME}      its value; nothing if it is not set
 *     ${NAME:-text}       the text if it is not set or empty; ${NAME-text}: if it is not set
 *     ${NAME:+text}       the text if it is set and not empty; ${NAME+text}: if it is set
 *     ${NAME:?message}    an error if it is not set or empty; ${NAME?message}: if it is not set
 *     $$                  a $
 *
 * Such a text or message can have variables in it again.
 */
#ifndef VISOR_GROUP_VARIABLES_H
#define VISOR_GROUP_VARIABLES_H

#include "base/buffer.h"
#include "base/error.h"
#include "domain/config.h"

#define VARIABLES_NAME_MAX 128
#define VARIABLES_TEXT_MAX 65536 /* bytes of a text that has been expanded */

struct variables {
    const char *const
        *environment; /* NAME=VALUE, ends in NULL; what it has goes before the file. May be NULL */
    struct domain_list file;
};

/* Reads the lines of a file: NAME=VALUE, export NAME=VALUE, # a comment. 'value' is taken as it is; "value"
 * has variables and \n \t \" \\ \$ in it; any other has variables, and ends before a blank with a #. `source`
 * names the file in errors: -EINVAL, -E2BIG, -ENOMEM. */
int variables_read(struct variables *variables, const char *text, size_t size, const char *source,
                   struct error *error);
void variables_free(struct variables *variables);

/* The value; NULL: it is not set. */
const char *variables_find(const struct variables *variables, const char *name);

/*
 * Appends a text to `out` with its variables replaced; a zero byte is not. `missing` gets the name of the
 * first that is not set and has no text in its place, or "". -EINVAL; -E2BIG: it becomes too long.
 */
int variables_expand(const struct variables *variables, const char *text, struct buffer *out,
                     char missing[VARIABLES_NAME_MAX], struct error *error);

#endif
