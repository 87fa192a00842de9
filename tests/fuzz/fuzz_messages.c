/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_messages: of any bytes as the control data of a message, visor finds its own descriptor if the kernel
 * would find it there.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/socket.h"

/* Visor's descriptor, a number that inputs have by chance. */
#define OWN 7

#define CONTROL_SIZE 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As the kernel walks; false also if it refuses the data. */
static bool kernel_finds(const uint8_t *control, size_t size, size_t word)
{
    const size_t header = word + 2 * sizeof(int);
    bool found = false;

    while (size >= header) {
        uint64_t length = 0;
        int kind[2], fd;
        memcpy(&length, control, word);
        memcpy(kind, control + word, sizeof kind);
        if (length < header || length > size)
            return false;
        for (size_t at = header; at + sizeof fd <= length; at += sizeof fd) {
            memcpy(&fd, control + at, sizeof fd);
            found |= fd == OWN && kind[0] == SOL_SOCKET && kind[1] == SCM_RIGHTS;
        }
        const size_t step = MIN(ALIGN_UP(length, word), size);
        control += step;
        size -= step;
    }
    return found;
}

/* As a program with words of this size sends it; the control data is where it can point to. */
static void check_message(const uint8_t *control, size_t size, uint8_t word)
{
    static int own_fds[OWN_FD_COUNT];
    const struct linux_arch arch = {.word_size = word};
    struct linux_process process = {.own_fds = own_fds, .arch = &arch};
    struct linux_thread thread = {.process = &process};
    const uint64_t words[7] = {[4] = (uintptr_t)control, [5] = size};
    uint8_t message[sizeof words] = {0};

    for (unsigned i = 0; i < OWN_FD_COUNT; i++)
        own_fds[i] = -1;
    own_fds[0] = OWN;
    for (unsigned i = 0; i < 7; i++)
        memcpy(message + i * word, &words[i], word);
    bool sends = linux_message_sends_own_fd(&thread, (uintptr_t)message);
    if (kernel_finds(control, size, word) && !sends)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t *control;
    if (!control)
        control =
            mmap(NULL, CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (control == MAP_FAILED)
        abort();
    size = MIN(size, (size_t)CONTROL_SIZE);
    memcpy(control, data, size);
    check_message(control, size, 8);
    check_message(control, size, 4);
    return 0;
}
