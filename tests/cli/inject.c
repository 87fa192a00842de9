/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Has a thread of another process make a system call, as code would that has come into its possession:
 * inject THREAD NUMBER [ARGUMENT...]; or go where there is no code: inject THREAD crash. The thread waits in
 * a call, whose instruction it then executes again. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#define SYSCALL 0x050f /* the instruction's two bytes */

int main(int count, char **words)
{
    struct user_regs_struct registers;
    unsigned long long *const arguments[] = {&registers.rdi, &registers.rsi, &registers.rdx,
                                             &registers.r10, &registers.r8,  &registers.r9};
    if (count < 3 || count > 9)
        return 2;
    const pid_t thread = atoi(words[1]);
    if (ptrace(PTRACE_ATTACH, thread, 0, 0) < 0 || waitpid(thread, NULL, __WALL) != thread ||
        ptrace(PTRACE_GETREGS, thread, 0, &registers) < 0) {
        fprintf(stderr, "inject: cannot stop thread %d: %s\n", (int)thread, strerror(errno));
        return 1;
    }
    const long code = ptrace(PTRACE_PEEKTEXT, thread, (uintptr_t)registers.rip - 2, 0);
    if ((code & 0xffff) != SYSCALL) {
        fprintf(stderr, "inject: thread %d is in no system call\n", (int)thread);
        return 1;
    }
    registers.rip = strcmp(words[2], "crash") == 0 ? 0 : registers.rip - 2;
    registers.rax = strtoull(words[2], NULL, 0);
    registers.orig_rax = ~0ull; /* the call that it was in is not begun again */
    for (int i = 3; i < count; i++)
        *arguments[i - 3] = strtoull(words[i], NULL, 0);
    if (ptrace(PTRACE_SETREGS, thread, 0, &registers) < 0 || ptrace(PTRACE_DETACH, thread, 0, 0) < 0) {
        fprintf(stderr, "inject: cannot let thread %d go on: %s\n", (int)thread, strerror(errno));
        return 1;
    }
    return 0;
}
