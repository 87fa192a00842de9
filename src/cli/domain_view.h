/* SPDX-License-Identifier: GPL-2.0-or-later */
/* domain_view: a domain as "visor ps" and "visor inspect" show it. */
#ifndef VISOR_CLI_DOMAIN_VIEW_H
#define VISOR_CLI_DOMAIN_VIEW_H

#include "domain/store.h"

struct domain_view {
    char id[STORE_ID_DIGITS + 1], name[STORE_NAME_MAX + 1];
    struct domain_state state;
    struct domain_config config;
    bool damaged; /* it has no valid configuration */
};

/* -ENOENT: it is no more. Free it in any case. */
int domain_view_read(struct domain_view *view, struct domain *domain, struct error *error);
void domain_view_free(struct domain_view *view);

/* A field for people, of those in domain_view_fields: "Up 5 minutes". NULL: there is no such field. */
const char *domain_view_text(const struct domain_view *view, const char *field, char *text, size_t size);
extern const char *const domain_view_fields[]; /* ends in NULL */

/* All of it. `domain` may be NULL: without the paths. NULL: out of memory. */
json_t *domain_view_json(const struct domain_view *view, const struct domain *domain);

#endif
