/* SPDX-License-Identifier: GPL-2.0-or-later */
/* copy_up: what a directory of the image holds is copied into the tmpfs that hides it (mount option
 * tmpcopyup). */
#ifndef VISOR_PERSONALITY_CONTAINER_COPY_UP_H
#define VISOR_PERSONALITY_CONTAINER_COPY_UP_H

#include "base/error.h"

/* Both are open with O_PATH or more. Directories, files and links are copied, with owner, mode and times; the
 * rest is -ENOTSUP. No link is followed. */
int copy_up(int source, int destination, struct error *error);

#endif
