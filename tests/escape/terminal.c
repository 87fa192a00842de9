/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * terminal: typing into the terminal that the container's caller sits at, by the standard streams that the
 * program has from him, or by /dev/tty. "terminal title …" only waits under names that a terminal would obey.
 */
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <termios.h>

#include "attack.h"

static void type(int fd, const char *what)
{
    char letter = 'X', paste[] = {3}; /* TIOCLINUX: paste what is selected */
    tried(ioctl(fd, TIOCSTI, &letter), "TIOCSTI %s", what);
    tried(ioctl(fd, TIOCLINUX, paste), "TIOCLINUX %s", what);
    tried(ioctl(fd, TIOCCONS), "TIOCCONS %s", what);
}

/* What has ended and is not yet waited for has no command line: listings fall back to its name. */
static int wait_under_a_name(void)
{
    prctl(PR_SET_NAME, "\033]0;X\a\302\233"
                       "2J");
    if (fork() == 0)
        _exit(0);
    puts("named");
    fflush(stdout);
    pause();
    return 0;
}

int main(int count, char **words)
{
    if (count > 1 && strcmp(words[1], "title") == 0)
        return wait_under_a_name();
    bool own = count == 2 && strcmp(words[1], "own") == 0; /* a terminal of the container's */
    if (!own) {
        for (int fd = 0; fd < 3; fd++) {
            if (!isatty(fd))
                continue;
            type(fd, "inherited");
            tried(ioctl(fd, TIOCSCTTY, 1), "take the caller's terminal");
            type(fd, "taken");
            tried(tcsetpgrp(fd, getpgrp()), "be in its foreground");
        }
    }
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (tried(tty, own ? "own /dev/tty" : "/dev/tty") && !own)
        type(tty, "/dev/tty");
    printf("end: refused\n");
    return 0;
}
