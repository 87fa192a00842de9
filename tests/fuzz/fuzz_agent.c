/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest agent's protocol: by the first byte, what a host may send is taken apart as the agent does
 * (nothing is run), or what a guest may answer is given to each of the host's requests.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/agent/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_apart(const uint8_t *data, size_t size)
{
    struct agent_frame frame;
    for (int taken; (taken = agent_frame_find(data, size, &frame)) > 0;
         data += taken, size -= (size_t)taken) {
        struct agent_exec_words words;
        struct buffer again = {0};
        if (frame.type == AGENT_EXEC) {
            const struct reader content = frame.content;
            if (agent_take_exec(&frame.content, &words))
                continue;
            /* What was understood is what was said. */
            agent_put_exec(&again, &words.exec);
            if (!again.failed && (again.size != content.left + AGENT_HEADER ||
                                  memcmp(again.data + AGENT_HEADER, content.data, content.left)))
                abort();
            agent_exec_free(&words);
            buffer_free(&again);
        } else if (frame.type == AGENT_IDENTITY) {
            const struct reader content = frame.content;
            struct agent_identity identity;
            if (agent_take_identity(&frame.content, &identity))
                continue;
            agent_put_identity(&again, &identity);
            if (again.failed || again.size != content.left + AGENT_HEADER ||
                memcmp(again.data + AGENT_HEADER, content.data, content.left))
                abort();
            buffer_free(&again);
        } else {
            reader_take_integer(&frame.content, 4);
            free(agent_take_string(&frame.content));
        }
    }
}

static void take_fact(void *opaque, const char *name, const char *value)
{
    *(size_t *)opaque += strlen(name) + strlen(value);
}

static void ask(unsigned what, const uint8_t *data, size_t size)
{
    static char *const words[] = {"sh", NULL};
    struct error error = ERROR_INIT;
    int pair[2], status, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    size_t length = 0;
    mode_t mode;
    if (null < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ||
        send(pair[1], data, size, MSG_DONTWAIT) != (ssize_t)size)
        abort();
    shutdown(pair[1], SHUT_WR);
    const struct agent_host host = {.fd = pair[0], .timeout_ms = 1000};
    const struct agent_run run = {
        .exec = {.flags = AGENT_STDIN, .user = "", .directory = "", .arguments = words},
        .input = null,
        .output = null,
        .errors = null,
        .signals = -1};
    const struct agent_identity identity = {.host_name = "copy", .entropy_size = 8, .card_count = 1};
    switch (what % 6) {
    case 0: agent_ping(&host, &error); break;
    case 1: agent_facts(&host, take_fact, &length, &error); break;
    case 2: agent_run(&host, &run, &status, &error); break;
    case 3: agent_put(&host, "/file", 0600, null, &error); break;
    case 4: agent_get(&host, "/file", null, &mode, &error); break;
    case 5: agent_identify(&host, &identity, &error); break;
    }
    close(pair[1]);
    close(null);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > 65536)
        return 0;
    if (data[0] & 1)
        ask(data[0] >> 1, data + 1, size - 1);
    else
        take_apart(data + 1, size - 1);
    return 0;
}
