/* SPDX-License-Identifier: GPL-2.0-or-later */
/* visible: text of somebody not trusted, such as the names of a container's processes, made fit for a
 * terminal. */
#ifndef VISOR_BASE_VISIBLE_H
#define VISOR_BASE_VISIBLE_H

#include <stddef.h>

/* Puts a "?" for every byte of what a terminal obeys instead of showing it: control characters of ASCII and,
 * in UTF-8, of Latin 1 (U+0080 to U+009F); and of what is no UTF-8. A byte 0 is a control character as well.
 */
void visible_make(char *text, size_t size);

#endif
