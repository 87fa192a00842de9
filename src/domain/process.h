/* SPDX-License-Identifier: GPL-2.0-or-later */
/* process: a domain's process, from its preparation to its end. */
#ifndef VISOR_DOMAIN_PROCESS_H
#define VISOR_DOMAIN_PROCESS_H

#include "domain/kind.h"

/*
 * Runs the domain in this process until its end. SIGTERM, SIGINT and SIGHUP ask it to end by itself, a
 * second one ends it. -errno: it could not be started.
 */
int domain_process_run(struct domain_run *run, struct domain_end *end, struct error *error);

#endif
