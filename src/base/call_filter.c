/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/call_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "the number of this architecture is not known here"
#endif

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
static unsigned add_row(struct sock_filter *to, const struct call_allowed *row)
{
    const struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                             refuse = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    unsigned n = 1;
    if (row->rule != CALL_ANY)
        to[n++] = load_argument(row->argument);
    switch ((enum call_rule)row->rule) {
    case CALL_ANY: break;
    case CALL_WITHOUT:
        to[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, row->a, 1, 0);
        break;
    case CALL_EITHER:
        to[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, row->a, 1, 0);
        to[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, row->b, 0, 1);
        break;
    case CALL_BETWEEN:
        to[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, row->a, 0, 2);
        to[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, row->b, 1, 0);
        break;
    }
    to[n++] = allow;
    if (row->rule != CALL_ANY)
        to[n++] = refuse;
    to[0] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, row->call, 0, (uint8_t)(n - 1));
    return n;
}

bool call_filter_enter(const struct call_allowed *table, unsigned count)
{
    struct sock_filter filter[HEAD + CALL_FILTER_MOST * ROW_MOST + 1] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    unsigned n = HEAD;
    if (count > CALL_FILTER_MOST) {
        errno = E2BIG;
        return false;
    }
    for (unsigned i = 0; i < count; i++)
        n += add_row(filter + n, &table[i]);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    const struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}
