/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * update: another configuration for a domain, which takes effect at once as far as it can.
 *
 * Of a domain that does not run it is stored, no more. Of one that runs, a field says (enum domain_when)
 * whether who minds it reads the stored configuration anew, its kind can apply it, or it waits for the next
 * start. All or nothing: if something cannot be applied that was to be, nothing is stored, and what was
 * applied is undone.
 *
 * Updates of one domain come one after the other: each holds a lock on the domain's directory, which comes
 * before the domain's own. That one is not held while the domain is asked to change, since its process may
 * need it to answer.
 */
#ifndef VISOR_DOMAIN_UPDATE_H
#define VISOR_DOMAIN_UPDATE_H

#include "domain/store.h"

struct domain_change {
    const struct domain_field *field;
    bool waits; /* it takes effect at the next start */
};

/* NULL: that field does not change. */
struct domain_change *domain_change_find(struct domain_change *changes, unsigned count, const char *name);

struct domain_update {
    struct domain_change *changes; /* of `count`: what is stored and was not before */
    unsigned count;
};

/*
 * `change` makes of the configuration the one that is wanted; it may be called several times, each time with
 * what is stored then. The lock is not held before. -EINVAL: such a configuration cannot be; -EOPNOTSUPP: a
 * field can never be changed. Free it in any case.
 */
int domain_update(struct domain_update *update, struct domain *domain,
                  int (*change)(struct domain_config *config, void *opaque, struct error *error),
                  void *opaque, struct error *error);
void domain_update_free(struct domain_update *update);

#endif
