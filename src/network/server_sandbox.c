/* SPDX-License-Identifier: GPL-2.0-or-later */
/* server_sandbox: what is left of the host to the network's process. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/call_filter.h"
#include "base/macros.h"
#include "network/server.h"

static const struct call_allowed table[] = {
#ifdef SYS_poll
    {SYS_poll, CALL_ANY, 0, 0, 0},
#endif
    {SYS_ppoll, CALL_ANY, 0, 0, 0},
    {SYS_recvfrom, CALL_ANY, 0, 0, 0},
    {SYS_sendto, CALL_ANY, 0, 0, 0},
    {SYS_clock_gettime, CALL_ANY, 0, 0, 0},
    {SYS_newfstatat, CALL_ANY, 0, 0, 0},
    {SYS_socket, CALL_EITHER, 0, AF_INET, AF_INET},
    {SYS_connect, CALL_ANY, 0, 0, 0},
    {SYS_accept4, CALL_ANY, 0, 0, 0},
    {SYS_close, CALL_ANY, 0, 0, 0},
    {SYS_getsockopt, CALL_ANY, 0, 0, 0},
    {SYS_getrandom, CALL_ANY, 0, 0, 0},
    {SYS_openat, CALL_WITHOUT, 2, O_ACCMODE | O_CREAT | O_TRUNC, 0},
    {SYS_fstat, CALL_ANY, 0, 0, 0},
    {SYS_read, CALL_ANY, 0, 0, 0},
    {SYS_write, CALL_ANY, 0, 0, 0}, /* the sanitizers' */
    {SYS_lseek, CALL_ANY, 0, 0, 0},
    {SYS_brk, CALL_ANY, 0, 0, 0},
    {SYS_mmap, CALL_WITHOUT, 2, PROT_EXEC, 0},
    {SYS_mprotect, CALL_WITHOUT, 2, PROT_EXEC, 0},
    {SYS_mremap, CALL_ANY, 0, 0, 0},
    {SYS_munmap, CALL_ANY, 0, 0, 0},
    {SYS_madvise, CALL_ANY, 0, 0, 0},
    {SYS_futex, CALL_ANY, 0, 0, 0},
    {SYS_rt_sigprocmask, CALL_ANY, 0, 0, 0},
    {SYS_sigaltstack, CALL_ANY, 0, 0, 0},
    {SYS_rt_sigreturn, CALL_ANY, 0, 0, 0},
    {SYS_restart_syscall, CALL_ANY, 0, 0, 0},
    {SYS_exit, CALL_ANY, 0, 0, 0},
    {SYS_exit_group, CALL_ANY, 0, 0, 0},
};

static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}, {0}};
    for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    return syscall(SYS_capset, &header, none) == 0;
}

int server_confine(const char *directory, struct error *error)
{
    const bool done = setgroups(0, NULL) == 0 && chroot(directory) == 0 && chdir("/") == 0 &&
                      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && drop_capabilities() &&
                      prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && call_filter_enter(table, ARRAY_SIZE(table));
    if (done)
        return 0;
    return error_set(error, -errno, "cannot confine the network's process: %s", strerror(errno));
}
