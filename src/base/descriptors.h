/* SPDX-License-Identifier: GPL-2.0-or-later */
/* descriptors: which of them a process keeps, and what it sends to others. */
#ifndef VISOR_BASE_DESCRIPTORS_H
#define VISOR_BASE_DESCRIPTORS_H

#include <sys/types.h>

/* Closes all but these, which are put in order and may be the same, and standard input, output and error. */
void descriptors_close_others(int *keep, unsigned count);

/* Through a socket of whole messages: one message, with up to 4 descriptors; -errno. */
int descriptors_send(int socket, const void *data, size_t size, const int *fds, unsigned count);
/* Its size, 0: the other has ended; -errno. `fds`, of room for `*count`, are those that came, to be closed by
 * the caller; both may be NULL: none are taken. */
ssize_t descriptors_receive(int socket, void *data, size_t size, int *fds, unsigned *count);

#endif
