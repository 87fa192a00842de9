/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sandbox: see sandbox.h. */
#include "backend/net/user/sandbox.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/call_filter.h"
#include "base/macros.h"

static const struct call_allowed table[] = {
/* The loop's and the sockets' come first: the filter goes through the table. */
#ifdef SYS_poll
    {SYS_poll, CALL_ANY, 0, 0, 0},
#endif
    {SYS_ppoll, CALL_ANY, 0, 0, 0},
    {SYS_recvfrom, CALL_ANY, 0, 0, 0},
    {SYS_recvmsg, CALL_ANY, 0, 0, 0},
    {SYS_sendto, CALL_ANY, 0, 0, 0},
    {SYS_sendmsg, CALL_ANY, 0, 0, 0},
    {SYS_read, CALL_ANY, 0, 0, 0},
    {SYS_readv, CALL_ANY, 0, 0, 0},
    {SYS_write, CALL_ANY, 0, 0, 0},
    {SYS_writev, CALL_ANY, 0, 0, 0},
    {SYS_clock_gettime, CALL_ANY, 0, 0, 0},
    {SYS_gettimeofday, CALL_ANY, 0, 0, 0},
    {SYS_socket, CALL_EITHER, 0, AF_INET, AF_INET6},
    {SYS_bind, CALL_ANY, 0, 0, 0},
    {SYS_listen, CALL_ANY, 0, 0, 0},
    {SYS_accept, CALL_ANY, 0, 0, 0},
    {SYS_accept4, CALL_ANY, 0, 0, 0},
    {SYS_connect, CALL_ANY, 0, 0, 0},
    {SYS_shutdown, CALL_ANY, 0, 0, 0},
    {SYS_close, CALL_ANY, 0, 0, 0},
    {SYS_getsockname, CALL_ANY, 0, 0, 0},
    {SYS_getpeername, CALL_ANY, 0, 0, 0},
    {SYS_getsockopt, CALL_ANY, 0, 0, 0},
    {SYS_setsockopt, CALL_ANY, 0, 0, 0},
    {SYS_fcntl, CALL_BETWEEN, 1, F_GETFD, F_SETFL},
    {SYS_ioctl, CALL_EITHER, 1, FIONREAD, FIONBIO},
    /* Memory. */
    {SYS_brk, CALL_ANY, 0, 0, 0},
    {SYS_mmap, CALL_WITHOUT, 2, PROT_EXEC, 0},
    {SYS_mprotect, CALL_WITHOUT, 2, PROT_EXEC, 0},
    {SYS_mremap, CALL_ANY, 0, 0, 0},
    {SYS_munmap, CALL_ANY, 0, 0, 0},
    {SYS_madvise, CALL_ANY, 0, 0, 0},
    /* The library reads /etc/resolv.conf again when it is new. */
    {SYS_openat, CALL_WITHOUT, 2, O_ACCMODE | O_CREAT | O_TRUNC, 0},
    {SYS_newfstatat, CALL_ANY, 0, 0, 0},
    {SYS_fstat, CALL_ANY, 0, 0, 0},
    {SYS_lseek, CALL_ANY, 0, 0, 0},
    /* What a C library does by the way, and the end. */
    {SYS_getrandom, CALL_ANY, 0, 0, 0},
    {SYS_futex, CALL_ANY, 0, 0, 0},
    {SYS_rt_sigprocmask, CALL_ANY, 0, 0, 0},
    {SYS_sigaltstack, CALL_ANY, 0, 0, 0}, /* the sanitizers', at the end */
    {SYS_rt_sigreturn, CALL_ANY, 0, 0, 0},
    {SYS_restart_syscall, CALL_ANY, 0, 0, 0},
    {SYS_exit, CALL_ANY, 0, 0, 0},
    {SYS_exit_group, CALL_ANY, 0, 0, 0},
};

bool sandbox_enter(void)
{
    return call_filter_enter(table, ARRAY_SIZE(table));
}
