/* SPDX-License-Identifier: GPL-2.0-or-later */
/* socket: what others must know of messages. Private to this folder. */
#ifndef VISOR_PERSONALITY_LINUX_SOCKET_H
#define VISOR_PERSONALITY_LINUX_SOCKET_H

#include "personality/linux/process.h"

/* True if the struct msghdr at this guest address would send a descriptor of visor's. */
bool linux_message_sends_own_fd(struct linux_thread *thread, uint64_t address);

#endif
