/* SPDX-License-Identifier: GPL-2.0-or-later */
/* relay: this process's terminal shows another one, whose master is given, until that is hung up: what is
 * typed goes there as it is, what is said there comes here, and the window's size follows. */
#ifndef VISOR_DOMAIN_RELAY_H
#define VISOR_DOMAIN_RELAY_H

#include "base/loop.h"

struct relay;

/* Whether standard input and output are a terminal that is ours to use. */
bool relay_is_possible(void);

/* The master stays the caller's. The terminal is raw from here on. */
int relay_new(struct relay **out, struct loop *loop, int master, struct error *error);
/* The window has another size (SIGWINCH). */
void relay_resize(struct relay *relay);
/* Shows what was said last, and gives the terminal back. Before the loop is freed. NULL: nothing. */
void relay_free(struct relay *relay);

#endif
