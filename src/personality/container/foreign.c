/* SPDX-License-Identifier: GPL-2.0-or-later */
/* foreign: a container's program that is for another CPU: visor translates it, and what it executes in turn.
 */
#include "personality/container/foreign.h"

#include <errno.h>
#include <unistd.h>

#include "personality/container/channel.h"
#include "personality/container/self_exe.h"

int foreign_prepare(const struct oci_process *process, int channel, struct process_program *program,
                    struct error *error)
{
    static char *const nothing[] = {NULL};
    struct channel_message answer;
    if (!linux_is_foreign(program->path))
        return 0;
    channel_send(channel, CHANNEL_FOREIGN, -1);
    channel_receive(channel, &answer);
    if (answer.kind != CHANNEL_VISOR || answer.fd < 0)
        return error_set(error, -EPIPE, "cannot run %s: there is no way to visor's own file", program->path);
    return linux_execution_new(&program->execution, answer.fd, program->path, (char *const *)process->args,
                               process->environment ? (char *const *)process->environment : nothing, error);
}

int foreign_serve(int channel, struct error *error)
{
    int fd = self_exe_open(error);
    if (fd < 0)
        return fd;
    channel_send(channel, CHANNEL_VISOR, fd);
    close(fd);
    return 0;
}
