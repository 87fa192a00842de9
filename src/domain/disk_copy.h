/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disk_copy: the content of a disk's file as another file. Where the file system can have both share their
 * blocks until one is written (reflink), that takes no time and no room; else what is not a hole is copied.
 */
#ifndef VISOR_DOMAIN_DISK_COPY_H
#define VISOR_DOMAIN_DISK_COPY_H

#include "base/error.h"

/* What `to` had is lost. It is on stable storage then. A negative errno, which the error does not name files
 * for: `to` may have anything. */
int disk_copy(int from, int to, struct error *error);

#endif
