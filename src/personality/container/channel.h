/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * channel: short messages, with a descriptor where one is wanted, between a container's creator and the
 * process that becomes the container; and between `start` and that process.
 *
 * A channel is one end of a SOCK_SEQPACKET pair: a message is whole or not there, and the end of the other
 * side shows.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_CHANNEL_H
#define VISOR_PERSONALITY_CONTAINER_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum channel_kind {
    CHANNEL_END,          /* the other side is gone */
    CHANNEL_ERROR,        /* `error` is why it gave up */
    CHANNEL_MAPPED,       /* to the child: the user namespace has its maps */
    CHANNEL_HOOKS,        /* to the parent: the mounts are there, now is the time of the runtime's hooks */
    CHANNEL_HOOKED,       /* to the child: they have run */
    CHANNEL_TERMINAL,     /* to the parent: `fd` is the terminal's master */
    CHANNEL_LISTENER,     /* to the parent: `fd` receives seccomp's notifications */
    CHANNEL_TAKEN,        /* the answer to the two above */
    CHANNEL_SPAWNED,      /* from the process in the middle: `pid` is the container's */
    CHANNEL_READY,        /* to the parent: all is made; waiting for the start */
    CHANNEL_START,        /* execute the program */
    CHANNEL_STARTED,      /* from the child: on the way to execve(): nothing but an error may follow */
    CHANNEL_NOT_EXECUTED, /* from launch.S: `pid` is execve()'s negative errno */
    CHANNEL_DEVICE,       /* to the domain's process: `fd` is the device that was made inside */
    CHANNEL_FOREIGN,      /* to the parent: the program is for another CPU */
    CHANNEL_VISOR,        /* the answer: `fd` is visor's own file, for the process to execute */
};

struct channel_message {
    enum channel_kind kind;
    int pid;
    struct error error;
    int fd; /* -1: none; the receiver's to close */
};

/* Both ends are close-on-exec. */
int channel_pair(int ends[2], struct error *error);
/* Failures are not told: who finds the other end gone learns why from its exit. `fd`: -1 or a descriptor. */
void channel_send(int channel, enum channel_kind kind, int fd);
void channel_send_pid(int channel, enum channel_kind kind, int pid);
void channel_send_error(int channel, const struct error *error);
/* Waits for the next message; a signal does not end that. */
void channel_receive(int channel, struct channel_message *message);
/* Waits for a message of this kind. -EPIPE: the other end is gone; or the other's error. */
int channel_expect(int channel, enum channel_kind kind, struct error *error);

#endif
