/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pid_file: tells other programs which process it is. */
#ifndef VISOR_PERSONALITY_CONTAINER_PID_FILE_H
#define VISOR_PERSONALITY_CONTAINER_PID_FILE_H

#include <sys/types.h>

#include "base/error.h"

/* Whole or not there: it is written under another name first. */
int pid_file_write(const char *path, pid_t pid, struct error *error);

#endif
