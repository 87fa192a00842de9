/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sandbox: what is left of the host to the user network's process, whatever a guest makes of libslirp. */
#ifndef VISOR_BACKEND_NET_USER_SANDBOX_H
#define VISOR_BACKEND_NET_USER_SANDBOX_H

#include <stdbool.h>

/*
 * From now on the process has system calls for its memory, its descriptors and the clock, sockets of IPv4 and
 * IPv6, and may open files to read them; all others fail with EPERM: it starts no process or thread, executes
 * nothing, maps nothing as code, changes no file, signals nobody. For ever. False: the kernel has no filters,
 * errno says why. The process may gain no rights (PR_SET_NO_NEW_PRIVS).
 */
bool sandbox_enter(void);

#endif
