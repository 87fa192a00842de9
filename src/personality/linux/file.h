/* SPDX-License-Identifier: GPL-2.0-or-later */
/* file: what calls in other forms share with those of file.c. Private to this folder. */
#ifndef VISOR_PERSONALITY_LINUX_FILE_H
#define VISOR_PERSONALITY_LINUX_FILE_H

#include <sys/stat.h>

#include "personality/linux/process.h"

/* fstatat() and fstat() as the guest is to see the file: 0 or a negative errno. */
int64_t linux_stat_at(struct linux_thread *thread, uint64_t dirfd, uint64_t path, uint64_t flags,
                      struct stat *found);
int64_t linux_stat_fd(struct linux_thread *thread, uint64_t fd, struct stat *found);

#endif
