/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state_domain: the section "domain" of a saved state: which domain it was, and what it was made of. */
#ifndef VISOR_DOMAIN_STATE_DOMAIN_H
#define VISOR_DOMAIN_STATE_DOMAIN_H

#include "domain/config.h"
#include "domain/store.h"
#include "state/state_file.h"

/* `more`, which is given away, is what the kind adds to the object. */
int state_domain_write(struct state_writer *writer, const struct domain_run *run, json_t *more,
                       struct error *error);
/* The object; the caller's. */
int state_domain_read(struct state_reader *reader, json_t **document, struct error *error);

/* What a command finds in a file before it makes a domain of it. */
struct state_domain {
    char id[STORE_ID_DIGITS + 1], name[STORE_NAME_MAX + 1]; /* empty: it had none */
    struct domain_config config;
};

/* Errors do not name the file. Free it in any case. */
int state_domain_open(struct state_domain *saved, int fd, struct error *error);
void state_domain_free(struct state_domain *saved);
/* Whether it has this configuration. */
bool state_domain_same(const struct state_domain *saved, const struct domain_config *config);

#endif
