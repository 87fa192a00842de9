/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hog processes|memory|disk FILE: takes all that it is given of something, and stays. */
#include <signal.h>
#include <sys/mman.h>

#include "attack.h"

static void processes(void)
{
    unsigned made = 0;
    for (;;) {
        pid_t child = fork();
        if (child < 0)
            break;
        if (child > 0) {
            made++;
            continue;
        }
        /* each makes more, and none ends */
        for (;;) {
            if (fork() < 0)
                usleep(10000);
        }
    }
    printf("processes: refused %s after %u\n", strerrorname_np(errno), made);
}

static void memory(void)
{
    const size_t step = 1 << 20;
    for (;;) {
        char *more = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (more == MAP_FAILED)
            break;
        memset(more, 'x', step);
    }
    printf("memory: refused %s\n", strerrorname_np(errno));
}

static void disk(const char *file)
{
    static char block[1 << 16];
    size_t size = 0;
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ssize_t written = fd < 0 ? -1 : 0;
    while (fd >= 0 && (written = write(fd, block, sizeof block)) > 0 && size < (size_t)1 << 30)
        size += (size_t)written;
    printf("disk: %s %s after %zu\n", written < 0 ? "refused" : "open", strerrorname_np(errno), size);
}

int main(int count, char **words)
{
    signal(SIGCHLD, SIG_IGN);
    if (count > 1 && strcmp(words[1], "processes") == 0)
        processes();
    else if (count > 1 && strcmp(words[1], "memory") == 0)
        memory();
    else if (count > 2 && strcmp(words[1], "disk") == 0)
        disk(words[2]);
    else
        return 2;
    fflush(stdout);
    for (;;)
        pause();
}
