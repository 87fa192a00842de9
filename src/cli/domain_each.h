/* SPDX-License-Identifier: GPL-2.0-or-later */
/* domain_each: commands that do one thing to each of the domains that their words name. */
#ifndef VISOR_CLI_DOMAIN_EACH_H
#define VISOR_CLI_DOMAIN_EACH_H

#include "domain/store.h"

struct domain_each {
    const char *command;
    bool all;    /* to all domains, instead of named ones */
    bool starts; /* it starts them: the command may begin anew before, see kind.h on protect() */
    bool silent; /* do not print the word that named it, when it is done */
    /* 0, or -errno with error, which is reported. Its lock is not held, and what is of it is released
     * afterwards. */
    int (*one)(struct domain *domain, void *opaque, struct error *error);
    /* With `all`: which of them. NULL: all. */
    bool (*wanted)(const struct domain_state *state);
    void *opaque;
};

/* STATUS_OK; STATUS_FAILED: it could not be done to one at least, which was reported; STATUS_USAGE. */
int domain_each_run(const struct domain_each *each, int count, char **words);

/* The store and one domain in it, for commands with one. An exit status of which the reason was reported. */
int domain_one_open(const char *command, struct domain_store *store, struct domain *domain, const char *word);

/* A whole number of seconds. */
int seconds_parse(const char *text, const char *where, unsigned *seconds, struct error *error);

#endif
