/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pseudoterminals: settings, window size, line discipline, sessions and signals from the keyboard. */
#include "io_check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

static int master;
static char slave_name[64];

static int open_pair(void)
{
    master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (!AVAILABLE(master))
        return 0;
    CHECK(grantpt(master) == 0 && unlockpt(master) == 0);
    CHECK(ptsname_r(master, slave_name, sizeof slave_name) == 0 && strncmp(slave_name, "/dev/pts/", 9) == 0);
    return 1;
}

static void test_settings(int slave)
{
    struct termios t, u;
    CHECK(isatty(slave) && tcgetattr(slave, &t) == 0);
    CHECK((t.c_lflag & (ICANON | ECHO | ISIG)) == (ICANON | ECHO | ISIG) && t.c_cc[VINTR] == 3);
    CHECK(t.c_cc[VEOF] == 4 && cfgetospeed(&t) == B38400);
    t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    t.c_cc[VMIN] = 2;
    t.c_cc[VTIME] = 0;
    CHECK(cfsetspeed(&t, B115200) == 0 && tcsetattr(slave, TCSANOW, &t) == 0 && tcgetattr(slave, &u) == 0);
    CHECK(u.c_lflag == t.c_lflag && u.c_cc[VMIN] == 2 && cfgetospeed(&u) == B115200);

    char text[16];
    struct pollfd fd = {slave, POLLIN, 0};
    CHECK(write(master, "a", 1) == 1 && poll(&fd, 1, 20) == 0); /* VMIN is not reached */
    CHECK(write(master, "b", 1) == 1 && read(slave, text, sizeof text) == 2);

    t.c_lflag |= ICANON;
    t.c_cc[VEOF] = 4;
    CHECK(tcsetattr(slave, TCSADRAIN, &t) == 0);
    CHECK(write(master, "lines\bX\177y\nrest", 14) == 14);
    int count = 0;
    CHECK(poll(&fd, 1, -1) == 1); /* the other side gets it a little later */
    CHECK(ioctl(slave, FIONREAD, &count) == 0 && count == 8);
    CHECK(read(slave, text, sizeof text) == 8 && memcmp(text, "lines\by\n", 8) == 0);
    CHECK(tcflush(slave, TCIFLUSH) == 0);

    struct winsize size = {24, 80, 0, 0}, got = {0};
    CHECK(ioctl(master, TIOCSWINSZ, &size) == 0 && ioctl(slave, TIOCGWINSZ, &got) == 0);
    CHECK(got.ws_row == 24 && got.ws_col == 80);
    CHECK(write(slave, "out\n", 4) == 4 && read(master, text, sizeof text) == 5 &&
          memcmp(text, "out\r\n", 5) == 0);
    CHECK_ERROR(ioctl(slave, 0x12345678, &got), ENOTTY);
    CHECK_ERROR(ioctl(slave, TIOCGWINSZ, bad_pointer), EFAULT);
    CHECK(!isatty(open("/dev/null", O_RDONLY)));
#ifdef TIOCGPTPEER
    int peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (AVAILABLE(peer)) {
        CHECK(isatty(peer) && fcntl(peer, F_GETFD) == FD_CLOEXEC);
        close(peer);
    }
#endif
}

/* A child with the terminal as its controlling one gets SIGINT from Control-C, and its group can be asked. */
static void test_session(void)
{
    int status;
    char c;
    pid_t child = fork();
    if (child == 0) {
        setsid();
        int slave = open(slave_name, O_RDWR);
        if (slave < 0 || tcgetpgrp(slave) != getpid() || tcgetsid(slave) != getpid())
            _exit(1);
        signal(SIGINT, SIG_DFL);
        if (write(slave, "r", 1) != 1)
            _exit(2);
        for (;;)
            pause();
    }
    do
        CHECK(read(master, &c, 1) == 1);
    while (c != 'r' && !check_failures);
    CHECK(write(master, "\003", 1) == 1);
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

int main(void)
{
    if (!open_pair())
        return check_done("io_terminal");
    int slave = open(slave_name, O_RDWR | O_NOCTTY);
    CHECK(slave >= 0);
    struct termios saved;
    CHECK(tcgetattr(slave, &saved) == 0);
    test_settings(slave);
    CHECK(tcsetattr(slave, TCSAFLUSH, &saved) == 0);
    test_session();
    close(slave);
    close(master);
    return check_done("io_terminal");
}
