/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sandbox: see sandbox.h. A filter of system calls (seccomp(2)), made of a table. */
#include "backend/net/user/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/macros.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "the number of this architecture is not known here"
#endif

enum rule {
    ANY,     /* whatever its arguments are */
    WITHOUT, /* an argument that has none of the bits of `a` */
    EITHER,  /* one that is `a` or `b` */
    BETWEEN, /* one from `a` to `b` */
};

struct allowed {
    uint16_t call;
    uint8_t rule, argument;
    uint32_t a, b;
};

static const struct allowed table[] = {
/* The loop's and the sockets' come first: the filter goes through the table. */
#ifdef SYS_poll
    {SYS_poll, ANY, 0, 0, 0},
#endif
    {SYS_ppoll, ANY, 0, 0, 0},
    {SYS_recvfrom, ANY, 0, 0, 0},
    {SYS_recvmsg, ANY, 0, 0, 0},
    {SYS_sendto, ANY, 0, 0, 0},
    {SYS_sendmsg, ANY, 0, 0, 0},
    {SYS_read, ANY, 0, 0, 0},
    {SYS_readv, ANY, 0, 0, 0},
    {SYS_write, ANY, 0, 0, 0},
    {SYS_writev, ANY, 0, 0, 0},
    {SYS_clock_gettime, ANY, 0, 0, 0},
    {SYS_gettimeofday, ANY, 0, 0, 0},
    {SYS_socket, EITHER, 0, AF_INET, AF_INET6},
    {SYS_bind, ANY, 0, 0, 0},
    {SYS_listen, ANY, 0, 0, 0},
    {SYS_accept, ANY, 0, 0, 0},
    {SYS_accept4, ANY, 0, 0, 0},
    {SYS_connect, ANY, 0, 0, 0},
    {SYS_shutdown, ANY, 0, 0, 0},
    {SYS_close, ANY, 0, 0, 0},
    {SYS_getsockname, ANY, 0, 0, 0},
    {SYS_getpeername, ANY, 0, 0, 0},
    {SYS_getsockopt, ANY, 0, 0, 0},
    {SYS_setsockopt, ANY, 0, 0, 0},
    {SYS_fcntl, BETWEEN, 1, F_GETFD, F_SETFL},
    {SYS_ioctl, EITHER, 1, FIONREAD, FIONBIO},
    /* Memory. */
    {SYS_brk, ANY, 0, 0, 0},
    {SYS_mmap, WITHOUT, 2, PROT_EXEC, 0},
    {SYS_mprotect, WITHOUT, 2, PROT_EXEC, 0},
    {SYS_mremap, ANY, 0, 0, 0},
    {SYS_munmap, ANY, 0, 0, 0},
    {SYS_madvise, ANY, 0, 0, 0},
    /* The library reads /etc/resolv.conf again when it is new. */
    {SYS_openat, WITHOUT, 2, O_ACCMODE | O_CREAT | O_TRUNC, 0},
    {SYS_newfstatat, ANY, 0, 0, 0},
    {SYS_fstat, ANY, 0, 0, 0},
    {SYS_lseek, ANY, 0, 0, 0},
    /* What a C library does by the way, and the end. */
    {SYS_getrandom, ANY, 0, 0, 0},
    {SYS_futex, ANY, 0, 0, 0},
    {SYS_rt_sigprocmask, ANY, 0, 0, 0},
    {SYS_sigaltstack, ANY, 0, 0, 0}, /* the sanitizers', at the end */
    {SYS_rt_sigreturn, ANY, 0, 0, 0},
    {SYS_restart_syscall, ANY, 0, 0, 0},
    {SYS_exit, ANY, 0, 0, 0},
    {SYS_exit_group, ANY, 0, 0, 0},
};

enum { HEAD = 4, ROW_MOST = 6 };

/* The low half: what is looked at are arguments of 32 bits, or their low bits. */
static struct sock_filter load_argument(unsigned n)
{
    const size_t low = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4;
    return (struct sock_filter)BPF_STMT(
        BPF_LD | BPF_W | BPF_ABS,
        (uint32_t)(offsetof(struct seccomp_data, args) + n * sizeof(uint64_t) + low));
}

/* A row: past it if it is another call, else an answer. Returns how many instructions that are. */
static unsigned add_row(struct sock_filter *to, const struct allowed *row)
{
    const struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                             refuse = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    unsigned n = 1;
    if (row->rule != ANY)
        to[n++] = load_argument(row->argument);
    switch ((enum rule)row->rule) {
    case ANY: break;
    case WITHOUT: to[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, row->a, 1, 0); break;
    case EITHER:
        to[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, row->a, 1, 0);
        to[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, row->b, 0, 1);
        break;
    case BETWEEN:
        to[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, row->a, 0, 2);
        to[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, row->b, 1, 0);
        break;
    }
    to[n++] = allow;
    if (row->rule != ANY)
        to[n++] = refuse;
    to[0] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, row->call, 0, (uint8_t)(n - 1));
    return n;
}

bool sandbox_enter(void)
{
    struct sock_filter filter[HEAD + ARRAY_SIZE(table) * ROW_MOST + 1] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    unsigned n = HEAD;
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
        n += add_row(filter + n, &table[i]);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    const struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}
