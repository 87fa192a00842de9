/* SPDX-License-Identifier: GPL-2.0-or-later */
/* number_list: lists of processors and memory nodes, as the kernel writes them: "0-3,7". */
#ifndef VISOR_PERSONALITY_CONTAINER_NUMBER_LIST_H
#define VISOR_PERSONALITY_CONTAINER_NUMBER_LIST_H

#include <stdbool.h>

#define NUMBER_LIST_MAX 1024 /* numbers are below that, as in a cpu_set_t */

struct number_list {
    unsigned long bits[NUMBER_LIST_MAX / (8 * sizeof(unsigned long))];
};

/* False: it is none, or a number is too large. Blanks around numbers and an empty list are none. */
bool number_list_parse(struct number_list *list, const char *text);

#endif
