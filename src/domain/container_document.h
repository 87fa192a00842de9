/* SPDX-License-Identifier: GPL-2.0-or-later */
/* container_document: a container's configuration, as config.json of the OCI runtime specification. */
#ifndef VISOR_DOMAIN_CONTAINER_DOCUMENT_H
#define VISOR_DOMAIN_CONTAINER_DOCUMENT_H

#include <jansson.h>

#include "domain/config.h"

struct container_document {
    const struct domain_config *config;
    const char *name, *id; /* the domain's */
    bool terminal;
    bool has_network; /* one of its own */
};

/* Whether its program is a whole system's first: init or systemd, by path. */
bool container_document_is_system(const struct domain_config *config);

/* A bundle's own document, or one to begin with, and what the configuration says otherwise. A new reference;
 * NULL with *error. */
json_t *container_document_make(const struct container_document *what, struct error *error);

#endif
