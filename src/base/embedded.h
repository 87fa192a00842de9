/* SPDX-License-Identifier: GPL-2.0-or-later */
/* embedded: programs that visor contains (scripts/embed.py), since what they need is only to be had as a
 * shared library. */
#ifndef VISOR_BASE_EMBEDDED_H
#define VISOR_BASE_EMBEDDED_H

#include <stddef.h>

/* A descriptor, closed at exec, for fexecve(); or a negative errno. The name is what memory files are shown
 * with. */
int embedded_open(const char *name, const unsigned char *image, size_t size);

#endif
