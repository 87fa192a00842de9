/* SPDX-License-Identifier: GPL-2.0-or-later */
/* end: what is asked of a domain's process from outside: by its control socket, or, if nothing else helps, by
 * signals; and the wait for its end. None of it is called with the domain's lock held. */
#ifndef VISOR_DOMAIN_END_H
#define VISOR_DOMAIN_END_H

#include "domain/store.h"

/* Has it stand still, or go on, and waits until it does. */
int domain_set_paused(struct domain *domain, bool paused, struct error *error);

/* The terminal that is its console shall have this size. -EREMOTEIO: its console is no terminal. */
int domain_resize_console(struct domain *domain, unsigned rows, unsigned columns, struct error *error);

/*
 * Has it come to its end: asks it to end by itself, after `seconds` ends it at once, and kills it if that
 * does not help. 0 when its process has ended, or if it had none.
 */
int domain_stop(struct domain *domain, unsigned seconds, struct error *error);
/* Sends its process a signal; after SIGKILL waits for its end. -ESRCH: it does not run. */
int domain_signal(struct domain *domain, int signal, struct error *error);
/* Waits for its end and tells its exit status, which for one that does not run is the last one. */
int domain_wait(struct domain *domain, int *status, struct error *error);

#endif
