/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console: a domain's console as its process keeps it: what the domain says goes to the log and to everybody
 * who is connected to the console's socket; what they say goes to the domain. Bytes as they are, both ways.
 *
 * Nobody holds up the domain: who does not read what it says loses what does not fit his socket's buffer.
 */
#ifndef VISOR_DOMAIN_CONSOLE_H
#define VISOR_DOMAIN_CONSOLE_H

#include "domain/kind.h"
#include "domain/log.h"

#define DOMAIN_CONSOLE_CLIENTS 16

struct domain_console;

/* The run's outputs and input, which it takes over in any case. `path`: where it listens. The log stays the
 * caller's. Under the loop's lock, as all of it. */
int domain_console_new(struct domain_console **out, struct domain_run *run, struct domain_log *log,
                       const char *path, struct error *error);
/* Takes what the domain has said, and is no part of the loop any more: before that is freed. NULL: nothing.
 */
void domain_console_detach(struct domain_console *console);
/* Takes what the domain has said in the end, and hangs up. NULL: nothing. */
void domain_console_free(struct domain_console *console);

#endif
