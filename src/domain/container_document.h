/* SPDX-License-Identifier: GPL-2.0-or-later */
/* container_document: a container's configuration, as config.json of the OCI runtime specification. */
#ifndef VISOR_DOMAIN_CONTAINER_DOCUMENT_H
#define VISOR_DOMAIN_CONTAINER_DOCUMENT_H

#include <jansson.h>

#include "domain/config.h"

#define CONTAINER_CPU_PERIOD     100000 /* microseconds */
#define CONTAINER_PROCESSES_MOST 4096   /* where nothing is said; and where there can be limits at all */

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

/* Microseconds of each period for so many processors' time, "1.5"; NULL: 0, as many as it likes. */
int64_t container_cpu_quota(const char *cpus);

#endif
