/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attach: this terminal as a domain's console. */
#ifndef VISOR_CLI_ATTACH_H
#define VISOR_CLI_ATTACH_H

#include "domain/store.h"

/* Until its user leaves it, 0, or the domain has ended: its exit status if that is wanted, else 0. -errno: it
 * has no console. */
int console_attach(struct domain *domain, bool wants_status, struct error *error);

#endif
