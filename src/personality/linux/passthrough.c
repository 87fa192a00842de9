/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * passthrough: makes a function of every PASS row of the tables: the host's call with the same arguments.
 *
 * Pointers go to the host's kernel as they are, since a guest address is a host address: it
 * checks them and gives -EFAULT itself. What is checked here is only that the guest does not
 * name one of visor's own descriptors. Which arguments are descriptors is known at compile time.
 */
#include <errno.h>

#include "base/macros.h"
#include "personality/linux/syscalls.h"

/* Bit i: argument i is a descriptor, by the row's format. */
#define LETTER_AT(format, i) ((format)[MIN((size_t)(i), sizeof(format) - 1)])
#define IS_FD(format, i)     (LETTER_AT(format, i) == 'f' || LETTER_AT(format, i) == 'F')
#define FD_BIT(format, i)    (IS_FD(format, i) ? 1u << (i) : 0u)
#define FD_MASK(format)                                                                                      \
    (FD_BIT(format, 0) | FD_BIT(format, 1) | FD_BIT(format, 2) | FD_BIT(format, 3) | FD_BIT(format, 4) |     \
     FD_BIT(format, 5))

static inline bool names_own_fd(struct linux_thread *thread, unsigned fd_mask, const uint64_t a[6])
{
    for (unsigned mask = fd_mask; mask; mask &= mask - 1) {
        if (linux_is_own_fd(thread->process, (int)a[__builtin_ctz(mask)]))
            return true;
    }
    return false;
}

static inline int64_t pass(struct linux_thread *thread, long number, unsigned fd_mask, const uint64_t a[6])
{
    if (names_own_fd(thread, fd_mask, a))
        return -EBADF;
    return linux_host_syscall(thread, number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#define CALL(number, name, format)
#define NONE(number, name, format)
#define PASS(number, name, format)                                                                           \
    int64_t linux_pass_##name(struct linux_thread *thread, const uint64_t a[6])                              \
    {                                                                                                        \
        return pass(thread, SYS_##name, FD_MASK(format), a);                                                 \
    }
#include "personality/linux/syscalls.def"
#include "personality/linux/syscalls_amd64.def"
#undef PASS

#define SAME(number, name, as, format)
#define WIDE(number, name, as, format)
#define OWN(number, name, format)
#define PASS(number, name, format)                                                                           \
    int64_t linux_i386_pass_##name(struct linux_thread *thread, const uint64_t a[6])                         \
    {                                                                                                        \
        return names_own_fd(thread, FD_MASK(format), a) ? -EBADF : linux_compat_syscall(thread, number, a);  \
    }
#include "personality/linux/syscalls_i386.def"
