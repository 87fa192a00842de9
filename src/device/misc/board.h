/* SPDX-License-Identifier: GPL-2.0-or-later */
/* board: what devices ask of the machine that they are in. Each may be NULL; the machine acts when the vCPU
 * has left its exit. */
#ifndef VISOR_DEVICE_MISC_BOARD_H
#define VISOR_DEVICE_MISC_BOARD_H

struct board {
    void (*reset)(void *opaque);
    void (*power_off)(void *opaque);
    void (*sleep)(void *opaque, unsigned type); /* an ACPI sleep type other than soft-off */
    void (*panic)(void *opaque);                /* the guest's kernel has panicked */
    void *opaque;
};

static inline void board_reset(const struct board *board)
{
    if (board->reset)
        board->reset(board->opaque);
}

#endif
