/* SPDX-License-Identifier: GPL-2.0-or-later */
/* domain_words: a configuration from a command line: options, which are fields, and the words after them. */
#ifndef VISOR_CLI_DOMAIN_WORDS_H
#define VISOR_CLI_DOMAIN_WORDS_H

#include <stdbool.h>

#include "base/buffer.h"
#include "domain/config.h"
#include "domain/store.h"

struct domain_words {
    struct domain_config config;
    bool begun;    /* `config` has its presets */
    bool has_kind; /* by a document */
    struct domain_option {
        const struct domain_field *field; /* one of those with the option's name */
        const char *argument;
    } * options; /* as they were given: which kind's they are is known in the end */
    unsigned option_count;
};

/* An option that is a field; some kinds have one of the same name, which may be what is meant. */
int domain_words_set(struct domain_words *words, const struct domain_field *field, const char *argument,
                     struct error *error);
/* Sets those options in a configuration, as far as its kind has them: -EINVAL. With `replace`, lists have
 * then what the options say and no more. */
int domain_words_apply(const struct domain_words *words, struct domain_config *config, bool replace,
                       struct error *error);
/* A document, from a file or "-", standard input; free it. */
int domain_words_read(const char *path, struct buffer *text, struct error *error);
/* The document in a file; "-": on standard input. */
int domain_words_load(struct domain_words *words, const char *path, struct error *error);

/* The words after the options: IMAGE; PROGRAM, or DIRECTORY and a program in it, with arguments. They, or the
 * options, say what kind of domain it is. The configuration is then checked. -EINVAL: a usage error. */
int domain_words_finish(struct domain_words *words, int count, char **arguments, struct error *error);

/* Opens the store, and makes a domain of the configuration; see domain_create(). -ENODEV: there is no network
 * of a name that it has. */
int domain_words_create(struct domain_words *words, const char *name, bool locked, struct domain_store *store,
                        struct domain *domain, struct error *error);

#endif
