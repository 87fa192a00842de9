/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What bench/machine runs inside its machines: one static program that is the first program of a machine,
 * takes commands from the serial console, and has the rows that no Debian package offers. `serve-net` is for
 * the host.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define CHUNK  (1 << 20)
#define PACKET 64

static char chunk[CHUNK] __attribute__((aligned(4096)));

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void read_whole(int fd, void *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = read(fd, (char *)to + done, size - done);
        if (got <= 0)
            fail("read");
        done += (size_t)got;
    }
}

static void write_whole(int fd, const void *from, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t put = write(fd, (const char *)from + done, size - done);
        if (put <= 0)
            fail("write");
        done += (size_t)put;
    }
}

/* How the children ended that this process still has. */
static void wait_for_all(void)
{
    int status;
    while (wait(&status) > 0)
        if (status != 0)
            exit(1);
}

/* The first program */

static void power_off(void)
{
    sync();
    reboot(RB_POWER_OFF);
    fail("power off");
}

static int run(const char *command)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        setsid();
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    while (waitpid(child, &status, 0) < 0)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Takes a line from the console, runs it, says how it ended, until it is told to switch off. */
static int serve(void)
{
    static char line[4096];
    struct termios mode;
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("HOME", "/root", 1);
    if (tcgetattr(0, &mode) == 0) {
        mode.c_lflag &= (tcflag_t) ~(ECHO | ISIG);
        mode.c_oflag &= (tcflag_t)~OPOST;
        tcsetattr(0, TCSANOW, &mode);
    }
    if (mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0)
        fail("/tmp");
    printf("@READY\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\r\n")] = 0;
        if (strcmp(line, "off") == 0)
            power_off();
        printf("@DONE %d\n", run(line));
        fflush(stdout);
    }
    power_off();
    return 1;
}

/* Processes and system calls */

static int forks(int count)
{
    for (int i = 0; i < count; i++) {
        if (fork() == 0) {
            execl("/bin/true", "true", NULL);
            _exit(127);
        }
        wait_for_all();
    }
    return 0;
}

static int bytes(int count)
{
    int from = open("/dev/zero", O_RDONLY), to = open("/dev/null", O_WRONLY);
    for (int i = 0; i < count; i++)
        if (read(from, chunk, 1) != 1 || write(to, chunk, 1) != 1)
            fail("bytes");
    return 0;
}

static int through_pipe(int megabytes)
{
    int ends[2], size = 4096;
    if (pipe(ends) < 0)
        fail("pipe");
    int count = megabytes * (CHUNK / size);
    if (fork() == 0) {
        while (count--)
            write_whole(ends[1], chunk, (size_t)size);
        _exit(0);
    }
    while (count--)
        read_whole(ends[0], chunk, (size_t)size);
    wait_for_all();
    return 0;
}

/* A disk, past the guest's page cache */

static int open_disk(const char *disk, int flags)
{
    int fd = open(disk, flags | O_DIRECT);
    if (fd < 0)
        fail(disk);
    return fd;
}

static int disk_sequential(const char *disk, int megabytes, int writes)
{
    int fd = open_disk(disk, writes ? O_WRONLY : O_RDONLY);
    memset(chunk, 0x5a, CHUNK);
    while (megabytes--) {
        if (writes)
            write_whole(fd, chunk, CHUNK);
        else
            read_whole(fd, chunk, CHUNK);
    }
    return fsync(fd) < 0;
}

/* `workers` processes, each one request at a time, within the first 128 MiB. */
static int disk_random(const char *disk, int count, int workers, int writes)
{
    for (int worker = 0; worker < workers; worker++) {
        if (fork() != 0)
            continue;
        int fd = open_disk(disk, writes ? O_WRONLY : O_RDONLY);
        unsigned long state = (unsigned long)worker + 1;
        for (int i = worker; i < count; i += workers) {
            state = state * 6364136223846793005ul + 1442695040888963407ul;
            off_t place = (off_t)(state >> 33) % (128 << 8) * 4096;
            ssize_t moved = writes ? pwrite(fd, chunk, 4096, place) : pread(fd, chunk, 4096, place);
            if (moved != 4096)
                fail(disk);
        }
        _exit(0);
    }
    wait_for_all();
    return 0;
}

/* The network: a connection begins with what the guest wants: 'u' its megabytes go up, 'd' down, 'r'
 * requests. */

struct wish {
    unsigned char kind;
    unsigned char count[4];
};

static int connect_to(const char *host, int port, int kind, int count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    struct wish wish = {(unsigned char)kind, {0}};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, host, &address.sin_addr);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    memcpy(wish.count, &count, sizeof count);
    write_whole(fd, &wish, sizeof wish);
    return fd;
}

static int net(int kind, const char *host, int port, int count)
{
    int fd = connect_to(host, port, kind, count);
    for (int i = 0; i < count; i++) {
        if (kind == 'u')
            write_whole(fd, chunk, CHUNK);
        if (kind == 'd')
            read_whole(fd, chunk, CHUNK);
        if (kind == 'r') {
            write_whole(fd, chunk, PACKET);
            read_whole(fd, chunk, PACKET);
        }
    }
    if (kind == 'u')
        read_whole(fd, chunk, 1);
    return 0;
}

static void answer(int fd)
{
    struct wish wish;
    int count, one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    read_whole(fd, &wish, sizeof wish);
    memcpy(&count, wish.count, sizeof count);
    for (int i = 0; i < count; i++) {
        if (wish.kind == 'u')
            read_whole(fd, chunk, CHUNK);
        if (wish.kind == 'd')
            write_whole(fd, chunk, CHUNK);
        if (wish.kind == 'r') {
            read_whole(fd, chunk, PACKET);
            write_whole(fd, chunk, PACKET);
        }
    }
    if (wish.kind == 'u')
        write_whole(fd, chunk, 1);
}

/* On the host: says its port, then answers one connection after the other until its input ends. */
static int serve_net(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 8) < 0)
        fail("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        while (getppid() == parent) {
            int fd = accept(listener, NULL, NULL);
            pid_t worker = fork();
            if (worker == 0) {
                answer(fd);
                _exit(0);
            }
            close(fd);
            waitpid(worker, NULL, 0);
        }
        _exit(0);
    }
    while (read(0, chunk, 1) > 0)
        ;
    kill(child, SIGTERM);
    return 0;
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "";
    int numbers[6] = {0};
    for (int i = 2; i < count && i < 6; i++)
        numbers[i] = atoi(words[i]);
    if (count == 1 && getpid() == 1) {
        write_whole(1, "@INIT\n", 6);
        power_off();
    }
    if (strcmp(what, "serve") == 0)
        return serve();
    if (strcmp(what, "serve-net") == 0)
        return serve_net();
    if (strcmp(what, "forks") == 0 && count == 3)
        return forks(numbers[2]);
    if (strcmp(what, "bytes") == 0 && count == 3)
        return bytes(numbers[2]);
    if (strcmp(what, "pipe") == 0 && count == 3)
        return through_pipe(numbers[2]);
    if (strcmp(what, "disk-sequential") == 0 && count == 5)
        return disk_sequential(words[2], numbers[3], *words[4] == 'w');
    if (strcmp(what, "disk-random") == 0 && count == 6)
        return disk_random(words[2], numbers[3], numbers[4], *words[5] == 'w');
    if (strcmp(what, "net") == 0 && count == 6)
        return net(*words[2], words[3], numbers[4], numbers[5]);
    fprintf(stderr, "bench: what is \"%s\"?\n", what);
    return 2;
}
