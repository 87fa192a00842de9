/* SPDX-License-Identifier: GPL-2.0-or-later */
/* terminal: visor's own terminal, whose modes it gives back at its end, whatever that is. */
#ifndef VISOR_BACKEND_CHAR_TERMINAL_H
#define VISOR_BACKEND_CHAR_TERMINAL_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/* Whether a process group may use a terminal: in the background it would be stopped. One that controls no
 * session stops nobody. */
bool char_terminal_is_ours(int fd, pid_t group);
/* Raw mode for visor's terminal. */
int char_terminal_take(int fd, struct error *error);
void char_terminal_give_back(void);

#endif
