/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_uring: any bytes as an entry of io_uring's submission queue are converted to something that names no
 * descriptor of visor's, by changes that lie within the entry and can be taken back. The input is the entry
 * and then the guest's memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "personality/linux/arch.h"
#include "personality/linux/socket.h"
#include "personality/linux/uring.h"

#define OWN_FD 1000
/* Where the entry is for the guest; its memory begins at 0. */
#define ENTRY_ADDRESS 0x100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *memory;
static size_t memory_size;

int guest_read(void *to, uint64_t from, size_t length)
{
    if (from > memory_size || length > memory_size - from)
        return -EFAULT;
    memcpy(to, memory + from, length);
    return 0;
}

bool linux_is_own_fd(const struct linux_process *process, int fd)
{
    (void)process;
    return fd == OWN_FD;
}

bool linux_message_sends_own_fd(struct linux_thread *thread, uint64_t address)
{
    (void)thread;
    return address == OWN_FD;
}

/* Puts one value of each patch into the entry, and looks that it had the other. */
static void apply(struct io_uring_sqe *sqe, const struct uring_patch *patch, bool back)
{
    const uint64_t from = back ? patch->after : patch->before, to = back ? patch->before : patch->after;
    uint64_t offset = patch->address - ENTRY_ADDRESS;
    if (offset > sizeof *sqe || patch->size > sizeof *sqe - offset ||
        memcmp((const char *)sqe + offset, &from, patch->size) != 0)
        abort();
    memcpy((char *)sqe + offset, &to, patch->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct linux_arch arch = {.word_size = 8};
    struct linux_process process = {.arch = &arch};
    struct linux_thread thread = {.process = &process};
    struct uring_patch *patches = NULL;
    struct io_uring_sqe before, sqe;
    if (size < sizeof sqe)
        return 0;
    memcpy(&sqe, data, sizeof sqe);
    memcpy(&before, data, sizeof sqe);
    memory = data + sizeof sqe;
    memory_size = size - sizeof sqe;

    if (uring_convert(&thread, &sqe, ENTRY_ADDRESS, &patches) < 0)
        abort();
    for (const struct uring_patch *patch = patches; patch; patch = patch->next)
        apply(&sqe, patch, false);
    if (sqe.opcode == IORING_OP_CLOSE && sqe.fd == OWN_FD && !(sqe.flags & IOSQE_FIXED_FILE))
        abort();
    while (patches) {
        struct uring_patch *next = patches->next;
        apply(&sqe, patches, true);
        free(patches);
        patches = next;
    }
    if (memcmp(&sqe, &before, sizeof sqe) != 0)
        abort();
    return 0;
}
