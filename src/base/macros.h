/* SPDX-License-Identifier: GPL-2.0-or-later */
/* macros: the few language helpers that every folder uses. */
#ifndef VISOR_BASE_MACROS_H
#define VISOR_BASE_MACROS_H

#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a)    (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)        ((a) < (b) ? (a) : (b))
#define MAX(a, b)        ((a) > (b) ? (a) : (b))
#define ALIGN_UP(x, n)   (((x) + ((n)-1)) & ~((__typeof__(x))(n)-1))
#define ALIGN_DOWN(x, n) ((x) & ~((__typeof__(x))(n)-1))
#define LIKELY(x)        __builtin_expect(!!(x), 1)
#define UNLIKELY(x)      __builtin_expect(!!(x), 0)

#endif
