/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gdb_plain: registers that are in the state as gdb has them. Private to this folder. */
#ifndef VISOR_DEBUG_GDB_PLAIN_H
#define VISOR_DEBUG_GDB_PLAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* get_N() and set_N(): of N bytes; the argument is the offset in the state. */
#define GDB_PLAIN(bytes)                                                                                     \
    static void get_##bytes(const void *state, unsigned offset, uint8_t *value)                              \
    {                                                                                                        \
        memcpy(value, (const uint8_t *)state + offset, bytes);                                               \
    }                                                                                                        \
    static bool set_##bytes(void *state, unsigned offset, const uint8_t *value)                              \
    {                                                                                                        \
        memcpy((uint8_t *)state + offset, value, bytes);                                                     \
        return true;                                                                                         \
    }

#endif
