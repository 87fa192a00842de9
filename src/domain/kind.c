/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/kind.h"

#include <errno.h>
#include <string.h>

static const struct domain_kind *const kinds[] = {&domain_kind_machine, &domain_kind_program,
                                                  &domain_kind_container};

const struct domain_kind *domain_kind_of(const struct domain_config *config)
{
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i]->name, config->kind) == 0)
            return kinds[i];
    }
    return NULL;
}

int domain_config_check(const struct domain_config *config, struct error *error)
{
    if (config->remove && strcmp(config->restart, "no") != 0) {
        error_set(error, -EINVAL, "a domain that is removed at its end cannot be restarted");
        error_hint(error, "give --rm or --restart");
        return -EINVAL;
    }
    return domain_kind_of(config)->check(config, error);
}

int domain_kind_cannot(const struct domain_kind *kind, const char *what, struct error *error)
{
    return error_set(error, -EOPNOTSUPP, "a %s cannot be %s", kind->name, what);
}
