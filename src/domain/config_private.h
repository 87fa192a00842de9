/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_private: what the files of config have in common. */
#ifndef VISOR_DOMAIN_CONFIG_PRIVATE_H
#define VISOR_DOMAIN_CONFIG_PRIVATE_H

#include "domain/config.h"

/* Sets a number that is in the field's range; `said` is the number as its user wrote it. */
int domain_number_set(uint64_t *number, const struct domain_field *field, uint64_t value, const char *where,
                      const char *said, struct error *error);

#endif
