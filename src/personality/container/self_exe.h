/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * self_exe: visor's own file is out of the reach of containers.
 *
 * A process of visor that becomes a container's shows visor's file as its /proc/PID/exe, and a container can
 * have visor executed by calling its program or interpreter /proc/self/exe. Either way who has the rights
 * could open the host's file and, once nobody executes it, write to it (CVE-2019-5736). So visor executes
 * itself from where nobody can write: an overlay mount with no upper layer, which exists only as long as it
 * is executed; or, where such a mount cannot be made, a sealed copy in memory. Where the caller, and so any
 * container of his, cannot write to the file, nothing is needed.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_SELF_EXE_H
#define VISOR_PERSONALITY_CONTAINER_SELF_EXE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/* Whether visor's file needs protection at all. */
bool self_exe_is_exposed(void);
/* Whether that process, of visor's, has executed no program yet, and who may look into it could write to
 * visor's file. */
bool self_exe_is_exposed_by(pid_t pid);

/* To be called before anything else is done: this process may begin again, with the same command line. */
int self_exe_protect(struct error *error);

/* The file for a program in a container that is to execute visor: as protected as the above. Close-on-exec.
 */
int self_exe_open(struct error *error);

/*
 * The cheap way, where nobody can look at a process of visor in the container before it executes its program:
 * that is executed by a tiny program in between (launch.S), in sealed memory. A descriptor, or -1: not to be
 * had here.
 */
int self_exe_open_launch(void);
/* `channel` is closed by the program's execve() or hears CHANNEL_NOT_EXECUTED. Returns a negative errno if
 * not even the tiny program can be executed. */
int self_exe_launch(int launch, int channel, const char *path, const char *const *arguments,
                    const char *const *environment);

#endif
