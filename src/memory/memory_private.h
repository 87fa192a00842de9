/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memory_private: between memory_map.c and memory_file.c. */
#ifndef VISOR_MEMORY_MEMORY_PRIVATE_H
#define VISOR_MEMORY_MEMORY_PRIVATE_H

#include "memory/memory_map.h"

#define MEMORY_HUGE_PAGE (UINT64_C(2) << 20)

/* Zeros that nobody else has, in place of what is mapped at whole pages of the backing. -errno */
int memory_map_private(struct memory_backing *backing, uint64_t offset, uint64_t length);

#endif
