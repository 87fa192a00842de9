/* SPDX-License-Identifier: GPL-2.0-or-later */
/* terminal: a container's terminal: made in its own /dev/pts, its master handed to whoever shows it. */
#ifndef VISOR_PERSONALITY_CONTAINER_TERMINAL_H
#define VISOR_PERSONALITY_CONTAINER_TERMINAL_H

#include "personality/container/oci_config.h"

struct container_terminal {
    int master, slave;
};

/* `root`: the container's root directory. */
int terminal_make(struct container_terminal *terminal, int root, const struct oci_process *process,
                  struct error *error);
/* Connects to who waits for a terminal at `path`, a Unix stream socket: a descriptor. */
int terminal_connect(const char *path, struct error *error);
/* Gives the master away: to that socket, or where there is none (-1) to the creator. */
int terminal_hand_over(struct container_terminal *terminal, int socket, int channel, struct error *error);
/* The calling process gets the slave as its standard streams; and, a session's leader, as its controlling
 * terminal. */
int terminal_take(int slave, struct error *error);
int terminal_control(int slave, struct error *error);

#endif
