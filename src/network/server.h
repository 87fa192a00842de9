/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server: a network's process, "visor-network NAME DIRECTORY", which answers names (dns.h) and gives machines
 * their addresses (dhcp.h) at the bridge's address.
 *
 * It reads what it knows from leases.json in its directory, which is all of the file system that it has, and
 * again whenever that is new. It has no capabilities and few system calls (server_sandbox.c), since it takes
 * what guests send. It ends when its bridge is gone, or when leases.json names another process as the server.
 */
#ifndef VISOR_NETWORK_SERVER_H
#define VISOR_NETWORK_SERVER_H

#include <stdbool.h>

#include "network/lease.h"

#define SERVER_PROGRAM  "visor-network"
#define SERVER_FILE     "leases.json"
#define SERVER_FILE_MAX (64u << 20) /* bytes */

/* Starts it: it listens, and waits for server_go(). Its process is in *id. A descriptor for server_go(), the
 * closing of which ends it; or a negative errno. */
int server_start(const char *network, const char *directory, struct process_id *id, struct error *error);
/* leases.json names it. Closes the descriptor. */
void server_go(int channel);
/* Ends it, and waits for that a moment. */
void server_stop(const struct process_id *id);

/* In main(): if the arguments are those of server_start(), this is that process, and does not return. */
void server_continue(int count, char **arguments);

/* For server.c: what is left to the process. -errno. */
int server_confine(const char *directory, struct error *error);

#endif
