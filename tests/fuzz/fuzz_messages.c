/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_messages: of any bytes as the control data of a message, visor finds its own descriptor if the kernel
 * would find it there.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/macros.h"
#include "personality/linux/process.h"
#include "personality/linux/socket.h"

/* Visor's descriptor, a number that inputs have by chance. */
#define OWN 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As the kernel walks; false also if it refuses the data. */
static bool kernel_finds(struct msghdr *message)
{
    const char *end = (const char *)message->msg_control + message->msg_controllen;
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    bool found = false;

    while (header) {
        size_t room = (size_t)(end - (const char *)header);
        if (header->cmsg_len < sizeof *header || header->cmsg_len > room)
            return false;
        size_t count = (header->cmsg_len - sizeof *header) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            found |= fd == OWN && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS;
        }
        size_t step = ALIGN_UP(header->cmsg_len, sizeof(size_t));
        header = step + sizeof *header <= room ? (struct cmsghdr *)(void *)((char *)header + step) : NULL;
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t control[4096] __attribute__((aligned(16)));
    static int own_fds[OWN_FD_COUNT];
    struct linux_process process = {.own_fds = own_fds};
    struct linux_thread thread = {.process = &process};

    for (unsigned i = 0; i < OWN_FD_COUNT; i++)
        own_fds[i] = -1;
    own_fds[0] = OWN;
    size = MIN(size, sizeof control);
    memcpy(control, data, size);
    struct msghdr message = {.msg_control = control, .msg_controllen = size};
    bool sends = linux_message_sends_own_fd(&thread, (uintptr_t)&message);
    if (kernel_finds(&message) && !sends)
        abort();
    return 0;
}
