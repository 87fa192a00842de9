/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gdb: its numbers of signals, which are the same for all systems (the GDB manual, appendix E.4). */
#include <signal.h>
#include <stdint.h>

#include "base/macros.h"
#include "debug/gdb.h"

#define UNKNOWN 143 /* "an unknown signal" */
/* Real-time signals 33 to 63 are in a row; 32 and 64 came later. */
#define REAL_TIME_33 45
#define REAL_TIME_32 77
#define REAL_TIME_64 78

static const uint8_t numbers[] = {
    [SIGHUP] = 1,   [SIGINT] = 2,     [SIGQUIT] = 3,  [SIGILL] = 4,   [SIGTRAP] = 5,  [SIGABRT] = 6,
    [SIGBUS] = 10,  [SIGFPE] = 8,     [SIGKILL] = 9,  [SIGUSR1] = 30, [SIGSEGV] = 11, [SIGUSR2] = 31,
    [SIGPIPE] = 13, [SIGALRM] = 14,   [SIGTERM] = 15, [SIGCHLD] = 20, [SIGCONT] = 19, [SIGSTOP] = 17,
    [SIGTSTP] = 18, [SIGTTIN] = 21,   [SIGTTOU] = 22, [SIGURG] = 16,  [SIGXCPU] = 24, [SIGXFSZ] = 25,
    [SIGPROF] = 27, [SIGVTALRM] = 26, [SIGIO] = 23,   [SIGPWR] = 32,  [SIGSYS] = 12,  [SIGWINCH] = 28,
};

unsigned gdb_signal_number(int host)
{
    if (host == 32 || host == 64)
        return host == 32 ? REAL_TIME_32 : REAL_TIME_64;
    if (host > 32 && host < 64)
        return REAL_TIME_33 + (unsigned)host - 33;
    return host > 0 && (unsigned)host < ARRAY_SIZE(numbers) && numbers[host] ? numbers[host] : UNKNOWN;
}

int gdb_signal_host(unsigned number)
{
    for (int host = 1; host <= 64; host++) {
        if (gdb_signal_number(host) == number && number != UNKNOWN)
            return host;
    }
    return 0;
}
