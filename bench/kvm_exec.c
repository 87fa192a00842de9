/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm_exec DESCRIPTOR COMMAND...: becomes COMMAND, and tells at DESCRIPTOR what the monotonic clock and its
 * own processor time were right before execve(), in nanoseconds. bench/kvm counts from there, for making a
 * process out of an interpreter takes most of a millisecond that is nobody's but the interpreter's.
 */
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t nanoseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 126;
    const int64_t begun[] = {nanoseconds(CLOCK_MONOTONIC), nanoseconds(CLOCK_PROCESS_CPUTIME_ID)};
    if (write(atoi(argv[1]), begun, sizeof begun) != sizeof begun)
        return 126;
    execvp(argv[2], argv + 2);
    return 127;
}
