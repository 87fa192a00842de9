/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control: a domain's control socket, RUN/ID/control, which speaks QMP. What all kinds of domains can do is
 * here, for kinds that have no commands of their own:
 *
 *   stop cont            the domain stands still, and goes on
 *   system_powerdown     asks it to end by itself
 *   quit                 ends it at once
 *   query-status         whether it runs, or stands still
 */
#ifndef VISOR_DOMAIN_CONTROL_H
#define VISOR_DOMAIN_CONTROL_H

#include "domain/kind.h"

#define DOMAIN_CONTROL_FILE "control" /* in RUN/ID */

struct domain_control;

/* Serves it in the run's loop, at `path`, NULL: nowhere, and where the configuration says. All of it under
 * the loop's lock, or while it does not run. */
int domain_control_new(struct domain_control **out, struct domain_run *run, const char *path,
                       struct error *error);
/* Tells the clients that the domain stands still, or goes on. NULL: nothing. */
void domain_control_paused(struct domain_control *control, bool paused);
/* Tells the clients of the end, and hangs up. Comes before the loop is freed. NULL: nothing. */
void domain_control_free(struct domain_control *control, const struct domain_end *end);

#endif
