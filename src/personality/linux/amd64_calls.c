/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * amd64 calls: system calls that x86-64 has for its age: those that newer ones with more arguments have
 * replaced are served by these, with the arguments that they imply. And arch_prctl().
 */
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>

#include "personality/linux/amd64.h"
#include "personality/linux/syscalls.h"
#include "translator/guest/x86/x86.h"

#define HERE ((uint64_t)AT_FDCWD)

int64_t linux_sys_open(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_sys_openat(thread, (const uint64_t[6]){HERE, a[0], a[1], a[2]});
}

int64_t linux_sys_creat(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_sys_openat(thread, (const uint64_t[6]){HERE, a[0], O_CREAT | O_WRONLY | O_TRUNC, a[1]});
}

int64_t linux_sys_stat(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_sys_newfstatat(thread, (const uint64_t[6]){HERE, a[0], a[1], 0});
}

int64_t linux_sys_lstat(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_sys_newfstatat(thread, (const uint64_t[6]){HERE, a[0], a[1], AT_SYMLINK_NOFOLLOW});
}

int64_t linux_sys_access(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_sys_faccessat(thread, (const uint64_t[6]){HERE, a[0], a[1]});
}

int64_t linux_sys_readlink(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_sys_readlinkat(thread, (const uint64_t[6]){HERE, a[0], a[1], a[2]});
}

/* Unlike dup3() it takes the same number twice. */
int64_t linux_sys_dup2(struct linux_thread *thread, const uint64_t a[6])
{
    if ((int)a[0] != (int)a[1])
        return linux_sys_dup3(thread, (const uint64_t[6]){a[0], a[1], 0});
    int64_t result = linux_sys_fcntl(thread, (const uint64_t[6]){a[0], F_GETFD});
    return result < 0 ? result : (int64_t)(int)a[1];
}

/* Bases beyond the user's addresses are refused; CET (ARCH_SHSTK_...) is not there. */
int64_t linux_sys_arch_prctl(struct linux_thread *thread, const uint64_t a[6])
{
    struct x86_state *state = &((struct x86_cpu *)thread->cpu)->state;
    const bool fs = a[0] == ARCH_SET_FS || a[0] == ARCH_GET_FS;
    uint64_t *base = &state->segment_base[fs ? X86_FS : X86_GS];

    switch (a[0]) {
    case ARCH_SET_FS:
    case ARCH_SET_GS:
        if (a[1] >= GUEST_ADDRESS_END - GUEST_PAGE_SIZE)
            return -EPERM;
        *base = a[1];
        return 0;
    case ARCH_GET_FS:
    case ARCH_GET_GS: return guest_write(a[1], base, sizeof *base);
    case ARCH_GET_CPUID: return 1; /* CPUID does not fault */
    default: return -EINVAL;
    }
}
