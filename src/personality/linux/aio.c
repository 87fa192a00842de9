/* SPDX-License-Identifier: GPL-2.0-or-later */
/* aio: io_submit(). Its structures are the same on both architectures; only visor's own descriptors have to
 * be kept from the guest. The other calls of asynchronous input and output are passed on by the table. */
#include <errno.h>
#include <linux/aio_abi.h>

#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/syscalls.h"

#define COMPAT_IO_SUBMIT 248 /* the host's for 32-bit programs */

/* True if the control block at this address, which the guest's list has at `entry`, names a descriptor of
 * visor's. */
static bool names_own_fd(struct linux_thread *thread, uint64_t entry)
{
    uint64_t address;
    struct iocb block;
    if (linux_read_word(thread->process, entry, &address) < 0 ||
        guest_read(&block, address, sizeof block) < 0)
        return false; /* the kernel finds the same */
    return linux_is_own_fd(thread->process, (int)block.aio_fildes) ||
           (block.aio_flags & IOCB_FLAG_RESFD && linux_is_own_fd(thread->process, (int)block.aio_resfd));
}

/* The kernel stops at the first block that it cannot take, and fails if that is the first of all. */
int64_t linux_sys_io_submit(struct linux_thread *thread, const uint64_t a[6])
{
    const bool small = linux_is_32bit(thread->process);
    int64_t count = small ? (int32_t)a[1] : (int64_t)a[1];
    for (int64_t i = 0; i < MIN(count, (int64_t)UINT16_MAX); i++) {
        if (!names_own_fd(thread, a[2] + (uint64_t)i * thread->process->arch->word_size))
            continue;
        if (i == 0)
            return -EBADF;
        count = i;
    }
    if (small)
        return linux_compat_syscall(thread, COMPAT_IO_SUBMIT,
                                    (const uint64_t[6]){a[0], (uint64_t)count, a[2]});
    return linux_host_syscall(thread, SYS_io_submit, a[0], (uint64_t)count, a[2], 0, 0, 0);
}
