/* SPDX-License-Identifier: GPL-2.0-or-later */
/* when: a moment on a command line. */
#ifndef VISOR_CLI_WHEN_H
#define VISOR_CLI_WHEN_H

#include <stdint.h>

#include "base/error.h"

/* "2026-01-31T12:00:00Z", or how long ago: "30s", "10m", "2h", "1d". In nanoseconds since 1970. `where`,
 * "--since", is for the error. -EINVAL. */
int when_parse(const char *text, const char *where, int64_t *time, struct error *error);

#endif
