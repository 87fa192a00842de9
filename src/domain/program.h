/* SPDX-License-Identifier: GPL-2.0-or-later */
/* program: a Linux program of another CPU, as a configuration describes it, started in this process. */
#ifndef VISOR_DOMAIN_PROGRAM_H
#define VISOR_DOMAIN_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

#include "domain/config.h"

/* The program that a name means: a path, or the first executable file of that name in PATH. False: there is
 * none. */
bool domain_program_find(const char *name, char path[PATH_MAX]);

/* Turns the calling process into the program, in its root. `started`, a descriptor with close-on-exec, is
 * closed when nothing but the program itself can fail any more; -1: none. Comes back only
 * if it cannot: a negative errno, of which -ENOENT means that the program does not exist. */
int domain_program_become(const struct domain_config *config, int started, struct error *error);

#endif
