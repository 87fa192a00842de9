/* SPDX-License-Identifier: GPL-2.0-or-later */
/* overlay: keeps what is written to a disk in a temporary file that nobody sees, and the disk as it is. */
#ifndef VISOR_BACKEND_BLOCK_OVERLAY_H
#define VISOR_BACKEND_BLOCK_OVERLAY_H

#include "backend/block/options.h"

/* Over `base`, which becomes its. */
int overlay_open(struct block_backend **out, struct block_backend *base, const struct block_options *options,
                 struct loop *loop, struct error *error);

#endif
