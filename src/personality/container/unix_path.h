/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unix_path: Unix sockets at paths of any length: a socket's address has room for 107 characters only, so the
 * directory is named by a descriptor. */
#ifndef VISOR_PERSONALITY_CONTAINER_UNIX_PATH_H
#define VISOR_PERSONALITY_CONTAINER_UNIX_PATH_H

/* 0, or a negative errno. */
int unix_path_connect(int socket, const char *path);
int unix_path_connect_at(int socket, int directory, const char *name);
int unix_path_bind_at(int socket, int directory, const char *name);

#endif
