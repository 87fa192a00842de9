/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ipc: System V semaphores, whose struct semid64_ds has its own layout on x86-64. Message queues are passed
 * on by the table; shared memory is mapped memory and so memory.c's.
 */
#include <sys/ipc.h>
#include <sys/sem.h>

#include "personality/linux/arch.h"
#include "personality/linux/convert.h"
#include "personality/linux/syscalls.h"

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif

int64_t linux_sys_semctl(struct linux_thread *thread, const uint64_t a[6])
{
    struct host_semid_ds host = {0};
    struct arm64_semid_ds guest;
    int command = (int)a[2], fault;

    if (thread->process->arch->host_abi)
        return linux_host_syscall(thread, SYS_semctl, a[0], a[1], a[2], a[3], 0, 0);
    switch (command) {
    case IPC_SET:
        fault = guest_read(&guest, a[3], sizeof guest);
        if (fault < 0)
            return fault;
        linux_semid_to_host(&host, &guest);
        return linux_host_syscall(thread, SYS_semctl, a[0], a[1], a[2], (uint64_t)&host, 0, 0);
    case IPC_STAT:
    case SEM_STAT:
    case SEM_STAT_ANY: {
        int64_t result = linux_host_syscall(thread, SYS_semctl, a[0], a[1], a[2], (uint64_t)&host, 0, 0);
        if (result < 0)
            return result;
        linux_semid_from_host(&guest, &host);
        fault = guest_write(a[3], &guest, sizeof guest);
        return fault < 0 ? fault : result;
    }
    default: /* numbers, arrays of unsigned short, struct seminfo: the same on both */
        return linux_host_syscall(thread, SYS_semctl, a[0], a[1], a[2], a[3], 0, 0);
    }
}
