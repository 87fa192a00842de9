/* SPDX-License-Identifier: GPL-2.0-or-later */
/* size: numbers of bytes as people write them: 512M, 1.5G, 64K. */
#ifndef VISOR_BASE_SIZE_H
#define VISOR_BASE_SIZE_H

#include <stdint.h>

#include "base/error.h"

/* A number, perhaps with a fraction, then K, M, G or T (powers of 1024; with or without "iB" or "B") or
 * nothing for bytes. -EINVAL: it is none; -ERANGE: not in [least, most]. `what` names it in the error: "the
 * memory". */
int size_parse(const char *text, const char *what, uint64_t least, uint64_t most, uint64_t *bytes,
               struct error *error);

#define SIZE_TEXT 32
/* The other way round, for people: "1.5 GiB". Returns `text`. */
char *size_print(uint64_t bytes, char text[SIZE_TEXT]);

#endif
